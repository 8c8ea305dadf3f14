"""The hardware of Softermax, in one pass over the logits.

row beats --> octaves --> running reference --> power of two --+--> store ----------> emitter --> o
                                                               |                         ^
                                                               +--> row sum -------> reciprocal

What is stored of an element is its exponential, relative to the reference of its beat: t would be
as few bits, but from it the exponential would have to be made a second time, and the pieces and the
shift are most of what a lane costs. What a row's reference rose by since then is made up for in the
reciprocal, once a beat.
"""

from amaranth.hdl import Module
from amaranth.lib import wiring

from exaq import Softermax
from exaq_hdl.kernels.kernel_unit import KernelUnit, hardware_of
from exaq_hdl.kernels.online.octaves import Octaves
from exaq_hdl.kernels.online.running_reference import RunningReference
from exaq_hdl.kernels.online.waiting_rows import WaitingRows
from exaq_hdl.kernels.softermax.power_of_two import PowerOfTwo
from exaq_hdl.kernels.softermax.row_reciprocal import RowReciprocal
from exaq_hdl.kernels.softermax.row_sum import RowSum
from exaq_hdl.kernels.softermax.softermax_emitter import SoftermaxEmitter
from exaq_hdl.kernels.softermax.softermax_layouts import (
    EARLY,
    check_softermax,
    exponential_beat,
    summed_row,
)
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import Memories
from exaq_hdl.shell.receiver import Receiver


@hardware_of(Softermax)
class SoftermaxUnit(KernelUnit):
    """Exponentials and their sum as beats come; a reciprocal and products behind the row."""

    rows = None

    def __init__(self, kernel: Softermax, memories: Memories):
        self._kernel = check_softermax(kernel)
        self._octaves = Octaves(kernel, early=EARLY, memories=memories)
        self._reference = RunningReference(kernel, early=EARLY)
        self._power = PowerOfTwo(kernel, memories=memories)
        self._sum = RowSum(kernel)
        self._reciprocal = RowReciprocal(kernel)
        self._emitter = SoftermaxEmitter(kernel)
        known = self._octaves.latency + self._reference.latency + self._power.latency
        self._waiting = waiting = WaitingRows(
            kernel.format,
            exponential_beat(kernel),
            summed_row(kernel),
            slack=Receiver.reaction_of(kernel.format) + known + 1,
            sum_latency=self._sum.latency,
            behind=self._reciprocal.latency + self._emitter.latency,
            memories=memories,
        )
        self.beats, self.o, self.room = self._octaves.i, self._emitter.o, waiting.room
        self.latency = self.hold = known + waiting.latency

    @property
    def blocks(self) -> dict[str, Component]:
        return {
            "octaves": self._octaves,
            "reference": self._reference,
            "power_of_two": self._power,
            "store": self._waiting.beats,
            "row_sum": self._sum,
            "sum_queue": self._waiting.sums,
            "reciprocal": self._reciprocal,
            "emitter": self._emitter,
        }

    def connect(self, m: Module, unit: Component) -> None:
        wiring.connect(m, self._octaves.o, self._reference.i)
        wiring.connect(m, self._reference.o, self._power.i)
        power = self._power.o
        for taker in (self._sum.i, self._waiting.beats.i):
            m.d.comb += [taker.valid.eq(power.valid), taker.payload.eq(power.payload)]
        wiring.connect(m, self._sum.o, self._waiting.sums.i)
        wiring.connect(m, self._waiting.sums.o, self._reciprocal.i)
        wiring.connect(m, self._reciprocal.o, self._emitter.row)
        wiring.connect(m, self._waiting.beats.o, self._emitter.i)
