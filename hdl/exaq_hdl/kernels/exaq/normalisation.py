"""From codes to their row's sum, and to the probabilities that the row can have."""

from amaranth.hdl import Const, Module
from amaranth.lib import wiring

from exaq import Exaq
from exaq_hdl.kernels.division.normalizer import Normalizer
from exaq_hdl.kernels.exaq.accumulator import Accumulator
from exaq_hdl.kernels.exaq.layouts import division_of, row_complement, summed_row
from exaq_hdl.kernels.exaq.tables.provider import Tables
from exaq_hdl.parts.component import Component, Stream
from exaq_hdl.parts.fifo import Fifo
from exaq_hdl.parts.memory import Memories

# Rows whose sums can wait in a unit that gives codes, whose elements wait for none of them.
_WAITING = 16


class Normalisation:
    """LUT_sum, accumulator, a queue of sums, and the dividers behind it where the unit has any.

    In front of dividers a row's sum S travels as its complement ~S, which spares them an inverter
    for every bit, and which nobody else sees.

    Parameters
    ----------
    kernel
        EXAQ's parameters.
    tables
        The unit's tables.
    reaction
        That of the quantizer.
    behind
        Cycles from the last word of a row's p-table to its first probability. None: the unit gives
        codes, which wait for no table.
    memories
        Makes the queue's RAM.

    Members
    -------
    room : whether a further row's sum fits
    o : stream of table_word, out; of a unit that does not divide, of summed_row
    latency : cycles from a row's last code to the last word of its p-table, or to its sum
    waiting : in a unit that gives codes, rows whose results can wait while all their codes leave
    row_done : pulse: the tables of a row are not needed any more
    empty_row : pulse: a row has no live element
    """

    def __init__(
        self,
        kernel: Exaq,
        tables: Tables,
        *,
        reaction: int,
        behind: int | None,
        memories: Memories,
    ):
        self._kernel = kernel
        self._reader = tables.sums()
        #: A LUT_sum for each group of a beat, by name.
        self.sum_tables = {
            f"{self._reader.table_name}{g}": self._reader.sum_table() for g in range(kernel.groups)
        }
        self.accumulator = Accumulator(kernel, self._reader, chip=memories.chip)
        self._normalizer = (
            Normalizer(
                division_of(kernel),
                tables.exponentials,
                prelude=tables.prelude,
                chip=memories.chip,
            )
            if kernel.format.gives_probabilities
            else None
        )
        self.latency = self.accumulator.latency + Fifo.latency_in(memories)
        if self._normalizer:
            self.latency += self._normalizer.latency
        rows = _WAITING if behind is None else kernel.format.rows_within(self.latency + behind)
        self.sum_queue = queue = Fifo(
            row_complement(kernel) if self._normalizer else summed_row(kernel),
            capacity=rows,
            slack=reaction + self.accumulator.latency + 1,
            lazy=self._normalizer is not None,
            memories=memories,
            holds="sums of rows",
        )
        # The registers behind the queue's memory hold items too, and `room` is low only when one
        # more is in.
        self.waiting = queue.depth - queue.slack + queue.latency
        self.room = queue.room
        self.empty_row = self.accumulator.empty_row
        if self._normalizer:
            self.waiting += self._normalizer.rows + 1
            self.o = self._normalizer.o
            self.row_done = self.o.valid & self.o.ready & self.o.payload.level.all()
        else:
            self.o = queue.o
            self.row_done = self.accumulator.o.valid

    @property
    def blocks(self) -> dict[str, Component]:
        """The blocks but for the tables, by name."""
        normalizer = {"normalizer": self._normalizer} if self._normalizer else {}
        return {"accumulator": self.accumulator, "sum_queue": self.sum_queue, **normalizer}

    @property
    def exponentials_store(self) -> Stream | None:
        """With contexts: what takes exponentials for the dividers' banks; None without them."""
        return self._normalizer.store if self._normalizer else None

    def connect(self, m: Module, codes: Stream) -> None:
        """Join the blocks, behind ``codes``, a stream of code_beat that others may stop."""
        valid = codes.valid if isinstance(codes.ready, Const) else codes.valid & codes.ready
        m.d.comb += [
            self.accumulator.i.valid.eq(valid),
            self.accumulator.i.payload.eq(codes.payload),
        ]
        width = self._kernel.bits * self._kernel.group
        for g, table in enumerate(self.sum_tables.values()):
            m.d.comb += [
                table.codes.eq(codes.payload.codes.as_value().word_select(g, width)),
                self.accumulator.totals[g].eq(table.total),
            ]
            self._reader.look_up(m, table, codes.payload, valid)
        wiring.connect(m, self.accumulator.o, self.sum_queue.i)
        if self._normalizer:
            wiring.connect(m, self.sum_queue.o, self._normalizer.i)
