"""The hardware of EXAQ (arXiv 2410.03185).

row beats --> quantizer --+--> output (codes wait) ------> probabilities
                 ^        |         ^
maximum ---------+        +--> normalisation (a row's p-table)
"""

from typing import Any

from amaranth.hdl import Module, Value

from exaq import Exaq
from exaq_hdl.kernels.exaq.emitters.emitter import emitter_of
from exaq_hdl.kernels.exaq.kernel_checks import check_exaq
from exaq_hdl.kernels.exaq.normalisation import Normalisation
from exaq_hdl.kernels.exaq.output import Output
from exaq_hdl.kernels.exaq.quantizer import Quantizer
from exaq_hdl.kernels.exaq.tables.provider import tables_of
from exaq_hdl.kernels.kernel_unit import ClosedRow, KernelUnit, hardware_of
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import Memories
from exaq_hdl.shell.loads import LOAD_PORTS
from exaq_hdl.shell.ports import Ports


@hardware_of(Exaq)
class ExaqUnit(KernelUnit):
    """Codes relative to the row's maximum, LUT_sum, K divisions a row, a lookup a lane.

    With contexts, tables can be loaded at any time; see ``LoadedTables``.
    """

    def __init__(self, kernel: Exaq, memories: Memories):
        self._kernel = check_exaq(kernel)
        self.tables = tables = tables_of(kernel, memories)
        self._quantizer = Quantizer(kernel, tables.thresholds())
        emitter = emitter_of(kernel, memories)
        self._normalisation = Normalisation(
            kernel, tables, behind=emitter.latency, memories=memories
        )
        self._output = Output(
            kernel, emitter, make_table=self._normalisation.latency, memories=memories
        )
        self.beats, self.o = self._quantizer.i, self._output.o
        self.rows = tables.rows(self._quantizer.row)
        self.prepare = tables.prepare
        self.hold = self._output.hold
        self.latency = Quantizer.latency + self.hold
        self.row_fields = tables.row_fields
        self.boot_cycles = tables.boot_cycles

    @classmethod
    def ports(cls, kernel: Exaq) -> Ports:
        return LOAD_PORTS if kernel.format.contexts else {}

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
            "code_fifo": output.code_fifo,
            "accumulator": normalisation.accumulator,
            "sum_queue": normalisation.sum_queue,
            "normalizer": normalisation.normalizer,
            "emitter": output.emitter,
            **self.tables.blocks,
            **normalisation.sum_tables,
        }

    def connect(self, m: Module, unit: Component) -> None:
        codes = self._quantizer.o
        self.tables.connect(m, unit, self._normalisation)
        self._output.connect(m, codes, self._normalisation.o)
        m.d.comb += self._quantizer.room.eq(self._output.room & self._normalisation.room)
        self._normalisation.connect(m, codes)

    def manifest(self) -> dict[str, Any]:
        tables = self._kernel.tables
        return {
            "tables": {
                "thresholds": list(tables.thresholds),
                "exp_rom": list(tables.exp_rom),
                "sum_rom": tables.sum_rom(self._kernel.group).tolist(),
            },
            "loads": self.tables.manifest(),
        }
