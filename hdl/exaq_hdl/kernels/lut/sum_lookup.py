"""From a row's sum to the column of the second table, or to what that holds."""

from collections.abc import Sequence
from typing import Any, TypeVar

from amaranth.hdl import Cat, Module
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq.kernels.lut import Lut
from exaq_hdl.kernels.weighted.datapath import check_weighted
from exaq_hdl.kernels.weighted.steps import Steps
from exaq_hdl.kernels.weighted.weighted_layouts import row_item
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.leading_one import leading_one
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.parts.pipeline import Pipeline

Word = TypeVar("Word")


class SumLookup(Component):
    """Rounds a sum to its column, and with ``rexp`` looks up its reciprocal.

    A sum is rounded half up to ``mantissa_bits`` below its highest 1, so that the place of that 1
    and these bits, put side by side, number the columns. Latency ``latency`` cycles; throughput 1
    sum per cycle. Back-pressure on ``o`` holds its payload, and stops ``i`` once every register
    holds a row. A sum of 0 gives any item.

    Parameters
    ----------
    kernel
        Parameters of the kernel.
    memories
        Makes the table of reciprocals.

    Members
    -------
    i : stream of sum_bits bits, in
    o : stream of row_item, out
    """

    period = 1

    def __init__(self, kernel: Lut, *, memories: Memories = SIMULATED):
        self.kernel: Lut = check_weighted(kernel)
        self._memories = memories
        self.latency = 3 if kernel.variant == "rexp" else 2
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

        # The least sum has its highest 1 in this place, and one bit rounds.
        least, kept = kernel.table_bits - 1, kernel.mantissa_bits + 1
        below = [total[place - kept : place] for place in range(least, kernel.sum_bits)]
        power, mantissa = leading_one(total[least:], below)
        power = pipeline.step(0, power, "power")
        mantissa = pipeline.step(0, mantissa, "mantissa")
        # The least sum rounds up to the next power of two, which is column 0.
        numbered = Cat(mantissa[1:], power) + mantissa[0] - (1 << kernel.mantissa_bits)
        column = pipeline.step(1, numbered[: kernel.column_bits], "column")
        if kernel.variant == "2d":
            m.d.comb += self.o.payload.column.eq(column)
            return m
        words = padded(kernel.reciprocals, kernel.column_bits)
        steps = Steps(m, pipeline, first=0, name="row", memories=self._memories)
        found = steps.look_up(2, words, kernel.table_bits, column, "reciprocal_table")
        m.d.comb += self.o.payload.reciprocal.eq(found)
        return m


def padded(words: Sequence[Word], address_bits: int) -> list[Word]:
    """As many words as the address can say; behind the last one it is repeated."""
    return [*words, *[words[-1]] * ((1 << address_bits) - len(words))]
