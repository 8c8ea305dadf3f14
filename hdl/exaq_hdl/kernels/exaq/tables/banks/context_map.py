"""Which bank holds the tables of a context."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from exaq import Exaq
from exaq.scalars import integer
from exaq_hdl.kernels.exaq.kernel_checks import check_loaded
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.counters import LFSR_START, LFSR_STATES, lfsr_next, lfsr_width
from exaq_hdl.parts.memory import SIMULATED, Memories


class ContextMap(Component):
    """Gives each row the bank of its context, and the loader a bank that no row uses.

    There is a bank more than contexts. New tables go into the spare bank; ``commit`` makes it
    the context's, and the context's former one spare, once the rows that were given it are
    done. So a load changes nothing for rows on their way, and holds none of them back.

    Latency 1 cycle from ``context`` to ``bank``; throughput 1 row per cycle.

    Parameters
    ----------
    kernel
        The unit's configuration, with contexts.
    rows
        Rows that can be between ``row_in`` and ``row_out``.

    Members
    -------
    context : a row's context
    row_in : ``context`` is that of a row
    bank : the bank for the row of the cycle before
    row_out : a row that was given a bank is done with it
    target : the context that is loaded, steady from 2 cycles before ``commit`` on
    commit : the spare bank becomes that of ``target``, for rows from the next cycle on
    filling : the contexts get their first banks, in their order: ``commit`` finds no former one
    spare : the bank to load
    free : whether no row uses the spare bank: those given a bank before it was spare are done
    """

    latency = 1

    def __init__(self, kernel: Exaq, *, rows: int, memories: Memories = SIMULATED):
        self.kernel = check_loaded(kernel)
        self._memories = memories
        self.rows = rows = integer("rows", rows, 1, LFSR_STATES - 1)
        number = max(kernel.format.context_bits, 1)
        super().__init__(
            {
                "context": In(number),
                "row_in": In(1),
                "bank": Out(kernel.bank_bits),
                "row_out": In(1),
                "target": In(number),
                "commit": In(1),
                "filling": In(1),
                "spare": Out(kernel.bank_bits),
                "free": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        depth = 1 << len(self.context)
        m.submodules.banks = banks = self._memories.lookup_ram(
            width=self.kernel.bank_bits, depth=depth, holds="the bank of each context"
        )
        write, row, former = banks.write_port(), banks.read_port(), banks.read_port()
        m.d.comb += [
            row.addr.eq(self.context),
            self.bank.eq(row.data),
            former.addr.eq(self.target),
            write.addr.eq(self.target),
            write.data.eq(self.spare),
            write.en.eq(self.commit),
        ]
        with m.If(self.commit):
            m.d.sync += self.spare.eq(Mux(self.filling, self.spare + 1, former.data))

        # Rows leave in the order in which they came. Those that were given the former bank,
        # that of the commit's own cycle included, are done when as many rows have left as had
        # come then. Only whether counts are equal matters, so they may count in any order.
        width = lfsr_width(self.rows + 1)
        came = Signal(width, init=LFSR_START)
        left = Signal(width, init=LFSR_START)
        then = Signal(width, reset_less=True)
        committed, waiting = Signal(), Signal()
        m.d.comb += self.free.eq(~waiting | self.filling)
        with m.If(self.row_in):
            m.d.sync += came.eq(lfsr_next(came))
        with m.If(self.row_out):
            m.d.sync += left.eq(lfsr_next(left))
        m.d.sync += committed.eq(self.commit)
        with m.If(committed):
            m.d.sync += then.eq(came)
        with m.If(self.commit):
            m.d.sync += waiting.eq(1)
        with m.Elif(~committed & (left == then)):
            m.d.sync += waiting.eq(0)
        return m
