"""Acts on messages for an attention head, one after the other, and answers them."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import wiring

from exaq.attention import AttentionConfig
from exaq_fpga.gateware.messages.answering import Answering
from exaq_fpga.gateware.messages.output_writer import OutputWriter
from exaq_fpga.gateware.messages.vector_reader import VectorReader
from exaq_fpga.link.protocol import VECTOR_NUMBER, VECTORS_HEADER, Fault, RowsStatus, Type
from exaq_hdl.attention.attention_head import head_ports
from exaq_hdl.shell.ports import members

_OCTET = 8


class HeadResponder(Answering):
    """The link's board side between frames and an attention head: each message in, its answer out.

    What holds for every ``Answering``. The board has one head at a time. A key and its value are
    taken where their number is that of those taken before, and else dropped; so a message that is
    repeated, or comes behind one that was lost, does no harm.

    Of a causal head a row's number decides what keys it meets, and the unit counts rows. A row
    of another number than the unit's next one is brought into its place by rows that stand for
    those before it, the first of which, where the unit is too far, ends the head for the
    unit. The outputs of such rows are dropped; so are those of one that gives the keys and values
    back when another head begins.

    Parameters
    ----------
    config, outputs_per_beat
        As of ``AttentionHead``.
    identity
        Body of the answer to IDENTIFY, not empty.

    Members
    -------
    those of ``Answering``
    q, keys, values, outputs : streams to and from the unit
    """

    #: Rows that the unit may hold at most. So many octets on the line take longer than the unit.
    rows = 15

    def __init__(self, config: AttentionConfig, identity: bytes, *, outputs_per_beat: int):
        self.config = config
        self.reader = VectorReader(config)
        self.writer = OutputWriter(config, outputs_per_beat)
        self.bodies = {
            Type.QUERIES: "rows",
            Type.KEYS_VALUES: "pairs",
            Type.BEGIN_HEAD: "begin",
            Type.IDENTIFY: "identity",
        }
        ports = members(head_ports(config, outputs_per_beat))
        streams = {name: ports[name].flip() for name in ("q", "keys", "values")}
        super().__init__(identity, streams | {"outputs": ports["o"].flip()})

    def connect_unit(self, m: Module, unit: Any) -> None:
        for name in ("q", "keys", "values"):
            wiring.connect(m, getattr(self, name), getattr(unit, name))
        wiring.connect(m, unit.o, self.outputs)

    def _add_parts(self, m: Module) -> None:
        m.submodules.reader = self.reader
        m.submodules.writer = self.writer
        # How many keys and values the unit has; whether these are all of the head.
        self._held, self._complete = Signal(VECTOR_NUMBER), Signal()
        # The number of the row that the unit takes next; it counts no further than its keys are.
        self._next_row = Signal(VECTOR_NUMBER)
        # What goes to the unit in this state; a row's `last` and `release`.
        self._give_pair, self._give_row = Signal(), Signal()
        self._row_ends, self._release = Signal(), Signal()
        # The key and value are the head's last, whatever a message says; outputs are for nobody.
        self._ending, self._dropping = Signal(), Signal()
        self._pair_taken, self._row_taken = Signal(), Signal()

    def _begin(self, m: Module, ends: Value) -> None:
        with m.Case(Type.QUERIES, Type.KEYS_VALUES):
            m.d.sync += self._reading.eq(~ends)
            with m.If(ends):
                m.d.sync += self._status(RowsStatus.MALFORMED).eq(1)
        with m.Case(Type.IDENTIFY, Type.STATUS, Type.BEGIN_HEAD), m.If(~ends):
            self._fail(m, Fault.MALFORMED, ends)

    def _connect(self, m: Module) -> None:
        """From the message to the unit, and what the unit still owes."""
        reader, writer, given = self.reader, self.writer, self.outputs
        vector = reader.o.payload
        self._reading = reading = Signal()
        self._idle = Signal()
        owed = Signal(range(self.rows + 1))
        self._none_owed = owed == 0
        m.d.comb += [
            reader.i.payload.eq(self.i.payload),
            reader.i.valid.eq(self.i.valid & reading),
            reader.queries.eq(self._kind == Type.QUERIES),
            self._idle.eq(~reading & self._none_owed),
        ]
        with m.If(reading):
            m.d.comb += self.i.ready.eq(reader.i.ready)
        with m.If(reader.ended):
            m.d.sync += reading.eq(0)
            with m.If(reader.malformed):
                m.d.sync += self._status(RowsStatus.MALFORMED).eq(1)

        # Both banks of the unit's stores take a pair at once: neither makes its ready of a valid.
        keys, values = self.keys, self.values
        m.d.comb += [
            self._pair_taken.eq(self._give_pair & keys.ready & values.ready),
            keys.valid.eq(self._give_pair & values.ready),
            values.valid.eq(self._give_pair & keys.ready),
            keys.payload.vector.eq(vector.key),
            values.payload.vector.eq(vector.value),
            keys.payload.last.eq(self._ending | vector.last),
            values.payload.last.eq(self._ending | vector.last),
        ]
        with m.If(self._pair_taken):
            m.d.sync += [
                self._held.eq(self._held + 1),
                self._complete.eq(keys.payload.last),
            ]

        m.d.comb += [
            self._row_taken.eq(self.q.valid & self.q.ready),
            self.q.valid.eq(self._give_row & (owed != self.rows)),
            Value.cast(self.q.payload.q).eq(vector.query),
            self.q.payload.last.eq(self._row_ends),
            self.q.payload.release.eq(self._release),
        ]
        with m.If(self._row_taken):
            with m.If(self._row_ends):
                m.d.sync += self._next_row.eq(0)
            with m.Elif(self._next_row != self._held):
                m.d.sync += self._next_row.eq(self._next_row + 1)

        m.d.comb += [
            writer.i.payload.eq(given.payload),
            writer.i.valid.eq(given.valid & ~self._dropping),
            given.ready.eq(self._dropping | writer.i.ready),
        ]
        with m.If(writer.row & writer.error):
            m.d.sync += self._status(RowsStatus.ROW_ERROR).eq(1)
        left = given.valid & given.ready & given.payload.last
        with m.If(self._row_taken ^ left):
            m.d.sync += owed.eq(owed + Cat(1, left.replicate(len(owed) - 1)))

    def _add_states(self, m: Module) -> None:
        reader = self.reader
        vector, offered = reader.o.payload, reader.o.valid
        with m.State("pairs"):
            wanted = ~self._complete & (vector.number == self._held)
            m.d.comb += [
                self._give_pair.eq(offered & wanted),
                reader.o.ready.eq(~wanted | self._pair_taken),
            ]
            with m.If(~self._reading):
                m.next = "held"

        # How far the keys and values are: the header of the message that goes on from there.
        with m.State("held"):
            place = Signal(range(VECTORS_HEADER))
            told = Cat(self._held, self._complete)
            with m.If(self._send(m, told.word_select(place, _OCTET))):
                m.d.sync += place.eq(place + 1)
                with m.If(place == VECTORS_HEADER - 1):
                    m.d.sync += place.eq(0)
                    m.next = "result"

        with m.State("rows"):
            octets = self.writer.o
            m.d.comb += octets.ready.eq(self._free)
            self._send(m, octets.payload, valid=octets.valid)
            with m.If(self._idle):
                m.next = "result"
            in_place = self._in_place(vector.number)
            with m.If(~self._complete):
                m.d.comb += reader.o.ready.eq(1)
                with m.If(offered):
                    m.d.sync += self._status(RowsStatus.NO_HEAD).eq(1)
            with m.Elif(in_place):
                m.d.comb += [self._give_row.eq(offered), reader.o.ready.eq(self._row_taken)]
            with m.Elif(offered & self._none_owed):
                m.next = "seek"

        with m.State("seek"):
            in_place = self._in_place(vector.number)
            m.d.comb += [
                self._dropping.eq(1),
                self._give_row.eq(~in_place),
                self._row_ends.eq(self._next_row > vector.number),
            ]
            with m.If(in_place & self._none_owed):
                m.next = "rows"

        # A head that has begun is completed, and a row gives its keys and values back.
        with m.State("begin"):
            m.d.comb += [self._ending.eq(1), self._dropping.eq(1)]
            with m.If(self._held == 0):
                m.next = "result"
            with m.Elif(~self._complete):
                m.d.comb += self._give_pair.eq(1)
            with m.Else():
                m.d.comb += [
                    self._give_row.eq(1),
                    self._row_ends.eq(1),
                    self._release.eq(1),
                ]
                with m.If(self._row_taken):
                    m.next = "release"

        with m.State("release"):
            m.d.comb += self._dropping.eq(1)
            with m.If(self._none_owed):
                m.d.sync += [self._held.eq(0), self._complete.eq(0)]
                m.next = "result"

    def _in_place(self, number: Value) -> Value:
        """Whether a row of that number can go to the unit: rows behind the last key are alike."""
        if not self.config.causal:
            return Value.cast(1)
        return self._next_row == Mux(number > self._held, self._held, number)

    def _happened(self) -> dict[str, ValueLike]:
        unit = self.outputs
        given = unit.valid & unit.ready & ~self._dropping
        return {
            "rows": given & unit.payload.last,
            "beats": given,
            "stalled": unit.valid & ~unit.ready,
            "loads": self._pair_taken & self.reader.o.payload.last & ~self._ending,
        }
