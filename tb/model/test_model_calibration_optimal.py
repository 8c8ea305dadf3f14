"""The rule "optimal": no stage is worse than the one before, and none better is easily found."""

from __future__ import annotations

import itertools
import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from test_model_calibration import integers, logits, slow_errors

import exaq
from exaq.calibration import summary
from exaq.calibration.objective import OBJECTIVES, Bins, Moved
from exaq.calibration.source import Call, read

STAGES = ["clip", "levels", "thresholds"]


def staged(entry: exaq.TableSet, minimise: str) -> list[float]:
    """The error before the search and after each stage; what JSON cannot hold is infinite."""
    stages = entry.statistics["stages"]
    assert list(stages) == ["naive" if entry.tables.bits > 4 else "paper", *STAGES]
    return [math.inf if s[minimise] is None else s[minimise] for s in stages.values()]


@settings(max_examples=60)
@given(
    bits=st.sampled_from([2, 3, 4, 5, 6]),
    form=st.sampled_from([(4, 1.0), (8, 0.0625), (8, 2.0), (12, 0.01), (24, 2.0**-18)]),
    exp_frac=st.sampled_from([4, 13, 24]),
    minimise=st.sampled_from(["mse", "kl"]),
    sigma=st.sampled_from([1e-6, 0.3, 2.0, 10.0, 1e4]),
    rows=st.integers(1, 6),
    row=st.integers(1, 30),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_stage_is_worse(
    bits: int,
    form: tuple[int, float],
    exp_frac: int,
    minimise: str,
    sigma: float,
    rows: int,
    row: int,
    seed: int,
) -> None:
    width, scale = form
    file = exaq.calibrate(
        [logits(seed, (rows, row), sigma)],
        masks=[np.True_],
        bits=bits,
        logit_width=width,
        logit_scale=scale,
        exp_frac=exp_frac,
        minimise=minimise,
    )
    errors = staged(file.sets[0], minimise)
    for before, after in itertools.pairwise(errors):
        assert after <= before
    assert errors[-1] == (file.sets[0].statistics[minimise] or 0)


@pytest.mark.parametrize("minimise", ["mse", "kl"])
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6])
def test_every_stage_gains_on_real_rows(bits: int, minimise: str) -> None:
    file = exaq.calibrate([logits(1, (300, 64))], bits=bits, minimise=minimise)
    errors = staged(file.sets[0], minimise)
    assert all(after < before for before, after in itertools.pairwise(errors))
    assert errors[-1] < 0.9 * errors[0]
    assert file.sets[0].clip is None


@pytest.mark.parametrize("minimise", ["mse", "kl"])
def test_a_stage_may_be_the_last(minimise: str) -> None:
    real = logits(9, (50, 40))
    whole = exaq.calibrate([real], minimise=minimise).sets[0].statistics["stages"]
    for number, stage in enumerate(STAGES, start=2):
        file = exaq.calibrate([real], minimise=minimise, stage=stage)
        (entry,) = file.sets
        assert entry.statistics["stages"] == {
            name: whole[name] for name in ["paper", *STAGES][:number]
        }
        assert entry.statistics["mse"] == whole[stage]["mse"]
        assert file.provenance["stage"] == stage
        if stage == "clip":
            assert entry.clip is not None
            assert entry.tables == exaq.SoftmaxConfig(clip=entry.clip).tables
        else:
            assert entry.clip is None


def test_searched_clip_is_the_best_of_a_fine_grid() -> None:
    real = logits(2, (60, 40))
    rows = list(zip(real, integers(real, 0.0625, 8), strict=True))
    for bits, minimise in ((2, "mse"), (3, "kl")):
        (entry,) = exaq.calibrate([real], bits=bits, minimise=minimise).sets
        swept = []
        for clip in np.arange(-12, -0.5, 0.125):
            config = exaq.SoftmaxConfig(bits=bits, clip=float(clip))
            swept.append(slow_errors(rows, config)[("mse", "kl").index(minimise)])
        assert entry.statistics["stages"]["clip"][minimise] <= 1.002 * min(swept)
        assert entry.statistics["stages"]["paper"][minimise] > 1.02 * min(swept)


