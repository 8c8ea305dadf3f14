"""Ethernet frames for a PHY: preamble, padding, check, and the gap between two."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In, Out

from exaq_fpga.gateware.ethernet.mac_receiver import FCS, LEAST_FRAME
from exaq_fpga.gateware.framing.frame_check import CHECK_BITS, CHECK_CYCLES, add_frame_check
from exaq_fpga.gateware.octets import MESSAGES, OCTETS
from exaq_hdl.parts.component import Component

#: Octets in front of a frame, and of rest behind it.
PREAMBLE = 8
GAP = 12

_PREAMBLE_OCTET, _DELIMITER = 0x55, 0xD5


class MacSender(Component):
    """Puts frames on their way.

    Throughput one octet for each ``o.ready``, which comes every 5 cycles at most, whether there
    is an octet or not; a frame takes ``PREAMBLE + FCS + GAP`` octets beside its own. A frame of
    less than ``LEAST_FRAME - FCS`` octets gets zeros behind it. ``i`` must not pause within one.

    Members
    -------
    i : stream of MESSAGE_OCTET: frames without their check
    o : stream of octets to ``RgmiiTransmitter``
    """

    def __init__(self) -> None:
        super().__init__({"i": In(MESSAGES), "o": Out(OCTETS)})

    def elaborate(self, platform: Any) -> Module:
        # As in FrameSender, the check's own octets go through it, inverted: they come out of its
        # low end one after the other.
        m = Module()
        restart = Signal()
        check = add_frame_check(m, restart)
        octet, inverted = Signal(8), Signal()
        step, running = Signal(range(CHECK_CYCLES)), Signal()
        count = Signal(range(LEAST_FRAME))
        moves, padded = Signal(), Signal()
        m.d.comb += [
            moves.eq(self.o.ready),
            padded.eq(count >= LEAST_FRAME - FCS - 1),
            check.valid.eq(running),
            check.data.eq(octet.word_select(step, CHECK_BITS) ^ inverted.replicate(CHECK_BITS)),
        ]
        with m.If(running):
            m.d.sync += [step.eq(step + 1), running.eq(step != CHECK_CYCLES - 1)]

        def give(value: Any, *, checked: bool = True, invert: bool = False) -> None:
            m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(value)]
            if checked:
                with m.If(moves):
                    m.d.sync += [octet.eq(value), inverted.eq(invert), running.eq(1)]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += restart.eq(1)
                m.d.sync += count.eq(0)
                with m.If(self.i.valid):
                    m.next = "PREAMBLE"
            with m.State("PREAMBLE"):
                give(_PREAMBLE_OCTET, checked=False)
                with m.If(moves):
                    m.d.sync += count.eq(count + 1)
                with m.If(count == PREAMBLE - 1):
                    m.d.comb += self.o.payload.eq(_DELIMITER)
                    with m.If(moves):
                        m.d.sync += count.eq(0)
                        m.next = "DATA"
            with m.State("DATA"):
                give(self.i.payload.data)
                m.d.comb += self.i.ready.eq(moves)
                with m.If(moves):
                    m.d.sync += count.eq(count + ~padded)
                    with m.If(self.i.payload.last):
                        m.next = "PAD"
                        with m.If(padded):
                            m.d.sync += count.eq(0)
                            m.next = "CHECK"
            with m.State("PAD"):
                give(0)
                with m.If(moves):
                    m.d.sync += count.eq(count + 1)
                    with m.If(padded):
                        m.d.sync += count.eq(0)
                        m.next = "CHECK"
            with m.State("CHECK"):
                give(check.crc[:8], invert=True)
                with m.If(moves):
                    m.d.sync += count.eq(count + 1)
                    with m.If(count == FCS - 1):
                        m.d.sync += count.eq(0)
                        m.next = "GAP"
            with m.State("GAP"), m.If(moves):
                m.d.sync += count.eq(count + 1)
                with m.If(count == GAP - 1):
                    m.next = "IDLE"
        return m
