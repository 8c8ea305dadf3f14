"""P-tables in distributed RAM: the FPGA's small memories, read without a clock."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from exaq import Exaq
from exaq_hdl.kernels.exaq.emitters.emitter import Emitter
from exaq_hdl.kernels.exaq.emitters.two_tables import TwoTables, live_code
from exaq_hdl.kernels.exaq.kernel_checks import check_exaq
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.shell.streams import probability_beat


class DistributedEmitter(Emitter):
    """An emitter with its p-tables in distributed RAM, a memory for each lane.

    Dead lanes get 0 by the synchronous reset of their output registers. Latency 1 cycle from
    beat to beat; otherwise as ``Emitter``.
    """

    latency = 3

    def __init__(self, kernel: Exaq, *, memories: Memories = SIMULATED):
        self._memories = memories
        super().__init__(kernel, live_code(check_exaq(kernel)))

    def coded(self, code: Value, live: Value) -> Mapping[str, Any]:
        return {"code": code, "live": live}

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel, beat = self.kernel, self.i.payload
        tables = TwoTables(m, kernel, self.table)
        take = Signal()
        out: Any = Signal(probability_beat(kernel.format), reset_less=True)
        m.d.comb += [
            self.o.payload.eq(out),
            self.i.ready.eq(tables.readable & (~self.o.valid | self.o.ready)),
            take.eq(self.i.valid & self.i.ready),
            tables.done.eq(take & beat.last),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        # A memory for each lane: tools copy one of many read ports lane by lane, if they can.
        lanes = []
        for lane in range(kernel.format.lanes):
            m.submodules[f"p_table{lane}"] = ram = self._memories.lookup_ram(
                width=kernel.format.prob_bits,
                depth=2 * kernel.levels,
                holds="probabilities of two rows",
            )
            write, read = ram.write_port(), ram.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(tables.write),
                write.addr.eq(Cat(tables.word.level, tables.write_place)),
                write.data.eq(tables.word.probability),
                read.addr.eq(Cat(beat.elements[lane].code, tables.read_place)),
            ]
            lanes.append(Mux(beat.elements[lane].live, read.data, 0))
        with m.If(take):
            m.d.sync += self.o.valid.eq(1)
            m.d.sync += [out[name].eq(beat[name]) for name in ("tail", "last", "error")]
            m.d.sync += [out[name].eq(value) for name, value in tables.row.items()]
            m.d.sync += [out.probabilities[lane].eq(value) for lane, value in enumerate(lanes)]
        return m
