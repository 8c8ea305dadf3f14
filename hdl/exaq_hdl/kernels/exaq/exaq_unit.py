"""The hardware of EXAQ (arXiv 2410.03185).

row beats --> quantizer --+--> output (codes wait) ------> probabilities
                 ^        |         ^
maximum ---------+        +--> normalisation (a row's p-table)

A unit that gives codes has no such output: they leave as they are. With row results a reporter
collects the words of a row's p-table; a unit without tables gives the sums as they are.
"""

from typing import Any

from amaranth.hdl import Module, Value
from amaranth.lib.wiring import Out

from exaq import Exaq
from exaq_hdl.kernels.exaq.code_output import CodeOutput
from exaq_hdl.kernels.exaq.emitters.emitter import emitter_of
from exaq_hdl.kernels.exaq.kernel_checks import check_exaq
from exaq_hdl.kernels.exaq.normalisation import Normalisation
from exaq_hdl.kernels.exaq.output import Output
from exaq_hdl.kernels.exaq.quantizer import Quantizer
from exaq_hdl.kernels.exaq.row_reporter import RowReporter
from exaq_hdl.kernels.exaq.tables.provider import tables_of
from exaq_hdl.kernels.kernel_unit import ClosedRow, KernelUnit, hardware_of
from exaq_hdl.parts.assembly import share
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import Memories
from exaq_hdl.shell.loads import load_ports
from exaq_hdl.shell.ports import Fields, Ports, StreamPort
from exaq_hdl.shell.streams import code_fields, context_fields, row_fields


@hardware_of(Exaq)
class ExaqUnit(KernelUnit):
    """Codes relative to the row's maximum, LUT_sum, K divisions a row, a lookup a lane.

    A unit that gives codes has no multiplexers, and divides only where its row results have
    tables.

    With contexts, tables can be loaded at any time; see ``LoadedTables``.
    """

    def __init__(self, kernel: Exaq, memories: Memories):
        self._kernel = check_exaq(kernel)
        self.tables = tables = tables_of(kernel, memories)
        self._quantizer = quantizer = Quantizer(kernel, tables.thresholds())
        codes = kernel.format.output == "codes"
        emitter = None if codes else emitter_of(kernel, memories)
        self._normalisation = normalisation = Normalisation(
            kernel,
            tables,
            reaction=quantizer.reaction,
            behind=None if emitter is None else emitter.latency,
            memories=memories,
        )
        self._output: Output | CodeOutput
        if emitter is None:
            self._output = CodeOutput(kernel)
        else:
            self._output = Output(
                kernel,
                emitter,
                reaction=quantizer.reaction,
                make_table=normalisation.latency,
                memories=memories,
            )
        self.whole_row = self._output.whole_row
        divides = kernel.format.gives_probabilities
        reports = kernel.format.row_results != "none"
        self._reporter = RowReporter(kernel) if reports and divides else None
        self.beats, self.o = self._quantizer.i, self._output.o
        self.rows = tables.rows(self._quantizer.row)
        self.prepare = tables.prepare
        self.hold = self._output.hold
        self.latency = quantizer.latency + self.hold
        if reports:
            self.results_latency = quantizer.latency + normalisation.latency
            self.results_latency += RowReporter.latency if self._reporter else 0
            self.results_waiting = normalisation.waiting if codes else 1
        self.row_fields = tables.row_fields
        self.least_maximum = tables.least_maximum
        self.boot_cycles = tables.boot_cycles

    @classmethod
    def ports(cls, kernel: Exaq) -> Ports:
        results = kernel.format.row_results != "none"
        fields = row_fields(kernel.format, sum_bits=kernel.sum_bits, levels=kernel.levels)
        row: Ports = {"row": StreamPort(Out, fields, item="row")} if results else {}
        return {**row, **(load_ports(kernel.format) if kernel.format.contexts else {})}

    @classmethod
    def output(cls, kernel: Exaq) -> Fields:
        if kernel.format.output == "codes":
            return code_fields(kernel.format, kernel.bits)
        return super().output(kernel)

    def expect_rows(self, rows: int) -> None:
        self.tables.expect_rows(rows + self._normalisation.sum_queue.depth)

    def row_values(self, m: Module, row: ClosedRow) -> dict[str, Value]:
        return self.tables.row_values(m, row)

    def admit(self, room: Value) -> Value:
        return self.tables.admit(room)

    @property
    def empty_row(self) -> Value:
        return self._normalisation.empty_row

    @property
    def blocks(self) -> dict[str, Component]:
        output, normalisation = self._output, self._normalisation
        return {
            "quantizer": self._quantizer,
            **output.blocks_before,
            **normalisation.blocks,
            **output.blocks_behind,
            **({"row_reporter": self._reporter} if self._reporter else {}),
            **self.tables.blocks,
            **normalisation.sum_tables,
        }

    def connect(self, m: Module, unit: Component) -> None:
        codes = self._quantizer.o
        self.tables.connect(m, unit, self._normalisation)
        self._output.connect(m, codes)
        takers = [self._output.tables, self._reporter.i if self._reporter else None]
        share(m, self._normalisation.o, [taker for taker in takers if taker is not None])
        if self._kernel.format.row_results != "none":
            self._give_results(m, unit)
        m.d.comb += self._quantizer.room.eq(self._output.room & self._normalisation.room)
        self._normalisation.connect(m, codes)

    def _give_results(self, m: Module, unit: Any) -> None:
        format = self._kernel.format
        results: Any = self._reporter.o if self._reporter else self._normalisation.o
        found, given = results.payload, unit.row.payload
        m.d.comb += [unit.row.valid.eq(results.valid), results.ready.eq(unit.row.ready)]
        for name in ("maximum", "sum", "error", *context_fields(format)):
            m.d.comb += given[name].eq(found[name])
        if format.row_results == "table":
            m.d.comb += given.probabilities.eq(found.table)

    def manifest(self) -> dict[str, Any]:
        tables, sinks = self._kernel.tables, self._kernel.sinks
        return {
            "tables": {
                "thresholds": list(tables.thresholds),
                "exp_rom": list(tables.exp_rom),
                "sum_rom": tables.sum_rom(self._kernel.group).tolist(),
            },
            **({"sinks": list(sinks)} if sinks else {}),
            "loads": self.tables.manifest(),
        }
