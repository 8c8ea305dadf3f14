"""Sums of values times probabilities against fractions, and against the golden model."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, repeat
from math import floor
from typing import Any

import numpy as np
import pytest
from unit_bench import Bench, Drain, Feed, Pause, pack, stalls, unpack

from exaq.attention import AttentionConfig, weighted_sums
from exaq_hdl.attention.weighted_sums import WeightedSums

pytestmark = pytest.mark.usefixtures("unused_components")


def head(**settings: Any) -> AttentionConfig:
    return AttentionConfig(**{"head_size": 16, "kernel": "multiply", "max_row": 32} | settings)


SMALL = head()
CONFIGS = {
    "16 bits": SMALL,
    "8 bits, 1 lane": head(head_size=17, lanes=1, prob_bits=8),
    "4 bits, 3 lanes": head(max_row=33, lanes=3, prob_bits=4, value_width=4),
    "20 bits, small outputs": head(lanes=2, prob_bits=20, output_width=8),
    "7 lanes": head(max_row=35, lanes=7, value_width=4, output_width=8),
}


@dataclass(frozen=True)
class WeightedRow:
    """A row's probabilities and values, key by key."""

    probabilities: list[int]
    values: list[list[int]]


def random_row(config: AttentionConfig, keys: int, rng: random.Random) -> WeightedRow:
    """Probabilities that add up to 1 at most, unless there are too many of the least ones."""
    half = 1 << config.value_width - 1
    shares = [rng.random() ** 3 for _ in range(keys)]
    scale = (2**config.softmax.prob_bits - 1) / sum(shares)
    return WeightedRow(
        [int(share * scale) for share in shares],
        [[rng.randrange(-half, half) for _ in range(config.head_size)] for _ in range(keys)],
    )


def beats(config: AttentionConfig, row: WeightedRow) -> Iterable[dict[str, Any]]:
    """The row as beats in; noise in the values of absent lanes, whose probability is 0."""
    lanes, keys = config.lanes, len(row.values)
    half = 1 << config.value_width - 1
    noise = random.Random(keys)
    for k in range(0, keys, lanes):
        absent = lanes - len(row.values[k : k + lanes])
        yield {
            "probabilities": row.probabilities[k : k + lanes] + [0] * absent,
            "values": row.values[k : k + lanes]
            + [[noise.randrange(-half, half) for _ in range(config.head_size)]] * absent,
            "last": int(k + lanes >= keys),
        }


def expected(config: AttentionConfig, row: WeightedRow) -> list[int]:
    """The row's outputs, by fractions; the golden model must say the same."""
    most = 2 ** (config.output_width - 1) - 1
    found = []
    for d in range(config.head_size):
        pairs = zip(row.probabilities, row.values, strict=True)
        total = sum(share * values[d] for share, values in pairs)
        mean = Fraction(total, 2**config.softmax.prob_bits) * 2**config.output_frac
        found.append(min(max(floor(mean + Fraction(1, 2)), -most - 1), most))
    given = weighted_sums(np.array([row.probabilities]), np.array(row.values), config)
    assert given[0].tolist() == found
    return found


@dataclass
class Run:
    """A simulated unit, and what went in and out of it."""

    unit: WeightedSums
    beats: Feed
    outputs: Drain


def run_rows(
    config: AttentionConfig,
    rows: list[WeightedRow],
    *,
    per_beat: int = 1,
    multipliers: str = "lut",
    pauses: tuple[Pause, Pause] = (None, None),
) -> Run:
    """Streams rows through the unit and compares what comes out."""
    unit = WeightedSums(config, outputs_per_beat=per_beat, multipliers=multipliers)
    bench = Bench(unit, limit=20000)
    taken: Any = unit.i.payload.shape()
    given: Any = unit.o.payload.shape()
    wanted = [
        {"outputs": whole[k : k + per_beat], "last": int(k + per_beat == len(whole))}
        for whole in (expected(config, row) for row in rows)
        for k in range(0, len(whole), per_beat)
    ]
    words = [pack(taken, beat) for row in rows for beat in beats(config, row)]
    run = Run(
        unit=unit,
        beats=bench.feed(unit.i, words, pauses[0]),
        outputs=bench.drain(unit.o, len(wanted), pauses[1]),
    )
    bench.run()
    assert [unpack(given, word) for word in run.outputs.items] == wanted
    return run