@pytest.mark.parametrize("minimise", ["mse", "kl"])
def test_no_tables_of_a_whole_grid_are_better(minimise: str) -> None:
    # Steps so coarse that all thresholds can be tried, each with exponentials on a fine grid.
    scale, width = 0.5, 5
    real = logits(3, (12, 16), 1.5)
    steps = integers(real, scale, width)
    entry = exaq.calibrate([real], logit_width=width, logit_scale=scale, minimise=minimise).sets[0]
    p = exaq.reference.softmax(real)
    below = steps - steps.max(-1, keepdims=True)
    lowest = max(int(below.min()), -13)
    grid = np.exp(np.linspace(-7, 0, 29))
    exponentials = np.array([(*e, 1.0) for e in itertools.combinations_with_replacement(grid, 3)])
    best = math.inf
    for cut in itertools.combinations_with_replacement(range(lowest, 1), 3):
        code = (below[..., None] >= np.array(cut)).sum(-1)
        member = code[..., None] == np.arange(4)
        n, m = member.sum(1), (member * p[..., None]).sum(1)
        q = exponentials[:, None, :] / (exponentials @ n.T)[..., None]
        if minimise == "mse":
            errors = (p**2).sum() + (q * (q * n - 2 * m)).sum((1, 2))
        else:
            errors = (p * np.log(p)).sum() - (m * np.log(q)).sum((1, 2))
        best = min(best, errors.min() / len(real))
    found = entry.statistics[minimise]
    assert found <= 1.0001 * best
    assert found >= 0.9 * best


@pytest.mark.parametrize("minimise", ["mse", "kl"])
@pytest.mark.parametrize("bits", [2, 4])
def test_no_small_change_is_better(bits: int, minimise: str) -> None:
    real = logits(4, (80, 50))
    rows = list(zip(real, integers(real, 0.0625, 8), strict=True))
    file = exaq.calibrate([real], bits=bits, minimise=minimise)
    tables = file.sets[0].tables
    which = ("mse", "kl").index(minimise)

    def error(thresholds: Any, exp_rom: Any) -> float:
        changed = exaq.Tables(thresholds=tuple(thresholds), exp_rom=tuple(exp_rom))
        config = file.config().replace(tables=changed)
        return slow_errors(rows, config)[which]

    here = error(tables.thresholds, tables.exp_rom)
    for k in range(2**bits - 1):
        for step in (-2, -1, 1, 2):
            moved = list(tables.thresholds)
            moved[k] += step
            if moved == sorted(moved) and moved[-1] <= 0:
                assert error(moved, tables.exp_rom) > 0.9995 * here
    for k in range(2**bits):
        for factor in (0.9, 0.97, 1.03, 1.1):
            exponentials = [float(e) for e in tables.exp_rom]
            exponentials[k] = min(max(round(exponentials[k] * factor), 1), 2**14 - 1)
            assert error(tables.thresholds, map(int, exponentials)) > 0.9995 * here


def test_divergence_keeps_live_elements_above_zero() -> None:
    wide = logits(5, (50, 40), 12.0)
    for exp_frac in (4, 8):
        (entry,) = exaq.calibrate([wide], minimise="kl", exp_frac=exp_frac, logit_scale=1.0).sets
        assert entry.statistics["stages"]["paper"]["kl"] is None
        assert min(entry.tables.exp_rom) >= 1
        assert entry.statistics["kl"] < 1


def bins(seed: int, codes: int = 4, rows: int = 7) -> Bins:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 9, (codes, rows)).astype(float)
    counts[-1] += 1
    masses = rng.random((codes, rows)) * (counts > 0)
    masses /= masses.sum(0)
    values = rng.normal(0, 1, (codes, 3, rows)) * (counts > 0)[:, None]
    return Bins(counts, masses, rng.random(rows), -rng.random(rows), values)


