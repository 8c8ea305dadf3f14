"""The hardware of every kernel of two passes."""

from typing import Any, ClassVar

from amaranth.hdl import Module
from amaranth.lib import wiring

from exaq_hdl.kernels.kernel_unit import KernelUnit
from exaq_hdl.kernels.weighted.datapath import Datapath
from exaq_hdl.kernels.weighted.weigher import Weigher
from exaq_hdl.kernels.weighted.weight_sum import WeightSum
from exaq_hdl.kernels.weighted.weighted_emitter import WeightedEmitter
from exaq_hdl.kernels.weighted.weighted_layouts import stored_beat
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.fifo import Fifo
from exaq_hdl.parts.memory import Memories
from exaq_hdl.parts.single_port_fifo import row_queue


class WeightedUnit(KernelUnit):
    """Weigher, store, sum, finisher and emitter, for the datapath of a kernel.

    Rows of ``full_rate_row`` and more stream at a beat a cycle: the finisher's period is at most
    ``kernel.finish_period(format)``, which is what the least ``full_rate_row`` follows from.
    A subclass names its ``datapath_type`` and is registered by ``hardware_of``.
    """

    #: The kernel's Datapath, made from the kernel.
    datapath_type: ClassVar[type[Datapath]]

    whole_row = True

    def __init__(self, kernel: Any, memories: Memories):
        datapath = self.datapath_type(kernel)
        datapath.memories = memories
        self._weigher = weigher = Weigher(datapath, memories=memories)
        self._sum = WeightSum(datapath)
        self._finisher: Any = datapath.finisher()
        self._emitter = WeightedEmitter(datapath, memories=memories)
        find_item = self._sum.latency + Fifo.latency_in(memories) + self._finisher.latency
        self.hold = find_item + self._emitter.latency
        self.latency = weigher.latency + self.hold
        self._sum_queue = Fifo(
            kernel.sum_bits,
            capacity=kernel.format.rows_within(self.hold),
            slack=weigher.reaction + self._sum.latency + 1,
            lazy=True,
            memories=memories,
            holds="sums of rows",
        )
        # A row waits for its item while its followers go on arriving.
        self._store = row_queue(
            stored_beat(kernel),
            capacity=kernel.format.beats + self.hold,
            slack=weigher.reaction + 1,
            memories=memories,
            holds="numerators of rows whose sum is not known yet",
        )
        self.beats, self.rows, self.o = weigher.i, weigher.maximum, self._emitter.o

    @property
    def blocks(self) -> dict[str, Component]:
        return {
            "weigher": self._weigher,
            "store": self._store,
            "weight_sum": self._sum,
            "sum_queue": self._sum_queue,
            "finisher": self._finisher,
            "emitter": self._emitter,
        }

    def connect(self, m: Module, unit: Component) -> None:
        wiring.connect(m, self._weigher.stored, self._store.i)
        wiring.connect(m, self._weigher.weights, self._sum.i)
        wiring.connect(m, self._sum.o, self._sum_queue.i)
        wiring.connect(m, self._sum_queue.o, self._finisher.i)
        wiring.connect(m, self._finisher.o, self._emitter.row)
        wiring.connect(m, self._store.o, self._emitter.i)
        m.d.comb += self._weigher.room.eq(self._store.room & self._sum_queue.room)
