"""What a row's exponentials are multiplied by, of its sum and its last reference."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import Softermax
from exaq.kernels.softermax import SUM_STEP_BITS
from exaq_hdl.kernels.softermax.softermax_layouts import check_softermax, row_item, summed_row
from exaq_hdl.kernels.weighted.reciprocal import Reciprocal
from exaq_hdl.parts.component import Component


class RowReciprocal(Component):
    """The reciprocal of a row's sum; to its exponent the sum's reference is added.

    Latency ``latency`` cycles, whatever the sum is; throughput a row in ``period`` cycles.
    Back-pressure on ``o`` holds its payload, and stops ``i``. A row without a live element gives
    any item.

    Parameters
    ----------
    kernel
        Parameters of Softermax.

    Members
    -------
    i : stream of summed_row, in
    o : stream of row_item, out
    """

    def __init__(self, kernel: Softermax):
        self.kernel = check_softermax(kernel)
        self._reciprocal = Reciprocal(
            sum_bits=kernel.sum_bits, bits=kernel.reciprocal_bits, least=kernel.least_sum
        )
        self.latency, self.period = self._reciprocal.latency, self._reciprocal.period
        super().__init__(
            {
                "i": In(stream.Signature(summed_row(kernel))),
                "o": Out(stream.Signature(row_item(kernel))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.reciprocal = reciprocal = self._reciprocal
        row, item = self.i.payload, self.o.payload
        reference = Signal.like(row.reference, reset_less=True)
        m.d.comb += [
            reciprocal.i.valid.eq(self.i.valid),
            reciprocal.i.payload.eq(row.sum),
            self.i.ready.eq(reciprocal.i.ready),
            self.o.valid.eq(reciprocal.o.valid),
            reciprocal.o.ready.eq(self.o.ready),
            item.mantissa.eq(reciprocal.o.payload.mantissa),
            item.place.eq(reciprocal.o.payload.exponent + Cat(Const(0, SUM_STEP_BITS), reference)),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += reference.eq(row.reference)
        return m
