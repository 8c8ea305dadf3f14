"""Tuned tables: nearer to the float model, never farther, and nothing else is changed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_models import HEADS, LAYERS, MODELS
from transformers import PreTrainedModel

import exaq
import exaq.torch
from exaq.torch.table_tuning import output_distance

TEXTS = list(torch.randint(50, (4, 1, 9), generator=torch.Generator().manual_seed(5)))
#: Tables that are far from good ones.
START = exaq.TableFile.of_config(
    exaq.SoftmaxConfig(clip=-12.0, logit_width=14, logit_scale=2**-6, exp_frac=10)
)


def distances(model: PreTrainedModel, tables: exaq.TableFile) -> list[float]:
    """By NumPy, of each text."""
    found = []
    for text in TEXTS:
        outputs = []
        for each in (None, tables):
            exaq.torch.set_tables(model, each)
            with torch.no_grad():
                outputs.append(model(input_ids=text))
        exact, given = outputs
        if "logits" in given:
            p, q = (
                np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
                for x in (exact.logits.double().numpy(), given.logits.double().numpy())
            )
            found.append(float((p * np.log(p / q)).sum(axis=-1).mean()))
        else:
            a, b = (x.last_hidden_state.double().numpy() for x in (given, exact))
            error = ((a - b) ** 2).sum() / (b**2).sum()
            mean = ((a.mean(axis=1) - b.mean(axis=1)) ** 2).sum() / (b.mean(axis=1) ** 2).sum()
            found.append(float(error + mean))
    exaq.torch.set_tables(model, None)
    return found


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_the_output_comes_nearer(name: str) -> None:
    model = MODELS[name]()
    first = next(model.parameters())
    first.requires_grad_(False)
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    told: list[tuple[int, int]] = []
    tuned = exaq.torch.tune(
        model, START, TEXTS, steps=15, batch=2, rate=0.2, progress=lambda *each: told.append(each)
    )
    assert sum(distances(model, tuned)) < 0.7 * sum(distances(model, START))
    assert len(tuned.sets) == LAYERS * HEADS
    assert tuned.bits == START.bits
    assert tuned.provenance["tuned"] == {"steps": 15, "batch": 2, "rate": 0.2, "seed": 0}
    assert tuned.provenance["from"] == START.provenance
    assert told == [(step, 15) for step in range(16)]
    # The model is as it was: weights, what asks for gradients, and a float softmax.
    assert all(torch.equal(weights[key], value) for key, value in model.state_dict().items())
    asking = [parameter.requires_grad for parameter in model.parameters()]
    assert asking == [False] + [True] * (len(asking) - 1)
    assert all(parameter.grad is None for parameter in model.parameters())
    options: dict[str, Any] = {"steps": 15, "batch": 2, "rate": 0.2}
    assert exaq.torch.tune(model, START, TEXTS, **options) == tuned
    assert exaq.torch.tune(model, START, TEXTS, **options, seed=1) != tuned


def test_distances_are_those_of_the_definition() -> None:
    for name in ("bert", "llama"):
        model = MODELS[name]()
        want = distances(model, START)
        for text, each in zip(TEXTS, want, strict=True):
            with torch.no_grad():
                exact = model(input_ids=text)
                exaq.torch.set_tables(model, START)
                given = model(input_ids=text)
                exaq.torch.set_tables(model, None)
            assert float(output_distance(given, exact)) == pytest.approx(each, rel=1e-3)


def test_what_would_be_farther_is_not_taken() -> None:
    model = MODELS["llama"]()
    good = exaq.torch.tune(model, START, TEXTS, steps=12, rate=0.2)
    assert exaq.torch.tune(model, good, TEXTS, steps=3, rate=50.0) is good


def test_a_run_and_a_distance_of_ones_own() -> None:
    model = MODELS["llama"]()
    seen: list[Any] = []

    def run(model: nn.Module, text: Tensor) -> Any:
        return SimpleNamespace(mine=model(input_ids=text).logits[0, -1])

    def distance(output: Any, target: Any) -> Tensor:
        seen.append(output.mine)
        return (output.mine - target.mine).square().sum()

    exaq.torch.tune(model, START, TEXTS, steps=2, batch=3, run=run, distance=distance)
    # Each text once or twice in two steps of three, and all of them twice in the end.
    assert len(seen) == 2 * 3 + 2 * len(TEXTS)
    with pytest.raises(TypeError, match="SimpleNamespace has neither logits nor last_hidden"):
        exaq.torch.tune(model, START, TEXTS, run=run)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be"),
        ({"batch": 0}, "batch must be"),
        ({"rate": 0}, "rate must be above 0, not 0"),
        ({"per": "unit"}, "per must be"),
        ({"batches": []}, "there are no batches to tune on"),
    ],
)
def test_what_is_not_legal_is_refused(options: dict[str, Any], message: str) -> None:
    model = MODELS["bert"]()
    with pytest.raises(ValueError, match=message):
        exaq.torch.tune(model, START, **({"batches": TEXTS} | options))
    assert all(parameter.requires_grad for parameter in model.parameters())
