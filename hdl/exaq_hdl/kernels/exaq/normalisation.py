"""From codes to the probabilities that their row can have."""

from amaranth.hdl import Module
from amaranth.lib import wiring

from exaq import Exaq
from exaq_hdl.kernels.exaq.accumulator import Accumulator
from exaq_hdl.kernels.exaq.layouts import row_complement
from exaq_hdl.kernels.exaq.normalizer import Normalizer
from exaq_hdl.kernels.exaq.quantizer import Quantizer
from exaq_hdl.kernels.exaq.tables.provider import Tables
from exaq_hdl.parts.component import Stream
from exaq_hdl.parts.fifo import Fifo
from exaq_hdl.parts.memory import Memories
from exaq_hdl.shell.streams import item


class Normalisation:
    """LUT_sum, accumulator, a queue of sums, and the dividers behind it.

    A row's sum S travels as its complement ~S, which spares the dividers an inverter for every
    bit, and which nobody else sees.

    Parameters
    ----------
    kernel
        EXAQ's parameters.
    tables
        The unit's tables.
    behind
        Cycles from the last word of a row's p-table to its first probability.
    memories
        Makes the queue's RAM.

    Members
    -------
    room : whether a further row's sum fits
    o : stream of table_word, out
    latency : cycles from a row's last code to the last word of its p-table
    row_done : pulse: the tables of a row are not needed any more
    empty_row : pulse: a row has no live element
    """

    def __init__(self, kernel: Exaq, tables: Tables, *, behind: int, memories: Memories):
        self._kernel = kernel
        self._reader = tables.sums()
        #: A LUT_sum for each group of a beat, by name.
        self.sum_tables = {
            f"{self._reader.table_name}{g}": self._reader.sum_table() for g in range(kernel.groups)
        }
        self.accumulator = Accumulator(kernel, self._reader)
        self.normalizer = Normalizer(kernel, tables)
        self.latency = self.accumulator.latency + Fifo.latency + self.normalizer.latency
        self.sum_queue = Fifo(
            row_complement(kernel),
            capacity=kernel.format.rows_within(self.latency + behind),
            slack=Quantizer.reaction + self.accumulator.latency + 1,
            lazy=True,
            memories=memories,
        )
        self.room, self.o = self.sum_queue.room, self.normalizer.o
        self.row_done = self.o.valid & self.o.ready & self.o.payload.level.all()
        # A live row's sum is at least that of its maximum, which is not 0.
        row_sum = self.accumulator.o
        self.empty_row = row_sum.valid & item(row_sum.payload, "complement").all()

    def connect(self, m: Module, codes: Stream) -> None:
        """Join the blocks, behind ``codes``, a stream of code_beat."""
        m.d.comb += [
            self.accumulator.i.valid.eq(codes.valid),
            self.accumulator.i.payload.eq(codes.payload),
        ]
        width = self._kernel.bits * self._kernel.group
        for g, table in enumerate(self.sum_tables.values()):
            m.d.comb += [
                table.codes.eq(codes.payload.codes.as_value().word_select(g, width)),
                self.accumulator.totals[g].eq(table.total),
            ]
            self._reader.look_up(m, table, codes.payload, codes.valid)
        wiring.connect(m, self.accumulator.o, self.sum_queue.i)
        wiring.connect(m, self.sum_queue.o, self.normalizer.i)
