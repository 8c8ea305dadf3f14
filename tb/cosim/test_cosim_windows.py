"""Windows and mask values through the compiled RTL, against the oracle element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from oracle import softmax_row

import exaq
from exaq import SoftmaxConfig
from exaq_cosim import golden, simulate

CONFIGS = {
    "window": SoftmaxConfig(max_row=48, full_rate_row=32, window=True),
    "no masks": SoftmaxConfig(lanes=3, max_row=33, masking=False, window=True),
    "one lane": SoftmaxConfig(lanes=1, max_row=15, window=True, mask_value="lowest"),
    # More than 64 bits of tuser.
    "wide": SoftmaxConfig(lanes=36, max_row=65520, window=True, logit_width=4, prob_bits=4),
    "lowest": SoftmaxConfig(lanes=8, max_row=64, masking=False, mask_value="lowest"),
    "lowest and masks": SoftmaxConfig(bits=3, max_row=40, mask_value="lowest", logit_width=12),
    "5 contexts": SoftmaxConfig(
        lanes=2, max_row=32, contexts=5, window=True, masking=False, mask_value="lowest"
    ),
}


def expected_row(
    logits: NDArray[Any], live: NDArray[np.bool_], window: tuple[int, int], config: SoftmaxConfig
) -> list[int]:
    """A whole row, zeros behind ``max_row``."""
    kept = logits[: config.max_row].tolist()
    part = [
        bool(live[k])
        and window[0] <= k < window[1]
        and not (config.mask_value == "lowest" and logit == config.logit_range[0])
        for k, logit in enumerate(kept)
    ]
    return softmax_row(kept, part, config)


@pytest.mark.simulator
@pytest.mark.parametrize("name", CONFIGS)
def test_bits_are_the_oracles(name: str) -> None:
    """Windows of any kind, masks, tails, rows that are too long, contexts, stalls."""
    config = CONFIGS[name]
    rng = np.random.default_rng(3)
    longest = min(config.max_row, 600)
    rows, row = (120, longest + 2 * config.lanes + 3)
    low, high = config.logit_range
    logits = rng.integers(low, high + 1, (rows, row))
    logits[rng.random(logits.shape) < 0.3] = low
    ends = [1, config.lanes, config.lanes + 1, longest, longest + 1, row]
    lengths = np.where(
        rng.random(rows) < 0.6, rng.integers(1, longest + 1, rows), rng.choice(ends, rows)
    )
    places = [0, 1, config.lanes - 1, config.lanes, config.lanes + 1, longest - 1, longest, row]
    edges = np.where(
        rng.random((2, rows)) < 0.5,
        rng.integers(0, row + 1, (2, rows)),
        rng.choice(places, (2, rows)),
    )
    options: dict[str, Any] = {"lengths": lengths, "overlong": True}
    live = np.ones(logits.shape, np.bool_)
    if config.window:
        options["window"] = tuple(edges)
    else:
        edges = np.array([[0] * rows, [row] * rows])
    if config.masking or config.mask_value == "lowest":
        live = rng.random(logits.shape) < rng.choice([0, 0.5, 1], (rows, 1))
        options["mask"] = live
    numbers = np.zeros(rows, np.int64)
    if config.contexts:
        numbers = rng.integers(0, 5, rows)
        each = tuple(exaq.SoftmaxConfig(clip=-clip).tables for clip in (1, 2.5, 4, 7, 9))
        config = config.replace(context_tables=each)
        options["contexts"] = numbers
    wanted = np.zeros(logits.shape, np.int64)
    for k, length in enumerate(lengths.tolist()):
        alone = config
        if config.contexts:
            tables = config.context_tables[numbers[k]]
            alone = config.replace(contexts=0, clip=None, tables=tables)
        window = (int(edges[0, k]), int(edges[1, k]))
        part = expected_row(logits[k, :length], live[k, :length], window, alone)
        wanted[k, : len(part)] = part
    np.testing.assert_array_equal(golden(logits, config, **options), wanted)
    for stall in (0, 0.4):
        result = simulate(logits, config, stall=stall, seed=1, **options)
        np.testing.assert_array_equal(result.probabilities, wanted)
        np.testing.assert_array_equal(result.row_errors, lengths > config.max_row)


@pytest.mark.simulator
def test_every_window_of_short_rows() -> None:
    config = CONFIGS["no masks"]
    rng = np.random.default_rng(4)
    row = 10
    starts, stops = (each.reshape(-1) for each in np.indices((row + 1, row + 1)))
    logits = rng.integers(-128, 128, (len(starts), row))
    result = simulate(logits, config, window=(starts, stops))
    for k in range(len(starts)):
        live = [starts[k] <= place < stops[k] for place in range(row)]
        wanted = softmax_row(logits[k].tolist(), live, config)
        assert result.probabilities[k].tolist() == wanted


@pytest.mark.simulator
@pytest.mark.parametrize("name", ["window", "no masks", "lowest and masks"])
def test_causal_attention_on_every_kind_of_unit(name: str) -> None:
    """As a window, or where the unit has none, as a mask: the same probabilities."""
    config = CONFIGS[name]
    rng = np.random.default_rng(5)
    scores = rng.integers(-90, 100, (2, 3, 12, 20))
    window = exaq.causal_windows(12, 20, span=7)
    result = simulate(scores, config, window=window, stall=0.2)
    places = np.arange(20)
    mask = (places >= window[0][:, None]) & (places < window[1][:, None])
    assert (result.probabilities == exaq.softmax(scores, config, mask)).all()
    assert not result.probabilities[..., ~mask].any()


@pytest.mark.simulator
def test_full_rate_and_latency_with_windows() -> None:
    """A beat a cycle, as without; the declared latency is a cycle more."""
    config = CONFIGS["window"]
    plain = config.replace(window=False)
    rng = np.random.default_rng(6)
    logits = rng.integers(-128, 128, (60, 40))
    runs = [
        simulate(logits, config, window=(rng.integers(0, 20, 60), rng.integers(20, 41, 60))),
        simulate(logits, plain),
    ]
    assert runs[0].latency.min == runs[0].latency.max == runs[1].latency.max + 1
    for run in runs:
        np.testing.assert_array_equal(np.diff(run.first_in), 10)
        np.testing.assert_array_equal(np.diff(run.last_out), 10)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "no masks",
            {"mask": [True, False, True]},
            "a unit with windows and without masking takes only masks that keep one interval of "
            "each row; that of row 0 is another",
        ),
        ("window", {"window": (0, 4)}, "stops of windows must be in 0..3, not 4"),
        ("window", {"window": (-1, 3)}, "starts of windows must be in 0..3, not -1"),
    ],
)
def test_refusals(name: str, options: dict[str, Any], message: str) -> None:
    for function in (simulate, golden):
        with pytest.raises(ValueError, match="windows") as refused:
            function(np.zeros((2, 3), np.int8), CONFIGS[name], **options)
        assert str(refused.value) == message


@pytest.mark.simulator
def test_codes_and_row_results_within_windows() -> None:
    """A unit that is told of masks by windows and logits alone tells which lanes are live."""
    config = SoftmaxConfig(
        lanes=2, max_row=24, masking=False, window=True, mask_value="lowest", output="codes"
    )
    rng = np.random.default_rng(7)
    logits = rng.integers(-128, 100, (60, 20))
    logits[rng.random(logits.shape) < 0.3] = -128
    mask = rng.random(logits.shape) < 0.8
    window = tuple(rng.integers(0, 21, (2, 60)))
    result = simulate(logits, config, mask=mask, window=window, stall=0.3)
    places = np.arange(20)
    live = (places >= window[0][:, None]) & (places < window[1][:, None]) & mask & (logits > -128)
    plain = config.replace(mask_value="none", window=False)
    np.testing.assert_array_equal(result.codes, exaq.quantize(logits, plain, live))
    assert result.results is not None
    for k, row in enumerate(logits.tolist()):
        kept = [logit for logit, flag in zip(row, live[k], strict=True) if flag]
        assert result.results.maximum[k] == max(kept, default=-128)


@pytest.mark.simulator
def test_numbers_outside_a_window_put_no_row_in_error() -> None:
    config = SoftmaxConfig(
        lanes=2, max_row=24, masking=False, window=True, logit_format="bf16", contexts=2
    )
    rng = np.random.default_rng(8)
    logits = exaq.round_logits(rng.normal(0, 3, (80, 30)), config)
    draw = rng.random(logits.shape)
    logits = np.select([draw < 0.06, draw < 0.12, draw < 0.3], [np.nan, np.inf, -np.inf], logits)
    lengths = rng.integers(1, 31, 80)
    starts, stops = rng.integers(0, 31, (2, 80))
    contexts = rng.integers(0, 2, 80)
    options: dict[str, Any] = {
        "lengths": lengths,
        "window": (starts, stops),
        "contexts": contexts,
        "overlong": True,
    }
    result = simulate(logits, config, stall=0.3, **options)
    places = np.arange(30)
    within = (places >= starts[:, None]) & (places < np.minimum(stops, 24)[:, None])
    within &= places < lengths[:, None]
    wrong = (within & (np.isnan(logits) | np.isposinf(logits))).any(axis=-1)
    np.testing.assert_array_equal(result.row_errors, wrong | (lengths > 24))
    assert 10 < np.count_nonzero(wrong) < 70
    live = within & np.isfinite(logits)
    wanted = exaq.softmax(
        np.where(live, logits, 0).astype(np.float32)[:, :24], config, live[:, :24]
    )
    np.testing.assert_array_equal(result.probabilities[:, :24], wanted)
    np.testing.assert_array_equal(golden(logits, config, **options)[:, :24], wanted)
