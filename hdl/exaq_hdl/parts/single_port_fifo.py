"""A FIFO over a memory that either reads or writes in a cycle, two items a word."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq.scalars import integer
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.counters import wrapped_increment
from exaq_hdl.parts.fifo import Fifo
from exaq_hdl.parts.memory import SIMULATED, Memories


class SinglePortFifo(Component):
    """Queue between a free-running producer and a stream consumer; a ``Fifo`` with one port less.

    A word of its memory is two items, so that a cycle that writes is followed by one that may
    read. Latency at most 4 cycles from ``i`` to ``o``, 5 in memories that take 2 cycles to read,
    and 2 for an item before which nothing waits; throughput 1 item per cycle, whatever the pattern
    in which items come. In memories that take 2 cycles to read, a cycle passes without an item
    where one waited for its partner until all before it had left the memory. ``i`` never refuses:
    the producer watches ``room`` instead, which is high while ``slack`` further items fit, those
    already on their way included. Back-pressure on ``o`` holds its payload.

    Parameters
    ----------
    shape, capacity, slack, memories, holds
        As of ``Fifo``.

    Members
    -------
    i : stream, always ready
    room : high while the producer may send
    o : stream
    """

    #: In memories that take a cycle to read.
    latency = 4

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
        memories: Memories = SIMULATED,
        holds: str = "",
    ):
        if not Shape.cast(shape).width:
            raise ValueError(f"shape must have at least one bit, not {shape!r}")
        self.shape = shape
        self._memories = memories
        self._holds = holds
        self.slack = slack = integer("slack", slack, 1)
        # Of `slack` items every second one completes a word, and the first one may be such.
        self._reserve = (slack + 1) // 2
        self.words = max(2, integer("capacity", capacity, 1) // 2 + self._reserve)
        self.latency = self.latency_in(memories)
        super().__init__(
            {
                "i": In(stream.Signature(shape, always_ready=True)),
                "room": Out(1),
                "o": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        # An item waits in `half` for its partner; both are written at once. A pair that is read
        # stands in the memory's latch, which `left` counts down. Behind it `aside` has a place for
        # one item, so that a pair may be read a cycle before it is wanted: the one cycle in two
        # that writes delays no item that way.
        m = Module()
        shape = Shape.cast(self.shape)
        width = shape.width
        m.submodules.ram = ram = self._memories.single_port_ram(
            width=2 * width,
            depth=self.words,
            read_cycles=self._memories.queue_read_cycles,
            holds=f"{self._holds}, two a word",
        )

        half = Signal(width, reset_less=True)
        waits = Signal()
        write, read, direct = Signal(), Signal(), Signal()
        write_address, read_address = Signal(range(self.words)), Signal(range(self.words))
        m.d.comb += [
            write.eq(self.i.valid & waits & ~direct),
            ram.enable.eq(write | read),
            ram.write.eq(write),
            ram.address.eq(Mux(write, write_address, read_address)),
            ram.write_data.eq(Cat(half, self.i.payload)),
        ]
        with m.If(self.i.valid):
            m.d.sync += half.eq(self.i.payload)
        m.d.sync += waits.eq(Mux(self.i.valid, ~waits | direct, waits & ~direct))

        # Free words less those in reserve: its sign is `room`.
        start = self.words - self._reserve
        spare = Signal(Shape(max(start, self._reserve).bit_length() + 1, signed=True), init=start)
        stored = Signal()
        m.d.comb += self.room.eq(~spare[-1])
        with m.If(write):
            m.d.sync += [
                spare.eq(spare - 1),
                stored.eq(1),
                write_address.eq(wrapped_increment(write_address, self.words)),
            ]
        with m.Elif(read):
            m.d.sync += [
                spare.eq(spare + 1),
                stored.eq(spare != start - 1),
                read_address.eq(wrapped_increment(read_address, self.words)),
            ]

        # From the latch by way of `aside` to the output.
        left = Signal(range(3))
        aside = Signal(width, reset_less=True)
        occupied, take, drained = Signal(), Signal(), Signal()
        moves, passes = Signal(), Signal()
        later: Value = ram.read_data[width:]
        sooner = Mux(left[1], ram.read_data[:width], later)
        out = Signal(width, reset_less=True)
        nothing = ~occupied & (left == 0)
        # A pair read is in the latch in the next cycle, or in a first latch, which waits for it.
        comes: Value = read
        room: Value = drained
        on_its_way: Value = Const(0)
        if self._memories.queue_read_cycles > 1:
            on_its_way = first = Signal()
            comes = first & drained
            room = ~first | drained
            m.d.comb += ram.pipe_enable.eq(comes)
            with m.If(room):
                m.d.sync += first.eq(read)
        m.d.comb += [
            take.eq(~self.o.valid | self.o.ready),
            moves.eq(take | ~occupied),
            passes.eq(take & ~occupied & (left != 0)),
            direct.eq(waits & ~stored & ~on_its_way & moves & ((left == 0) | (passes & ~left[1]))),
            drained.eq((left == 0) | Mux(left[1], passes, moves)),
            read.eq(stored & ~write & room),
            Value.cast(self.o.payload).eq(out),
        ]
        with m.If(take):
            m.d.sync += [
                self.o.valid.eq(~nothing | direct),
                out.eq(Mux(occupied, aside, Mux(left == 0, half, sooner))),
            ]
        # What goes aside: the latch's next item, after the one that leaves where that is from it;
        # else the one that waits for a partner.
        with m.If(moves):
            m.d.sync += [
                occupied.eq(Mux(passes, left[1], left != 0) | (direct & ~(nothing & take))),
                aside.eq(Mux(direct, half, Mux(passes, later, sooner))),
            ]
        with m.If(comes):
            m.d.sync += left.eq(2)
        with m.Elif(moves):
            m.d.sync += left.eq(Mux(left[1], ~passes, 0))
        return m


def row_queue(
    shape: ShapeLike, *, capacity: int, slack: int, memories: Memories, holds: str
) -> Fifo | SinglePortFifo:
    """A large queue, as ``memories`` has them."""
    kind = SinglePortFifo if memories.single_port else Fifo
    return kind(shape, capacity=capacity, slack=slack, memories=memories, holds=holds)


def row_queue_latency(memories: Memories) -> int:
    """The latency of a ``row_queue``."""
    return (SinglePortFifo if memories.single_port else Fifo).latency_in(memories)
