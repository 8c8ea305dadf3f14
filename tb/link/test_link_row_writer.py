"""Beats of probabilities or codes in, and row results; octets out."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
from station_bench import Drain, Feed, Watch, simulate, stalls

from exaq import SoftmaxConfig
from exaq_fpga.gateware.messages.row_writer import RowWriter

CONFIGS = {
    "4 lanes": SoftmaxConfig(lanes=4),
    "1 lane": SoftmaxConfig(lanes=1, prob_bits=8, max_row=16),
    "8 lanes": SoftmaxConfig(lanes=8, prob_bits=20),
    "3 lanes": SoftmaxConfig(lanes=3, prob_bits=4, max_row=30, contexts=3),
    "12 lanes": SoftmaxConfig(lanes=12, prob_bits=24, max_row=24),
    "2 lanes": SoftmaxConfig(lanes=2, prob_bits=9, contexts=2),
    "results": SoftmaxConfig(lanes=4, row_results="table", bits=3, logit_width=12, max_row=64),
    "sums": SoftmaxConfig(lanes=2, row_results="sum", logit_width=5, exp_frac=10, contexts=3),
    "codes": SoftmaxConfig(lanes=5, output="codes", bits=4, prob_bits=9, max_row=30),
    "codes and sums": SoftmaxConfig(
        lanes=4, output="codes", row_results="sum", logit_width=24, contexts=5
    ),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)

# A row: its probabilities, and whether the unit flags it.
Row = tuple[list[int], bool]


def words(config: SoftmaxConfig, row: Row, rng: random.Random) -> list[int]:
    """Beats as bits: probabilities, tail, last, error, context, or codes, live, tail, last,
    context; absent lanes hold noise.
    """
    codes = config.output == "codes"
    width = config.bits if codes else config.prob_bits
    found = []
    for k in range(0, len(row[0]), config.lanes):
        part = row[0][k : k + config.lanes]
        last = k + config.lanes >= len(row[0])
        noise = [rng.getrandbits(width) for _ in range(config.lanes - len(part))]
        fields = [(value, width) for value in [*part, *noise]]
        if codes:
            fields += [(rng.getrandbits(config.lanes), config.lanes)]
        fields += [((1 << len(part)) - 1, config.lanes), (last, 1)]
        if not codes:
            fields += [(last and row[1] and config.row_results == "none", 1)]
        fields += [(rng.getrandbits(8) % max(config.contexts, 1), config.context_bits)]
        found.append(joined(fields))
    return found


def joined(fields: Iterable[tuple[int, int]]) -> int:
    """Values of a number of bits each in one, the first lowest."""
    word = place = 0
    for value, width in fields:
        word |= (value & (1 << width) - 1) << place
        place += width
    return word


def results_of(config: SoftmaxConfig, row: Row, rng: random.Random) -> tuple[int, bytes]:
    """Results of a row, all but the error by chance: as bits, and the octets they become."""
    low, high = config.logit_range
    maximum = rng.choice([low, high, -1, 0, rng.randint(low, high)])
    total = rng.getrandbits(config.sum_bits)
    table = []
    if config.row_results == "table":
        table = [rng.getrandbits(config.prob_bits) for _ in range(config.levels)]
    fields = [(maximum, config.logit_width), (total, config.sum_bits)]
    fields += [(p, config.prob_bits) for p in table]
    fields += [(rng.getrandbits(8) % max(config.contexts, 1), config.context_bits), (row[1], 1)]
    octets = maximum.to_bytes(-(-config.logit_width // 8), "little", signed=True)
    octets += total.to_bytes(-(-config.sum_bits // 8), "little")
    octets += b"".join(p.to_bytes(-(-config.prob_bits // 8), "little") for p in table)
    return joined(fields), octets


@EVERY
@pytest.mark.parametrize("rates", [None, (0.5, 0.0), (0.3, 0.6)])
def test_octets(name: str, rates: tuple[float, float] | None) -> None:
    config = CONFIGS[name]
    rng = random.Random(name)
    lengths = [*range(1, 2 * config.lanes + 2), 1, 1, 5 * config.lanes]
    codes = config.output == "codes"
    width = config.bits if codes else config.prob_bits
    rows = [
        ([rng.getrandbits(width) for _ in range(length)], rng.random() < 0.3) for length in lengths
    ]
    size = -(-width // 8)
    some = config.row_results != "none"
    results = [results_of(config, row, rng) if some else (0, b"") for row in rows]
    each = [
        b"".join(p.to_bytes(size, "little") for p in row[0]) + octets
        for row, (_, octets) in zip(rows, results, strict=True)
    ]
    expected = b"".join(each)
    writer: Any = RowWriter(config)
    source, sink = (stalls(k, rate) for k, rate in enumerate(rates)) if rates else (None, None)
    feed = Feed(writer.i, [word for row in rows for word in words(config, row, rng)], source)
    drain = Drain(writer.o, sink)
    ends: list[tuple[int, int]] = []
    errors: list[bool] = []

    def watch(cycle: int, row: int, error: int) -> None:
        if row:
            ends.append((cycle, len(drain.words)))
            errors.append(bool(error))

    parts = [feed, drain, Watch([writer.row, writer.error], watch)]
    if some:
        # Results may come before their row's elements and long after.
        late = stalls(9, rates[0]) if rates else None
        parts.append(Feed(writer.results, [word for word, _ in results], late))
    simulate(writer, parts, lambda: len(ends) >= len(rows), more=20)
    assert bytes(drain.words) == expected
    assert errors == [row[1] for row in rows]
    # A row's end is told when its last octet has been taken, not before.
    places = [sum(map(len, each[: k + 1])) for k in range(len(rows))]
    assert [count for _, count in ends] == places
    if rates is None:
        absent = sum(-length % config.lanes for length in lengths)
        assert ends[-1][0] - drain.times[0] == len(expected) + absent - 1
