"""Calibration on a running model: its errors by definition, layer after layer, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch_models import HEADS, LAYERS, MODELS

import exaq
import exaq.torch
from exaq.torch import model_calibration
from exaq.torch.modules import attention_layers

FORMAT: dict[str, Any] = {"bits": 2, "logit_width": 16, "logit_scale": 2.0**-8}
IDS = torch.randint(1, 50, (2, 3, 9), generator=torch.Generator().manual_seed(3))
BATCHES = list(IDS)
# A projection's weight (out, in), as each model names it.
PROJECTIONS = {
    "bert": lambda model, k: model.encoder.layer[k].attention.output.dense.weight,
    "gpt2": lambda model, k: model.transformer.h[k].attn.c_proj.weight.T,
    "llama": lambda model, k: model.model.layers[k].self_attn.o_proj.weight,
}


def square(output: Any, batch: Any) -> Tensor:
    """A loss that any model has."""
    found = output.last_hidden_state if hasattr(output, "last_hidden_state") else output.logits
    weights = torch.linspace(-1, 2, found[0].numel()).reshape(found.shape[1:])
    return (found * weights).square().mean()


def calls_of(model: nn.Module, layer: int, batch: Any) -> tuple[Any, ...]:
    """Logits (texts, heads, queries, keys), values (texts, heads, keys, size), outputs."""
    seen: list[Any] = []
    with exaq.torch.recording.watching(model, {layer: lambda found, kept: seen.append(found)}):
        output = model(batch)
    (found,) = seen
    logits = found.scores.masked_fill(~found.live, -torch.inf)
    return logits, found.value, found.output, output


def quantized(
    logits: NDArray[np.float64], file: exaq.TableFile, layer: int, head: int
) -> NDArray[np.float64]:
    """E / S of each row by the head's tables, by definition."""
    tables = file.of(layer, head).tables
    rows = []
    for row in logits.reshape(-1, logits.shape[-1]):
        live = np.isfinite(row)
        steps = np.rint(np.where(live, row, 0) * 256)
        below = steps - steps[live].max()
        e = np.array([tables.exp_rom[sum(d >= t for t in tables.thresholds)] for d in below])
        e = np.where(live, e, 0)
        rows.append(e / e.sum())
    return np.array(rows).reshape(logits.shape)


def slow_error(
    model: nn.Module, name: str, file: exaq.TableFile, layer: int, head: int, minimise: str
) -> float:
    """The objective's error of a head, over all rows of ``BATCHES``."""
    errors: list[float] = []
    for batch in BATCHES:
        logits, value, output, whole = calls_of(model, layer, batch)
        if minimise == "loss":
            (gradient,) = torch.autograd.grad(square(whole, batch), [output])
        for text in range(len(batch)):
            exact = logits[text, head].double().detach().numpy()
            p = np.exp(exact - exact.max(-1, keepdims=True))
            p /= p.sum(-1, keepdims=True)
            missed = quantized(exact, file, layer, head) - p
            v = value[text, head].double().detach().numpy()
            if minimise == "loss":
                g = gradient[text, :, head].double().numpy()
                errors += list(np.einsum("qk,kd,qd->q", missed, v, g) ** 2)
                continue
            e = missed @ v
            if minimise == "block":
                weight = PROJECTIONS[name](model, layer).double().detach().numpy()
                size = v.shape[1]
                e = e @ weight[:, head * size : (head + 1) * size].T
            errors += list((e**2).sum(-1))
    return float(np.mean(errors))


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("minimise", ["output", "block", "loss"])
def test_error_is_that_of_the_definition(name: str, minimise: Any) -> None:
    model = MODELS[name]()
    # As many components as a head has make the squared length exact.
    file = exaq.torch.calibrate(
        model,
        BATCHES,
        minimise=minimise,
        components=64,
        loss=square if minimise == "loss" else None,
        **FORMAT,
    )
    assert [entry.name for entry in file.sets] == [
        f"layer{layer}.head{head}" for layer in range(LAYERS) for head in range(HEADS)
    ]
    assert file.provenance["minimise"] == minimise
    factor = 1.0
    if minimise == "loss":
        gradients = [
            torch.autograd.grad(square(whole, batch), [output])[0]
            for batch in BATCHES
            for layer in range(LAYERS)
            for _, _, output, whole in [calls_of(model, layer, batch)]
        ]
        factor = float(torch.cat([g.flatten() for g in gradients]).double().square().mean())
    for layer, head in ((0, 0), (1, HEADS - 1)):
        wanted = slow_error(model, name, file, layer, head, minimise) / factor
        assert file.of(layer, head).statistics["values"] == pytest.approx(wanted, rel=2e-3)


