"""How a row's beats get from the receiver to the kernel: behind its maximum, or as they come."""

from abc import ABC, abstractmethod
from typing import Any

from amaranth.hdl import Const, Module, Value
from amaranth.lib import wiring

from exaq import StreamFormat
from exaq_hdl.kernels.kernel_unit import ClosedRow, KernelUnit
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.fifo import FallThroughFifo
from exaq_hdl.parts.memory import Memories
from exaq_hdl.parts.single_port_fifo import row_queue, row_queue_latency
from exaq_hdl.shell.receiver import Receiver
from exaq_hdl.shell.row_max import RowMax
from exaq_hdl.shell.row_reports import known_context
from exaq_hdl.shell.streams import item, row_beat, with_fields


class Arrival(ABC):
    """What stands between the receiver and a kernel.

    Members
    -------
    room : whether the receiver may take another beat
    latency : cycles from a beat taken until the kernel takes it, of a row's last beat
    rows : rows that can be between their last beat in and the kernel
    blocks : the blocks, by name
    """

    room: Value
    latency: int
    rows: int
    blocks: dict[str, Component]

    @abstractmethod
    def connect(self, m: Module) -> None:
        """Join the blocks in the module ``m`` that has them and the receiver."""


class BehindMaximum(Arrival):
    """Two passes: a row's beats wait in a buffer until its maximum is known."""

    def __init__(
        self, format: StreamFormat, receiver: Receiver, kernel: KernelUnit, memories: Memories
    ):
        self._format, self._receiver, self._kernel = format, receiver, kernel
        self.row_max = RowMax(
            format,
            least=kernel.least_maximum,
            head_start=row_queue_latency(memories) - FallThroughFifo.latency,
        )
        # A row waits in the row buffer for its maximum while its followers go on arriving.
        find_max = self.row_max.latency + FallThroughFifo.latency + kernel.prepare
        # Where rows can be that short, a maximum can meet another one in its queue at full rate.
        longer = FallThroughFifo.detour_in(memories)
        short_rows = format.full_rate_beats <= longer
        detour = longer if short_rows else 0
        self.row_buffer = row_queue(
            row_beat(format),
            capacity=format.beats + find_max + detour,
            slack=receiver.reaction + 1,
            memories=memories,
            holds="beats of rows whose maximum is not known yet",
        )
        self.max_queue = FallThroughFifo(
            with_fields("maximum", format.logit_width, kernel.row_fields),
            capacity=format.rows_within(kernel.hold + detour),
            slack=receiver.reaction + self.row_max.latency + 1,
            lazy=not short_rows,
            memories=memories,
            holds="maxima of rows",
        )
        self.latency = receiver.latency + find_max
        self.rows = self.max_queue.fifo.depth
        self.room = self.row_buffer.room & self.max_queue.room
        self.blocks = {
            "row_max": self.row_max,
            "row_buffer": self.row_buffer,
            "max_queue": self.max_queue,
        }

    def connect(self, m: Module) -> None:
        receiver, kernel = self._receiver, self._kernel
        closed = receiver.o.payload
        wiring.connect(m, receiver.o, self.row_buffer.i)
        m.d.comb += [
            self.row_max.i.valid.eq(receiver.o.valid),
            self.row_max.i.payload.eq(closed),
        ]
        several = bool(self._format.context_bits)
        row = ClosedRow(
            last=receiver.o.valid & closed.last,
            since_taken=receiver.latency,
            context=known_context(self._format, receiver) if several else Const(0),
            numbered=receiver.context if several else Const(0),
            maximum_latency=self.row_max.latency,
        )
        maximum: Any = self.max_queue.i.payload
        values = kernel.row_values(m, row)
        m.d.comb += [
            self.max_queue.i.valid.eq(self.row_max.o.valid),
            item(maximum, "maximum").eq(self.row_max.o.payload),
            *(maximum[name].eq(value) for name, value in values.items()),
        ]
        wiring.connect(m, self.max_queue.o, kernel.rows)
        wiring.connect(m, self.row_buffer.o, kernel.beats)


class AsTheyCome(Arrival):
    """One pass: the kernel takes every beat when the receiver has it."""

    def __init__(self, receiver: Receiver, kernel: KernelUnit):
        self._receiver, self._kernel = receiver, kernel
        self.latency, self.rows, self.blocks = receiver.latency, 1, {}
        self.room = kernel.room

    def connect(self, m: Module) -> None:
        wiring.connect(m, self._receiver.o, self._kernel.beats)


def arrival_at(
    kernel: KernelUnit, format: StreamFormat, receiver: Receiver, memories: Memories
) -> Arrival:
    """What ``kernel`` needs in front of it."""
    if kernel.rows is None:
        return AsTheyCome(receiver, kernel)
    return BehindMaximum(format, receiver, kernel, memories)
