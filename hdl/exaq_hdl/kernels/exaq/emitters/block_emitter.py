"""P-tables in block RAM."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data

from exaq import Exaq
from exaq_hdl.kernels.exaq.emitters.emitter import Emitter
from exaq_hdl.kernels.exaq.emitters.two_tables import TwoTables, live_code
from exaq_hdl.kernels.exaq.kernel_checks import check_exaq
from exaq_hdl.kernels.exaq.tables.words import row_context
from exaq_hdl.parts.memory import SIMULATED, Memories, Ram


class BlockEmitter(Emitter):
    """An emitter with its p-tables in block RAM, a RAM for each lane with both tables.

    Dead lanes read words that hold 0: the two of level 0 where the highest bit of the address,
    which says that a lane is live, is low. They are written in the first two cycles after reset,
    in which no word of a table may come: a division takes longer. Latency 2 cycles from beat to
    beat; otherwise as ``Emitter``.
    """

    latency = 2 + Ram.latency

    def __init__(self, kernel: Exaq, *, memories: Memories = SIMULATED):
        self._memories = memories
        super().__init__(kernel, live_code(check_exaq(kernel)))

    def coded(self, code: Value, live: Value) -> Mapping[str, Any]:
        return {"code": code, "live": live}

    def elaborate(self, platform: Any) -> Module:
        # Latches and output registers of the RAMs move together, and with them the flags.
        m = Module()
        kernel, beat = self.kernel, self.i.payload
        tables = TwoTables(m, kernel, self.table)
        flags = data.StructLayout(
            {"tail": kernel.format.lanes, "last": 1, "error": 1} | row_context(kernel)
        )
        latch: Any = Signal(flags, reset_less=True)
        out: Any = Signal(flags, reset_less=True)
        latched, take, move = Signal(), Signal(), Signal()
        m.d.comb += [
            move.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(tables.readable & move),
            take.eq(self.i.valid & self.i.ready),
            tables.done.eq(take & beat.last),
        ]
        with m.If(move):
            m.d.sync += [
                latched.eq(self.i.valid & tables.readable),
                self.o.valid.eq(latched),
                out.eq(latch),
            ]
            m.d.sync += [latch[name].eq(beat[name]) for name in ("tail", "last", "error")]
            m.d.sync += [latch[name].eq(value) for name, value in tables.row.items()]
        m.d.comb += [self.o.payload[name].eq(out[name]) for name, _ in flags]

        # High in the first cycle after reset and in the first two, which clear both places.
        first, clear = Signal(init=1), Signal(init=1)
        m.d.sync += [first.eq(0), clear.eq(first)]
        for lane in range(kernel.format.lanes):
            element = beat.elements[lane]
            m.submodules[f"p_table{lane}"] = ram = self._memories.ram(
                width=kernel.format.prob_bits,
                depth=4 * kernel.levels,
                holds="probabilities of two rows",
            )
            m.d.comb += [
                ram.write_enable.eq(tables.write | clear),
                ram.write_address.eq(Cat(tables.word.level, tables.write_place ^ first, ~clear)),
                ram.write_data.eq(tables.word.probability),
                ram.read_enable.eq(take),
                ram.read_address.eq(Cat(element.code, tables.read_place, element.live)),
                ram.output_enable.eq(move),
                self.o.payload.probabilities[lane].eq(ram.read_data),
            ]
        return m
