"""A FIFO over block RAM for free-running producers."""

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, ShapeLike, Signal, Value, signed
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq.scalars import flag, integer
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.counters import LFSR_START, lfsr_next, lfsr_width, wrapped_increment
from exaq_hdl.parts.enables import clocked
from exaq_hdl.parts.memory import SIMULATED, Memories

# Up to this depth, rounding up to a power of two costs no block RAM.
# The order of the addresses does not matter then, and a shift register is the cheapest counter.
_FREE_ROUNDING = 512


class Fifo(Component):
    """Queue between a free-running producer and a stream consumer.

    Latency 3 cycles from ``i`` to ``o``, 4 in memories that take 2 cycles to read; throughput 1
    item per cycle, of a lazy queue an item in 2 cycles. ``i`` never refuses: the producer watches
    ``room`` instead, which is high while ``slack`` further items fit, those already on their way
    included. Back-pressure on ``o`` holds its payload.

    Parameters
    ----------
    shape
        Shape of an item, at least one bit.
    capacity
        Items that can wait without ``room`` going low, at least 1.
    slack
        Cycles from a producer's look at ``room`` until what it then sends is counted, at least 1.
    lazy
        Whether the way of ``o.ready`` into the queue ends at ``o.valid``.
    place
        Where the items are, as of ``Ram``.
    memories
        Makes the RAM that holds the items.
    holds
        What the items are, in words.

    Members
    -------
    i : stream, always ready
    room : high while the producer may send
    empty : nothing is stored or on its way to ``o``
    o : stream
    """

    #: In memories that take a cycle to read.
    latency = 3

    @classmethod
    def latency_in(cls, memories: Memories) -> int:
        """The latency of one in ``memories``."""
        return cls.latency + memories.queue_read_cycles - 1

    def __init__(
        self,
        shape: ShapeLike,
        *,
        capacity: int,
        slack: int,
        lazy: bool = False,
        place: str = "block",
        memories: Memories = SIMULATED,
        holds: str = "",
    ):
        if not Shape.cast(shape).width:
            raise ValueError(f"shape must have at least one bit, not {shape!r}")
        self.shape = shape
        self._memories = memories
        self._place = place
        self._holds = holds
        self.lazy = flag("lazy", lazy)
        self.slack = slack = integer("slack", slack, 1)
        depth = integer("capacity", capacity, 1) + slack
        rounded = (1 << lfsr_width(depth)) - 1
        self._lfsr = rounded < _FREE_ROUNDING and not memories.chip
        self.latency = self.latency_in(memories)
        self.depth = rounded if self._lfsr else depth
        super().__init__(
            {
                "i": In(stream.Signature(shape, always_ready=True)),
                "room": Out(1),
                "empty": Out(1),
                "o": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        # The reader runs ahead: v1 says that the RAM's latch holds an item, v2 that its second one
        # does, where it has one, and o.valid that its output register does. Each moves on when the
        # next place is free.
        m = Module()
        depth = self.depth + 1 if self._lfsr else self.depth
        cycles = self._memories.queue_read_cycles
        m.submodules.ram = ram = self._memories.ram(
            width=Shape.cast(self.shape).width,
            depth=depth,
            place=self._place,
            read_cycles=cycles,
            holds=self._holds,
        )

        latched = [Signal(name=f"v{k + 1}") for k in range(cycles)]
        take_output = Signal()
        take_latch = [Signal(name=name) for name in ("take_latch", "take_pipe")[:cycles]]
        read = Signal()
        first = LFSR_START if self._lfsr else 0
        write_address = Signal(range(depth), init=first)
        read_address = Signal(range(depth), init=first)

        def after(address: Signal) -> Value:
            if self._lfsr:
                return lfsr_next(address)
            return wrapped_increment(address, self.depth)

        # Free places less slack: its sign is `room`. `stored` says that it is below its start.
        start = self.depth - self.slack
        spare = Signal(signed(max(start, self.slack).bit_length() + 1), init=start)
        stored = Signal()
        m.d.comb += [
            self.room.eq(~spare[-1]),
            self.empty.eq(~reduce(or_, [stored, *latched, self.o.valid])),
            take_output.eq(
                latched[-1] & ~self.o.valid if self.lazy else ~self.o.valid | self.o.ready
            ),
            *(
                take.eq(~full | behind)
                for take, full, behind in zip(
                    take_latch, latched, [*take_latch[1:], take_output], strict=True
                )
            ),
            read.eq(take_latch[0] & stored),
        ]
        with m.If(self.i.valid ^ read):
            down = self.i.valid
            m.d.sync += spare.eq(spare + Cat(1, down.replicate(len(spare) - 1)).as_signed())

        with m.If(self.i.valid):
            m.d.sync += stored.eq(1)
        with m.Elif(read):
            m.d.sync += stored.eq(spare != start - 1)

        with m.If(self.i.valid):
            m.d.sync += write_address.eq(after(write_address))
        with m.If(read):
            m.d.sync += read_address.eq(after(read_address))
        for take, full, before in zip(take_latch, latched, [read, *latched], strict=False):
            with m.If(take):
                m.d.sync += full.eq(before)
        with m.If(take_output):
            m.d.sync += self.o.valid.eq(latched[-1])
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        m.d.comb += [
            ram.write_enable.eq(self.i.valid),
            ram.write_address.eq(write_address),
            ram.write_data.eq(self.i.payload),
            ram.read_enable.eq(read),
            ram.read_address.eq(read_address),
            *([ram.pipe_enable.eq(take_latch[1])] if cycles > 1 else []),
            ram.output_enable.eq(take_output),
            Value.cast(self.o.payload).eq(ram.read_data),
        ]
        return m


class FallThroughFifo(Component):
    """A ``Fifo`` whose items take a short cut while nothing waits in it.

    Latency 1 cycle where it is empty, ``detour`` more behind an item that waits; throughput 1
    item per cycle, of a lazy queue an item in 2 cycles where any waits. The way of ``o.ready``
    into the memory ends at a register in any case. Parameters and members as of ``Fifo``.
    """

    latency = 1

    @staticmethod
    def detour_in(memories: Memories) -> int:
        """Cycles that the way through ``memories`` takes longer than the short cut."""
        return Fifo.latency_in(memories) + 1

    def __init__(
        self,
        shape: ShapeLike,
        *,
        capacity: int,
        slack: int,
        lazy: bool = True,
        memories: Memories = SIMULATED,
        holds: str = "",
    ):
        self.lazy = lazy
        self._chip = memories.chip
        inner_slack = integer("slack", slack, 1) + 1
        self.fifo = Fifo(
            shape,
            capacity=capacity,
            slack=inner_slack,
            lazy=lazy,
            memories=memories,
            holds=holds,
        )
        super().__init__(
            {
                "i": In(stream.Signature(shape, always_ready=True)),
                "room": Out(1),
                "o": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.fifo = fifo = self.fifo
        shape = Value.cast(self.o.payload).shape()
        waiting = Signal(shape, reset_less=True)
        leaving = Signal(shape, reset_less=True)
        short_cut, free = Signal(), Signal()
        m.d.comb += [
            self.room.eq(fifo.room),
            free.eq(~self.o.valid | self.o.ready),
            Value.cast(fifo.i.payload).eq(waiting),
            Value.cast(self.o.payload).eq(leaving),
        ]
        m.d.sync += fifo.i.valid.eq(self.i.valid & ~(short_cut & free))
        with clocked(m, self.i.valid, chip=self._chip):
            m.d.sync += waiting.eq(self.i.payload)
        stored: Value = fifo.o.payload
        stands: Value = fifo.o.valid
        if self.lazy:
            m.d.comb += [short_cut.eq(fifo.empty & ~fifo.i.valid), fifo.o.ready.eq(free)]
        else:
            # A place for the item that comes out of the memory while `o` is not taken.
            aside = Signal(shape, reset_less=True)
            occupied = Signal()
            m.d.comb += [
                short_cut.eq(fifo.empty & ~fifo.i.valid & ~occupied),
                fifo.o.ready.eq(~occupied),
            ]
            stored, stands = Mux(occupied, aside, stored), occupied | stands
            m.d.sync += occupied.eq(~free & stands)
            with m.If(~occupied):
                m.d.sync += aside.eq(fifo.o.payload)
        comes = stands | (short_cut & self.i.valid)
        with m.If(free):
            m.d.sync += self.o.valid.eq(comes)
            with clocked(m, comes, chip=self._chip):
                m.d.sync += leaving.eq(Mux(stands, stored, self.i.payload))
        return m
