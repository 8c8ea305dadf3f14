"""Resets among rows, and rows that a beat without elements ends, through the compiled RTL."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from exaq import SoftmaxConfig
from exaq_cosim import golden, simulate

CONFIGS = {
    "2bit-x4": SoftmaxConfig(max_row=64, full_rate_row=32),
    "codes": SoftmaxConfig(output="codes", row_results="sum", max_row=64, window=True),
    "results": SoftmaxConfig(row_results="table", max_row=64),
    "contexts": SoftmaxConfig(contexts=3, max_row=64),
    "baps": SoftmaxConfig(kernel="baps", output="codes", row_results="sum", max_row=64),
}


@pytest.mark.simulator
@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize("name", CONFIGS)
def test_rows_that_no_reset_finds_inside_are_right(name: str, stall: float) -> None:
    config = CONFIGS[name]
    rng = np.random.default_rng(1)
    logits = rng.integers(-128, 128, (900, 70))
    lengths = rng.integers(1, 71, 900)
    options: dict[str, Any] = {"lengths": lengths, "overlong": True}
    if config.window:
        options["window"] = tuple(rng.integers(0, 71, (2, 900)))
    if config.contexts:
        options["contexts"] = rng.integers(0, 3, 900)
        each = [SoftmaxConfig(clip=-clip).tables for clip in (1, 2.5, 7)]
        options["loads"] = list(zip((2, 0, 1), each, strict=True))
    result = simulate(logits, config, **options, stall=stall, reset=1 / 900, seed=3)
    right = ~result.lost
    # Some resets find no row inside, but one that loads tables.
    assert result.resets > 4
    assert 4 < result.lost.sum() < 300
    np.testing.assert_array_equal(
        result.given[right], golden(logits, config, **options)[right], strict=True
    )
    np.testing.assert_array_equal(result.row_errors[right], lengths[right] > 64)
    again = simulate(logits, config, **options, stall=stall, reset=1 / 900, seed=3)
    np.testing.assert_array_equal(result.lost, again.lost)


@pytest.mark.simulator
@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_null_beat_ends_a_row(name: str, stall: float) -> None:
    config = CONFIGS[name]
    rng = np.random.default_rng(2)
    logits = rng.integers(-128, 128, (300, 68))
    ends = rng.random(300) < 0.4
    lengths = np.where(ends, 4 * rng.integers(1, 18, 300), rng.integers(1, 69, 300))
    options: dict[str, Any] = {"lengths": lengths, "overlong": True}
    if config.window:
        options["window"] = (np.zeros(300, int), rng.integers(0, 69, 300))
    result = simulate(logits, config, **options, null_beats=ends, stall=stall, seed=4)
    np.testing.assert_array_equal(result.given, golden(logits, config, **options))
    # Behind max_row elements it makes the row too long, and does not come out.
    np.testing.assert_array_equal(result.row_errors, (lengths > 64) | (ends & (lengths == 64)))
    beats = -(-lengths // 4) + ends
    assert result.beats_in == beats.sum()
    assert result.beats_out == np.minimum(beats, 16).sum()
    assert (ends & (lengths == 64)).any()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"reset": 1}, ValueError, "reset must be at least 0 and below 1, not 1.0"),
        ({"reset": "0"}, TypeError, "reset must be a real number, not '0'"),
        ({"null_beats": [0, 1]}, TypeError, "null_beats must be boolean, not int64"),
        (
            {"null_beats": [True] * 3},
            ValueError,
            "null_beats of shape (3,) must broadcast to the rows' shape, (2,)",
        ),
        (
            {"null_beats": True, "lengths": 7},
            ValueError,
            "null_beats are for rows whose elements fill their beats",
        ),
        (
            {"null_beats": True},
            ValueError,
            "a null beat behind max_row elements needs overlong",
        ),
    ],
)
def test_refusals(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as refused:
        simulate(np.zeros((2, 8), np.int8), SoftmaxConfig(max_row=8, full_rate_row=32), **options)
    assert str(refused.value) == message
