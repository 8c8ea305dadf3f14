"""The objective "values": the error of what the probabilities weigh, as attention makes it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from test_model_calibration import integers, logits

import exaq

SHAPE = (3, 40, 24)


def data(seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logits (heads, rows, row), and values of each key (2 values, heads, 1, row)."""
    rng = np.random.default_rng(seed)
    return logits(seed, SHAPE, 2.5), rng.normal(1, 2, (2, SHAPE[0], 1, SHAPE[2]))


def slow_error(
    real: NDArray[np.float64],
    values: NDArray[np.float64],
    tables: exaq.Tables,
    live: NDArray[np.bool_],
) -> float:
    """The mean over rows of the squared error of the weighed values, row by row, by definition."""
    total, count = 0.0, 0
    for row, alive, z in zip(real, live, np.moveaxis(values, 1, 0), strict=True):
        if not alive.any():
            continue
        p = np.exp(row[alive] - row[alive].max())
        p /= p.sum()
        steps = integers(row, 0.0625, 8)[alive]
        below = steps - steps.max()
        codes = [sum(int(d) >= t for t in tables.thresholds) for d in below]
        e = np.array([tables.exp_rom[code] for code in codes], float)
        total += sum((((e / e.sum() - p) * each[alive]).sum()) ** 2 for each in z)
        count += 1
    return total / count


@pytest.mark.parametrize("stage", ["clip", "levels", "thresholds"])
def test_error_is_that_of_weighed_values(stage: str) -> None:
    real, values = data()
    live = np.random.default_rng(3).random(SHAPE) < 0.8
    live[0, 0] = False
    file = exaq.calibrate(
        [real], masks=[live], values=[values], minimise="values", per="head", stage=stage
    )
    for head, entry in enumerate(file.sets):
        z = np.broadcast_to(values[:, head], (2, *SHAPE[1:]))
        wanted = slow_error(real[head], z, entry.tables, live[head])
        assert entry.statistics["values"] == pytest.approx(wanted, rel=1e-4)


def test_stages_gain_and_beat_the_other_objectives() -> None:
    real, values = data(1)
    made = exaq.calibrate([real], values=[values], minimise="values").sets[0]
    errors = [stage["values"] for stage in made.statistics["stages"].values()]
    assert all(after < before for before, after in itertools.pairwise(errors))
    z = np.broadcast_to(values, (2, *SHAPE)).reshape(2, -1, SHAPE[2])
    flat = real.reshape(-1, SHAPE[2])
    for minimise in ("mse", "kl"):
        other = exaq.calibrate([real], minimise=minimise).sets[0]
        theirs = slow_error(flat, z, other.tables, np.ones(flat.shape, bool))
        assert errors[-1] < theirs


def test_a_value_for_all_is_no_error() -> None:
    # Probabilities add up to 1, so what weighs the same everywhere cannot go wrong.
    real, _ = data(2)
    made = exaq.calibrate([real], values=[np.full((1, *SHAPE), 7.0)], minimise="values").sets[0]
    assert made.statistics["values"] == pytest.approx(0, abs=1e-9)


def test_values_of_each_row_and_calls() -> None:
    real, _ = data(3)
    values = np.random.default_rng(3).normal(0, 1, (1, *SHAPE))
    whole = exaq.calibrate([real], values=[values], minimise="values", per="head")
    calls = exaq.calibrate(
        [[real[:, :17], real[:, 17:]]],
        values=[[values[:, :, :17], values[:, :, 17:]]],
        minimise="values",
        per="head",
    )
    # The paper's clip, where the search begins, is a mean over calls: the tables may differ.
    for head, entry in enumerate(calls.sets):
        wanted = slow_error(real[head], values[:, head], entry.tables, real[head] == real[head])
        assert entry.statistics["values"] == pytest.approx(wanted, rel=1e-4)
    axis = exaq.calibrate(
        [np.moveaxis(real, 0, 1)],
        values=[np.moveaxis(values, 1, 2)],
        minimise="values",
        per="head",
        head_axis=1,
    )
    assert [s.tables for s in whole.sets] == [s.tables for s in axis.sets]
    other = exaq.calibrate([real], values=[2 * values], minimise="values", per="head")
    assert other.provenance["layers"] != whole.provenance["layers"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"minimise": "values"}, ValueError, "the objective values needs values"),
        ({"values": [np.ones((1, 1))]}, ValueError, "values are for the objective values, not mse"),
        (
            {"minimise": "values", "values": [np.ones((1, 5))]},
            ValueError,
            r"layer 0: values must have the shape (values, ...), the rest of which broadcasts to "
            r"(3, 40, 24), not (1, 5)",
        ),
        (
            {"minimise": "values", "values": [np.float64(1)]},
            ValueError,
            r"layer 0: values must have the shape (values, ...), the rest of which broadcasts to "
            r"(3, 40, 24), not ()",
        ),
        (
            {"minimise": "values", "values": [np.full((1, 1), np.nan)]},
            ValueError,
            "layer 0: values must be finite, not nan",
        ),
        (
            {"minimise": "values", "values": [np.ones((1, 1), int)]},
            TypeError,
            "layer 0: values must be floating-point numbers, not int64",
        ),
        (
            {"minimise": "values", "values": {1: np.ones((1, 1))}},
            ValueError,
            "values must be given for just the layers of logits; see layer 0",
        ),
    ],
)
def test_wrong_values_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        exaq.calibrate([data()[0]], **options)
    assert str(caught.value) == message


def test_a_mask_and_a_value_that_masks_join() -> None:
    """What either masks takes no part, as if it had not been there."""
    rng = np.random.default_rng(5)
    numbers = rng.integers(-100, 100, (60, 24))
    by_value, by_mask = rng.random((2, 60, 24)) < 0.3
    both = by_value | by_mask
    both[:, 0] = False
    given = np.where(by_value & both, -128, numbers)
    options: dict[str, Any] = {"rule": "optimal", "bits": 2, "logit_scale": 0.0625}
    joined = exaq.calibrate([given], masks=[~(by_mask & both)], mask_value="lowest", **options)
    alone = exaq.calibrate([numbers], masks=[~both], **options)
    assert joined.sets[0].tables == alone.sets[0].tables
