"""Runs a line of octets into a FrameReceiver and tells what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Any

from link_frames import messages_of
from unit.unit_bench import Bench, Pause

from exaq_fpga.gateware.framing.frame_receiver import FrameReceiver

#: Fewest cycles from an octet of the line to the next.
CLOSEST = 4


class Reception:
    """A line of octets received, each ``gaps`` cycles behind the one before.

    ``messages`` are those on ``o``; ``verdicts`` the pulses, as ``taken``, ``damaged`` and
    ``overflow``, ``times`` their cycles. That ``length`` goes with each message, and that pulses
    come alone, is checked.
    """

    def __init__(
        self, size: int, line: bytes, *, gaps: Iterable[int] = repeat(CLOSEST), sink: Pause = None
    ):
        receiver: Any = FrameReceiver(size)
        distances = [gap for _, gap in zip(line, gaps, strict=False)]
        pause = chain(*([False] + [True] * (gap - 1) for gap in distances), repeat(True))
        bench = Bench(receiver)
        self.feed = bench.feed(receiver.i, line, pause)
        self.sink = bench.drain(receiver.o, 0, sink)
        length = bench.probe(receiver.length)
        pulses = bench.probe(receiver.taken, receiver.damaged, receiver.overflow)
        # Time for what may be in the buffer to be taken, by a sink that pauses often too.
        rest = min(size, len(line)) * (3 if sink is None else 12)
        bench.run(cycles=sum(distances) + rest + 100)

        self.messages = messages_of(self.sink.items)
        self.verdicts: list[str] = []
        self.times: list[int] = []
        for cycle, values in enumerate(pulses.values):
            assert sum(values) <= 1
            if any(values):
                self.verdicts.append(("taken", "damaged", "overflow")[values.index(1)])
                self.times.append(cycle)
        lengths = [len(message) for message in self.messages for _ in message]
        assert [length.values[time] for time in self.sink.times] == lengths

    def count(self, verdict: str) -> int:
        return self.verdicts.count(verdict)


def not_before(cycle: int) -> Iterator[bool]:
    """Pauses until ``cycle``, and none from then on."""
    yield from repeat(True, cycle)
    yield from repeat(False)
