"""The reciprocal of a row's sum by one division."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq.kernels.shift import Shift
from exaq_hdl.kernels.weighted.datapath import check_weighted
from exaq_hdl.kernels.weighted.weighted_layouts import row_item
from exaq_hdl.parts.component import Component


class SerialReciprocal(Component):
    """R of ``ita``: floor((2**P - 1) * 2**P / S) with P = prob_bits; see ``exaq.kernels.shift``.

    The dividend's upper half is below S, which is at least 2**P. So it is the first remainder, and
    as many restoring steps follow as the quotient has bits, one a cycle. Latency ``latency``
    cycles; throughput a sum in ``period`` cycles. Back-pressure on ``o`` holds its payload, and
    stops ``i``. A sum of 0 gives any item.

    Parameters
    ----------
    kernel
        Parameters of the kernel, whose variant is ``ita``.

    Members
    -------
    i : stream of sum_bits bits, in
    o : stream of row_item, out
    """

    def __init__(self, kernel: Shift):
        self.kernel: Shift = check_weighted(kernel)
        self.latency = self.period = kernel.format.prob_bits + 1
        super().__init__(
            {
                "i": In(stream.Signature(kernel.sum_bits)),
                "o": Out(stream.Signature(row_item(kernel))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bits, width = self.kernel.format.prob_bits, self.kernel.sum_bits
        divisor = Signal(width, reset_less=True)
        remainder = Signal(width, reset_less=True)
        quotient = Signal(bits, reset_less=True)
        left = Signal(range(bits + 1))
        busy = Signal()
        m.d.comb += [
            self.o.payload.reciprocal.eq(quotient),
            self.i.ready.eq(~busy & (~self.o.valid | self.o.ready)),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(busy):
            doubled = Cat(0, remainder)
            difference = Signal(width + 2)
            bit = Signal()
            m.d.comb += [difference.eq(doubled - divisor), bit.eq(~difference[-1])]
            m.d.sync += [
                remainder.eq(Mux(bit, difference, doubled)),
                quotient.eq(Cat(bit, quotient)),
                left.eq(left - 1),
            ]
            with m.If(left == 1):
                m.d.sync += [busy.eq(0), self.o.valid.eq(1)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                busy.eq(1),
                left.eq(bits),
                divisor.eq(self.i.payload),
                remainder.eq(2**bits - 1),
            ]
        return m
