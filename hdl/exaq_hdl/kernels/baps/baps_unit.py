"""The hardware of BAPS (arXiv 2602.02071), in one pass over the logits.

row beats --> octaves --> running reference --> encoder --+--> code FIFO --> codes
                                                          |
                                                          +--> shifting sum --> row results

A unit that gives probabilities has a normalizer behind the queue, and an emitter behind a FIFO that
keeps a row's codes until its sum is known.
"""

from abc import ABC, abstractmethod
from typing import Any

from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from exaq import Baps
from exaq.kernels.baps_golden import HIF8_LIFT
from exaq_hdl.kernels.baps import hif8
from exaq_hdl.kernels.baps.baps_emitter import BapsEmitter
from exaq_hdl.kernels.baps.baps_layouts import (
    check_baps,
    division_of,
    octaves_of,
    result_row,
    stored_beat,
)
from exaq_hdl.kernels.baps.encoder import Encoder
from exaq_hdl.kernels.baps.float_normalizer import FloatNormalizer
from exaq_hdl.kernels.baps.mantissa_reader import MantissaReader
from exaq_hdl.kernels.baps.shifting_sum import ShiftingSum
from exaq_hdl.kernels.division.normalizer import Normalizer
from exaq_hdl.kernels.kernel_unit import KernelUnit, hardware_of
from exaq_hdl.kernels.online.octaves import Octaves
from exaq_hdl.kernels.online.online_layouts import summed_row
from exaq_hdl.kernels.online.running_reference import RunningReference
from exaq_hdl.kernels.online.waiting_rows import WaitingRows
from exaq_hdl.parts.component import Component, Stream
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
    """One pass: codes leave with the reference of their beat and the sums behind the row's end, or
    probabilities once the sum is known.
    """

    rows = None

    def __init__(self, kernel: Baps, memories: Memories):
        self._kernel = check_baps(kernel)
        self._octaves = Octaves(kernel, memories=memories)
        self._reference = RunningReference(kernel)
        self._encoder = Encoder(kernel)
        self._sum = ShiftingSum(kernel)
        coded = self._octaves.latency + self._reference.latency + self._encoder.latency
        #: Cycles from a look at ``room`` to the beat behind the encoder that follows from it.
        reaction = Receiver.reaction_of(kernel.format) + coded
        kind = _Codes if kernel.format.output == "codes" else _Probabilities
        self._output = output = kind(kernel, reaction + 1, self._sum.latency, memories)
        self.beats, self.o, self.room = self._octaves.i, output.o, output.room
        self.whole_row = output.whole_row
        self.latency = coded + output.latency
        self.hold = self.latency
        self.results_latency = coded + output.results_latency
        self.results_waiting = output.results_waiting

    @classmethod
    def ports(cls, kernel: Baps) -> Ports:
        if kernel.format.output != "codes":
            return {}
        fields = row_fields(kernel.format, sum_bits=kernel.sum_bits, levels=0)
        maximum = Field(
            fields["maximum"].shape, "the row's reference: its ceiled maximum, in octaves"
        )
        total = Field(kernel.sum_bits, "sum of the row's exponentials, relative to its reference")
        return {"row": StreamPort(Out, fields | {"maximum": maximum, "sum": total}, item="row")}

    @classmethod
    def output(cls, kernel: Baps) -> Fields:
        if kernel.format.output != "codes":
            return super().output(kernel)
        meaning = "what the codes of the beat are relative to, in octaves, signed"
        fields = code_fields(kernel.format, kernel.bits)
        return fields | {"reference": Field(kernel.reference_bits, meaning)}

    @property
    def blocks(self) -> dict[str, Component]:
        return {
            "octaves": self._octaves,
            "reference": self._reference,
            "encoder": self._encoder,
            "shifting_sum": self._sum,
            **self._output.blocks,
        }

    def connect(self, m: Module, unit: Component) -> None:
        wiring.connect(m, self._octaves.o, self._reference.i)
        wiring.connect(m, self._reference.o, self._encoder.i)
        coded = self._encoder.o
        m.d.comb += [
            self._sum.i.valid.eq(coded.valid),
            self._sum.i.payload.eq(coded.payload),
        ]
        self._output.connect(m, coded, self._sum.o, unit)


class _Output(ABC):
    """What stands behind the codes and the sums.

    Members
    -------
    room : whether a further beat of codes, and a further row's sum, fit
    o : what leaves
    whole_row, results_waiting : as of ``KernelUnit``
    latency, results_latency : cycles from a beat of codes, or from the row's last one
    blocks : the blocks, by name
    """

    room: Value
    o: Stream
    whole_row: bool
    latency: int
    results_latency: int = 0
    results_waiting: int = 0
    blocks: dict[str, Component]

    @abstractmethod
    def connect(self, m: Module, coded: Stream, sums: Stream, unit: Any) -> None:
        """Join the blocks, behind streams of coded_beat and of summed_row."""


