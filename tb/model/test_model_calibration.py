"""exaq.calibrate: the rules of the paper, what a file of tables holds, how logits may come."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

import exaq
from exaq.calibration import source
from exaq.tables import default_clip

PAPER = {2: (-1.66, -1.85), 3: (-1.75, -2.06), 4: (-1.83, -2.27)}


def slow_errors(
    rows: Sequence[tuple[NDArray[Any], NDArray[Any]]], config: exaq.SoftmaxConfig
) -> tuple[float, float]:
    """MSE and KL, means over rows of (real live logits, integers): plain Python, by definition."""
    squares, divergences = [], []
    for real, steps in rows:
        peak = max(real)
        exact = [math.exp(x - peak) for x in real]
        p = [e / math.fsum(exact) for e in exact]
        codes = oracle.code_row([int(x) for x in steps], None, config)
        values = [config.tables.exp_rom[code] for code in codes]
        q = [value / sum(values) for value in values]
        squares.append(math.fsum((a - b) ** 2 for a, b in zip(p, q, strict=True)))
        pairs = [(a, b) for a, b in zip(p, q, strict=True) if a > 0]
        if any(b == 0 for _, b in pairs):
            divergences.append(math.inf)
        else:
            divergences.append(math.fsum(a * math.log(a / b) for a, b in pairs))
    return float(np.mean(squares)), float(np.mean(divergences))


def assert_errors(
    entry: exaq.TableSet,
    file: exaq.TableFile,
    rows: Sequence[tuple[NDArray[Any], NDArray[Any]]],
) -> None:
    """The errors that ``entry`` states are those of its tables on ``rows``."""
    mse, kl = slow_errors(rows, file.config(entry.name))
    assert entry.statistics["mse"] == pytest.approx(mse, rel=6e-6, abs=1e-12)
    stated = entry.statistics["kl"]
    assert (math.inf if stated is None else stated) == pytest.approx(kl, rel=6e-6, abs=1e-12)


def integers(real: NDArray[Any], scale: float, width: int) -> NDArray[np.int64]:
    low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    return np.clip(np.rint(real / scale), low, high).astype(np.int64)


def logits(seed: int, shape: tuple[int, ...], sigma: float = 2.0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, sigma, shape)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_paper_pools_calls_as_the_authors_do(bits: int) -> None:
    calls = [logits(1, (3, 5, 11)), logits(2, (2, 5, 7), 0.3), logits(3, (4, 9), 4.0)]
    calls[1][0, :, 3:] = -np.inf
    slope, offset = PAPER[bits]
    sigmas, minima = [], []
    for call in calls:
        below = call - call.max(-1, keepdims=True)
        live = below[np.isfinite(below)]
        sigmas.append(live.std(ddof=1))
        minima.append(live.min())
    clips = [slope * sigma + offset for sigma in sigmas]
    file = exaq.calibrate([calls], bits=bits, rule="paper", logit_width=16, logit_scale=2**-8)
    (entry,) = file.sets
    assert entry.clip is not None
    assert entry.clip == pytest.approx(max(np.mean(clips), np.mean(minima)), rel=1e-12)
    assert entry.tables == exaq.Tables.from_clip(
        entry.clip, bits=bits, logit_scale=2**-8, exp_frac=13
    )
    assert entry.statistics["sigma"] == pytest.approx(np.mean(sigmas), rel=1e-5)
    assert entry.statistics["minimum"] == pytest.approx(np.mean(minima), rel=1e-5)
    assert (entry.statistics["calls"], entry.statistics["rows"]) == (3, 29)
    assert entry.statistics["elements"] == 3 * 5 * 11 + 5 * 3 + 5 * 7 + 4 * 9
    naive = exaq.calibrate([calls], bits=bits, rule="naive").sets[0].clip
    assert naive == pytest.approx(np.mean(minima), rel=1e-12)


def test_the_minimum_bounds_the_papers_clip() -> None:
    narrow = np.array([[0.0, -0.1, -0.2]])
    (entry,) = exaq.calibrate([narrow], rule="paper").sets
    assert entry.clip == pytest.approx(-0.2)


@pytest.mark.parametrize("rule", ["paper", "naive", "optimal"])
@pytest.mark.parametrize("minimise", ["mse", "kl"])
@pytest.mark.parametrize(
    "rows",
    [np.zeros((5, 7)), np.ones((3, 1)), np.array([3.0]), np.full((2, 3), -100.0)],
    ids=["constant", "single", "lone", "saturated"],
)
def test_rows_without_spread_have_legal_tables(
    rule: str, minimise: str, rows: NDArray[np.float64]
) -> None:
    (entry,) = exaq.calibrate([rows], rule=rule, minimise=minimise).sets
    assert entry.clip == pytest.approx(exaq.paper_clip(0, 2))
    assert entry.tables == exaq.SoftmaxConfig(clip=exaq.paper_clip(0, 2)).tables
    assert entry.statistics["mse"] == pytest.approx(0, abs=1e-15)
    assert entry.statistics["kl"] == pytest.approx(0, abs=1e-12)
    assert entry.statistics["sigma"] == 0


@pytest.mark.parametrize("bits", [5, 6])
@pytest.mark.parametrize("rule", ["naive", "optimal"])
def test_wide_codes_of_rows_without_spread_have_the_default_clip(rule: str, bits: int) -> None:
    (entry,) = exaq.calibrate([np.zeros((5, 7))], rule=rule, bits=bits).sets
    assert entry.clip == default_clip(bits)
    assert entry.tables == exaq.SoftmaxConfig(bits=bits).tables


@pytest.mark.parametrize("bits", [5, 6])
def test_the_naive_clip_of_wide_codes(bits: int) -> None:
    calls = [logits(1, (3, 5, 11)), logits(2, (2, 5, 7), 0.3)]
    minima = [(call - call.max(-1, keepdims=True)).min() for call in calls]
    (entry,) = exaq.calibrate([calls], bits=bits, rule="naive").sets
    assert entry.clip == pytest.approx(np.mean(minima), rel=1e-12)
    assert entry.tables == exaq.SoftmaxConfig(bits=bits, clip=entry.clip).tables
    assert "paper_clip" not in entry.statistics
    assert list(entry.statistics["stages"]) == ["naive"]


@settings(max_examples=40)
@given(data=st.data())
def test_stated_errors_are_those_of_the_tables(data: st.DataObject) -> None:
    bits = data.draw(st.sampled_from([2, 3, 4, 5, 6]))
    width, scale = data.draw(st.sampled_from([(4, 1.0), (8, 0.0625), (8, 0.3), (16, 2.0**-8)]))
    seed = data.draw(st.integers(0, 2**32 - 1))
    shape = (data.draw(st.integers(1, 4)), data.draw(st.integers(1, 9)))
    real = logits(seed, shape, data.draw(st.sampled_from([0.2, 1.0, 3.0, 8.0])))
    mask = np.random.default_rng(seed).random(shape) < data.draw(st.sampled_from([0.3, 0.8, 1.0]))
    mask[0, 0] = True
    file = exaq.calibrate(
        [real],
        masks=[mask],
        bits=bits,
        logit_width=width,
        logit_scale=scale,
        exp_frac=data.draw(st.sampled_from([4, 13, 20])),
        rule=data.draw(st.sampled_from(["paper", "naive", "optimal"][bits > 4 :])),
        minimise=data.draw(st.sampled_from(["mse", "kl"])),
    )
    steps = integers(real, scale, width)
    rows = [(x[m], s[m]) for x, s, m in zip(real, steps, mask, strict=True) if m.any()]
    assert_errors(file.sets[0], file, rows)


def test_the_unit_has_the_stated_error() -> None:
    real = logits(5, (40, 64))
    file = exaq.calibrate([real], bits=3, logit_width=16, logit_scale=2**-8)
    config = file.config(prob_bits=24)
    p = exaq.softmax(exaq.logits_to_integers(real, config), config)
    apart = exaq.probabilities_to_float(p, config) - exaq.reference.softmax(real)
    assert file.sets[0].statistics["mse"] == pytest.approx((apart**2).sum(-1).mean(), rel=1e-4)


def test_a_scale_may_be_a_fraction() -> None:
    real = logits(12, (20, 30))
    file = exaq.calibrate([real], logit_scale=Fraction(1, 10))
    nearly = exaq.calibrate([real], logit_scale=0.1)
    assert file.logit_scale == Fraction(1, 10)
    assert file.sets[0].statistics["mse"] == pytest.approx(
        nearly.sets[0].statistics["mse"], rel=0.01
    )
    assert exaq.TableFile.from_dict(file.to_dict()) == file


def test_what_gets_tables_of_its_own() -> None:
    layers: list[Any] = [logits(1, (2, 3, 4, 6)), [logits(2, (3, 5, 7)), logits(3, (1, 3, 2, 9))]]
    names = {
        "all": [("all", None, None)],
        "layer": [("layer0", 0, None), ("layer1", 1, None)],
        "head": [(f"layer{k}.head{h}", k, h) for k in range(2) for h in range(3)],
    }
    rows = {"all": [24 + 15 + 6], "layer": [24, 21], "head": [8, 8, 8, 7, 7, 7]}
    for per, expected in names.items():
        file = exaq.calibrate(layers, per=per, rule="paper")
        assert [(e.name, e.layer, e.head) for e in file.sets] == expected
        assert [e.statistics["rows"] for e in file.sets] == rows[per]


def test_layers_keep_their_numbers() -> None:
    rows = {number: logits(number, (2, 3, 4, 6)) for number in (2, 4, 5, 10)}
    masks = {number: np.random.default_rng(number).random(6) < 0.7 for number in rows}
    alone = {
        number: exaq.calibrate([rows[number]], masks=[masks[number]], rule="paper").sets[0]
        for number in rows
    }
    recorded: list[Any] = [[] for _ in range(12)]
    for number in rows:
        recorded[number] = [rows[number]]
    live = [masks.get(number) for number in range(12)]
    turned = sorted(rows, reverse=True)
    numpys: Any = {np.int64(k): [rows[k]] for k in turned} | {7: []}
    numpy_masks: Any = {np.uint8(k): masks[k] for k in rows} | {7: None}
    ways = (
        exaq.calibrate(recorded, masks=live, rule="paper"),
        exaq.calibrate({k: [rows[k]] for k in turned}, masks=masks, rule="paper"),
        exaq.calibrate(numpys, masks=numpy_masks, rule="paper"),
    )
    for file in ways:
        assert [(entry.name, entry.layer) for entry in file.sets] == [
            ("layer2", 2),
            ("layer4", 4),
            ("layer5", 5),
            ("layer10", 10),
        ]
        assert [entry.tables for entry in file.sets] == [alone[k].tables for k in rows]
        assert [entry["layer"] for entry in file.provenance["layers"]] == [2, 4, 5, 10]
        assert file.to_json() == ways[0].to_json()
        assert file.layers == (2, 4, 5, 10)
        assert exaq.TableFile.from_dict(json.loads(file.to_json())) == file
        # Contexts are numbered in the order of the sets.
        assert file.config().context_tables == tuple(entry.tables for entry in file.sets)
    heads = exaq.calibrate(
        {4: rows[4], 3: []}, masks={4: masks[4], 3: []}, per="head", rule="paper"
    )
    assert [(e.name, e.layer, e.head) for e in heads.sets] == [
        ("layer4.head0", 4, 0),
        ("layer4.head1", 4, 1),
        ("layer4.head2", 4, 2),
    ]
    (whole,) = exaq.calibrate(recorded, masks=live, per="all", rule="paper").sets
    assert whole.statistics["calls"] == 4


@pytest.mark.parametrize("rule", ["paper", "optimal"])
def test_a_head_is_calibrated_as_its_logits_alone(rule: str) -> None:
    whole = logits(4, (2, 3, 4, 6))
    mask = np.random.default_rng(4).random((2, 1, 4, 6)) < 0.7
    file = exaq.calibrate([whole], masks=[mask], per="head", rule=rule)
    for head, entry in enumerate(file.sets):
        alone = exaq.calibrate([whole[:, head]], masks=[mask[:, 0]], rule=rule).sets[0]
        assert (entry.tables, entry.clip) == (alone.tables, alone.clip)
        assert entry.statistics == alone.statistics
    for axis, moved in ((0, np.moveaxis(whole, 1, 0)), (-2, np.moveaxis(whole, 1, 2))):
        other = np.broadcast_to(mask, whole.shape)
        other = np.moveaxis(other, 1, 0) if axis == 0 else np.moveaxis(other, 1, 2)
        again = exaq.calibrate([moved], masks=[other], per="head", head_axis=axis, rule=rule)
        assert [e.tables for e in again.sets] == [e.tables for e in file.sets]


def test_masks_minus_infinity_and_least_numbers_are_one() -> None:
    real = logits(6, (4, 5, 8)).astype(np.float32)
    mask = np.random.default_rng(6).random((4, 1, 8)) < 0.6
    mask[2] = False
    masked = [
        exaq.calibrate([np.where(mask, real, hidden)], masks=[live])
        for hidden, live in (
            (np.float32(-np.inf), None),
            (np.finfo(np.float32).min, None),
            (np.float32(-3.3895314e38), None),
            (np.float32(np.nan), mask),
            (np.float32(1e30), mask),
        )
    ]
    for other in masked[1:]:
        assert other.sets == masked[0].sets
    half = np.where(mask, real, np.finfo(np.float16).min).astype(np.float16)
    named = exaq.calibrate([half], masks=[mask])
    assert exaq.calibrate([half]).sets == named.sets
    assert masked[0].sets[0].statistics["rows"] == 15


def test_integers_are_logits_in_steps() -> None:
    steps = np.random.default_rng(7).integers(-128, 128, (30, 20))
    steps[0, 0] = 999
    mask = steps != 999
    for dtype in (np.int16, np.int64):
        file = exaq.calibrate([steps.astype(dtype)], masks=[mask], logit_scale=0.125)
        real = exaq.calibrate([np.where(mask, steps * 0.125, -np.inf)], logit_scale=0.125)
        assert file.sets == real.sets
    rows = [(s[m] * 0.125, s[m]) for s, m in zip(steps, mask, strict=True)]
    assert_errors(file.sets[0], file, rows)


def test_saturation_counts_against_the_logits_as_given() -> None:
    real = logits(8, (50, 30), 6.0)
    file = exaq.calibrate([real])
    steps = integers(real, 0.0625, 8)
    beyond = np.rint(real / 0.0625) != steps
    assert 0.1 < beyond.mean() < 0.3
    assert file.sets[0].statistics["saturated"] == pytest.approx(beyond.mean(), rel=1e-5)
    assert_errors(file.sets[0], file, list(zip(real, steps, strict=True)))


@pytest.mark.parametrize("shape", [(7,), (1, 7), (6, 7), (3, 4, 7), (2, 3, 4, 7), (5, 1, 2, 7)])
@pytest.mark.parametrize(("rows", "elements"), [(1, 100), (2, 100), (5, 100), (100, 1), (7, 30)])
def test_blocks_hold_all_rows_in_order(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], rows: int, elements: int
) -> None:
    monkeypatch.setattr(source, "BLOCK_ROWS", rows)
    monkeypatch.setattr(source, "BLOCK_ELEMENTS", elements)
    values = np.arange(math.prod(shape)).reshape(shape)
    mask = values % 3 > 0
    config = exaq.SoftmaxConfig(logit_width=16, logit_scale=0.5)
    weighed = np.stack([values, -values])
    call = source.Call(values, mask, weighed, "", settled=mask is not None)
    blocks = list(source.read(call, config))
    assert all(len(block.live) <= max(1, min(rows, elements // 7)) for block in blocks)
    assert (np.concatenate([b.live for b in blocks]) == mask.reshape(-1, 7)).all()
    steps = np.concatenate([b.steps for b in blocks])
    exact = np.where(mask, values, -1).reshape(-1, 7)
    below = exact - exact.max(-1, keepdims=True)
    assert (steps == np.where(exact >= 0, below, 0)).all()
    found = np.concatenate([b.values for b in blocks], axis=1)
    assert (found == weighed.reshape(2, -1, 7)).all()


def test_files_are_read_as_arrays_are(tmp_path: Path) -> None:
    real = logits(9, (3, 4, 5, 6)).astype(">f4")
    np.save(tmp_path / "layer.npy", real)
    mapped = np.load(tmp_path / "layer.npy", mmap_mode="r")
    first = exaq.calibrate([mapped], per="head")
    assert first.to_json() == exaq.calibrate([real], per="head").to_json()
    assert first.to_json() == exaq.calibrate([real.astype("<f4")], per="head").to_json()
    first.save(tmp_path / "tables.json")
    assert exaq.TableFile.load(tmp_path / "tables.json") == first


def test_provenance_names_rule_and_data() -> None:
    real = logits(10, (2, 3, 4))
    file = exaq.calibrate([real, [real, real]], per="head", rule="paper")
    assert file.provenance["rule"] == "paper"
    assert file.provenance["per"] == "head"
    first, second = file.provenance["layers"]
    assert (first["layer"], second["layer"]) == (0, 1)
    assert (first["shapes"], first["batches"], first["dtype"]) == ([[2, 3, 4]], 1, ["float64"])
    assert (second["shapes"], second["batches"]) == ([[2, 3, 4]], 2)

    def hashed(values: Any, mask: Any = None) -> str:
        made = exaq.calibrate([values], masks=[mask], rule="paper")
        return str(made.provenance["layers"][0]["sha256"])

    other = real.copy()
    other[1, 2, 3] += 1e-9
    mask = np.ones(real.shape, bool)
    mask[0, 0, 0] = False
    digests = {hashed(v, m) for v, m in ((real, None), (other, None), (real, mask))}
    digests |= {hashed(real.reshape(6, 4)), hashed(real.astype(np.float32))}
    assert len(digests) == 5
    assert hashed(real) == first["sha256"]
    json.dumps(file.to_dict(), allow_nan=False)


def test_progress_ascends_to_its_total() -> None:
    seen: list[tuple[int, int]] = []
    real = logits(11, (2, 3, 4))
    real[0] = -np.inf
    exaq.calibrate([real, real], progress=lambda done, total: seen.append((done, total)))
    assert len({total for _, total in seen}) == 1
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]
    assert len(seen) > 8
