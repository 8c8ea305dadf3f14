"""Acts on messages of rows, one after the other, and answers them."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value, ValueLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq_fpga.gateware.messages.answering import Answering
from exaq_fpga.gateware.messages.row_reader import RowReader
from exaq_fpga.gateware.messages.row_writer import RowWriter, unit_streams
from exaq_fpga.link.protocol import HEADER, LOAD_WORD, Fault, RowsStatus, Type, buffer_octets
from exaq_hdl.checks import check_config
from exaq_hdl.shell.loads import LOAD_WORD as LOAD_LAYOUT
from exaq_hdl.shell.loads import REFUSAL, refusal
from exaq_hdl.shell.streams import logit_beat

_OCTET = 8


class Responder(Answering):
    """The link's board side between frames and the softmax unit: each message in, its answer out.

    What holds for every ``Answering``. Rows are read, and their elements given, at the same time,
    at an octet in 1 to 2 cycles each way; between two answers no row is in the unit.

    Parameters
    ----------
    config
        The unit's configuration.
    identity
        Body of the answer to IDENTIFY, not empty.

    Members
    -------
    those of ``Answering``
    length : with contexts: octets of the message that ``i`` offers
    logits, elements : streams to and from the unit
    results : with row results: the unit's stream of them
    load, loaded, refused : with contexts: to and from the unit
    """

    #: Rows that the unit may hold at most. So many octets on the line take longer than the unit.
    rows = 15

    def __init__(self, config: SoftmaxConfig, identity: bytes):
        self.config = check_config(config)
        self.reader = RowReader(config)
        self.writer = RowWriter(config)
        self.bodies = {Type.ROWS: "rows", Type.IDENTIFY: "identity"}
        streams = unit_streams(config)
        ports = {
            "logits": Out(stream.Signature(logit_beat(config.format))),
            "elements": In(streams["o"]),
        }
        if "row" in streams:
            ports["results"] = In(streams["row"])
        if config.contexts:
            self.bodies[Type.LOAD_TABLES] = "words"
            ports |= {
                "length": In(range(buffer_octets(config) + 1)),
                "load": Out(stream.Signature(LOAD_LAYOUT)),
                "loaded": In(1),
                "refused": In(refusal(config.format)),
            }
        super().__init__(identity, ports)

    def connect_unit(self, m: Module, unit: Any) -> None:
        wiring.connect(m, self.logits, unit.i)
        wiring.connect(m, unit.o, self.elements)
        if self.config.row_results != "none":
            wiring.connect(m, unit.row, self.results)

    def connect_loads(self, m: Module, unit: Any, length: Value) -> None:
        if self.config.contexts:
            wiring.connect(m, self.load, unit.load)
            m.d.comb += [
                self.length.eq(length),
                self.loaded.eq(unit.loaded),
                self.refused.eq(unit.refused),
            ]

    def _add_parts(self, m: Module) -> None:
        m.submodules.reader = self.reader
        m.submodules.writer = self.writer

    def _begin(self, m: Module, ends: Value) -> None:
        with m.Case(Type.ROWS):
            m.d.sync += self._reading.eq(~ends)
            with m.If(ends):
                m.d.sync += self._status(RowsStatus.MALFORMED).eq(1)
        with m.Case(Type.IDENTIFY, Type.STATUS), m.If(~ends):
            self._fail(m, Fault.MALFORMED, ends)
        if self.config.contexts:
            legal = HEADER + LOAD_WORD * self.config.load_length
            wrong_length = 1 << REFUSAL["length"].offset
            with m.Case(Type.LOAD_TABLES), m.If(self.length != legal):
                m.d.sync += [self._settled.eq(1), self._result.eq(wrong_length)]
                self._drop(m, ends)

    def _add_states(self, m: Module) -> None:
        with m.State("rows"):
            octets = self.writer.o
            m.d.comb += octets.ready.eq(self._free)
            self._send(m, octets.payload, valid=octets.valid)
            with m.If(self._idle):
                m.next = "result"
        if self.config.contexts:
            self._load(m)

    def _happened(self) -> dict[str, ValueLike]:
        unit = self.elements
        given = unit.valid & unit.ready
        return {
            "rows": given & unit.payload.last,
            "beats": given,
            "stalled": unit.valid & ~unit.ready,
            "loads": self.loaded if self.config.contexts else Const(0),
        }

    def _connect(self, m: Module) -> None:
        """From the message to the unit, and what the unit still owes."""
        reader, writer = self.reader, self.writer
        self._reading = reading = Signal()
        self._idle = Signal()
        owed = Signal(range(self.rows + 1))
        wiring.connect(m, reader.o, wiring.flipped(self.logits))
        wiring.connect(m, wiring.flipped(self.elements), writer.i)
        if self.config.row_results != "none":
            wiring.connect(m, wiring.flipped(self.results), writer.results)
        m.d.comb += [
            reader.i.payload.eq(self.i.payload),
            reader.i.valid.eq(self.i.valid & reading),
            reader.hold.eq(owed == self.rows),
            self._idle.eq(~reading & (owed == 0)),
        ]
        with m.If(reading):
            m.d.comb += self.i.ready.eq(reader.i.ready)
        with m.If(reader.ended):
            m.d.sync += reading.eq(0)
            with m.If(reader.malformed):
                m.d.sync += self._status(RowsStatus.MALFORMED).eq(1)
        with m.If(writer.row & writer.error):
            m.d.sync += self._status(RowsStatus.ROW_ERROR).eq(1)
        with m.If(reader.row ^ writer.row):
            m.d.sync += owed.eq(owed + Cat(1, writer.row.replicate(len(owed) - 1)))

    def _load(self, m: Module) -> None:
        """States of LOAD_TABLES: words to the unit, which says what became of them."""
        word = self.load.payload.word
        number = Signal(range(LOAD_WORD))
        first = Signal(init=1)
        complete = Signal(reset_less=True)
        m.d.comb += self.load.payload.first.eq(first)
        with m.State("words"):
            m.d.comb += self.i.ready.eq(~self.load.valid)
            with m.If(self.i.valid & self.i.ready):
                m.d.sync += [
                    word.eq(Cat(word, self.i.payload.data) >> _OCTET),
                    number.eq(number + 1),
                    self.load.valid.eq(number == LOAD_WORD - 1),
                    complete.eq(self.i.payload.last),
                ]
            with m.If(self.load.valid & self.load.ready):
                m.d.sync += [self.load.valid.eq(0), first.eq(complete)]
                with m.If(complete):
                    m.next = "verdict"
        with m.State("verdict"):
            refused = Value.cast(self.refused)
            m.d.sync += self._result.eq(refused)
            with m.If(self.loaded | refused.any()):
                m.next = "result"
