"""Octets of rows in, beats out: every bit of every beat, where rows are cut off too."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Any

import pytest
from station_bench import Drain, Drive, Feed, Watch, message_words, simulate, stalls
from station_rows import Row, cut_rows, random_row

from exaq import SoftmaxConfig
from exaq_fpga.gateware.messages.row_reader import RowReader

CONFIGS = {
    "4 lanes": SoftmaxConfig(lanes=4, max_row=64),
    "1 lane": SoftmaxConfig(lanes=1, max_row=1, full_rate_row=8),
    "8 lanes": SoftmaxConfig(lanes=8, max_row=40, logit_width=12, contexts=3),
    "3 lanes": SoftmaxConfig(lanes=3, max_row=300, logit_width=24, contexts=300),
    "no masks": SoftmaxConfig(lanes=2, max_row=512, masking=False, logit_width=5, contexts=1),
    "windows": SoftmaxConfig(lanes=4, max_row=64, window=True, logit_width=12),
    "windows, no masks": SoftmaxConfig(lanes=2, max_row=16, window=True, masking=False, contexts=5),
    "long windows": SoftmaxConfig(lanes=1, max_row=4096, window=True),
    "bf16": SoftmaxConfig(lanes=2, max_row=32, logit_format="bf16"),
    "256 contexts": SoftmaxConfig(lanes=1, max_row=256, contexts=256, logit_width=9),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)

# A beat: logits of the lanes that hold an element, live bits of the same, last, context, window.
Beat = tuple[tuple[int, ...], tuple[bool, ...], bool, int, tuple[int, int]]


def beats(config: SoftmaxConfig, row: Row, known: int | None = None) -> list[Beat]:
    """Those of a row. ``known``: the elements from there on may be anything, as 0 and live."""
    count = len(row.logits) if known is None else known
    logits = [*row.logits[:count], *[0] * (len(row.logits) - count)]
    live = [*(row.live or (True,) * count)[:count], *[True] * (len(row.logits) - count)]
    found = []
    window = (0, 0)
    if config.window:
        window = row.window or (0, (1 << config.index_bits) - 1)
    for k in range(0, len(logits), config.lanes):
        end = k + config.lanes
        part = (tuple(logits[k:end]), tuple(live[k:end]))
        found.append((*part, end >= len(logits), row.context, window))
    return found


def unpacked(config: SoftmaxConfig, word: int) -> Beat:
    """A beat from its bits: logits, live bits with masking, window, tail bits, last, context."""
    lanes, width = config.lanes, config.logit_width
    logits = []
    for _ in range(lanes):
        number = word & (1 << width) - 1
        signed = config.logit_format == "integer"
        logits.append(number - (number >> width - 1 << width) if signed else number)
        word >>= width
    live = (1 << lanes) - 1
    if config.masking:
        live = word & (1 << lanes) - 1
        word >>= lanes
    window = (0, 0)
    if config.window:
        edges = word & (1 << 2 * config.index_bits) - 1
        window = (edges & (1 << config.index_bits) - 1, edges >> config.index_bits)
        word >>= 2 * config.index_bits
    tail, last = word & (1 << lanes) - 1, word >> lanes & 1
    count = tail.bit_length()
    assert tail == (1 << count) - 1
    assert count
    assert last or count == lanes
    flags = tuple(bool(live >> k & 1) for k in range(count))
    return tuple(logits[:count]), flags, bool(last), word >> lanes + 1, window


class Run:
    """Reads ``bodies``; ``beats`` come out, ``ends`` tell for each body whether it was malformed.

    ``rows``: cycles in which a row's last beat was taken.
    """

    def __init__(
        self,
        config: SoftmaxConfig,
        bodies: Sequence[bytes],
        *,
        source: Iterator[bool] | None = None,
        sink: Iterator[bool] | None = None,
        hold: Iterator[bool] | None = None,
        limit: int = 30000,
    ):
        reader: Any = RowReader(config)
        self.feed = Feed(reader.i, message_words(bodies), source)
        self.drain = Drain(reader.o, sink)
        self.rows: list[int] = []
        self.ends: list[bool] = []
        self.taken_at_end: list[int] = []
        self.begun: list[int] = []
        held = hold or repeat(False)

        def watch(cycle: int, row: int, ended: int, malformed: int, both: int) -> None:
            # `hold` counts on it: no row is begun while the one before has not been told of.
            assert not both
            if row:
                self.rows.append(cycle)
            if ended:
                self.ends.append(bool(malformed))
                self.taken_at_end.append(len(self.drain.words))
                # Nothing of the next body has been taken yet.
                assert len(self.feed.times) == sum(map(len, bodies[: len(self.ends)]))

        both = reader.o.valid & reader.i.valid & reader.i.ready
        parts = [
            Drive([reader.hold], lambda cycle: [int(next(held))]),
            self.feed,
            self.drain,
            Watch([reader.row, reader.ended, reader.malformed, both], watch),
        ]
        simulate(reader, parts, lambda: len(self.ends) == len(bodies), limit=limit, more=30)
        self.beats = [unpacked(config, word) for word in self.drain.words]
        times = zip(self.drain.times, self.beats, strict=True)
        assert self.rows == [time for time, beat in times if beat[2]]
        assert len(self.ends) == len(bodies)


@EVERY
@pytest.mark.parametrize("rates", [None, (0.4, 0.4)])
def test_rows(name: str, rates: tuple[float, float] | None) -> None:
    config = CONFIGS[name]
    rng = random.Random(name)
    bodies, expected, counts = [], [], []
    for _ in range(8):
        lengths = [rng.randint(1, min(config.max_row, 40)) for _ in range(rng.randint(1, 4))]
        rows = [random_row(config, rng, length) for length in lengths]
        bodies.append(b"".join(row.octets(config) for row in rows))
        expected += [beat for row in rows for beat in beats(config, row)]
        counts.append(len(expected))
    source, sink = (stalls(k, rate) for k, rate in enumerate(rates)) if rates else (None, None)
    run = Run(config, bodies, source=source, sink=sink)
    assert run.beats == expected
    assert run.ends == [False] * 8
    assert run.taken_at_end == counts


@EVERY
def test_longest_row_and_one_that_is_longer(name: str) -> None:
    config = CONFIGS[name]
    row = random_row(config, random.Random(name), config.max_row)
    longer = Row((*row.logits, 0), (*row.live, True) if row.live else None, row.context)
    good = Row((1,), None, 0)
    run = Run(config, [row.octets(config), longer.octets(config), good.octets(config)])
    assert run.beats == beats(config, row) + beats(config, good)
    assert run.ends == [False, True, False]


@EVERY
def test_every_context(name: str) -> None:
    """Each that the unit has goes through; each other number of 15 bits is refused."""
    config = CONFIGS[name]
    most = max(config.contexts, 1)
    # Bit 14 says that there is a window, where there are windows.
    others = {most, most + 1, most | 256, *(1 << bit for bit in range(15 - config.window))}
    numbers = [*range(most), *(number for number in sorted(others) if number >= most)]
    rows = [Row((2,), None, number) for number in numbers]
    run = Run(config, [row.octets(config) for row in rows])
    assert run.beats == [beat for row in rows[:most] for beat in beats(config, row)]
    assert run.ends == [number >= most for number in numbers]


@pytest.mark.parametrize("name", ["windows", "windows, no masks", "long windows"])
def test_every_edge_of_a_window(name: str) -> None:
    """What the index's bits hold goes through; all else is refused before the row begins."""
    config = CONFIGS[name]
    top = (1 << config.index_bits) - 1
    edges = [0, 1, config.max_row - 1, config.max_row, top]
    beyond = [top + 1, 1 << 16, 1 << 17, 1 << 23, (1 << 24) - 1]
    rows = [Row((3, 4), window=(start, stop)) for start in edges for stop in edges]
    good = len(rows)
    for edge in beyond:
        if edge > top:
            rows += [Row((3, 4), window=(edge, 1)), Row((3, 4), window=(1, edge))]
    run = Run(config, [row.octets(config) for row in rows])
    assert run.beats == [beat for row in rows[:good] for beat in beats(config, row)]
    assert run.ends == [False] * good + [True] * (len(rows) - good)


