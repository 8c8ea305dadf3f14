"""The reciprocal of a row's sum in the log domain."""

from typing import Any

from amaranth.hdl import Const, Module, Mux
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq.kernels.shift import Shift
from exaq_hdl.kernels.weighted.datapath import check_weighted
from exaq_hdl.kernels.weighted.weighted_layouts import row_item
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.leading_one import leading_one
from exaq_hdl.parts.pipeline import Pipeline


class LogReciprocal(Component):
    """R of ``e2softmax``: one of two constants, by the bit below the sum's highest one, shifted
    right by the place of that one. See ``exaq.kernels.shift``.

    Latency 2 cycles; throughput 1 sum per cycle. What is shifted out is cut off. Back-pressure on
    ``o`` holds its payload, and stops ``i`` once both registers hold a row.

    Parameters
    ----------
    kernel
        Parameters of the kernel, whose variant is ``e2softmax``.

    Members
    -------
    i : stream of sum_bits bits, in
    o : stream of row_item, out
    """

    latency = 2
    period = 1

    def __init__(self, kernel: Shift):
        self.kernel: Shift = check_weighted(kernel)
        super().__init__(
            {
                "i": In(stream.Signature(kernel.sum_bits)),
                "o": Out(stream.Signature(row_item(kernel))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel, total = self.kernel, self.i.payload
        pipeline = Pipeline(m, self.latency, self.i.valid, ~self.o.ready)
        m.d.comb += [self.i.ready.eq(pipeline.moves[0]), self.o.valid.eq(pipeline.held[-1])]

        below = [total[place - 1] for place in range(kernel.octaves, kernel.sum_bits)]
        power, half = leading_one(total[kernel.octaves :], below)
        power, half = pipeline.step(0, power, "power"), pipeline.step(0, half, "half")
        low, high = (Const(each, kernel.format.prob_bits) for each in kernel.reciprocals)
        reciprocal = Mux(half, high, low) >> power
        m.d.comb += self.o.payload.reciprocal.eq(pipeline.step(1, reciprocal, "reciprocal"))
        return m