@pytest.mark.parametrize("minimise", ["mse", "kl"])
@pytest.mark.parametrize("per", ["head", "layer"])
def test_without_the_model_it_is_calibrate(minimise: Any, per: str) -> None:
    model = MODELS["llama"]()
    with torch.no_grad(), exaq.torch.record(model) as recording:
        for batch in BATCHES:
            model(batch)
    here = exaq.torch.calibrate(model, BATCHES, minimise=minimise, per=per, **FORMAT)
    # A text is a call here, so that the clips which the search begins with may differ.
    calls = [
        [array[:, 9 * k : 9 * k + 9] for array in layer for k in range(3)]
        for layer in recording.layers
    ]
    there = exaq.calibrate(calls, minimise=minimise, per=per, **FORMAT)
    assert [entry.tables for entry in here.sets] == [entry.tables for entry in there.sets]


def test_each_layer_is_calibrated_on_what_those_before_give() -> None:
    model = MODELS["gpt2"]()
    file = exaq.torch.calibrate(model, BATCHES, minimise="mse", sequential=True, **FORMAT)
    assert file.provenance["sequential"] is True
    first = exaq.TableFile(
        **FORMAT, exp_frac=13, sets=tuple(entry for entry in file.sets if entry.layer == 0)
    )
    exaq.torch.layers.attached(attention_layers(model)[0]).set(first, 0, {"prob_bits": 16})
    with torch.no_grad(), exaq.torch.record(model) as recording:
        for batch in BATCHES:
            model(batch)
    calls = [[array[:, 9 * k : 9 * k + 9] for array in recording.layers[1] for k in range(3)]]
    second = exaq.calibrate({1: calls[0]}, per="head", **FORMAT)
    assert [s.tables for s in second.sets] == [s.tables for s in file.sets if s.layer == 1]
    alone = exaq.torch.calibrate(model, BATCHES, minimise="mse", **FORMAT)
    assert [s.tables for s in alone.sets[:HEADS]] == [s.tables for s in file.sets[:HEADS]]
    assert [s.tables for s in alone.sets[HEADS:]] != [s.tables for s in file.sets[HEADS:]]


def test_few_layers_at_a_time_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODELS["llama"]()
    whole = exaq.torch.calibrate(model, BATCHES, minimise="output", **FORMAT)
    monkeypatch.setattr(model_calibration, "_HELD", 1)
    runs = []
    hook = model.register_forward_pre_hook(lambda *_: runs.append(1))
    parted = exaq.torch.calibrate(model, BATCHES, minimise="output", **FORMAT)
    hook.remove()
    assert parted == whole
    assert len(runs) == LAYERS * len(BATCHES)


def test_the_model_is_as_before_with_float_softmax() -> None:
    model = MODELS["llama"]()
    with torch.no_grad():
        before = model(IDS[0]).logits
        exaq.torch.calibrate(model, BATCHES, minimise="block", sequential=True, **FORMAT)
        torch.testing.assert_close(model(IDS[0]).logits, before, rtol=1e-5, atol=1e-5)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_batches_by_name_leave_padding_out() -> None:
    model = MODELS["bert"]()
    mask = torch.ones(3, 9, dtype=torch.long)
    mask[1, 6:] = 0
    short = [{"input_ids": IDS[0], "attention_mask": mask}]
    file = exaq.torch.calibrate(model, short, minimise="output", **FORMAT)
    assert file.sets[0].statistics["rows"] == 9 + 6 + 9


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"minimise": "max"},
            ValueError,
            "minimise must be mse, kl, output, block or loss, not 'max'",
        ),
        ({"per": "all"}, ValueError, "per must be head or layer, not 'all'"),
        ({"components": 0}, ValueError, "components must be at least 1, not 0"),
        ({"loss": square}, ValueError, "a loss is for the objective loss, not output"),
        ({"masks": []}, TypeError, "masks comes from the model and cannot be given"),
        (
            {"minimise": "loss", "batches": [{"input_ids": IDS[0]}]},
            TypeError,
            "the objective loss needs a loss where batches are no token numbers",
        ),
        ({"batches": []}, ValueError, "there are no batches to calibrate on"),
    ],
)
def test_what_does_not_fit_is_refused(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    options = {"batches": BATCHES, "minimise": "output"} | FORMAT | change
    with pytest.raises(error) as caught:
        exaq.torch.calibrate(MODELS["gpt2"](), options.pop("batches"), **options)
    assert str(caught.value) == message


def test_a_hidden_projection_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODELS["llama"]()

    monkeypatch.setattr(model.model.layers[1].self_attn, "o_proj", nn.Identity())
    with pytest.raises(ValueError, match=r"^layer 1 of LlamaForCausalLM shows no output"):
        exaq.torch.calibrate(model, BATCHES, minimise="block", **FORMAT)
