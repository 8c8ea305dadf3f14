"""Arrays through the compiled RTL: every bit against the golden model, every cycle counted."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import exaq
from exaq import SoftmaxConfig
from exaq_cosim import Simulation, golden, simulate
from exaq_hdl import emit_verilog

# Every width of an element on the stream (1, 2, 3 bytes), lanes in less and in more than a word.
CONFIGS = {
    "2bit-x4": SoftmaxConfig(),
    "2bit-x1": SoftmaxConfig(lanes=1, max_row=16, logit_width=20, prob_bits=8),
    "2bit-x36": SoftmaxConfig(lanes=36, max_row=252),
    "3bit-x6": SoftmaxConfig(bits=3, lanes=6, max_row=96, logit_width=12, prob_bits=20),
    "4bit-x3": SoftmaxConfig(bits=4, lanes=3, max_row=48, logit_width=5, prob_bits=6),
    "3bit-x16-plain": SoftmaxConfig(bits=3, lanes=16, max_row=512, masking=False),
}


def random_logits(config: SoftmaxConfig, shape: tuple[int, ...], seed: int) -> NDArray[np.int64]:
    """Half of the rows spread over the whole range, half over a few codes."""
    rng = np.random.default_rng(seed)
    low, high = config.logit_range
    near = np.clip(np.rint(rng.normal(0, 2 / config.logit_scale, shape)), low, high)
    wide = rng.integers(low, high + 1, shape)
    return np.where(rng.random((*shape[:-1], 1)) < 0.5, near, wide).astype(np.int64)


def expect(
    logits: NDArray[Any],
    config: SoftmaxConfig,
    lengths: NDArray[Any] | None = None,
    mask: NDArray[np.bool_] | None = None,
) -> NDArray[Any]:
    """Row by row: the softmax of what is there, and zeros after it."""
    rows = logits.reshape(-1, logits.shape[-1])
    ends = np.full(len(rows), rows.shape[-1]) if lengths is None else lengths.reshape(-1)
    live = np.ones(rows.shape, np.bool_) if mask is None else mask.reshape(rows.shape)
    result = np.zeros(rows.shape, exaq.softmax(rows[:, :1], config).dtype)
    for row, end in enumerate(ends):
        end = min(end, config.max_row)
        result[row, :end] = exaq.softmax(rows[row, :end], config, live[row, :end])
    return result.reshape(logits.shape)


def check(result: Simulation, expected: NDArray[Any]) -> None:
    assert result.probabilities.dtype == expected.dtype
    np.testing.assert_array_equal(result.probabilities, expected)
    assert not result.row_errors.any()


@pytest.mark.simulator
def test_numbers_of_numpy_are_as_good_as_those_of_python() -> None:
    config = CONFIGS["2bit-x1"]
    logits = random_logits(config, (5, 9), 1)
    numbers: dict[str, Any] = {
        "stall": np.float32(0.25),
        "seed": np.uint64(2**64 - 1),
        "overlong": np.bool_(True),
    }
    given = simulate(logits, config, **numbers)
    same = simulate(logits, config, stall=0.25, seed=2**64 - 1, overlong=True)
    texts = [
        json.dumps(run.to_dict() | {"seconds": 0, "elements_per_second": 0})
        for run in (given, same)
    ]
    assert texts[0] == texts[1]
    check(given, expect(logits, config))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stall": "0.5"}, "stall must be a real number, not '0.5'"),
        ({"stall": np.array(0.5)}, "stall must be a real number, not array(0.5)"),
        ({"stall": False}, "stall must be a real number, not False"),
        ({"seed": 1.0}, "seed must be an integer, not 1.0"),
        ({"seed": True}, "seed must be an integer, not True"),
        ({"overlong": 1}, "overlong must be True or False, not 1"),
    ],
)
def test_what_is_no_number_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        simulate([[1, 2]], SoftmaxConfig(), **options)
    assert str(caught.value) == message


@pytest.mark.simulator
@pytest.mark.parametrize("stall", [0, 0.3, 0.7])
@pytest.mark.parametrize("name", CONFIGS)
def test_bits_equal_the_golden_models(name: str, stall: float) -> None:
    config = CONFIGS[name]
    rng = np.random.default_rng(1)
    rows = 120
    logits = random_logits(config, (rows, config.max_row), seed=2)
    lengths = rng.integers(1, config.max_row + 1, rows)
    lengths[:3] = 1, config.max_row, config.lanes
    mask = None
    if config.masking:
        mask = rng.random(logits.shape) < rng.random((rows, 1))
        mask[5:8] = False
    result = simulate(logits, config, lengths=lengths, mask=mask, stall=stall, seed=3)
    check(result, expect(logits, config, lengths, mask))
    assert result.elements == lengths.sum()
    assert result.beats_in == result.beats_out == np.sum(-(-lengths // config.lanes))


@pytest.mark.simulator
def test_rows_of_all_masked_elements_are_zeros_between_others() -> None:
    config = CONFIGS["2bit-x4"]
    logits = random_logits(config, (9, 37), seed=4)
    mask = np.ones(logits.shape, np.bool_)
    mask[::2] = False
    result = simulate(logits, config, mask=mask)
    check(result, expect(logits, config, mask=mask))
    assert not result.probabilities[::2].any()
    assert result.probabilities[1::2].any(axis=-1).all()


@pytest.mark.simulator
@pytest.mark.parametrize("shape", [(5,), (1, 5), (2, 3, 21), (2, 1, 2, 8)])
def test_any_leading_axes(shape: tuple[int, ...]) -> None:
    config = CONFIGS["2bit-x4"]
    logits = random_logits(config, shape, seed=5)
    result = simulate(logits, config)
    check(result, expect(logits, config))
    leading = shape[:-1]
    for array in (result.row_errors, result.lengths, result.first_in, result.last_out):
        assert array.shape == leading


@pytest.mark.simulator
def test_mask_and_lengths_broadcast() -> None:
    config = CONFIGS["2bit-x4"]
    logits = random_logits(config, (3, 4, 10), seed=6)
    mask = np.arange(10) % 3 > 0
    lengths = np.array([10, 7, 1, 4])
    result = simulate(logits, config, mask=mask, lengths=lengths)
    full = np.broadcast_to(mask, logits.shape)
    check(result, expect(logits, config, np.broadcast_to(lengths, (3, 4)), full))


@pytest.mark.simulator
@pytest.mark.parametrize("name", ["2bit-x4", "3bit-x16-plain"])
def test_cycles_of_rows_back_to_back(name: str) -> None:
    """Long rows leave no bubble, and each takes the declared latency."""
    config = CONFIGS[name]
    rows, beats = 50, config.full_rate_beats
    logits = random_logits(config, (rows, config.full_rate_row), seed=7)
    result = simulate(logits, config)
    declared = emit_verilog(config).manifest["latency"]["cycles"]
    np.testing.assert_array_equal(result.first_in - result.first_in[0], np.arange(rows) * beats)
    np.testing.assert_array_equal(result.last_in - result.first_in, beats - 1)
    np.testing.assert_array_equal(result.last_out - result.first_out, beats - 1)
    np.testing.assert_array_equal(result.first_out - result.last_in, beats + declared)
    assert vars(result.latency) == {"min": declared, "median": declared, "max": declared}
    assert result.row_cycles.max == 3 * beats - 1 + declared
    assert vars(result.row_interval) == {"min": beats, "median": beats, "max": beats}
    assert result.cycles == (rows + 2) * beats - 1 + declared
    assert result.cycles_per_row == result.cycles / rows
    assert result.elements_per_cycle == logits.size / result.cycles


@pytest.mark.simulator
def test_stalls_repeat_with_their_seed() -> None:
    config = CONFIGS["2bit-x4"]
    logits = random_logits(config, (40, 128), seed=8)
    first, again, other = (simulate(logits, config, stall=0.5, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.first_out, again.first_out)
    np.testing.assert_array_equal(first.last_out, again.last_out)
    assert (first.last_out != other.last_out).any()
    # Each side moves a beat in half of the cycles at most.
    assert first.cycles > 1.7 * simulate(logits, config).cycles


@pytest.mark.simulator
def test_progress_is_told_within_one_continuous_simulation() -> None:
    config = CONFIGS["2bit-x4"]
    logits = random_logits(config, (1500, 1024), seed=9)
    told: list[tuple[int, int]] = []
    result = simulate(logits, config, progress=lambda done, rows: told.append((done, rows)))
    assert len(told) > 2
    assert told == sorted(told)
    assert {rows for _, rows in told} == {1500}
    assert told[-1] == (1500, 1500)
    np.testing.assert_array_equal(np.diff(result.last_out), 256)
    check(result, golden(logits, config))


@pytest.mark.simulator
def test_a_unit_without_masking_streams_a_length_mask_as_lengths() -> None:
    config = CONFIGS["3bit-x16-plain"]
    logits = random_logits(config, (30, 128), seed=11)
    lengths = np.random.default_rng(12).integers(1, 129, 30)
    mask = np.arange(128) < lengths[:, None]
    result = simulate(logits, config, mask=mask)
    check(result, expect(logits, config, lengths))
    np.testing.assert_array_equal(result.lengths, lengths)


@pytest.mark.parametrize("mask", [[True, False, True], [False, False, False], [False, True, True]])
def test_a_unit_without_masking_refuses_other_masks(mask: list[bool]) -> None:
    masks = np.ones((4, 3), np.bool_)
    masks[2] = mask
    with pytest.raises(ValueError, match="without masking") as refused:
        simulate(np.zeros((4, 3), np.int8), CONFIGS["3bit-x16-plain"], mask=masks)
    assert str(refused.value) == (
        "a unit without masking takes only masks that keep the beginning of each row, "
        "at least one element; that of row 2 is another"
    )


@pytest.mark.simulator
@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize("name", ["2bit-x4", "2bit-x36", "3bit-x16-plain"])
def test_overlong_rows_are_cut_flagged_and_harm_no_neighbour(name: str, stall: float) -> None:
    config = CONFIGS[name]
    most = config.max_row
    lengths = np.array(
        [most, most + 1, most, 3 * most, 5, most + config.lanes, 2 * most, 1, most + 7]
    )
    logits = random_logits(config, (lengths.size, 3 * most), seed=13)
    result = simulate(logits, config, lengths=lengths, overlong=True, stall=stall, seed=14)
    np.testing.assert_array_equal(result.row_errors, lengths > most)
    np.testing.assert_array_equal(result.probabilities, expect(logits, config, lengths))
    assert result.beats_in == np.sum(-(-lengths // config.lanes))
    assert result.beats_out == np.sum(-(-np.minimum(lengths, most) // config.lanes))


@pytest.mark.parametrize(
    ("logits", "options", "error", "message"),
    [
        (np.zeros((2, 3)), {}, TypeError, "logits must be integers, not float64"),
        (
            np.full((2, 3), 128),
            {},
            ValueError,
            "logits of 8 bits must be in -128..127, not 128",
        ),
        (
            np.zeros((2, 0), np.int8),
            {},
            ValueError,
            "a row must have at least 1 element, not 0",
        ),
        (
            np.int8(3),
            {},
            ValueError,
            "logits must have at least one axis, the row",
        ),
        (
            np.zeros((2, 1025), np.int8),
            {},
            ValueError,
            "a row must have 1..1024 elements, not 1025",
        ),
        (
            np.zeros((2, 3), np.int8),
            {"mask": np.ones((2, 3))},
            TypeError,
            "mask must be boolean, not float64",
        ),
        (
            np.zeros((2, 3), np.int8),
            {"mask": np.ones((3, 3), np.bool_)},
            ValueError,
            "mask of shape (3, 3) does not fit the shape (2, 3)",
        ),
        (
            np.zeros((2, 3), np.int8),
            {"lengths": [1.0, 2.0]},
            TypeError,
            "lengths must be integers, not float64",
        ),
        (
            np.zeros((2, 3), np.int8),
            {"lengths": [1, 2, 3]},
            ValueError,
            "lengths of shape (3,) must broadcast to the rows' shape, (2,)",
        ),
        (
            np.zeros((2, 3), np.int8),
            {"lengths": [0, 3]},
            ValueError,
            "lengths must be in 1..3, not 0",
        ),
        (
            np.zeros((2, 3), np.int8),
            {"lengths": [3, 4]},
            ValueError,
            "lengths must be in 1..3, not 4",
        ),
        (
            np.zeros((2, 3), np.int8),
            {"stall": 1.0},
            ValueError,
            "stall must be at least 0 and below 1, not 1.0",
        ),
        (
            np.zeros((2, 3), np.int8),
            {"seed": -1},
            ValueError,
            "seed must be in 0..2**64 - 1, not -1",
        ),
    ],
)
def test_refusals(
    logits: NDArray[Any], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as refused:
        simulate(logits, CONFIGS["2bit-x4"], **options)
    assert str(refused.value) == message
