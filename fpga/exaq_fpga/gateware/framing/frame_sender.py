"""From messages to frames on the line."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from exaq_fpga.gateware.framing.cobs_encoder import CobsEncoder
from exaq_fpga.gateware.framing.frame_check import CHECK_BITS, CHECK_CYCLES, add_frame_check
from exaq_fpga.gateware.octets import MESSAGES, OCTETS
from exaq_fpga.link.protocol import CHECK
from exaq_hdl.parts.component import Component


class FrameSender(Component):
    """Sends each message in a frame: its octets and their CRC-32, stuffed, and a delimiter.

    Throughput ``cycles_per_octet`` cycles for each octet of message and CRC and a cycle more for
    the message. A UART of any divisor is kept busy while messages wait, but for the time that 254
    octets take where a short message began after an idle line. Back-pressure on ``o`` holds
    messages back once at least 257 octets wait to be sent.

    Members
    -------
    i : stream of MESSAGE_OCTET
    o : stream of octets
    """

    cycles_per_octet = 1 + CHECK_CYCLES

    def __init__(self) -> None:
        super().__init__({"i": In(MESSAGES), "o": Out(OCTETS)})

    def elaborate(self, platform: Any) -> Module:
        # One octet at a time: it is loaded, handed to the encoder, and goes into the check from
        # that cycle on. The check's own octets go the same way: inverted, they are what the
        # check's register is about to shift out, which leaves zeros behind them and brings the
        # next octet to its low end.
        m = Module()
        restart = Signal()
        m.submodules.cobs = cobs = CobsEncoder()
        check = add_frame_check(m, restart)
        wiring.connect(m, wiring.flipped(self.o), cobs.o)

        octet = Signal(8, reset_less=True)
        message_ends = Signal()
        in_check = Signal()
        check_left = Signal(range(CHECK))
        step = Signal(range(CHECK_CYCLES))
        m.d.comb += [
            cobs.i.payload.data.eq(octet),
            cobs.i.payload.last.eq(in_check & (check_left == 0)),
            check.data.eq(octet.word_select(step, CHECK_BITS) ^ in_check.replicate(CHECK_BITS)),
        ]
        with m.If(check.valid):
            m.d.sync += step.eq(step + 1)

        with m.FSM():
            with m.State("LOAD"):
                m.d.comb += self.i.ready.eq(~in_check)
                m.d.sync += [
                    octet.eq(Mux(in_check, check.crc[:8], self.i.payload.data)),
                    message_ends.eq(self.i.payload.last),
                ]
                with m.If(in_check | self.i.valid):
                    m.next = "HAND"
            with m.State("HAND"):
                m.d.comb += [cobs.i.valid.eq(1), check.valid.eq(cobs.i.ready)]
                with m.If(cobs.i.ready):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.comb += check.valid.eq(1)
                with m.If(step == CHECK_CYCLES - 1):
                    m.next = "LOAD"
                    with m.If(~in_check):
                        m.d.sync += [in_check.eq(message_ends), check_left.eq(CHECK - 1)]
                    with m.Else():
                        m.d.sync += check_left.eq(check_left - 1)
                        with m.If(check_left == 0):
                            m.d.sync += in_check.eq(0)
                            m.next = "RESTART"
            with m.State("RESTART"):
                m.d.comb += restart.eq(1)
                m.next = "LOAD"
        return m
