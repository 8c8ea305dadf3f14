"""Tables that learn: bits, gradients by their definition in loops, parts, and what comes out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch_models import HEADS, LAYERS, MODELS

import exaq
import exaq.torch
from exaq.torch import LearnedTables

TOKENS = torch.randint(50, (3, 9), generator=torch.Generator().manual_seed(2))
SCALE = 1 / 16

#: Layer and head of sets of tables, by name.
Names = dict[str, tuple[int | None, int | None]]


def tables_of(bits: int, seed: int, exp_frac: int = 10) -> exaq.Tables:
    """Free tables: thresholds that repeat and reach 0, exponentials in no order, a 0 among them."""
    rng = np.random.default_rng(seed)
    steps = sorted(rng.integers(-70, 1, 2**bits - 1).tolist())
    rom = rng.integers(1, 2 ** (exp_frac + 1), 2**bits).tolist()
    return exaq.Tables(thresholds=tuple(steps), exp_rom=(0, *rom[1:]))


def file_of(names: Names, bits: int = 2) -> exaq.TableFile:
    return exaq.TableFile(
        bits=bits,
        logit_width=12,
        logit_scale=SCALE,
        exp_frac=10,
        sets=tuple(
            exaq.TableSet(name=name, layer=layer, head=head, tables=tables_of(bits, seed))
            for seed, (name, (layer, head)) in enumerate(names.items())
        ),
        provenance={"rule": "drawn"},
    )


ALL: Names = {"all": (None, None)}
PER_HEAD: Names = {f"layer0.head{head}": (0, head) for head in range(HEADS)}
MIXED: Names = {"layer0.head2": (0, 2), "layer0": (0, None), "others": (None, None)}


def drawn(*shape: int, seed: int = 3) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 1.5, shape))


def steps_of(scores: Tensor) -> NDArray[np.int64]:
    return np.rint(scores.detach().numpy() / SCALE).astype(np.int64)


def by_definition(
    rows: list[tuple[Any, Any, Any, float | None]], tables: exaq.Tables, window: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """dL/dtheta_k and dL/dE_k of rows (steps, gradients, live, sink's step), element by element."""
    thresholds, rom = tables.thresholds, tables.exp_rom
    to_rom = np.zeros(len(rom))
    # What moving an element across a threshold changes, from below and from above.
    sides: list[tuple[list[float], list[float]]] = [([], []) for _ in thresholds]
    for steps, gradients, live, sink in rows:
        elements = [(s, g) for s, g, on in zip(steps, gradients, live, strict=True) if on]
        if sink is not None:
            elements.append((sink, 0.0))
        if not elements:
            continue
        peak = max(step for step, _ in elements)
        codes = [sum(step - peak >= theta for theta in thresholds) for step, _ in elements]
        total = sum(rom[code] for code in codes)
        mean = sum(rom[code] * g for code, (_, g) in zip(codes, elements, strict=True)) / total
        for code, (step, g) in zip(codes, elements, strict=True):
            to_rom[code] += (g - mean) / total
            for k, theta in enumerate(thresholds):
                delta = rom[k + 1] - rom[k]
                if theta - window <= step - peak < theta:
                    own = rom[code + 1] - rom[code]
                    sides[k][0].append(-delta * (g - mean) / (total + own))
                elif theta <= step - peak < min(theta + window, 0):
                    own = rom[code] - rom[code - 1]
                    sides[k][1].append(-delta * (g - mean) / (total - own))
    to_thresholds = np.zeros(len(thresholds))
    for k, (theta, both) in enumerate(zip(thresholds, sides, strict=True)):
        steps_of_window = len([d for d in range(theta - window, theta + window) if d < 0])
        means = [np.mean(side) for side in both if side]
        if means:
            to_thresholds[k] = np.mean(means) * sum(map(len, both)) / steps_of_window
    return to_thresholds, to_rom


@pytest.mark.parametrize("names", [ALL, PER_HEAD, MIXED], ids=["all", "heads", "mixed"])
@pytest.mark.parametrize("bits", [2, 3, 6])
@pytest.mark.parametrize("sinks", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gradients_are_those_of_the_definition(
    names: Names, bits: int, sinks: bool, dtype: torch.dtype
) -> None:
    file = file_of(names, bits)
    learned = LearnedTables(file, window=0.4)
    assert learned.window == 6
    scores, given = drawn(2, HEADS, 5, 12).to(dtype), drawn(2, HEADS, 5, 12, seed=4).to(dtype)
    live = drawn(2, 1, 5, 12, seed=5) > -1.5
    live[0, 0, 0] = False
    sink = drawn(HEADS, 1, seed=6).to(dtype) if sinks else None
    scores.requires_grad_()
    learned.softmax(0, scores, live, sink).backward(given)
    # Heads of the same tables are one part if all have these, else each by itself.
    together = len({file.of(0, head).name for head in range(HEADS)}) == 1
    rows: dict[tuple[str, int], list[Any]] = {}
    for batch, head, query in np.ndindex(2, HEADS, 5):
        level = None if sink is None else int(np.rint(float(sink[head]) / SCALE))
        part = file.of(0, head).name, 0 if together else head
        rows.setdefault(part, []).append(
            (
                steps_of(scores)[batch, head, query],
                given[batch, head, query].tolist(),
                live[batch, 0, query].tolist(),
                level,
            )
        )
    precision = 1e-9 if dtype == torch.float64 else 2e-4
    for place, entry in enumerate(file.sets):
        parts = [by_definition(r, entry.tables, 6) for (n, _), r in rows.items() if n == entry.name]
        to_thresholds = sum((part[0] for part in parts), np.zeros(2**bits - 1))
        to_rom = sum((part[1] for part in parts), np.zeros(2**bits))
        assert learned.thresholds.grad is not None
        assert learned.levels.grad is not None
        found = learned.thresholds.grad[place] * SCALE
        # Equal thresholds share what they get in any way.
        values = np.array(entry.tables.thresholds)
        for theta in set(values.tolist()):
            same = values == theta
            assert found[torch.from_numpy(same)].sum().item() == pytest.approx(
                to_thresholds[same].sum(), abs=precision
            )
        # An exponential of 0 begins at a quarter of a step.
        rom = np.maximum(np.array(entry.tables.exp_rom, dtype=float), 0.25)[:-1]
        np.testing.assert_allclose(
            learned.levels.grad[place], to_rom[:-1] * rom, rtol=0, atol=precision
        )


def test_levels_have_the_exact_gradient_of_the_loss() -> None:
    """Differences of a loss that is no sum over probabilities, by the definition of p = E / S."""
    learned = LearnedTables(file_of(ALL, 3))
    scores = drawn(1, 2, 6, 40)
    tables = learned.tables().sets[0].tables
    codes = exaq.quantize(steps_of(scores), learned.unit(0, 2)[0])

    def loss(probabilities: Tensor) -> Tensor:
        return (probabilities.double() * drawn(1, 2, 6, 40, seed=8)).sum(dim=-1).exp().sum()

    # So fine that the rounding of probabilities is nothing.
    learned = LearnedTables(learned.file, prob_bits=24)
    loss(learned.softmax(0, scores)).backward()
    assert learned.levels.grad is not None
    for k in range(7):
        sides = []
        for side in (1e-5, -1e-5):
            rom = np.array(tables.exp_rom, dtype=float)
            rom[k] *= np.exp(side)
            weights = torch.from_numpy(rom[codes])
            sides.append(loss(weights / weights.sum(dim=-1, keepdim=True)).item())
        slope = (sides[0] - sides[1]) / 2e-5
        if tables.exp_rom[k]:
            assert learned.levels.grad[0, k].item() == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_threshold_gradients_foretell_what_moving_them_does() -> None:
    """Over many rows, against the loss with the threshold a few steps up and down."""
    tables = exaq.Tables(thresholds=(-64, -32, -12), exp_rom=(30, 150, 400, 1024))
    config = exaq.SoftmaxConfig(
        tables=tables, logit_width=12, logit_scale=SCALE, exp_frac=10, prob_bits=24
    )
    scores = drawn(1, 1, 4000, 64)
    exact = torch.softmax(scores, dim=-1)
    file = file_of(ALL)
    file = exaq.TableFile(**{**vars(file), "sets": (exaq.TableSet(name="all", tables=tables),)})
    learned = LearnedTables(file, window=2 * SCALE, prob_bits=24)

    def loss(probabilities: Tensor) -> Tensor:
        return (probabilities.double() - exact).square().sum(dim=-1).mean()

    loss(learned.softmax(0, scores)).backward()
    assert learned.thresholds.grad is not None
    for k in range(3):
        sides = []
        for side in (1, -1):
            moved = list(tables.thresholds)
            moved[k] += side
            other = config.replace(
                tables=exaq.Tables(thresholds=tuple(moved), exp_rom=tables.exp_rom)
            )
            sides.append(loss(exaq.torch.softmax(scores, other)).item())
        slope = (sides[0] - sides[1]) / 2 / SCALE
        assert learned.thresholds.grad[0, k].item() == pytest.approx(slope, rel=0.05)


@pytest.mark.parametrize("names", [ALL, MIXED], ids=["all", "mixed"])
@pytest.mark.parametrize("bits", [2, 4])
def test_models_begin_with_the_bits_of_the_file_and_keep_those_of_the_tables(
    names: Names, bits: int, tmp_path: Path
) -> None:
    model, file = MODELS["llama"](), file_of(names, bits)

    def logits() -> Tensor:
        found: Tensor = model(TOKENS).logits
        return found

    exaq.torch.set_tables(model, file, prob_bits=12)
    expected = logits()
    learned = exaq.torch.learn_tables(model, file, prob_bits=12)
    assert model.config._attn_implementation == "exaq-train"
    assert torch.equal(logits(), expected)
    assert [e.tables for e in learned.tables().sets] == [e.tables for e in file.sets]
    optimizer = torch.optim.Adam(learned.parameters(), lr=0.3)
    for _ in range(3):
        model(TOKENS, labels=TOKENS).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    trained = logits()
    assert not torch.equal(trained, expected)
    with torch.no_grad():
        assert torch.equal(logits(), trained)
    model.set_attn_implementation("exaq")
    assert torch.equal(logits(), trained)
    learned.tables().save(tmp_path / "tables.json")
    again = exaq.TableFile.load(tmp_path / "tables.json")
    exaq.torch.set_tables(model, again, prob_bits=12)
    assert torch.equal(logits(), trained)
    assert again.provenance == {"rule": "learned", "from": {"rule": "drawn"}}
    assert [(e.name, e.layer, e.head) for e in again.sets] == [
        (e.name, e.layer, e.head) for e in file.sets
    ]


def test_what_is_trained_is_what_the_golden_model_computes() -> None:
    learned = LearnedTables(file_of(PER_HEAD, 3), prob_bits=14)
    with torch.no_grad():
        learned.thresholds.add_(drawn(HEADS, 7, seed=11))
        learned.levels.add_(drawn(HEADS, 7, seed=12))
    scores = drawn(2, HEADS, 6, 30).requires_grad_()
    found = learned.softmax(0, scores)
    for head, entry in enumerate(learned.tables().sets):
        config = learned.tables().config(entry.name, prob_bits=14)
        expected = exaq.softmax(steps_of(scores)[:, head], config)
        np.testing.assert_array_equal(found[:, head].detach() * 2**14, expected)


def test_tables_stay_legal_wherever_parameters_go() -> None:
    learned = LearnedTables(file_of(ALL, 2))
    with torch.no_grad():
        learned.thresholds.copy_(torch.tensor([[3.0, -2.0, -1e9]]))
        learned.levels.copy_(torch.tensor([[50.0, -50.0, 0.0]]))
    (entry,) = learned.tables().sets
    top = file_of(ALL, 2).sets[0].tables.exp_rom[-1]
    assert entry.tables.thresholds == (-16 * 10**9, -32, 0)
    assert entry.tables.exp_rom == (2**11 - 1, 0, top, top)
    scores = drawn(1, 1, 3, 8).requires_grad_()
    learned.softmax(0, scores).sum().backward()
    assert learned.thresholds.grad is not None
    assert torch.isfinite(learned.thresholds.grad).all()
    with torch.no_grad():
        learned.levels[0, 0] = torch.nan
    with pytest.raises(
        ValueError, match=r"^learned levels must be finite: the training has diverged$"
    ):
        learned.tables()


def test_learning_brings_probabilities_nearer_to_float() -> None:
    """Tables from a clip that is far from good, on rows that they can be much better for."""
    clip = exaq.Tables.from_clip(-3.0, bits=2, logit_scale=SCALE, exp_frac=10)
    file = file_of(ALL)
    file = exaq.TableFile(**{**vars(file), "sets": (exaq.TableSet(name="all", tables=clip),)})
    learned = LearnedTables(file, prob_bits=16)
    scores = drawn(1, 1, 400, 64).float()
    exact = torch.softmax(scores, dim=-1)

    def error() -> Tensor:
        return (learned.softmax(0, scores) - exact).square().sum(dim=-1).mean()

    before = error().item()
    optimizer = torch.optim.Adam(learned.parameters(), lr=0.05)
    for _ in range(150):
        error().backward()
        optimizer.step()
        optimizer.zero_grad()
    calibrated = exaq.calibrate(
        [scores.numpy()[0]], bits=2, logit_width=12, logit_scale=SCALE, exp_frac=10
    )
    best = exaq.torch.softmax(scores, calibrated.config(prob_bits=16))
    # Of the calibration's search they lack a few percent.
    assert error().item() < 1.1 * (best - exact).square().sum(dim=-1).mean().item()
    assert before > 2 * error().item()


def test_parts_get_parameters_of_their_own() -> None:
    file = file_of(MIXED)
    names = {
        "set": ["layer0.head2", "layer0", "others"],
        "head": [f"layer{layer}.head{head}" for layer in range(LAYERS) for head in range(HEADS)],
    }
    for per, expected in names.items():
        model = MODELS["gpt2"]()
        exaq.torch.set_tables(model, file)
        with torch.no_grad():
            plain = model(TOKENS).logits
        learned = exaq.torch.learn_tables(model, file, per=per)
        assert [entry.name for entry in learned.file.sets] == expected
        assert learned.thresholds.shape == learned.levels.shape == (len(expected), 3)
        assert torch.equal(model(TOKENS).logits, plain)
        # Beside the model, not in it.
        assert len(list(learned.parameters())) == 2
        assert not any("thresholds" in name for name, _ in model.named_parameters())
    learned = exaq.torch.learn_tables(MODELS["gpt2"](), file_of(ALL), per="layer")
    assert [entry.name for entry in learned.file.sets] == ["layer0", "layer1"]


def test_layers_without_tables_are_refused_when_they_run() -> None:
    model = MODELS["gpt2"]()
    learned = exaq.torch.learn_tables(model, file_of({"layer0": (0, None)}), per="head")
    assert [entry.layer for entry in learned.file.sets] == [0] * HEADS
    with pytest.raises(ValueError, match=r"^there are no tables for head 0 of layer 1, only for"):
        model(TOKENS)


def test_a_configuration_lends_its_tables() -> None:
    model = MODELS["gpt2"]()
    config = exaq.SoftmaxConfig(clip=-3.0, prob_bits=9, sink=-5, bits=3)
    exaq.torch.set_tables(model, config, exp_frac=12)
    plain = model(TOKENS).logits
    learned = exaq.torch.learn_tables(model, config, exp_frac=12)
    (entry,) = learned.file.sets
    assert (entry.name, entry.layer, entry.head) == ("all", None, None)
    assert entry.tables.sink == -5
    assert torch.equal(model(TOKENS).logits, plain)
    model(TOKENS, labels=TOKENS).loss.backward()
    assert learned.levels.grad is not None


def test_refusals() -> None:
    model = MODELS["gpt2"]()

    def refused(message: str, tables: Any, error: type[Exception] = ValueError, **o: Any) -> None:
        with pytest.raises(error, match=rf"^{re.escape(message)}$"):
            exaq.torch.learn_tables(model, tables, **o)
        assert model.config._attn_implementation != "exaq-train"

    file = file_of(ALL)
    refused("per must be set, layer or head, not 'row'", file, per="row")
    refused("window must be above 0, not 0.0", file, window=0)
    refused("window must be a real number, not 'x'", file, TypeError, window="x")
    refused("tables must be a SoftmaxConfig or a TableFile, not None", None, TypeError)
    refused(
        "only tables of the kernel exaq learn, not those of the kernel softermax",
        exaq.SoftmaxConfig.preset("softermax-x4"),
    )
    refused("set 'far' is for layer 7, but the model has layers 0..1", file_of({"far": (7, None)}))
    refused(
        "exaq.torch computes with integer logits: logit_format must be integer, not bf16",
        exaq.SoftmaxConfig(logit_format="bf16"),
    )
    learned = LearnedTables(file)
    with pytest.raises(
        TypeError, match=r"^a gradient needs floating-point scores, not torch.int64$"
    ):
        learned.softmax(0, torch.zeros(1, 2, 3, 4, dtype=torch.int64))


def test_heads_that_a_layer_does_not_count_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exaq.torch.training, "head_count", lambda layer: None)
    message = "tables for each head need to know how many there are, which layer 0 does not say"
    with pytest.raises(ValueError, match=rf"^{re.escape(message)}$"):
        exaq.torch.learn_tables(MODELS["gpt2"](), file_of(ALL), per="head")


def test_two_bytes_are_kept_for_each_score() -> None:
    """For tables; for scores alone nothing but the probabilities, which are there anyway."""
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    scores = drawn(2, HEADS, 32, 512).float().requires_grad_()
    live = torch.ones(32, 512, dtype=torch.bool).tril()
    learned = LearnedTables(file_of(PER_HEAD, 6))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        learned.softmax(0, scores, live)
    size = sum(t.untyped_storage().nbytes() for t in {t.data_ptr(): t for t in kept}.values())
    assert size == pytest.approx(2 * scores.numel(), rel=0.05)
    kept.clear()
    config, _, _ = learned.unit(0, HEADS)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        found = exaq.torch.softmax(
            scores, config, live, torch.arange(HEADS)[:, None], gradient="ste"
        )
    assert [t.data_ptr() for t in kept] == [found.data_ptr()]


def test_state_can_be_kept_and_taken_back() -> None:
    file = file_of(PER_HEAD)
    one, other = LearnedTables(file), LearnedTables(file)
    with torch.no_grad():
        one.thresholds.sub_(1)
    other.load_state_dict(one.state_dict())
    assert other.tables() == one.tables()
    assert isinstance(one, nn.Module)
