"""The hardware of BAPS (arXiv 2602.02071).

row beats --> octaves --> running reference --> encoder --+--> code FIFO --> codes
                                                          |
                                                          +--> weight sum --> queue --> row results
"""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from exaq import Baps
from exaq.kernels.baps_golden import HIF8_LIFT
from exaq_hdl.kernels.baps import hif8
from exaq_hdl.kernels.baps.encoder import Encoder
from exaq_hdl.kernels.baps.layouts import check_baps, octaves_of, summed_row
from exaq_hdl.kernels.baps.octaves import Octaves
from exaq_hdl.kernels.baps.running_reference import RunningReference
from exaq_hdl.kernels.baps.weight_sum import WeightSum
from exaq_hdl.kernels.kernel_unit import KernelUnit, hardware_of
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.fifo import Fifo
from exaq_hdl.parts.memory import Memories
from exaq_hdl.shell.ports import Field, Fields, Ports, StreamPort, layout
from exaq_hdl.shell.receiver import Receiver
from exaq_hdl.shell.streams import code_fields, live_lanes, row_fields

# Rows whose results can wait while all their codes leave.
_WAITING = 16
# Beats that stream through the queue of codes without ever holding up the input.
_STREAMING = 4


@hardware_of(Baps)
class BapsUnit(KernelUnit):
    """One pass: codes leave with the reference of their beat, and sums behind the row's end."""

    rows = None
    whole_row = False

    def __init__(self, kernel: Baps, memories: Memories):
        self._kernel = check_baps(kernel)
        self._octaves = Octaves(kernel, memories=memories)
        self._reference = RunningReference(kernel)
        self._encoder = Encoder(kernel)
        self._sum = WeightSum(kernel)
        coded = self._octaves.latency + self._reference.latency + self._encoder.latency
        slack = Receiver.reaction_of(kernel.format) + coded + 1
        self._code_fifo = Fifo(
            layout(self.output(kernel)), capacity=_STREAMING, slack=slack, memories=memories
        )
        self._results = Fifo(
            summed_row(kernel),
            capacity=_WAITING,
            slack=slack + self._sum.latency,
            memories=memories,
        )
        self.beats, self.o = self._octaves.i, self._code_fifo.o
        self.latency = coded + Fifo.latency
        self.hold = 0
        self.results_latency = coded + self._sum.latency + Fifo.latency
        # The queue's two registers hold items too, and `room` is low only when one more is in.
        self.results_waiting = self._results.depth - self._results.slack + 3

    @classmethod
    def ports(cls, kernel: Baps) -> Ports:
        fields = row_fields(kernel.format, sum_bits=kernel.sum_bits, levels=0)
        maximum = Field(
            fields["maximum"].shape, "the row's reference: its ceiled maximum, in octaves"
        )
        total = Field(kernel.sum_bits, "sum of the row's exponentials, relative to its reference")
        return {"row": StreamPort(Out, fields | {"maximum": maximum, "sum": total}, item="row")}

    @classmethod
    def output(cls, kernel: Baps) -> Fields:
        meaning = "what the codes of the beat are relative to, in octaves, signed"
        fields = code_fields(kernel.format, kernel.bits)
        return fields | {"reference": Field(kernel.reference_bits, meaning)}

    @property
    def room(self) -> Any:
        return self._code_fifo.room & self._results.room

    @property
    def blocks(self) -> dict[str, Component]:
        return {
            "octaves": self._octaves,
            "reference": self._reference,
            "encoder": self._encoder,
            "code_fifo": self._code_fifo,
            "weight_sum": self._sum,
            "results": self._results,
        }

    def connect(self, m: Module, unit: Component) -> None:
        kernel, encoder = self._kernel, self._encoder
        wiring.connect(m, self._octaves.o, self._reference.i)
        wiring.connect(m, self._reference.o, encoder.i)
        beat, given = encoder.o.payload, self._code_fifo.i.payload
        m.d.comb += [
            self._sum.i.valid.eq(encoder.o.valid),
            self._sum.i.payload.eq(beat),
            self._code_fifo.i.valid.eq(encoder.o.valid),
            given.live.eq(live_lanes(kernel.format, beat)),
            given.tail.eq(beat.tail),
            given.last.eq(beat.last),
            given.reference.eq(octaves_of(kernel, beat.reference)),
        ]
        for lane in range(kernel.format.lanes):
            code = beat.codes[lane]
            code = hif8.bits(code, HIF8_LIFT) if kernel.code_format == "hif8" else code
            m.d.comb += given.codes[lane].eq(code)
        wiring.connect(m, self._sum.o, self._results.i)
        found: Any = self._results.o
        row: Any = unit.row
        m.d.comb += [
            row.valid.eq(found.valid),
            found.ready.eq(row.ready),
            row.payload.maximum.eq(found.payload.reference),
            row.payload.sum.eq(found.payload.sum),
            row.payload.error.eq(found.payload.error),
        ]
