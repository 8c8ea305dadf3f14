"""What leaves the unit for each row."""

from itertools import pairwise
from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import Exaq
from exaq_hdl.kernels.exaq.kernel_checks import check_exaq
from exaq_hdl.kernels.exaq.layouts import row_report, row_summary, table_word
from exaq_hdl.parts.component import Component


class RowReporter(Component):
    """Collects a row's results while the words of its p-table come.

    Latency 1 cycle from a row's last word to its results; throughput 1 word per cycle, a row's
    first one from the cycle on in which the results before it are taken. Back-pressure on ``o``
    holds its payload, and stops ``i``.

    Parameters
    ----------
    kernel
        EXAQ's parameters, with row results.

    Members
    -------
    i : stream of table_word, in; a row's levels in their order
    o : stream of row_report, out; one item a row
    """

    latency = 1

    def __init__(self, kernel: Exaq):
        self.kernel = check_exaq(kernel)
        super().__init__(
            {
                "i": In(stream.Signature(table_word(kernel))),
                "o": Out(stream.Signature(row_report(kernel))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel, word = self.kernel, self.i.payload
        row: Any = Signal(row_report(kernel), reset_less=True)
        m.d.comb += [self.o.payload.eq(row), self.i.ready.eq(~self.o.valid)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += self.o.valid.eq(word.level.all())
            if kernel.format.row_results == "table":
                m.d.sync += [a.eq(b) for a, b in pairwise(row.table)]
                m.d.sync += row.table[kernel.levels - 1].eq(word.probability)
            with m.If(word.level == 0):
                m.d.sync += [row[name].eq(word[name]) for name in row_summary(kernel)]
        return m
