"""What all responders do with messages, whatever unit is behind them."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, ValueLike
from amaranth.lib.wiring import In, Out

from exaq_fpga.gateware.messages.octet_sources import CounterReader, IdentityRom
from exaq_fpga.gateware.octets import MESSAGES
from exaq_fpga.link.protocol import ANSWER, COUNTERS, ERROR, Fault, RowsStatus, Type
from exaq_hdl.parts.component import Component

_OCTET = 8
_TYPE_BITS = max(Type).bit_length()


class Answering(Component):
    """Takes messages one after the other and answers them; a base for a responder of each unit.

    A message is taken when the answer before it has been handed over, and answered whatever it
    holds; an answer begins before its message has been looked at to the end. Between two answers
    it also reports what the line has lost, by one ERROR for all since the last. Back-pressure on
    ``o`` holds its payload and in the end stops ``i``.

    IDENTIFY and STATUS are answered here. A derived class adds the parts that it needs, says how
    messages of its own types begin, and has a state for the body of each answer, which goes on to
    ``idle``, or to ``result``: the answer's last octet is then ``self._result``.

    Parameters
    ----------
    identity
        Body of the answer to IDENTIFY, not empty.
    ports
        Those of the derived class.

    Members
    -------
    i : MESSAGES, of ``HEADER`` octets at least; a shorter one is lost
    taken, damaged, overflow, line_error : pulses, to be counted and the last three reported
    o : MESSAGES: answers and reports
    active : an answer is under way
    """

    #: Types that have answers, and the states of their bodies; of any other type it is counters.
    bodies: dict[Type, str]

    def __init__(self, identity: bytes, ports: dict[str, Any]):
        self.identity_rom = IdentityRom(identity)
        self.counters = CounterReader(len(COUNTERS))
        super().__init__(
            {
                "i": In(MESSAGES),
                "taken": In(1),
                "damaged": In(1),
                "overflow": In(1),
                "line_error": In(1),
                "o": Out(MESSAGES),
                "active": Out(1),
            }
            | ports
        )

    def elaborate(self, platform: Any) -> Module:
        # `kind` is the message's type. `failed` makes its answer an ERROR. `settled` says that
        # the answer's body is `result` alone: there is nothing more to do.
        m = Module()
        self._add_parts(m)
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
        self._connect(m)

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
                    m.d.sync += [failed.eq(0), settled.eq(0), result.eq(0)]
                    m.next = "type"
                    with m.Switch(Cat(kind, foreign)):
                        self._begin(m, message_ends)
                        with m.Default():
                            self._fail(m, Fault.UNKNOWN, message_ends)

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
                for type_, state in self.bodies.items():
                    with m.Elif(kind == type_):
                        m.next = state
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

            self._add_states(m)

            with m.State("result"), m.If(self._send(m, result, 1)):
                m.next = "idle"
        return m

    def connect_unit(self, m: Module, unit: Any) -> None:
        """In the module round both: join the streams with those of ``unit``."""
        raise NotImplementedError

    def connect_loads(self, m: Module, unit: Any, length: Value) -> None:
        """Join what loads tables of ``unit``, if it has that; ``length`` is the receiver's."""

    def _add_parts(self, m: Module) -> None:
        """Submodules of the derived class."""

    def _connect(self, m: Module) -> None:
        """Its logic that is outside of the states."""

    def _begin(self, m: Module, ends: Value) -> None:
        """Cases of a switch over types: what a message's type and emptiness say of its answer."""
        raise NotImplementedError

    def _add_states(self, m: Module) -> None:
        """Its states."""
        raise NotImplementedError

    def _happened(self) -> dict[str, ValueLike]:
        """The events of the counters that are of the unit: rows, beats, stalled, loads."""
        raise NotImplementedError

    def _fail(self, m: Module, fault: Fault, ends: Value) -> None:
        """The message is answered by ERROR."""
        m.d.comb += self._refused.eq(1)
        m.d.sync += [self._failed.eq(1), self._settled.eq(1), self._result.eq(int(fault))]
        self._drop(m, ends)

    def _drop(self, m: Module, ends: Value) -> None:
        """What is left of the message is taken before the answer begins."""
        with m.If(~ends):
            m.next = "drop"

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
        happened = {
            "messages": self.taken,
            "damaged": self.damaged,
            "overflows": self.overflow,
            "line_errors": self.line_error,
            "rejected": self._refused,
            **self._happened(),
        }
        m.d.comb += self.counters.events.eq(Cat(happened[name] for name in COUNTERS))

    def _status(self, bit: RowsStatus) -> Value:
        return self._result[bit.bit_length() - 1]