class _Codes(_Output):
    """Codes as they come, and the row results."""

    whole_row = False

    def __init__(self, kernel: Baps, slack: int, sum_latency: int, memories: Memories):
        self._kernel = kernel
        self._code_fifo = codes = Fifo(
            layout(BapsUnit.output(kernel)),
            capacity=_STREAMING,
            slack=slack,
            memories=memories,
            holds="beats of codes",
        )
        self._results = results = Fifo(
            result_row(kernel),
            capacity=_WAITING,
            slack=slack + sum_latency,
            memories=memories,
            holds="results of rows",
        )
        self.blocks = {"code_fifo": codes, "results": results}
        self.room, self.o = codes.room & results.room, codes.o
        self.latency = codes.latency
        self.results_latency = sum_latency + results.latency
        # The registers behind the queue's memory hold items too, and `room` is low only when one
        # more is in.
        self.results_waiting = results.depth - results.slack + results.latency

    def connect(self, m: Module, coded: Stream, sums: Stream, unit: Any) -> None:
        kernel, beat, given = self._kernel, coded.payload, self._code_fifo.i.payload
        m.d.comb += [
            self._code_fifo.i.valid.eq(coded.valid),
            given.live.eq(live_lanes(kernel.format, beat)),
            given.tail.eq(beat.tail),
            given.last.eq(beat.last),
            given.reference.eq(octaves_of(kernel, beat.reference)),
        ]
        for lane in range(kernel.format.lanes):
            code = beat.codes[lane]
            code = hif8.bits(code, HIF8_LIFT) if kernel.code_format == "hif8" else code
            m.d.comb += given.codes[lane].eq(code)
        kept: Any = self._results.i.payload
        found, row = self._results.o, unit.row
        m.d.comb += [
            self._results.i.valid.eq(sums.valid),
            kept.sum.eq(sums.payload.sum),
            kept.error.eq(sums.payload.error),
            kept.reference.eq(octaves_of(kernel, sums.payload.reference)),
            row.valid.eq(found.valid),
            found.ready.eq(row.ready),
            row.payload.maximum.eq(found.payload.reference),
            row.payload.sum.eq(found.payload.sum),
            row.payload.error.eq(found.payload.error),
        ]


class _Probabilities(_Output):
    """Codes that wait for their row's sum, and become probabilities then."""

    whole_row = True

    def __init__(self, kernel: Baps, slack: int, sum_latency: int, memories: Memories):
        self._kernel = kernel
        self._emitter = BapsEmitter(kernel)
        self._normalizer: FloatNormalizer | Normalizer
        if kernel.probability_format == "float":
            self._normalizer = FloatNormalizer(kernel, memories=memories)
        else:
            self._normalizer = Normalizer(division_of(kernel), MantissaReader, chip=memories.chip)
        waiting = WaitingRows(
            kernel.format,
            stored_beat(kernel),
            summed_row(kernel),
            slack=slack,
            sum_latency=sum_latency,
            behind=self._normalizer.latency + self._emitter.latency,
            memories=memories,
        )
        self._store, self._sums = waiting.beats, waiting.sums
        self.latency, self.room, self.o = waiting.latency, waiting.room, self._emitter.o
        self.blocks = {
            "store": self._store,
            "sum_queue": self._sums,
            "normalizer": self._normalizer,
            "emitter": self._emitter,
        }

    def connect(self, m: Module, coded: Stream, sums: Stream, unit: Any) -> None:
        beat: Any = coded.payload
        stored: Any = self._store.i.payload
        m.d.comb += self._store.i.valid.eq(coded.valid)
        m.d.comb += [stored[name].eq(beat[name]) for name, _ in stored_beat(self._kernel)]
        wiring.connect(m, sums, self._sums.i)
        wiring.connect(m, self._store.o, self._emitter.i)
        wiring.connect(m, self._normalizer.o, self._emitter.table)
        if isinstance(self._normalizer, FloatNormalizer):
            wiring.connect(m, self._sums.o, self._normalizer.i)
            return
        row: Any = self._sums.o
        taken = self._normalizer.i
        m.d.comb += [
            taken.valid.eq(row.valid),
            row.ready.eq(taken.ready),
            taken.payload.complement.eq(~row.payload.sum),
            taken.payload.reference.eq(row.payload.reference),
        ]
