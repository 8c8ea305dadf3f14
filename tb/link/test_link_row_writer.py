"""Beats of probabilities in, octets out."""

from __future__ import annotations

import random
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
}
EVERY = pytest.mark.parametrize("name", CONFIGS)

# A row: its probabilities, and whether the unit flags it.
Row = tuple[list[int], bool]


def words(config: SoftmaxConfig, row: Row, rng: random.Random) -> list[int]:
    """Beats as bits: probabilities, tail, last, error, context; absent lanes hold noise."""
    found = []
    for k in range(0, len(row[0]), config.lanes):
        part = row[0][k : k + config.lanes]
        last = k + config.lanes >= len(row[0])
        noise = [rng.getrandbits(config.prob_bits) for _ in range(config.lanes - len(part))]
        fields = [(value, config.prob_bits) for value in [*part, *noise]]
        fields += [((1 << len(part)) - 1, config.lanes), (last, 1), (last and row[1], 1)]
        fields += [(rng.getrandbits(8) % max(config.contexts, 1), config.context_bits)]
        word = place = 0
        for value, width in fields:
            word |= value << place
            place += width
        found.append(word)
    return found


@EVERY
@pytest.mark.parametrize("rates", [None, (0.5, 0.0), (0.3, 0.6)])
def test_octets(name: str, rates: tuple[float, float] | None) -> None:
    config = CONFIGS[name]
    rng = random.Random(name)
    lengths = [*range(1, 2 * config.lanes + 2), 1, 1, 5 * config.lanes]
    rows = [
        ([rng.getrandbits(config.prob_bits) for _ in range(length)], rng.random() < 0.3)
        for length in lengths
    ]
    size = -(-config.prob_bits // 8)
    expected = b"".join(p.to_bytes(size, "little") for row in rows for p in row[0])
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
    simulate(writer, parts, lambda: len(ends) >= len(rows), more=20)
    assert bytes(drain.words) == expected
    assert errors == [row[1] for row in rows]
    # A row's end is told when its last octet has been taken, not before.
    places = [sum(lengths[: k + 1]) * size for k in range(len(rows))]
    assert [count for _, count in ends] == places
    if rates is None:
        absent = sum(-length % config.lanes for length in lengths)
        assert ends[-1][0] - drain.times[0] == len(expected) + absent - 1
