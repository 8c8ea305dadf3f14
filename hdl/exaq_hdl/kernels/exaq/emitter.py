"""Last block of EXAQ: gives each element its probability."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from exaq import Exaq
from exaq_hdl.kernels.exaq.kernel_checks import check_exaq
from exaq_hdl.kernels.exaq.layouts import row_reports, row_table
from exaq_hdl.kernels.exaq.tables.words import row_context
from exaq_hdl.parts.component import Component
from exaq_hdl.shell.streams import item, probability_beat


def choice_layout(kernel: Exaq) -> data.StructLayout:
    """Which probability a lane gives, or none, coded for the emitter's multiplexers.

    ``high`` is bit 1 of the code, ``upper`` what stands above it. Low bits 0 and 1 choose
    directly; 2 and 3 do with ``above`` set. ``above`` without ``high`` and ``low`` is zero.
    """
    upper = {"upper": kernel.bits - 2} if kernel.bits > 2 else {}
    return data.StructLayout({"low": 1, "above": 1, "high": 1} | upper)


def choice_beat(kernel: Exaq) -> data.StructLayout:
    """Beat in front of the emitter."""
    lanes = kernel.format.lanes
    choices = data.ArrayLayout(choice_layout(kernel), lanes)
    return data.StructLayout({"choices": choices, "tail": lanes, "last": 1, "error": 1})


def choose(code: Value, live: Value) -> dict[str, Value]:
    """Fields of the choice_layout for ``code``, which is 0 where ``live`` is."""
    fields = {"low": code[0], "above": code[1] | ~live, "high": code[1]}
    return fields | ({"upper": code[2:]} if len(code) > 2 else {})


def select(choice: Any, values: Sequence[Any]) -> Value:
    """The value that ``choice`` stands for, or 0.

    Four values and zero take two 4-input lookup tables a bit, the first of which passes the
    low bit on to the second; a multiplexer of four by itself would be mapped to three.
    """
    fours: list[Value] = []
    for k in range(0, len(values), 4):
        bits = []
        for a, b, c, d in zip(*values[k : k + 4], strict=True):
            first = Mux(choice.above, choice.low, Mux(choice.low, b, a))
            bits.append(Mux(choice.high, Mux(first, d, c), first))
        fours.append(Cat(bits))
    for k in range(len(values).bit_length() - 3):
        upper = choice.upper[k]
        fours = [Mux(upper, b, a) for a, b in zip(fours[::2], fours[1::2], strict=True)]
    return fours[0]


class Emitter(Component):
    """Gives the probabilities of the row's table that the lanes' choices stand for.

    Latency 1 cycle from beat to beat and 2 from table to beat; throughput 1 beat per cycle,
    rows back to back where the next row's table is there in time. Back-pressure on ``o`` holds
    its payload, and stops ``i``.

    Members
    -------
    i : stream of choice_beat, in
    table : stream of row_table, in; one item a row
    o : stream of probability_beat, out
    results : with row results, stream of row_table, out: the table, offered a cycle before the
        row's first probability; the next row's table is taken when this has been taken too
    """

    latency = 2

    def __init__(self, kernel: Exaq):
        self.kernel = check_exaq(kernel)
        self._reports = bool(row_reports(kernel))
        results = {"results": Out(stream.Signature(row_table(kernel)))} if self._reports else {}
        super().__init__(
            {
                "i": In(stream.Signature(choice_beat(kernel))),
                "table": In(stream.Signature(row_table(kernel))),
                "o": Out(stream.Signature(probability_beat(kernel.format))),
                **results,
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel, beat = self.kernel, self.i.payload
        row: Any = Signal(
            row_table(kernel),
            name="table",
            reset_less=True,
        )
        table = item(row, "table")
        table_valid = Signal()
        take = Signal()
        out: Any = Signal(probability_beat(kernel.format), reset_less=True)
        m.d.comb += [
            self.o.payload.eq(out),
            self.i.ready.eq(table_valid & (~self.o.valid | self.o.ready)),
            take.eq(self.i.valid & self.i.ready),
        ]
        free: Value = ~table_valid | (take & beat.last)
        if self._reports:
            free &= ~self.results.valid | self.results.ready
            m.d.comb += self.results.payload.eq(row)
            with m.If(take & beat.last):
                m.d.sync += table_valid.eq(0)
            with m.If(self.results.ready):
                m.d.sync += self.results.valid.eq(0)
        m.d.comb += self.table.ready.eq(free)
        with m.If(self.table.ready):
            m.d.sync += [table_valid.eq(self.table.valid), row.eq(self.table.payload)]
            if self._reports:
                m.d.sync += self.results.valid.eq(self.table.valid)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(take):
            m.d.sync += [
                self.o.valid.eq(1),
                out.tail.eq(beat.tail),
                out.last.eq(beat.last),
                out.error.eq(beat.error),
            ]
            for name in row_context(kernel):
                m.d.sync += out[name].eq(row[name])
            values = [table[k] for k in range(kernel.levels)]
            for lane in range(kernel.format.lanes):
                m.d.sync += out.probabilities[lane].eq(select(beat.choices[lane], values))
        return m
