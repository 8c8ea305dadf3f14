"""P-tables in registers, with a multiplexer for each lane."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data

from exaq import Exaq
from exaq_hdl.kernels.exaq.emitters.emitter import Emitter
from exaq_hdl.kernels.exaq.kernel_checks import check_exaq
from exaq_hdl.kernels.exaq.tables.words import row_context
from exaq_hdl.shell.streams import probability_beat


def choice_layout(kernel: Exaq) -> data.StructLayout:
    """Which probability a lane gives, or none, coded for the emitter's multiplexers.

    ``high`` is bit 1 of the code, ``upper`` what stands above it. Low bits 0 and 1 choose
    directly; 2 and 3 do with ``above`` set. ``above`` without ``high`` and ``low`` is zero.
    """
    upper = {"upper": kernel.bits - 2} if kernel.bits > 2 else {}
    return data.StructLayout({"low": 1, "above": 1, "high": 1} | upper)


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


class RegisterEmitter(Emitter):
    """An emitter with its p-tables in registers.

    Latency 1 cycle from beat to beat; otherwise as ``Emitter``.
    """

    latency = 3

    def __init__(self, kernel: Exaq):
        super().__init__(kernel, choice_layout(check_exaq(kernel)))

    def coded(self, code: Value, live: Value) -> Mapping[str, Any]:
        return choose(code, live)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel, beat = self.kernel, self.i.payload
        word = self.table.payload

        # The next row's table, as it comes word by word.
        layout = data.StructLayout(
            {"table": data.ArrayLayout(kernel.format.prob_bits, kernel.levels)}
            | row_context(kernel)
        )
        coming: Any = Signal(layout, reset_less=True)
        complete, move = Signal(), Signal()
        m.d.comb += self.table.ready.eq(~complete)
        with m.If(move):
            m.d.sync += complete.eq(0)
        with m.If(self.table.valid & self.table.ready):
            m.d.sync += complete.eq(word.level.all())
            m.d.sync += [a.eq(b) for a, b in pairwise(coming.table)]
            m.d.sync += coming.table[kernel.levels - 1].eq(word.probability)
            with m.If(word.level == 0):
                m.d.sync += [coming[name].eq(word[name]) for name in row_context(kernel)]

        row: Any = Signal(layout, name="row", reset_less=True)
        readable = Signal()
        take = Signal()
        out: Any = Signal(probability_beat(kernel.format), reset_less=True)
        m.d.comb += [
            self.o.payload.eq(out),
            self.i.ready.eq(readable & (~self.o.valid | self.o.ready)),
            take.eq(self.i.valid & self.i.ready),
            move.eq(~readable | (take & beat.last)),
        ]
        with m.If(move):
            m.d.sync += [readable.eq(complete), row.eq(coming)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(take):
            m.d.sync += self.o.valid.eq(1)
            m.d.sync += [out[name].eq(beat[name]) for name in ("tail", "last", "error")]
            m.d.sync += [out[name].eq(row[name]) for name in row_context(kernel)]
            values = [row.table[k] for k in range(kernel.levels)]
            for lane in range(kernel.format.lanes):
                m.d.sync += out.probabilities[lane].eq(select(beat.elements[lane], values))
        return m
