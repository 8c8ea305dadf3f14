"""Consistent overhead byte stuffing (S. Cheshire, M. Baker, 1999), put on."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from exaq_fpga.gateware.framing.cobs_decoder import DELIMITER, FULL_BLOCK
from exaq_fpga.gateware.framing.octet_ram import OctetRam
from exaq_fpga.gateware.octets import MESSAGES, OCTETS
from exaq_hdl.parts.component import Component

#: Octets of the buffer: it holds an open block and as much again that is ready to be sent.
BUFFER = 512


class CobsEncoder(Component):
    """Turns messages into frames: stuffed octets with a delimiter behind.

    The stuffing is the shortest: nothing follows a full block that ends a message. A block is
    sent once it is whole (254 octets, a zero, the message's end) while those behind it are taken.
    Throughput ``cycles_per_octet`` cycles for an octet, in and out; in, as many for each block's
    code and for the delimiter. Back-pressure on ``o`` holds ``i`` back once at least 257 octets
    wait to be sent; ``i.ready`` does not depend on ``o.ready``.

    Members
    -------
    i : stream of MESSAGE_OCTET
    o : stream of octets
    """

    cycles_per_octet = 2

    def __init__(self) -> None:
        super().__init__({"i": In(MESSAGES), "o": Out(OCTETS)})

    def elaborate(self, platform: Any) -> Module:
        # From `read` to `open` stand octets to be sent as they are. At `open` is the place of the
        # open block's code, behind it the block's octets so far, up to `fill`.
        m = Module()
        m.submodules.buffer = buffer = OctetRam(BUFFER)
        place = range(BUFFER)
        read, open_, fill = Signal(place), Signal(place, name="open"), Signal(place, init=1)
        self._write_side(m, buffer, read, open_, fill)

        fetch = Signal()
        m.d.comb += [
            fetch.eq((read != open_) & ~self.o.valid),
            buffer.read_enable.eq(fetch),
            buffer.read_address.eq(read),
            self.o.payload.eq(buffer.read_data),
        ]
        with m.If(fetch):
            m.d.sync += [self.o.valid.eq(1), read.eq(read + 1)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m

    def _write_side(
        self, m: Module, buffer: OctetRam, read: Signal, open_: Signal, fill: Signal
    ) -> None:
        octet = self.i.payload
        code = Signal(range(FULL_BLOCK + 1), init=1)
        # To close a block is to write its code; behind the last one goes the delimiter like a code.
        closing = Signal()
        # What is closed is the message's last block; an empty one follows that is.
        last, empty_follows = Signal(), Signal()
        free, take, is_zero = Signal(), Signal(), Signal()
        # A register, which is a cycle late: so nothing is stored in two cycles running.
        m.d.sync += free.eq((fill != read) & ~buffer.write_enable)
        m.d.comb += [
            self.i.ready.eq(free & ~closing),
            take.eq(self.i.valid & self.i.ready),
            is_zero.eq(octet.data == 0),
            buffer.write_enable.eq((closing & free) | (take & ~is_zero)),
            buffer.write_address.eq(Mux(closing, open_, fill)),
            buffer.write_data.eq(Mux(closing, code, octet.data)),
        ]
        with m.If(buffer.write_enable):
            m.d.sync += fill.eq(fill + 1)
        with m.If(closing & free):
            m.d.sync += [
                open_.eq(fill),
                code.eq(Mux(last, DELIMITER, 1)),
                closing.eq(last | empty_follows),
                last.eq(empty_follows),
                empty_follows.eq(0),
            ]
        with m.Elif(take & is_zero):
            m.d.sync += [closing.eq(1), empty_follows.eq(octet.last)]
        with m.Elif(take):
            m.d.sync += [
                code.eq(code + 1),
                closing.eq(octet.last | (code == FULL_BLOCK - 1)),
                last.eq(octet.last),
            ]
