"""Sum of a row's exponentials, relative to its last reference."""

import operator
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import Baps
from exaq.kernels.baps_golden import MANTISSA_BITS
from exaq_hdl.kernels.baps.baps_layouts import check_baps, coded_beat
from exaq_hdl.kernels.online.online_layouts import summed_row
from exaq_hdl.parts.arithmetic import registered_tree, tree_depth
from exaq_hdl.parts.assembly import late
from exaq_hdl.parts.component import Component


class ShiftingSum(Component):
    """Adds up what codes stand for, rounded down to ``sum_frac`` fraction bits each.

    Where a beat's reference rises, the sum so far is shifted down by as much. Latency
    ``latency`` cycles from a row's last beat to its sum; throughput 1 beat per cycle, rows back to
    back.

    Parameters
    ----------
    kernel
        BAPS's parameters.

    Members
    -------
    i : stream of coded_beat, always ready
    o : stream of summed_row, always ready; one item a row
    """

    def __init__(self, kernel: Baps):
        self.kernel = check_baps(kernel)
        self.latency = 2 + tree_depth(kernel.format.lanes) + 1
        super().__init__(
            {
                "i": In(stream.Signature(coded_beat(kernel), always_ready=True)),
                "o": Out(stream.Signature(summed_row(kernel), always_ready=True)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel, beat = self.kernel, self.i.payload
        totals = []
        for lane in range(kernel.format.lanes):
            totals.append(self._weight(m, beat.codes[lane], f"lane{lane}"))
        total = registered_tree(m, totals, operator.add, "sum")

        before = self.latency - 1
        valid = self.i.valid
        for k in range(before):
            register = Signal(name=f"valid{k}")
            m.d.sync += register.eq(valid)
            valid = register
        last, rise, reference, error = (
            late(m, value, before, name)
            for name, value in (
                ("last", beat.last),
                ("rise", beat.rise),
                ("reference", beat.reference),
                ("error", beat.error),
            )
        )
        running = Signal(kernel.sum_bits)
        summed = Signal(kernel.sum_bits)
        out: Any = Signal(summed_row(kernel), reset_less=True)
        m.d.comb += [
            summed.eq(shifted_down(running, rise, kernel.reference_step) + total),
            self.o.payload.eq(out),
        ]
        m.d.sync += [
            self.o.valid.eq(valid & last),
            out.sum.eq(summed),
            out.reference.eq(reference),
            out.error.eq(error),
        ]
        with m.If(valid):
            m.d.sync += running.eq(Mux(last, 0, summed))
        return m

    def _weight(self, m: Module, code: Value, name: str) -> Signal:
        """What a code adds to a sum, rounded down, two cycles later; code 0 is shifted out.

        It is shifted by up to three places in the first cycle, and by fours in the second, where
        each bit comes from one of two places.
        """
        below = ~code[MANTISSA_BITS:]
        near = Signal(7, name=f"{name}_near", reset_less=True)
        frac = self.kernel.sum_frac
        fours = Signal(frac // 4 + 1, name=f"{name}_fours", reset_less=True)
        weight = Signal(frac + 1, name=f"{name}_weight", reset_less=True)
        m.d.sync += near.eq(Cat(Const(0, 3), code[:MANTISSA_BITS], 1) >> below[:2])
        m.d.sync += [bit.eq(below[2:] == k) for k, bit in enumerate(fours)]
        for place, bit in enumerate(weight):
            # Bit k of ``near`` is bit k + frac - 6 of the weight where it moves no further.
            sources = [
                near[k] & four
                for steps, four in enumerate(fours)
                if 0 <= (k := place - (frac - 6) + 4 * steps) < len(near)
            ]
            m.d.sync += bit.eq(Cat(sources).any())
        return weight


def shifted_down(value: Value, by: Value, step: int) -> Value:
    """``value`` shifted down by ``by`` times ``step`` places, a power of two."""
    return value >> Cat(Const(0, step.bit_length() - 1), by)