def test_window_without_windows() -> None:
    config = CONFIGS["4 lanes"]
    row, windowed = Row((1, 2, 3)), Row((1, 2, 3), window=(0, 2))
    run = Run(config, [row.octets(config) + windowed.octets(config), row.octets(config)])
    assert run.beats == 2 * beats(config, row)
    assert run.ends == [True, False]


def test_mask_without_masking() -> None:
    config = CONFIGS["no masks"]
    row, masked = Row((1, 2, 3)), Row((1, 2, 3), (True, False, True))
    bodies = [row.octets(config) + masked.octets(config) + row.octets(config), row.octets(config)]
    run = Run(config, bodies)
    assert run.beats == beats(config, row) + beats(config, row)
    assert run.ends == [True, False]


@EVERY
@pytest.mark.parametrize("stalled", [False, True])
def test_cut_at_every_octet(name: str, stalled: bool) -> None:
    """What has come is there, and what has been begun is closed, at once. Then the other way
    round, so that each cut comes after one that has left more behind.
    """
    config = CONFIGS[name]
    rng = random.Random(name)
    length = min(config.max_row, 11)
    live = tuple(rng.random() < 0.5 for _ in range(length)) if config.masking else None
    window = (1, length) if config.window else None
    first = Row(random_row(config, rng, length).logits, live, max(config.contexts, 1) - 1, window)
    second = Row(random_row(config, rng, min(config.max_row, config.lanes)).logits)
    whole = first.octets(config) + second.octets(config)
    rows = [first, second]
    bodies, expected = [], []
    ends = range(1, len(whole) + 1)
    for end in (*ends, *reversed(ends)):
        bodies.append(whole[:end])
        done, more, malformed = cut_rows(config, whole[:end])
        assert malformed == (end not in (len(first.octets(config)), len(whole)))
        expected += [beat for row in done for beat in beats(config, row)]
        if more:
            cut = rows[len(done)]
            part = Row(
                cut.logits[:more], cut.live[:more] if cut.live else None, cut.context, cut.window
            )
            expected += beats(config, part)
    sink = stalls(1, 0.4) if stalled else None
    run = Run(config, bodies, sink=sink)
    assert [(b[2:], len(b[0])) for b in run.beats] == [(b[2:], len(b[0])) for b in expected]
    # A cut row's last element may be one that has not come whole.
    for found, wanted in zip(run.beats, expected, strict=True):
        whole_ones = len(found[0]) - found[2]
        assert found[0][:whole_ones] == wanted[0][:whole_ones]
        assert found[1][:whole_ones] == wanted[1][:whole_ones]
    assert run.ends == [cut_rows(config, body)[2] for body in bodies]


