"""The identity's octets, and counters while they count."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest
from station_bench import Drain, Drive, messages_of, simulate, stalls

from exaq_fpga.gateware.messages.octet_sources import CounterReader, IdentityRom
from exaq_hdl.parts.event_counters import EventCounters


@pytest.mark.parametrize("length", [1, 2, 3, 256, 257])
@pytest.mark.parametrize("stalled", [False, True])
def test_identity_again_and_again(length: int, stalled: bool) -> None:
    identity = random.Random(length).randbytes(length)
    rom: Any = IdentityRom(identity)
    drain = Drain(rom.o, stalls(1, 0.5) if stalled else None)
    simulate(rom, [drain], lambda: len(drain.words) >= 3 * length, more=1)
    assert messages_of(drain.words)[:3] == [identity] * 3
    if not stalled:
        assert drain.times == list(range(drain.times[0], 2 * len(drain.times) + 1, 2))


@pytest.mark.parametrize("count", [2, 5, 9])
def test_counts_are_of_one_moment(count: int) -> None:
    """Event 0 in every cycle, so that each count's octets change while they are given; the
    others now and then. Each count is that of a cycle between ``start`` and its first octet.
    """
    rng = random.Random(count)
    rates = [1.0, *(rng.choice([0.0, 0.1, 0.9, 1.0]) for _ in range(count - 1))]
    reader: Any = CounterReader(count)
    totals = [[0] * count]
    starts = [300, 900, 1500, 2100, 2600]

    def drive(cycle: int) -> list[int]:
        happened = [int(rng.random() < rate) for rate in rates]
        totals.append([a + b for a, b in zip(totals[-1], happened, strict=True)])
        return [sum(bit << k for k, bit in enumerate(happened)), int(cycle in starts)]

    drain = Drain(reader.o, stalls(count, 0.6))
    answer = 4 * count
    simulate(
        reader,
        [Drive([reader.events, reader.start], drive), drain],
        lambda: len(drain.words) >= len(starts) * answer,
        more=100,
    )
    answers = messages_of(drain.words)
    assert [len(message) for message in answers] == [answer] * len(starts)
    for number, (message, start) in enumerate(zip(answers, starts, strict=True)):
        for k, value in enumerate(struct.unpack(f"<{count}I", message)):
            first = drain.times[number * answer + 4 * k]
            # totals[n]: events of the cycles before n.
            assert totals[start - EventCounters.delay][k] <= value <= totals[first][k]


def test_counts_are_not_later_than_their_first_octet() -> None:
    """However long the sink makes the second octet wait."""
    reader: Any = CounterReader(2)
    sleeps = [False] * 20 + [True] * 700 + [False] * 40
    asleep = iter(sleeps)
    drain = Drain(reader.o, (next(asleep, False) for _ in iter(int, 1)))
    drive = Drive([reader.events, reader.start], lambda cycle: [3, int(cycle == 15)])
    simulate(reader, [drive, drain], lambda: len(drain.words) >= 8, more=20)
    first, second = struct.unpack("<2I", messages_of(drain.words)[0])
    assert first < 30
    assert second > 700
