"""Two p-tables side by side in a memory: one is read while the next one is written."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data

from exaq import Exaq
from exaq_hdl.kernels.exaq.tables.words import row_context
from exaq_hdl.parts.component import Stream


def live_code(kernel: Exaq) -> data.StructLayout:
    """A lane's element for a p-table in a memory."""
    return data.StructLayout({"code": kernel.bits, "live": 1})


class TwoTables:
    """Takes the words of p-tables in, and says which of two places in a memory each has.

    A word taken is in ``word`` a cycle later, with ``write`` high; then it has to be written.

    Parameters
    ----------
    m
        Module of the emitter, which gets the logic.
    kernel
        EXAQ's parameters.
    table
        The emitter's stream of table_word.

    Members
    -------
    word : level and probability to write, 0 from reset to the first word
    write, write_place : whether there is one, and into which place
    readable, read_place : whether a row's table is complete, and in which place
    done : to be driven: the row's last beat has been taken
    row : the row_context of the row whose table is read
    """

    def __init__(self, m: Module, kernel: Exaq, table: Stream):
        # Tables that came in, that are complete in the memory, and whose rows are done. They
        # count up to 4 in the order of a Johnson counter, whose parity is the place.
        came, complete, gone = Signal(2), Signal(2), Signal(2)
        given = table.payload
        take = Signal()
        word: Any = Signal(
            data.StructLayout({"level": kernel.bits, "probability": kernel.format.prob_bits})
        )
        self.word = word
        self.write = Signal()
        self.done = Signal()
        self.write_place, self.read_place = complete.xor(), gone.xor()
        # A register, known from the cycle before: the way of the emitter's ready is long enough.
        self.readable = Signal()
        m.d.comb += [table.ready.eq(came != ~gone), take.eq(table.valid & table.ready)]
        m.d.sync += [
            self.write.eq(take),
            complete.eq(came),
            self.readable.eq(Mux(self.done, came != _after(gone), came != gone)),
        ]
        with m.If(take):
            m.d.sync += [
                word.level.eq(given.level),
                word.probability.eq(given.probability),
            ]
        with m.If(take & given.level.all()):
            m.d.sync += came.eq(_after(came))
        with m.If(self.done):
            m.d.sync += gone.eq(_after(gone))

        self.row: dict[str, Value] = {}
        for name, shape in row_context(kernel).items():
            kept = [Signal(shape, name=f"{name}{k}", reset_less=True) for k in range(2)]
            for k, each in enumerate(kept):
                with m.If(take & (given.level == 0) & (came.xor() == k)):
                    m.d.sync += each.eq(given[name])
            self.row[name] = Mux(self.read_place, kept[1], kept[0])


def _after(counter: Value) -> Value:
    return Cat(~counter[1], counter[0])
