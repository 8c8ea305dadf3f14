"""Consistent overhead byte stuffing (S. Cheshire, M. Baker, 1999), put on."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from exaq_fpga.gateware.cobs_decoder import DELIMITER, FULL_BLOCK
from exaq_fpga.gateware.octet_ram import OctetRam
from exaq_fpga.gateware.octets import MESSAGES, OCTETS


class CobsEncoder(wiring.Component):
    """Turns messages into frames: stuffed octets with a delimiter behind.

    The stuffing is the shortest: nothing follows a full block that ends a message. A block is
    sent once it is whole (254 octets, a zero, the message's end), while the next is taken.
    Throughput in, 1 octet per cycle and a cycle more for each block; out, an octet in 2 cycles
    and 2 cycles more for each block. Back-pressure on ``o`` holds ``i`` back once two blocks
    wait; ``i.ready`` does not depend on ``o.ready``.

    Members
    -------
    i : stream of MESSAGE_OCTET
    o : stream of octets
    """

    def __init__(self):
        super().__init__({"i": In(MESSAGES), "o": Out(OCTETS)})

    def elaborate(self, platform):
        # The memory holds two blocks, each with its code at its first place. The block to write
        # and the block to read are counted modulo 4: equal, none is whole; two apart, both are.
        m = Module()
        places = FULL_BLOCK + 1
        m.submodules.blocks = blocks = OctetRam(2 * places)
        writing, reading = Signal(2), Signal(2)
        # By block: it ends a message.
        ends = Signal(2)
        self._write_side(m, blocks, (writing, reading), ends)
        self._read_side(m, blocks, (writing, reading), ends)
        return m

    def _write_side(self, m, blocks, counts, ends):
        writing, reading = counts
        fill = Signal(range(FULL_BLOCK + 1), init=1)
        closing = Signal()
        # The block to close is the message's last; an empty one follows that is.
        last, empty_follows = Signal(), Signal()
        octet = self.i.payload
        store = Signal()
        free = Signal()
        m.d.comb += [
            free.eq(writing ^ reading != 0b10),
            self.i.ready.eq(free & ~closing),
            store.eq(self.i.valid & self.i.ready),
            blocks.write_enable.eq(free & (closing | self.i.valid)),
        ]
        with m.If(closing):
            m.d.comb += [
                blocks.write_address.eq(Cat(Const(0, len(fill)), writing[0])),
                blocks.write_data.eq(fill),
            ]
            with m.If(free):
                m.d.sync += [
                    ends.bit_select(writing[0], 1).eq(last),
                    writing.eq(writing + 1),
                    fill.eq(1),
                    closing.eq(empty_follows),
                    last.eq(1),
                    empty_follows.eq(0),
                ]
        with m.Else():
            m.d.comb += [
                blocks.write_address.eq(Cat(fill, writing[0])),
                blocks.write_data.eq(octet.data),
            ]
            with m.If(store & (octet.data == 0)):
                m.d.sync += [closing.eq(1), last.eq(0), empty_follows.eq(octet.last)]
            with m.Elif(store):
                m.d.sync += [
                    fill.eq(fill + 1),
                    closing.eq(octet.last | (fill == FULL_BLOCK - 1)),
                    last.eq(octet.last),
                ]

    def _read_side(self, m, blocks, counts, ends):
        writing, reading = counts
        fetch = Signal()
        # Place of the next octet to fetch: as high as the code when all are.
        place = Signal(range(FULL_BLOCK + 1))
        code = Signal(8, reset_less=True)
        m.d.comb += [
            blocks.read_enable.eq(fetch),
            blocks.read_address.eq(Cat(place, reading[0])),
        ]
        with m.If(fetch):
            m.d.sync += place.eq(place + 1)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        sent = Signal(8, reset_less=True)
        m.d.comb += self.o.payload.eq(sent)

        def send(octet):
            m.d.sync += [sent.eq(octet), self.o.valid.eq(1)]

        with m.FSM():
            with m.State("WAIT"), m.If(writing != reading):
                m.d.comb += fetch.eq(1)
                m.next = "CODE"
            with m.State("CODE"):
                m.d.sync += code.eq(blocks.read_data)
                m.next = "OCTET"
            with m.State("OCTET"), m.If(~self.o.valid):
                send(blocks.read_data)
                with m.If(place != code):
                    m.d.comb += fetch.eq(1)
                with m.Else():
                    m.d.sync += [reading.eq(reading + 1), place.eq(0)]
                    m.next = "WAIT"
                    with m.If(ends.bit_select(reading[0], 1)):
                        m.next = "DELIMITER"
            with m.State("DELIMITER"), m.If(~self.o.valid):
                send(DELIMITER)
                m.next = "WAIT"
