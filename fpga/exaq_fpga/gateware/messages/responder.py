"""Acts on messages, one after the other, and answers them."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value, ValueLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq_fpga.gateware.messages.octet_sources import CounterReader, IdentityRom
from exaq_fpga.gateware.messages.row_reader import RowReader
from exaq_fpga.gateware.messages.row_writer import RowWriter, unit_streams
from exaq_fpga.gateware.octets import MESSAGES
from exaq_fpga.link.protocol import (
    ANSWER,
    COUNTERS,
    ERROR,
    HEADER,
    LOAD_WORD,
    Fault,
    RowsStatus,
    Type,
    buffer_octets,
    load_length,
)
from exaq_hdl.checks import check_config
from exaq_hdl.parts.component import Component
from exaq_hdl.shell.loads import LOAD_WORD as LOAD_LAYOUT
from exaq_hdl.shell.loads import REFUSAL
from exaq_hdl.shell.streams import logit_beat

_OCTET = 8
_TYPE_BITS = max(Type).bit_length()


class Responder(Component):
    """The link's board side between frames and unit: each message in, its answer out.

    A message is taken when the answer before it has been handed over, and answered whatever it
    holds; an answer begins before its message has been looked at to the end. Rows are read, and
    their elements given, at the same time, at an octet in 1 to 2 cycles each way; between
    two answers no row is in the unit. Between two answers it also reports what the line has
    lost, by one ERROR for all since the last. Back-pressure on ``o`` holds its payload and in
    the end stops ``i``.

    Parameters
    ----------
    config
        The unit's configuration.
    identity
        Body of the answer to IDENTIFY, not empty.

    Members
    -------
    i : MESSAGES, of ``HEADER`` octets at least; a shorter one is lost
    length : with contexts: octets of the message that ``i`` offers
    taken, damaged, overflow, line_error : pulses, to be counted and the last three reported
    o : MESSAGES: answers and reports
    active : an answer is under way
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
        self.identity_rom = IdentityRom(identity)
        self.counters = CounterReader(len(COUNTERS))
        streams = unit_streams(config)
        ports = {
            "i": In(MESSAGES),
            "taken": In(1),
            "damaged": In(1),
            "overflow": In(1),
            "line_error": In(1),
            "o": Out(MESSAGES),
            "active": Out(1),
            "logits": Out(stream.Signature(logit_beat(config.format))),
            "elements": In(streams["o"]),
        }
        if "row" in streams:
            ports["results"] = In(streams["row"])
        if config.contexts:
            ports |= {
                "length": In(range(buffer_octets(config) + 1)),
                "load": Out(stream.Signature(LOAD_LAYOUT)),
                "loaded": In(1),
                "refused": In(REFUSAL),
            }
        super().__init__(ports)

    def elaborate(self, platform: Any) -> Module:
        # `kind` is the message's type. `failed` makes its answer an ERROR. `settled` says that
        # the answer's body is `result` alone: there is nothing more to do.
        m = Module()
        m.submodules.reader = self.reader
        m.submodules.writer = self.writer
        m.submodules.identity_rom = self.identity_rom
        m.submodules.counters = self.counters
        octet, message_ends = self.i.payload.data, self.i.payload.last
        self._kind = kind = Signal(_TYPE_BITS, reset_less=True)
        self._failed = failed = Signal(reset_less=True)
        self._settled = settled = Signal(reset_less=True)
        self._result = result = Signal(max(Fault).bit_length(), reset_less=True)
        self._refused = Signal()
        foreign = Signal(reset_less=True)
        tag = Signal(_OCTET, reset_less=True)
        self._give(m)
        self._watch(m)
        self._rows(m)

        with m.FSM(name="state") as fsm:
            m.d.comb += self.active.eq(~fsm.ongoing("idle"))

            with m.State("idle"):
                m.d.sync += [kind.eq(octet), foreign.eq(octet[_TYPE_BITS:].any())]
                with m.If(self._lost.any()):
                    m.d.comb += self._reported.eq(1)
                    m.d.sync += [failed.eq(1), settled.eq(1), result.eq(self._lost), tag.eq(0)]
                    m.next = "type"
                with m.Else():
                    m.d.comb += self.i.ready.eq(1)
                    with m.If(self.i.valid & ~message_ends):
                        m.next = "tag"

            with m.State("tag"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += tag.eq(octet)
                with m.If(self.i.valid):
                    self._begin(m, Cat(kind, foreign), message_ends)

            with m.State("drop"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid & message_ends):
                    m.next = "type"

            with m.State("type"):
                first = Signal(_OCTET)
                m.d.comb += first.eq(ANSWER | kind)
                with m.If(failed):
                    m.d.comb += first.eq(ERROR)
                with m.If(self._send(m, first)):
                    m.next = "second"

            with m.State("second"), m.If(self._send(m, tag)):
                with m.If(settled):
                    m.next = "result"
                with m.Elif(kind == Type.ROWS):
                    m.next = "rows"
                with m.Elif(kind == Type.IDENTIFY):
                    m.next = "identity"
                if self.config.contexts:
                    with m.Elif(kind == Type.LOAD_TABLES):
                        m.next = "words"
                with m.Else():
                    m.d.comb += self.counters.start.eq(1)
                    m.next = "counters"

            for state, source in (
                ("identity", self.identity_rom.o),
                ("counters", self.counters.o),
            ):
                with m.State(state):
                    given = source.payload
                    m.d.comb += source.ready.eq(self._free)
                    with m.If(self._send(m, given.data, given.last, source.valid) & given.last):
                        m.next = "idle"

            with m.State("rows"):
                octets = self.writer.o
                m.d.comb += octets.ready.eq(self._free)
                self._send(m, octets.payload, valid=octets.valid)
                with m.If(self._idle):
                    m.next = "result"

            if self.config.contexts:
                self._load(m)

            with m.State("result"), m.If(self._send(m, result, 1)):
                m.next = "idle"
        return m

    def _begin(self, m: Module, kind: Value, ends: Value) -> None:
        """What a message's type and emptiness, and a load's length, say of its answer."""

        def fail(fault: Fault) -> None:
            m.d.comb += self._refused.eq(1)
            m.d.sync += [self._failed.eq(1), self._settled.eq(1), self._result.eq(int(fault))]
            drop()

        def drop() -> None:
            with m.If(~ends):
                m.next = "drop"

        m.d.sync += [self._failed.eq(0), self._settled.eq(0), self._result.eq(0)]
        m.next = "type"
        with m.Switch(kind):
            with m.Case(Type.ROWS):
                m.d.sync += self._reading.eq(~ends)
                with m.If(ends):
                    m.d.sync += self._status(RowsStatus.MALFORMED).eq(1)
            with m.Case(Type.IDENTIFY, Type.STATUS), m.If(~ends):
                fail(Fault.MALFORMED)
            if self.config.contexts:
                legal = HEADER + LOAD_WORD * load_length(self.config)
                wrong_length = 1 << REFUSAL["length"].offset
                with m.Case(Type.LOAD_TABLES), m.If(self.length != legal):
                    m.d.sync += [self._settled.eq(1), self._result.eq(wrong_length)]
                    drop()
            with m.Default():
                fail(Fault.UNKNOWN)

    def _give(self, m: Module) -> None:
        """The register that answers leave through."""
        self._free = Signal()
        self._sent: Any = Signal(MESSAGES.members["payload"].shape)
        self._sending = Signal()
        m.d.comb += self._free.eq(~self.o.valid | self.o.ready)
        with m.If(self._free):
            m.d.sync += [self.o.valid.eq(self._sending), self.o.payload.eq(self._sent)]

    def _send(self, m: Module, octet: Value, last: ValueLike = 0, valid: ValueLike = 1) -> Value:
        """Gives an octet in this state; the result tells that it has gone."""
        m.d.comb += [
            self._sending.eq(valid),
            self._sent.data.eq(octet),
            self._sent.last.eq(last),
        ]
        return self._free & valid

    def _watch(self, m: Module) -> None:
        """Counts what there is to count, and keeps what there is to report."""
        self._lost = Signal(3)
        self._reported = Signal()
        now = Cat(self.damaged, self.overflow, self.line_error)
        kept = Signal.like(self._lost)
        with m.If(~self._reported):
            m.d.comb += kept.eq(self._lost)
        m.d.sync += self._lost.eq(kept | now)
        unit = self.elements
        given = unit.valid & unit.ready
        happened = {
            "messages": self.taken,
            "damaged": self.damaged,
            "overflows": self.overflow,
            "line_errors": self.line_error,
            "rejected": self._refused,
            "rows": given & unit.payload.last,
            "beats": given,
            "stalled": unit.valid & ~unit.ready,
            "loads": self.loaded if self.config.contexts else Const(0),
        }
        m.d.comb += self.counters.events.eq(Cat(happened[name] for name in COUNTERS))

    def _rows(self, m: Module) -> None:
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

    def _status(self, bit: RowsStatus) -> Value:
        return self._result[bit.bit_length() - 1]

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
