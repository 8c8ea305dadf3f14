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
    "256 contexts": SoftmaxConfig(lanes=1, max_row=256, contexts=256, logit_width=9),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)

# A beat: logits of the lanes that hold an element, live bits of the same, last, context.
Beat = tuple[tuple[int, ...], tuple[bool, ...], bool, int]


def beats(config: SoftmaxConfig, row: Row, known: int | None = None) -> list[Beat]:
    """Those of a row. ``known``: the elements from there on may be anything, as 0 and live."""
    count = len(row.logits) if known is None else known
    logits = [*row.logits[:count], *[0] * (len(row.logits) - count)]
    live = [*(row.live or (True,) * count)[:count], *[True] * (len(row.logits) - count)]
    found = []
    for k in range(0, len(logits), config.lanes):
        end = k + config.lanes
        part = (tuple(logits[k:end]), tuple(live[k:end]))
        found.append((*part, end >= len(logits), row.context))
    return found


def unpacked(config: SoftmaxConfig, word: int) -> Beat:
    """A beat from its bits: logits, live bits with masking, tail bits, last, context."""
    lanes, width = config.lanes, config.logit_width
    logits = []
    for _ in range(lanes):
        number = word & (1 << width) - 1
        logits.append(number - (number >> width - 1 << width))
        word >>= width
    live = (1 << lanes) - 1
    if config.masking:
        live = word & (1 << lanes) - 1
        word >>= lanes
    tail, last = word & (1 << lanes) - 1, word >> lanes & 1
    count = tail.bit_length()
    assert tail == (1 << count) - 1
    assert count
    assert last or count == lanes
    flags = tuple(bool(live >> k & 1) for k in range(count))
    return tuple(logits[:count]), flags, bool(last), word >> lanes + 1


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
    others = {most, most + 1, most | 256, 1 << 14, *(1 << bit for bit in range(15))}
    numbers = [*range(most), *(number for number in sorted(others) if number >= most)]
    rows = [Row((2,), None, number) for number in numbers]
    run = Run(config, [row.octets(config) for row in rows])
    assert run.beats == [beat for row in rows[:most] for beat in beats(config, row)]
    assert run.ends == [number >= most for number in numbers]


@pytest.mark.usefixtures("unused_components")
def test_windows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^the link of a board has no windows: window must be F"):
        RowReader(SoftmaxConfig(window=True))


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
    first = Row(random_row(config, rng, length).logits, live, max(config.contexts, 1) - 1)
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
            part = Row(cut.logits[:more], cut.live[:more] if cut.live else None, cut.context)
            expected += beats(config, part)
    sink = stalls(1, 0.4) if stalled else None
    run = Run(config, bodies, sink=sink)
    assert [(b[2], b[3], len(b[0])) for b in run.beats] == [
        (b[2], b[3], len(b[0])) for b in expected
    ]
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
