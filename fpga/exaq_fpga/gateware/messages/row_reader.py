"""Turns the body of a ROWS message into rows of beats."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq_fpga.gateware.octets import MESSAGES
from exaq_fpga.link.protocol import (
    MASK_RUN,
    ROW_HEADER,
    WINDOW_NUMBER,
    WINDOW_OCTETS,
    WINDOWED,
)
from exaq_hdl.checks import check_config
from exaq_hdl.parts.component import Component
from exaq_hdl.shell.streams import logit_beat

_OCTET = 8


class RowReader(Component):
    """Takes rows octet by octet, as in the body of ROWS, and gives their beats.

    Throughput: an octet a cycle, less a cycle for each beat while it is taken and one for each
    absent lane of a row's last beat. A row is refused before its first beat where it is longer
    than ``max_row``, has no such context, is masked where the unit has no masking, or has a
    window where the unit has none or one beyond ``index_bits``; the rest of its message is then
    dropped. A row that the message ends in is closed with what has come
    of it, at most one element more (of the octets that were on their way), or, where no octet
    of a logit has come, not begun. So every row that begins also ends, within ``max_row``
    elements. Back-pressure on ``o`` holds its payload, and stops ``i``.

    Members
    -------
    i : MESSAGES: bodies, of one octet at least
    hold : no row is begun
    o : stream of logit_beat
    row : pulse: the last beat of a row is taken
    ended : pulse: the message has ended, and all its beats have been taken
    malformed : with ``ended``: a row was refused, or cut off by the message's end
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = check_config(config)
        super().__init__(
            {
                "i": In(MESSAGES),
                "hold": In(1),
                "o": Out(stream.Signature(logit_beat(config.format))),
                "row": Out(1),
                "ended": Out(1),
                "malformed": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        # Elements are shifted into the lanes from the highest, so that no lane needs to be
        # chosen; the last beat of a row is shifted on without elements until lane 0 holds its
        # first. While a full beat waits to be taken, nothing moves.
        m = Module()
        config = self.config
        octet, message_ends = self.i.payload.data, self.i.payload.last
        beat: Any = Signal(logit_beat(config.format), reset_less=True)
        moved = Signal()
        take = Signal()
        m.d.comb += [
            self.o.payload.eq(beat),
            moved.eq(self.i.valid & self.i.ready),
            self.row.eq(self.o.valid & self.o.ready & beat.last),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        # The row's header. Elements are counted down to 0, as the length comes less 1.
        place = Signal(range(ROW_HEADER))
        left = Signal(max(_OCTET, (config.max_row - 1).bit_length()), reset_less=True)
        contexts = max(config.contexts, 1)
        context = Signal(max(_OCTET, config.context_bits), reset_less=True)
        refused, refuse = Signal(reset_less=True), Signal()
        masked = Signal(reset_less=True)
        upper = octet[: WINDOWED.bit_length() - 1 - _OCTET]
        windowed = octet[WINDOWED.bit_length() - 1 - _OCTET]

        # The row's elements.
        begun = Signal(reset_less=True)
        run = Signal(range(MASK_RUN), reset_less=True)
        live = Signal(MASK_RUN, reset_less=True)
        logit, whole = self._logit(m, octet, take)
        shift, present, close = Signal(), Signal(), Signal()
        full = self._lanes(m, beat, shift, logit, present, ~masked | live[0])

        with m.FSM(name="state"):
            with m.State("header"):
                m.d.comb += self.i.ready.eq(~self.o.valid & ~self.hold)
                with m.Switch(place):
                    with m.Case(0):
                        m.d.comb += refuse.eq(_low_exceeds(octet, config.max_row))
                        m.d.sync += left[:_OCTET].eq(octet)
                    with m.Case(1):
                        m.d.comb += refuse.eq(refused | _exceeds(left, octet, config.max_row))
                        m.d.sync += left[_OCTET:].eq(octet)
                    with m.Case(2):
                        m.d.comb += refuse.eq(refused | _low_exceeds(octet, contexts))
                        m.d.sync += context[:_OCTET].eq(octet)
                    with m.Case(3):
                        m.d.comb += refuse.eq(refused | _exceeds(context, upper, contexts))
                        m.d.sync += [context[_OCTET:].eq(octet), masked.eq(octet[-1])]
                        if not config.masking:
                            with m.If(octet[-1]):
                                m.d.comb += refuse.eq(1)
                        if not config.window:
                            with m.If(windowed):
                                m.d.comb += refuse.eq(1)
                m.d.sync += [begun.eq(0), run.eq(0)]
                if config.window:
                    # A row without a window has all of it.
                    with m.If(moved):
                        m.d.sync += [beat.start.eq(0), beat.stop.eq((1 << config.index_bits) - 1)]
                with m.If(moved):
                    m.d.sync += [place.eq(place + 1), refused.eq(refuse)]
                    with m.If(message_ends):
                        m.d.sync += self.malformed.eq(1)
                        m.next = "ended"
                    with m.Elif(place == ROW_HEADER - 1):
                        with m.If(refuse):
                            m.d.sync += self.malformed.eq(1)
                            m.next = "drop"
                        if config.window:
                            with m.Elif(windowed):
                                m.next = "window"
                        with m.Elif(octet[-1]):
                            m.next = "live"
                        with m.Else():
                            m.next = "logit"

            if config.window:
                self._window(m, beat, octet, moved, masked)

            with m.State("live"):
                m.d.comb += self.i.ready.eq(~self.o.valid)
                with m.If(moved):
                    m.d.sync += live.eq(octet)
                    m.next = "logit"
                    with m.If(message_ends):
                        m.d.sync += self.malformed.eq(1)
                        m.d.comb += [shift.eq(begun), present.eq(1), close.eq(1)]
                        m.next = "ended"
                        with m.If(begun & ~full):
                            m.next = "fill and end"

            with m.State("logit"):
                final = whole & (left == 0)
                m.d.comb += [
                    self.i.ready.eq(~self.o.valid),
                    take.eq(moved),
                    shift.eq(moved & (whole | message_ends)),
                    present.eq(1),
                    close.eq(final | message_ends),
                ]
                with m.If(moved & message_ends & ~final):
                    m.d.sync += self.malformed.eq(1)
                with m.If(shift):
                    m.d.sync += [
                        left.eq(left - 1),
                        run.eq(run + 1),
                        live.eq(live >> 1),
                        begun.eq(1),
                    ]
                    with m.If(message_ends):
                        m.next = "ended"
                        with m.If(~full):
                            m.next = "fill and end"
                    with m.Elif(final):
                        m.next = "header"
                        with m.If(~full):
                            m.next = "fill"
                    with m.Elif(masked & run.all()):
                        m.next = "live"

            for state, following in (("fill", "header"), ("fill and end", "ended")):
                with m.State(state):
                    m.d.comb += [shift.eq(1), close.eq(1)]
                    with m.If(full):
                        m.next = following

            with m.State("drop"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(moved & message_ends):
                    m.next = "ended"

            with m.State("ended"), m.If(~self.o.valid):
                m.d.comb += self.ended.eq(1)
                m.d.sync += [place.eq(0), self.malformed.eq(0)]
                m.next = "header"

        with m.If(shift):
            m.d.sync += beat.last.eq(close)
            if config.context_bits:
                m.d.sync += beat.context.eq(context)
        return m

    def _window(self, m: Module, beat: Any, octet: Value, moved: Value, masked: Value) -> None:
        """The state that reads a row's window."""
        width = self.config.index_bits
        place = Signal(range(WINDOW_OCTETS))
        refused, refuse = Signal(), Signal()
        number = Signal(_OCTET * WINDOW_NUMBER, reset_less=True)
        whole = Cat(number, octet)[_OCTET:]
        ends = (place == WINDOW_NUMBER - 1) | (place == WINDOW_OCTETS - 1)
        with m.State("window"):
            m.d.comb += [
                self.i.ready.eq(1),
                refuse.eq(refused | (ends & whole[width:].any())),
            ]
            with m.If(moved):
                m.d.sync += [
                    number.eq(whole),
                    place.eq(Mux(place == WINDOW_OCTETS - 1, 0, place + 1)),
                    refused.eq(refuse & (place != WINDOW_OCTETS - 1)),
                ]
                with m.If(place == WINDOW_NUMBER - 1):
                    m.d.sync += beat.start.eq(whole)
                with m.If(place == WINDOW_OCTETS - 1):
                    m.d.sync += beat.stop.eq(whole)
                with m.If(self.i.payload.last):
                    m.d.sync += [self.malformed.eq(1), place.eq(0), refused.eq(0)]
                    m.next = "ended"
                with m.Elif(place == WINDOW_OCTETS - 1):
                    with m.If(refuse):
                        m.d.sync += self.malformed.eq(1)
                        m.next = "drop"
                    with m.Elif(masked):
                        m.next = "live"
                    with m.Else():
                        m.next = "logit"

    def _logit(self, m: Module, octet: Value, take: Value) -> tuple[Value, Value]:
        """The logit that ``octet`` completes, and whether it does."""
        count = self.config.logit_bytes
        if count == 1:
            return octet[: self.config.logit_width], Const(1)
        lower = Signal(_OCTET * (count - 1), reset_less=True)
        number = Signal(range(count))
        whole = number == count - 1
        with m.If(take):
            m.d.sync += [
                lower.eq(Cat(lower, octet) >> _OCTET),
                number.eq(Mux(whole | self.i.payload.last, 0, number + 1)),
            ]
        return Cat(lower, octet)[: self.config.logit_width], whole

    def _lanes(
        self, m: Module, beat: Any, shift: Value, logit: Value, present: Value, live: Value
    ) -> Value:
        """Shifts an element into the lanes; the result tells that it makes the beat full."""
        lanes = self.config.lanes
        filled = Signal(range(max(lanes, 2)))
        full = filled == lanes - 1
        with m.If(shift):
            m.d.sync += [
                filled.eq(Mux(full, 0, filled + 1)),
                self.o.valid.eq(full),
                beat.logits[-1].eq(logit),
                beat.tail.eq(Cat(beat.tail, present) >> 1),
                *(beat.logits[k].eq(beat.logits[k + 1]) for k in range(lanes - 1)),
            ]
            if self.config.masking:
                m.d.sync += beat.live.eq(Cat(beat.live, live) >> 1)
        return full


def _low_exceeds(octet: Value, bound: int) -> Value:
    """Whether a number's low octet alone says that it is ``bound`` or more, its high octet 0."""
    return octet >= bound if bound < 1 << _OCTET else Const(0)


def _exceeds(low: Value, high: Value, bound: int) -> Value:
    """Whether a number is ``bound`` or more that ``_low_exceeds`` did not find so."""
    return Cat(low[:_OCTET], high) >= bound if bound > 1 << _OCTET else high.any()
