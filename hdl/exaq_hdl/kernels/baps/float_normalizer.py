"""What each mantissa is in a row whose probabilities are floating-point numbers."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import Baps
from exaq.kernels.baps_golden import FLOAT_WORDS, MANTISSA_BITS, SUM_DIGITS
from exaq_hdl.kernels.baps.baps_layouts import check_baps, table_word
from exaq_hdl.kernels.online.online_layouts import summed_row
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import SIMULATED, Memories


class FloatNormalizer(Component):
    """Looks up mantissa / sum, rounded, for each mantissa and the leading digits of a row's sum.

    The sum is shifted up a place a cycle until its highest bit is 1. Latency ``latency`` cycles
    from a sum to its last word, whatever it is; throughput a row in ``period`` cycles.
    Back-pressure on ``o`` holds its payload.

    Parameters
    ----------
    kernel
        BAPS's parameters.
    memories
        Makes the table.

    Members
    -------
    i : stream of summed_row, in; a sum of at least 2**15, or of a row without a live element
    o : stream of table_word, out; a row's levels in their order
    """

    def __init__(self, kernel: Baps, *, memories: Memories = SIMULATED):
        self.kernel = check_baps(kernel)
        self._memories = memories
        self._shifts = kernel.normalising_shifts(kernel.format)
        self.latency = self._shifts + kernel.levels + 2
        self.period = self.latency + 1
        super().__init__(
            {
                "i": In(stream.Signature(summed_row(kernel))),
                "o": Out(stream.Signature(table_word(kernel))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel = self.kernel
        words = [int(word) for row in FLOAT_WORDS for word in row]
        m.submodules.words = rom = self._memories.rom(
            unsigned(MANTISSA_BITS + 1), words, holds="reciprocals of sums, as floats"
        )
        port = rom.read_port()

        total = Signal(kernel.sum_bits, reset_less=True)
        place = Signal(range(kernel.sum_bits), reset_less=True)
        left = Signal(range(self._shifts + 1))
        busy, read = Signal(), Signal()
        level = Signal(MANTISSA_BITS)
        out: Any = Signal(table_word(kernel), reset_less=True)
        # A word is in the table's register, and then in that of the output.
        found, moves = Signal(), Signal()
        found_level = Signal(MANTISSA_BITS, reset_less=True)
        reference = Signal.like(self.i.payload.reference, reset_less=True)
        m.d.comb += [
            moves.eq(~self.o.valid | self.o.ready),
            read.eq(busy & (left == 0)),
            port.en.eq(moves),
            port.addr.eq(Cat(level, total[-SUM_DIGITS:-1])),
            self.i.ready.eq(~busy),
            self.o.payload.eq(out),
        ]
        with m.If(self.i.valid & ~busy):
            m.d.sync += [
                busy.eq(1),
                left.eq(self._shifts),
                total.eq(self.i.payload.sum),
                reference.eq(self.i.payload.reference),
                place.eq(kernel.sum_bits - 1),
            ]
        with m.If(busy & (left != 0)):
            up = ~total[-1]
            m.d.sync += [
                left.eq(left - 1),
                total.eq(Mux(up, Cat(0, total), total)),
                place.eq(place - up),
            ]
        with m.If(moves):
            m.d.sync += [
                found.eq(read),
                found_level.eq(level),
                self.o.valid.eq(found),
                out.level.eq(found_level),
                out.probability.eq(port.data),
                out.reference.eq(reference),
                out.place.eq(place),
            ]
            with m.If(read):
                m.d.sync += level.eq(level + 1)
                with m.If(level.all()):
                    m.d.sync += busy.eq(0)
        return m
