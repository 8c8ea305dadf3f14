"""From a PHY's nibbles to the octets of Ethernet frames, and whether a frame was whole."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from exaq_fpga.gateware.ethernet.rgmii import NIBBLE
from exaq_fpga.gateware.framing.frame_check import CHECK_BITS, CHECK_CYCLES, add_frame_check
from exaq_hdl.parts.component import Component

#: An octet of a frame, and its place in it; the frame begins with the receiver's address.
FRAME_OCTET = data.StructLayout({"data": 8, "place": 11})
#: Fewest octets of a frame, its check included.
LEAST_FRAME = 64
#: Octets of the check at a frame's end.
FCS = 4

_START = 0xD


class MacReceiver(Component):
    """Takes preamble and delimiter from frames and judges them by their check.

    Octets are at least 6 cycles apart; each one's payload holds until the next. Behind a
    frame's last octet comes ``ended``. A frame of fewer than ``LEAST_FRAME`` octets is not
    good, nor is one of 2048 or more. Half an octet at the end is dropped, as IEEE 802.3 asks for.

    Members
    -------
    i : stream of NIBBLE, always ready
    o : stream of FRAME_OCTET, always ready; the frame's check comes as its last four octets
    ended : pulse: a frame has ended
    good : with ``ended``: its check and its length are right
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(NIBBLE, always_ready=True)),
                "o": Out(stream.Signature(FRAME_OCTET, always_ready=True)),
                "ended": Out(1),
                "good": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        restart = Signal()
        check = add_frame_check(m, restart)
        nibble, frame = self.i.payload.data, self.i.payload.frame
        octet, low = Signal(8), Signal(4)
        place, following = Signal(11), Signal(11)
        too_long = Signal()
        step = Signal(range(CHECK_CYCLES))
        # Of the check: it takes an octet in the cycles from its own on.
        rest = Signal(range(2 * CHECK_CYCLES))
        m.d.comb += [
            self.o.payload.data.eq(octet),
            self.o.payload.place.eq(place),
            check.valid.eq(self.o.valid | (step != 0)),
            check.data.eq(octet.word_select(step, CHECK_BITS)),
        ]
        m.d.sync += [self.o.valid.eq(0), self.ended.eq(0)]
        with m.If(check.valid):
            m.d.sync += step.eq(step + 1)

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += restart.eq(1)
                m.d.sync += [following.eq(0), too_long.eq(0), rest.eq(0)]
                with m.If(self.i.valid & frame):
                    m.next = "PREAMBLE"
            with m.State("PREAMBLE"), m.If(self.i.valid):
                with m.If(~frame):
                    m.next = "IDLE"
                with m.Elif(nibble == _START):
                    m.next = "LOW"
            with m.State("LOW"), m.If(self.i.valid):
                m.d.sync += low.eq(nibble)
                m.next = "HIGH"
                with m.If(~frame):
                    m.next = "END"
            with m.State("HIGH"), m.If(self.i.valid):
                m.next = "END"
                with m.If(frame):
                    m.d.sync += [
                        octet.eq(Cat(low, nibble)),
                        place.eq(following),
                        following.eq(following + 1),
                        too_long.eq(too_long | (following.all())),
                        self.o.valid.eq(1),
                    ]
                    m.next = "LOW"
            with m.State("END"):
                m.d.sync += rest.eq(rest + 1)
                with m.If(rest.all()):
                    m.d.sync += [
                        self.ended.eq(1),
                        self.good.eq(check.match_detected & (place >= LEAST_FRAME - 1) & ~too_long),
                    ]
                    m.next = "IDLE"
        return m