@pytest.mark.parametrize("multipliers", ["lut", "dsp"])
@pytest.mark.parametrize("name", CONFIGS)
def test_rows_with_stalls_on_both_sides(name: str, multipliers: str) -> None:
    config = CONFIGS[name]
    rng = random.Random(name)
    most = config.softmax.max_row
    keys = [1, most, 1, 1, config.lanes, *(rng.randint(1, most) for _ in range(4))]
    rows = [random_row(config, n, rng) for n in keys]
    run_rows(config, rows, multipliers=multipliers, pauses=(stalls(1), stalls(2)))


@pytest.mark.parametrize("per_beat", [2, 4, 16])
def test_outputs_of_a_beat(per_beat: int) -> None:
    rng = random.Random(per_beat)
    rows = [random_row(SMALL, rng.randint(1, 32), rng) for _ in range(6)]
    run = run_rows(SMALL, rows, per_beat=per_beat, pauses=(None, stalls(4, 0.2)))
    assert run.unit.steps == 16 // per_beat


@pytest.mark.parametrize("multipliers", ["lut", "dsp"])
@pytest.mark.parametrize("name", CONFIGS)
def test_extremes(name: str, multipliers: str) -> None:
    """Outputs at the ends of their range, and sums that round to more than that."""
    config = CONFIGS[name]
    half, one = 1 << config.value_width - 1, 1 << config.softmax.prob_bits
    size, most = config.head_size, config.softmax.max_row
    rows = [
        WeightedRow([share], [[value] * size])
        for share in (one - 1, one // 2, 1, 0)
        for value in (-half, half - 1, -1, 0, 1)
    ]
    # Half a step too much for each key is the most that rounding can give.
    each, more = divmod(one + most // 2, most)
    shares = [min(each + (k < more), one - 1) for k in range(most)]
    rows += [WeightedRow(shares, [[value] * size] * most) for value in (-half, half - 1)]
    assert -(2 ** (config.output_width - 1)) in expected(config, rows[-2])
    run_rows(config, rows, per_beat=size & -size, multipliers=multipliers)


def test_half_steps_are_rounded_up() -> None:
    config = head(output_width=8)
    half = 1 << 15
    values = [[1, -1, 3, -3, *range(12)], [0, 0, 0, 0, *range(12)]]
    row = WeightedRow([half, half], values)
    assert expected(config, row)[:4] == [1, 0, 2, -1]
    run_rows(config, [row])


@pytest.mark.parametrize("multipliers", ["lut", "dsp"])
@pytest.mark.parametrize("name", CONFIGS)
def test_latency_is_as_declared(name: str, multipliers: str) -> None:
    config = CONFIGS[name]
    per_beat = 1 if multipliers == "dsp" else config.head_size & -config.head_size
    for keys in (1, config.softmax.max_row):
        row = random_row(config, keys, random.Random(keys))
        run = run_rows(config, [row], per_beat=per_beat, multipliers=multipliers)
        assert run.beats.times[0] == run.unit.boot_cycles
        assert run.outputs.times[0] - run.beats.times[-1] == run.unit.latency
        assert set(np.diff(run.outputs.times).tolist()) <= {1}


def test_rows_of_steps_beats_are_taken_without_a_bubble() -> None:
    rng = random.Random(3)
    rows = [random_row(SMALL, 4 * beats, rng) for beats in (4, 4, 4, 8, 5, 4, 4, 7, 4, 4, 4)]
    run = run_rows(SMALL, rows, per_beat=4)
    assert run.unit.steps == 4
    assert set(np.diff(run.beats.times).tolist()) == {1}


def test_shorter_rows_take_as_many_cycles_as_steps() -> None:
    rng = random.Random(4)
    rows = [random_row(SMALL, keys, rng) for keys in (1, 4, 8, 3, 2, 12, 1, 1)]
    run = run_rows(SMALL, rows, per_beat=4)
    first = run.outputs.times[:: run.unit.steps]
    assert set(np.diff(first).tolist()) == {4}


def test_a_consumer_that_takes_nothing_stops_rows_and_loses_none() -> None:
    rng = random.Random(5)
    rows = [random_row(SMALL, rng.randint(1, 9), rng) for _ in range(40)]
    pause: Pause = chain(repeat(True, 400), repeat(False))
    run = run_rows(SMALL, rows, per_beat=4, pauses=(None, pause))
    # Beats were taken until the queue was full, and none behind that before it was emptied.
    assert any(gap > 200 for gap in np.diff(run.beats.times).tolist())
