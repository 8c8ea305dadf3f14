"""Last block of a unit that gives probabilities: codes, and what their mantissas are in the row."""

from itertools import pairwise
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from exaq import Baps
from exaq.kernels.baps_golden import MANTISSA_BITS, TOP
from exaq_hdl.kernels.baps import hif8
from exaq_hdl.kernels.baps.baps_layouts import check_baps, stored_beat, table_word
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.lookup import lookup
from exaq_hdl.parts.pipeline import Pipeline
from exaq_hdl.shell.streams import probability_beat


class BapsEmitter(Component):
    """Gives the probabilities of codes: the word of the mantissa, moved by the exponent and by how
    much the row's reference has risen since.

    It keeps two tables of words: that of the row whose beats it takes, and the next row's, which
    comes meanwhile. Latency ``latency`` cycles from a table's last word to the row's first beat;
    throughput 1 beat per cycle, rows back to back where the next row's table is there in time.
    Back-pressure on ``o`` holds its payload, and stops ``i``.

    Parameters
    ----------
    kernel
        BAPS's parameters.

    Members
    -------
    i : stream of stored_beat, in
    table : stream of table_word, in; a row's levels in their order
    o : stream of probability_beat, out
    """

    def __init__(self, kernel: Baps):
        self.kernel = check_baps(kernel)
        self._float = kernel.probability_format == "float"
        self._depth = 4 if self._float and kernel.code_format == "hif8" else 3
        self.latency = 2 + self._depth
        super().__init__(
            {
                "i": In(stream.Signature(stored_beat(kernel))),
                "table": In(stream.Signature(table_word(kernel))),
                "o": Out(stream.Signature(probability_beat(kernel.format))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel, beat, out = self.kernel, self.i.payload, self.o.payload
        word = self.table.payload

        # The next row's table, as it comes word by word, and what comes with its first one.
        of_row = {name: field.shape for name, field in table_word(kernel) if name not in _WORD}
        table = data.ArrayLayout(word.probability.shape(), kernel.levels)
        layout = data.StructLayout({"table": table} | of_row)
        coming: Any = Signal(layout, reset_less=True)
        row: Any = Signal(layout, name="row", reset_less=True)
        complete, readable, move, take = Signal(), Signal(), Signal(), Signal()
        m.d.comb += self.table.ready.eq(~complete)
        with m.If(move):
            m.d.sync += [complete.eq(0), readable.eq(complete), row.eq(coming)]
        with m.If(self.table.valid & ~complete):
            m.d.sync += complete.eq(word.level.all())
            m.d.sync += [a.eq(b) for a, b in pairwise(coming.table)]
            m.d.sync += coming.table[kernel.levels - 1].eq(word.probability)
            with m.If(word.level == 0):
                m.d.sync += [coming[name].eq(word[name]) for name in of_row]

        end = self._depth
        pipeline = Pipeline(m, end, self.i.valid & readable, ~self.o.ready, closes_up=False)
        m.d.comb += [
            self.i.ready.eq(readable & pipeline.moves[0]),
            take.eq(self.i.valid & self.i.ready),
            move.eq(~readable | (take & beat.last)),
            self.o.valid.eq(pipeline.held[end]),
        ]
        for name in ("tail", "last", "error"):
            m.d.comb += out[name].eq(pipeline.carry(0, beat[name], name, end))
        risen = Cat(
            Const(0, kernel.step_bits), (row.reference - beat.reference)[: len(row.reference)]
        )
        if self._float:
            # One less than what is added to an exponent; see ``_float_lane``.
            moved = pipeline.step(0, (kernel.sum_frac - 1 - row.place - risen).as_signed(), "moved")
        words = [row.table[k] for k in range(kernel.levels)]
        for lane in range(kernel.format.lanes):
            code = beat.codes[lane]
            found = pipeline.step(0, lookup(code[:MANTISSA_BITS], words), f"lane{lane}_word")
            if self._float:
                code = pipeline.step(0, code, f"lane{lane}_code")
                given = self._float_lane(pipeline, code, found, moved, f"lane{lane}")
            else:
                given = self._linear_lane(pipeline, code, found, risen, f"lane{lane}")
            m.d.comb += out.probabilities[lane].eq(given)
        return m

    def _float_lane(
        self, pipeline: Pipeline, code: Value, word: Value, moved: Value, name: str
    ) -> Value:
        """The probability in the last place, of what is in place 1."""
        # The 1 that a mantissa below 1 takes off is a carry that is not there.
        carry = ~word[MANTISSA_BITS]
        exponent = (Cat(1, code[MANTISSA_BITS:], 0).as_signed() + Cat(carry, moved).as_signed())[1:]
        exponent = pipeline.step(1, exponent.as_signed(), f"{name}_exponent")
        there = pipeline.step(1, code.any(), f"{name}_there")
        mantissa = pipeline.step(1, word[:MANTISSA_BITS], f"{name}_mantissa")
        there = there & (exponent > 0)
        if self.kernel.code_format == "e5m3":
            result = Mux(there, Cat(mantissa, exponent[: TOP.bit_length()]), 0)
            return pipeline.step(2, result, f"{name}_probability")
        below, mantissa = hif8.rounded(
            Mux(there, (TOP - exponent)[: TOP.bit_length()], TOP), mantissa, 0
        )
        rounded = Mux(below >= TOP, 0, Cat(mantissa, (TOP - below)[: TOP.bit_length()]))
        rounded = pipeline.step(2, rounded, f"{name}_rounded")
        return pipeline.step(3, hif8.bits(rounded, 0), f"{name}_probability")

    def _linear_lane(
        self, pipeline: Pipeline, code: Value, word: Value, risen: Value, name: str
    ) -> Value:
        """The probability in the last place, of a code in place 0 and its word in place 1."""
        bits = self.kernel.format.prob_bits
        below = pipeline.step(0, TOP - code[MANTISSA_BITS:] + risen, f"{name}_below").as_unsigned()
        there = pipeline.step(0, code.any(), f"{name}_there")
        near = len(word).bit_length()
        shifted = word >> below[:near]
        shifted = Mux(there & ~below[near:].any(), shifted[: bits + 1], 0)
        shifted = pipeline.step(1, shifted, f"{name}_shifted")
        # 1 is as much as there is.
        return pipeline.step(
            2, shifted[:bits] | shifted[bits].replicate(bits), f"{name}_probability"
        )


# Fields of a table_word that each word has.
_WORD = ("level", "probability")
