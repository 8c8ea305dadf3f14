"""Counters that software reads."""

from itertools import pairwise
from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from exaq.scalars import integer
from exaq_hdl.parts.component import Component


class EventCounters(Component):
    """``count`` counters, at least 2, modulo 2**width, that share one adder.

    The counts go round in a ring of registers, a step a cycle, past the adder, which adds what
    has happened since the last round: a carry chain and a multiplexer for each would take
    several times the logic. A counter comes by every ``count`` cycles and shows the events up to
    ``delay`` cycles before, no event lost and none counted twice. ``clear`` in a cycle makes it
    forget the events of the cycles before; an event in that cycle counts. What shows from
    ``delay`` cycles after the clear on is cleared.

    Members
    -------
    events : bit k counts
    clear : bit k clears counter k
    select : at most one bit: the counter that is wanted
    found : ``total`` is the wanted counter
    total : a count
    """

    delay = 3

    def __init__(self, count: int, width: int):
        self.count = count = integer("count", count, 2)
        self.width = width = integer("width", width, 1)
        super().__init__(
            {
                "events": In(count),
                "clear": In(count),
                "select": In(count),
                "found": Out(1),
                "total": Out(width),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # Cycle 0: bit k of `turn` takes what counter k has to add. Cycle 1: it is added to the
        # count that comes out of the ring. Cycle 2: the sum is shown.
        turn = Signal(self.count, init=1)
        cleared = Signal(self.count)
        more = Signal(self.count.bit_length())
        m.d.sync += [
            turn.eq(turn.rotate_left(1)),
            cleared.eq(self.clear | (cleared & ~turn)),
        ]

        taken: Value = Const(0)
        for k in range(self.count):
            pending = Signal.like(more, name=f"pending{k}")
            kept = Mux(turn[k] | self.clear[k], 0, pending)
            m.d.sync += pending.eq(kept + self.events[k])
            taken = taken | Mux(turn[k], pending, 0)
        m.d.sync += more.eq(taken)

        # A count is cleared where it moves, by its registers' reset, not in front of the adder.
        ring = [Signal(self.width, name=f"ring{k}") for k in range(self.count)]
        wipe = (turn & cleared).any()
        m.d.sync += [
            ring[0].eq(Mux(wipe, 0, ring[1])),
            *(place.eq(behind) for place, behind in pairwise(ring[1:])),
            ring[-1].eq(ring[0] + more),
        ]
        m.d.comb += [
            self.total.eq(ring[-1]),
            self.found.eq((self.select & turn.rotate_right(2)).any()),
        ]
        return m