def test_no_row_is_begun_while_held() -> None:
    """A row that has begun goes on."""
    config = CONFIGS["4 lanes"]
    row = random_row(config, random.Random(1), 10)
    octets = row.octets(config)
    # Held from the first row's second octet on, until long after its end.
    hold = chain(repeat(False, 3), repeat(True, 60), repeat(False))
    held_at_once = chain(repeat(True, 50), repeat(False))
    for pattern, free in ((hold, 63), (held_at_once, 50)):
        run = Run(config, [octets + octets], hold=pattern)
        assert run.beats == 2 * beats(config, row)
        second = run.feed.times[len(octets)]
        assert second >= free
    run = Run(config, [octets], hold=chain(repeat(False, 6), repeat(True, 60), repeat(False)))
    assert run.feed.times[-1] < 40


@EVERY
def test_throughput(name: str) -> None:
    """An octet a cycle, less a cycle for each beat and one for each absent lane."""
    config = CONFIGS[name]
    rng = random.Random(name)
    rows = [random_row(config, rng, rng.randint(1, min(config.max_row, 40))) for _ in range(8)]
    body = b"".join(row.octets(config) for row in rows)
    run = Run(config, [body])
    absent = sum(-len(row.logits) % config.lanes for row in rows)
    lost = len(run.beats) + absent
    assert run.feed.times[-1] - run.feed.times[0] < len(body) + lost
