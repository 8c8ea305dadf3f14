"""Answers that are read out of the board: its identity and its counters."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import memory
from amaranth.lib.wiring import In, Out

from exaq.scalars import integer
from exaq_fpga.gateware.octets import MESSAGES
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.event_counters import EventCounters

_OCTET = 8


class IdentityRom(Component):
    """Gives the octets of ``identity``, not empty, again and again, ``last`` with its last one.

    Throughput: an octet in 2 cycles. They stand in a memory with a registered output.

    Members
    -------
    o : MESSAGES
    """

    def __init__(self, identity: bytes):
        if not isinstance(identity, bytes):
            raise TypeError(f"identity must be bytes, not {identity!r}")
        if not identity:
            raise ValueError("identity must hold at least one octet, not none")
        self.identity = identity
        super().__init__({"o": Out(MESSAGES)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        depth = len(self.identity)
        rom: Any = memory.Memory(shape=_OCTET, depth=depth, init=self.identity)
        m.submodules.rom = rom
        read = rom.read_port()
        address = Signal(range(max(depth, 2)))
        last = address == depth - 1
        moved = self.o.valid & self.o.ready
        m.d.comb += [
            read.en.eq(1),
            read.addr.eq(address),
            self.o.payload.data.eq(read.data),
            self.o.payload.last.eq(last),
        ]
        m.d.sync += self.o.valid.eq(~moved)
        with m.If(moved):
            m.d.sync += address.eq(address + 1)
            with m.If(last):
                m.d.sync += address.eq(0)
        return m


class CounterReader(Component):
    """Counts events, and gives all counts, each as 4 octets, when asked.

    The counts are modulo 2**32. The octets of a count are of one value, which holds all events
    up to ``EventCounters.delay`` cycles before its first octet can be taken, or before ``start``
    where that is later. Throughput: a count in 4 cycles and up to ``count`` more. ``count`` is at
    least 2.

    Members
    -------
    events : bit k counts
    start : pulse, none while octets are waiting: gives the counts
    o : MESSAGES: the counts, that of event 0 first; ``last`` with the last octet
    """

    #: Octets of a count.
    octets = 4

    def __init__(self, count: int):
        self.count = count = integer("count", count, 2)
        super().__init__({"events": In(count), "start": In(1), "o": Out(MESSAGES)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        width = self.octets * _OCTET
        counters: Any = EventCounters(self.count, width)
        m.submodules.counters = counters
        # Bit k of `wanted`: count k is looked for; of `here`: octet k of a count is at hand.
        wanted = Signal(self.count)
        here = Signal(self.octets)
        last_count = Signal()
        value = Signal(width, reset_less=True)
        moved = self.o.valid & self.o.ready
        m.d.comb += [
            counters.events.eq(self.events),
            counters.select.eq(wanted),
            self.o.valid.eq(here.any()),
            self.o.payload.data.eq(value[:_OCTET]),
            self.o.payload.last.eq(last_count & here[-1]),
        ]
        following = Signal(self.count)
        with m.If(self.start):
            m.d.sync += [wanted.eq(1), last_count.eq(0)]
        with m.If(counters.found):
            m.d.sync += [
                value.eq(counters.total),
                here.eq(1),
                wanted.eq(0),
                following.eq(wanted << 1),
                last_count.eq(wanted[-1]),
            ]
        with m.If(moved):
            m.d.sync += [value.eq(value >> _OCTET), here.eq(here << 1)]
            with m.If(here[-1]):
                m.d.sync += wanted.eq(following)
        return m
