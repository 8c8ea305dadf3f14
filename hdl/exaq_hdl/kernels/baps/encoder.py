"""Codes of elements relative to their beat's reference."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import Baps
from exaq.kernels.baps_golden import (
    HIF8_LIFT,
    MANTISSA_BITS,
    MANTISSAS,
    STEP_BITS,
    TOP,
)
from exaq_hdl.kernels.baps.baps_layouts import check_baps, coded_beat
from exaq_hdl.kernels.baps.hif8 import rounded
from exaq_hdl.kernels.online.online_layouts import referred_beat
from exaq_hdl.parts.component import Component
from exaq_hdl.shell.streams import live_lanes


class Encoder(Component):
    """Codes of ``e5m3``: the fraction of t chooses the mantissa, its floor makes the exponent.

    With ``hif8`` each is rounded to what that format has. Latency 2 cycles; throughput 1 beat per
    cycle.

    Parameters
    ----------
    kernel
        BAPS's parameters.

    Members
    -------
    i : stream of referred_beat, always ready
    o : stream of coded_beat, always ready
    """

    latency = 2

    def __init__(self, kernel: Baps):
        self.kernel = check_baps(kernel)
        super().__init__(
            {
                "i": In(stream.Signature(referred_beat(kernel), always_ready=True)),
                "o": Out(stream.Signature(coded_beat(kernel), always_ready=True)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel = self.kernel
        beat: Any = self.i.payload
        out: Any = Signal(coded_beat(kernel), reset_less=True)
        held: Any = Signal.like(beat, name="held", reset_less=True)
        held_valid = Signal()
        m.d.sync += [held.eq(beat), held_valid.eq(self.i.valid)]
        live = live_lanes(kernel.format, held)
        m.d.comb += self.o.payload.eq(out)
        m.d.sync += self.o.valid.eq(held_valid)
        m.d.sync += [out[name].eq(held[name]) for name, _ in coded_beat(kernel) if name != "codes"]
        octaves = Cat(Const(0, kernel.step_bits), beat.reference)
        for lane in range(kernel.format.lanes):
            t = beat.t[lane]
            mantissa = Signal(MANTISSA_BITS, name=f"lane{lane}_mantissa", reset_less=True)
            below = Signal(len(octaves), name=f"lane{lane}_below", reset_less=True)
            m.d.sync += [
                mantissa.eq(choose(t[:STEP_BITS], [each & 7 for each in MANTISSAS], MANTISSA_BITS)),
                below.eq(octaves - t[STEP_BITS:]),
            ]
            element: tuple[Value, Value] = (below, mantissa)
            if kernel.code_format == "hif8":
                element = rounded(below, mantissa, HIF8_LIFT)
            exponent = (TOP - element[0])[: TOP.bit_length()]
            m.d.sync += out.codes[lane].eq(Cat(element[1], exponent))
            # Exponent 0 is that of no number.
            with m.If(~live[lane] | (element[0] >= TOP)):
                m.d.sync += out.codes[lane].eq(0)
        return m


def choose(index: Value, words: Sequence[int], width: int) -> Value:
    """The word of a constant table, as logic."""
    table = Const(sum(word << k * width for k, word in enumerate(words)), len(words) * width)
    return table.word_select(index, width)