@pytest.mark.parametrize("name", list(OBJECTIVES))
@pytest.mark.parametrize("seed", range(5))
def test_slope_is_that_of_the_total(name: str, seed: int) -> None:
    objective, held = OBJECTIVES[name], bins(seed)
    point = np.random.default_rng(seed).normal(0, 1, 4)
    error, gradient, curvature = objective.slope(held, np.exp(point))
    assert error == pytest.approx(objective.total(held, np.exp(point)))
    for k in range(4):
        apart = np.eye(4)[k] * 1e-6
        rise = [objective.total(held, np.exp(point + s * apart)) for s in (1, -1)]
        assert gradient[k] == pytest.approx((rise[0] - rise[1]) / 2e-6, rel=1e-5, abs=1e-7)
    assert np.linalg.eigvalsh(curvature).min() > -1e-9
    assert gradient.sum() == pytest.approx(0, abs=1e-12)
    assert objective.total(held, 3.7 * np.exp(point)) == pytest.approx(error)


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_a_shifted_threshold_is_another_cut(name: str) -> None:
    real = logits(6, (20, 15))
    builder = summary.Builder(range(-90, 1), 2**20)
    values = np.random.default_rng(7).normal(0, 1, (2, *real.shape))
    call = Call(real, None, values, "", settled=False)
    for block in read(call, exaq.SoftmaxConfig()):
        builder.add(block)
    (columns,) = builder.finish().blocks
    exponentials = np.array([0.02, 0.1, 0.4, 1.0])
    objective, cut = OBJECTIVES[name], [30, 50, 75]
    for k in range(3):
        places = np.arange(cut[k - 1] if k else 0, cut[k + 1] if k < 2 else 90)
        moved = columns.moved(cut[k], places)
        assert isinstance(moved, Moved)
        errors = objective.shifted(columns.bins(cut), exponentials, k, moved)
        for place, error in zip(places, errors, strict=True):
            other = [*cut[:k], int(place), *cut[k + 1 :]]
            wanted = objective.total(columns.bins(other), exponentials)
            assert error == pytest.approx(wanted, rel=1e-5)


def many_rows() -> NDArray[np.float64]:
    real = logits(7, (5000, 12))
    real[np.random.default_rng(7).random(real.shape) < 0.3] = -np.inf
    return real


def test_the_budget_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = many_rows()
    mapped = []
    store = summary.Builder._store

    def spy(self: summary.Builder, array: NDArray[Any]) -> NDArray[Any]:
        stored = store(self, array)
        mapped.append(isinstance(stored, np.memmap))
        return stored

    monkeypatch.setattr(summary.Builder, "_store", spy)
    results = {}
    for memory in (0, 3 * 10**6, 2**30):
        mapped.clear()
        results[memory] = exaq.calibrate([real], bits=3, memory=memory).to_json()
        assert len(mapped) == 6
        assert all(mapped) if memory == 0 else any(mapped) == (memory < 2**30)
        assert not (memory and all(mapped))
    assert len(set(results.values())) == 1


def test_calls_and_blocks_do_not_matter_to_the_tables() -> None:
    real = many_rows()
    whole = exaq.calibrate([real]).sets[0]
    parted = exaq.calibrate([[real[:1], real[1:2047], real[2047:]]]).sets[0]
    assert parted.tables == whole.tables
    assert parted.statistics["mse"] == whole.statistics["mse"]
    assert exaq.calibrate([real]).to_json() == exaq.calibrate([real.copy()]).to_json()


def test_many_rows_are_judged_by_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    real = many_rows()
    full = exaq.calibrate([real]).sets[0].statistics["mse"]
    monkeypatch.setattr(summary, "SKETCH", 50)
    (entry,) = exaq.calibrate([real]).sets
    assert entry.statistics["mse"] == pytest.approx(full, rel=0.01)
    held = [x[np.isfinite(x)] for x in real if np.isfinite(x).any()]
    rows = [(x, integers(x, 0.0625, 8)) for x in held[::25]]
    config = exaq.SoftmaxConfig(tables=entry.tables)
    assert slow_errors(rows, config)[0] == pytest.approx(full, rel=0.2)


@pytest.mark.parametrize(("width", "scale"), [(16, 2.0**-8), (24, 2.0**-16)])
def test_fine_steps_are_as_good_as_finer_borders(width: int, scale: float) -> None:
    real = logits(8, (400, 48))
    fine = exaq.calibrate([real], logit_width=width, logit_scale=scale).sets[0]
    stride = math.ceil(math.ceil(15 * math.log(2) / scale) / 1024)
    assert stride > 1
    coarse = exaq.calibrate([real], logit_width=10, logit_scale=2.0**-5).sets[0]
    assert fine.statistics["mse"] < coarse.statistics["mse"]
    assert fine.statistics["mse"] == pytest.approx(coarse.statistics["mse"], rel=0.02)
