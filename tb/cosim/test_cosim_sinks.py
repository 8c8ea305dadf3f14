"""Rows with sinks through the compiled Verilog, against rows of one more element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import exaq
from exaq import SoftmaxConfig, Tables
from exaq_cosim import golden, simulate

PLAIN = SoftmaxConfig().tables


def with_sink(sink: int | None, clip: float = -5.0) -> Tables:
    tables = SoftmaxConfig(clip=clip).tables
    return Tables(thresholds=tables.thresholds, exp_rom=tables.exp_rom, sink=sink)


def expect(
    logits: NDArray[Any],
    live: NDArray[np.bool_],
    lengths: NDArray[np.int64],
    rules: list[tuple[Tables, int]],
    contexts: NDArray[np.int64],
) -> NDArray[Any]:
    """Row by row: one more element, live, whose probability is dropped."""
    result = np.zeros(logits.shape, np.uint16)
    for row, end in enumerate(lengths):
        tables, sink = rules[contexts[row]]
        config = SoftmaxConfig(
            tables=Tables(thresholds=tables.thresholds, exp_rom=tables.exp_rom), max_row=256
        )
        joined, alive = np.append(logits[row, :end], sink), np.append(live[row, :end], True)
        result[row, :end] = exaq.softmax(joined, config, alive)[:-1]
    return result


def rows(seed: int, row: int) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    logits = np.clip(np.rint(rng.normal(0, 40, (300, row))), -128, 127).astype(np.int64)
    live = rng.random(logits.shape) < rng.choice([0, 0.2, 1], (300, 1))
    return logits, live, rng.integers(1, row + 1, 300)


@pytest.mark.simulator
@pytest.mark.parametrize("sink", [-128, 30, 127])
def test_a_sink_that_all_rows_share(sink: int) -> None:
    config = SoftmaxConfig(max_row=64, sink=sink)
    logits, live, lengths = rows(sink + 200, 64)
    want = expect(logits, live, lengths, [(PLAIN, sink)], np.zeros(300, int))
    for stall in (0, 0.5):
        run = simulate(logits, config, mask=live, lengths=lengths, stall=stall)
        np.testing.assert_array_equal(run.probabilities, want)
    np.testing.assert_array_equal(golden(logits, config, mask=live, lengths=lengths), want)


@pytest.mark.simulator
def test_sinks_of_contexts_after_reset_and_loaded() -> None:
    """Loads bring sinks; one without a sink brings the configuration's."""
    held = (with_sink(100), with_sink(None, -3.0), with_sink(-60, -8.0))
    config = SoftmaxConfig(max_row=64, contexts=3, sink=12, context_tables=held)
    logits, live, lengths = rows(9, 64)
    contexts = np.random.default_rng(2).integers(0, 3, 300)
    options: dict[str, Any] = {"mask": live, "lengths": lengths, "contexts": contexts}
    loads = [(2, with_sink(127)), (0, with_sink(None))]
    rules = [(held[0], 100), (held[1], 12), (held[2], -60)]
    after = [(with_sink(None), 12), rules[1], (with_sink(127), 127)]
    for given, expected in (([], rules), (loads, after)):
        want = expect(logits, live, lengths, expected, contexts)
        for stall in (0, 0.4):
            run = simulate(logits, config, **options, loads=given, stall=stall)
            np.testing.assert_array_equal(run.probabilities, want)
        np.testing.assert_array_equal(golden(logits, config, **options, loads=given), want)


@pytest.mark.simulator
def test_over_long_rows_have_their_sink() -> None:
    config = SoftmaxConfig(max_row=64, sink=30)
    logits, live, _ = rows(4, 80)
    run = simulate(logits, config, mask=live, overlong=True)
    want = expect(logits[:, :64], live[:, :64], np.full(300, 64), [(PLAIN, 30)], np.zeros(300, int))
    np.testing.assert_array_equal(run.probabilities[:, :64], want)
    assert run.row_errors.all()
    assert not run.probabilities[:, 64:].any()
