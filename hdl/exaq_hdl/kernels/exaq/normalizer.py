"""The probabilities that a row can have."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import Exaq
from exaq_hdl.kernels.exaq.divider import Divider, quotient_layout
from exaq_hdl.kernels.exaq.kernel_checks import check_exaq
from exaq_hdl.kernels.exaq.layouts import row_complement, row_reports, row_table
from exaq_hdl.kernels.exaq.tables.provider import Tables
from exaq_hdl.kernels.exaq.tables.words import row_context
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.counters import increment
from exaq_hdl.shell.streams import item

# Cycles from one row's last in a divider to the next one's first. Without the pause a long way
# would lead from the emitter's ready back to the queue of sums.
_CHANGE = 1


class Normalizer(Component):
    """Turns a row's sum S into its probability table p_k = E_k / S, k = 0 ... 2**bits - 1.

    Round half up, saturated at 2**prob_bits - 1. A row costs 2**bits divisions, whatever its
    length. Latency ``latency`` cycles; throughput a row in ``full_rate_row / lanes`` cycles or
    fewer, by the smallest set of dividers that reaches it. While one table waits on ``o`` the
    next row's divisions go on until their first quotient.

    Parameters
    ----------
    kernel
        EXAQ's parameters.
    tables
        The unit's tables.

    Members
    -------
    i : stream of row_complement, in; one item a row
    o : stream of row_table, out; one item a row
    ... : the ports of the tables' readers of exponentials
    """

    def __init__(self, kernel: Exaq, tables: Tables):
        self.kernel = check_exaq(kernel)
        self.units, self.rings = self.choose(kernel, tables)
        self._readers = [tables.exponentials() for _ in range(self.rings)]
        self._dividers = [
            Divider(kernel, units=self.units, exponentials=reader) for reader in self._readers
        ]
        self.latency = 1 + self._dividers[0].latency + 1
        super().__init__(
            {
                "i": In(stream.Signature(row_complement(kernel))),
                "o": Out(stream.Signature(row_table(kernel))),
                **self._readers[0].ports,
            }
        )

    @staticmethod
    def choose(kernel: Exaq, tables: Tables) -> tuple[int, int]:
        """Units of a ring and number of rings: the smallest ring that keeps up, else several.

        Several rings share the work only where each gives its row's quotients in one burst,
        which takes a unit for every level.
        """
        for units in (2**k for k in range(kernel.bits + 1)):
            period = Divider.row_period(kernel, units, tables.prelude)
            rings = -(-(period + _CHANGE) // kernel.format.full_rate_beats)
            if rings == 1:
                break
        return units, rings

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel = self.kernel
        quotient = stream.Signature(quotient_layout(kernel)).create()
        level = Signal(kernel.bits)
        turn_in = Signal(range(self.rings))
        turn_out = Signal(range(self.rings))
        fields = row_context(kernel) | row_reports(kernel)
        carried = {name: Signal(shape, name=name) for name, shape in fields.items()}
        reports = bool(row_reports(kernel))
        if reports:
            carried["sum"] = Signal(kernel.sum_bits, name="sum")

        def after(turn: Signal) -> Value:
            return Mux(turn == self.rings - 1, 0, turn + 1)

        for k, (divider, reader) in enumerate(zip(self._dividers, self._readers, strict=True)):
            m.submodules[f"divider{k}"] = divider
            row_sum = Signal.like(self.i.payload, name=f"divider{k}_sum", reset_less=True)
            free = Signal(name=f"divider{k}_free")
            m.d.comb += [
                free.eq(~divider.i.valid & (turn_in == k)),
                divider.i.payload.eq(row_sum),
            ]
            with m.If(divider.i.ready):
                m.d.sync += divider.i.valid.eq(0)
            with m.If(free):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [divider.i.valid.eq(self.i.valid), row_sum.eq(self.i.payload)]
            reader.pass_on(m, self, divider)
            with m.If(turn_out == k):
                for name in fields:
                    m.d.comb += carried[name].eq(row_sum[name])
                if reports:
                    m.d.comb += carried["sum"].eq(~row_sum.complement)
                m.d.comb += [
                    quotient.valid.eq(divider.o.valid),
                    quotient.payload.eq(divider.o.payload),
                    divider.o.ready.eq(quotient.ready),
                ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += turn_in.eq(after(turn_in))

        out: Any = Signal(
            row_table(kernel),
            name="table",
            reset_less=True,
        )
        table = item(out, "table")
        m.d.comb += [
            self.o.payload.eq(out),
            quotient.ready.eq(~self.o.valid),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(quotient.valid & quotient.ready):
            m.d.sync += level.eq(increment(level))
            # With a row's first quotient its divider still holds the row.
            for name, value in carried.items():
                with m.If(level == 0):
                    m.d.sync += out[name].eq(value)
            with m.If(level == kernel.levels - 1):
                m.d.sync += [self.o.valid.eq(1), turn_out.eq(after(turn_out))]
            for k in range(kernel.levels):
                with m.If(level == k):
                    m.d.sync += table[k].eq(quotient.payload.floor + quotient.payload.round_up)
        return m
