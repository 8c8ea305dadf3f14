"""Consistent overhead byte stuffing (S. Cheshire, M. Baker, 1999), taken off."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from exaq_fpga.gateware.octets import LINE
from exaq_hdl.parts.component import Component

#: Delimiter between frames; no octet within one is this.
DELIMITER = 0
#: Code of a block without a zero behind its octets: as long as a block can be.
FULL_BLOCK = 255

#: An octet of a frame; or, with ``end``, a frame's end, and whether its last block was whole.
FRAME_ITEM = data.StructLayout({"data": 8, "end": 1, "good": 1})


class CobsDecoder(Component):
    """Turns octets of a line into frames without their stuffing.

    Latency 1 cycle; throughput 1 octet per cycle. An octet in gives at most one item out, whose
    payload holds until the next octet; a delimiter gives a frame's end, or nothing where no octet
    stands before it. Where a delimiter comes within a block, the frame ends with ``good`` low.
    Whatever came before, the octet after a delimiter begins a frame. A frame whose last full
    block is followed by an empty one is taken as one without it.

    Members
    -------
    i : stream of octets, always ready
    o : stream of FRAME_ITEM, always ready
    """

    latency = 1

    def __init__(self) -> None:
        super().__init__({"i": In(LINE), "o": Out(stream.Signature(FRAME_ITEM, always_ready=True))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        begun = Signal()
        left = Signal(range(FULL_BLOCK))
        # A zero stands between the last block and the next.
        zero = Signal()
        octet = self.i.payload
        item: Any = Signal(FRAME_ITEM, reset_less=True)
        block_ended = Signal()
        m.d.comb += [block_ended.eq(left == 0), self.o.payload.eq(item)]
        m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid):
            m.d.sync += [
                item.data.eq(Mux(block_ended, 0, octet)),
                item.end.eq(octet == DELIMITER),
                item.good.eq(block_ended),
            ]
            with m.If(octet == DELIMITER):
                m.d.sync += [self.o.valid.eq(begun), begun.eq(0), left.eq(0), zero.eq(0)]
            with m.Else():
                # A code counts itself.
                m.d.sync += [
                    self.o.valid.eq(~block_ended | zero),
                    begun.eq(1),
                    left.eq(Mux(block_ended, octet, left) - 1),
                ]
                with m.If(block_ended):
                    m.d.sync += zero.eq(octet != FULL_BLOCK)
        return m
