"""Consistent overhead byte stuffing (S. Cheshire, M. Baker, 1999), put on."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from exaq_fpga.gateware.cobs_decoder import DELIMITER, FULL_BLOCK
from exaq_fpga.gateware.octets import MESSAGES, OCTETS


class CobsEncoder(wiring.Component):
    """Turns messages into frames: stuffed octets with a delimiter behind.

    The stuffing is the shortest: nothing follows a full block that ends a message. A block is
    sent once it is whole (254 octets, a zero, the message's end), while the next is taken; so a
    sink that takes an octet in 4 cycles or more is kept busy where the source gives one in 3.
    Throughput otherwise: in, 1 octet per cycle and a cycle more for each block; out, an octet in
    2 cycles and 2 cycles more for each block. ``i.ready`` does not depend on ``o.ready``.

    Members
    -------
    i : stream of MESSAGE_OCTET
    o : stream of octets
    """

    def __init__(self):
        super().__init__({"i": In(MESSAGES), "o": Out(OCTETS)})

    def elaborate(self, platform):
        # The memory holds two blocks, each with its code at its first place. `full` says which
        # are whole: those belong to the reader, the others to the writer.
        m = Module()
        block_places = FULL_BLOCK + 1
        m.submodules.blocks = blocks = memory.Memory(shape=8, depth=2 * block_places, init=[])
        write_port, read_port = blocks.write_port(), blocks.read_port()
        full = Signal(2)
        # The block ends a message.
        ends = Signal(2)

        writing = Signal()
        fill = Signal(range(block_places), init=1)
        closing = Signal()
        # The block to close is the message's last; an empty one follows that is.
        last, empty_follows = Signal(), Signal()
        octet = self.i.payload
        is_zero = Signal()
        free = Signal()
        m.d.comb += [
            free.eq(~full.bit_select(writing, 1)),
            is_zero.eq(octet.data == 0),
            self.i.ready.eq(free & ~closing),
        ]
        with m.If(closing):
            m.d.comb += [
                write_port.en.eq(free),
                write_port.addr.eq(Cat(Const(0, len(fill)), writing)),
                write_port.data.eq(fill),
            ]
            with m.If(free):
                m.d.sync += [
                    full.bit_select(writing, 1).eq(1),
                    ends.bit_select(writing, 1).eq(last),
                    writing.eq(~writing),
                    fill.eq(1),
                    closing.eq(empty_follows),
                    last.eq(empty_follows),
                    empty_follows.eq(0),
                ]
        with m.Else():
            m.d.comb += [
                write_port.en.eq(free),
                write_port.addr.eq(Cat(fill, writing)),
                write_port.data.eq(octet.data),
            ]
            with m.If(self.i.valid & free):
                with m.If(is_zero):
                    m.d.sync += [closing.eq(1), empty_follows.eq(octet.last)]
                with m.Else():
                    m.d.sync += [
                        fill.eq(fill + 1),
                        closing.eq(octet.last | (fill == FULL_BLOCK - 1)),
                        last.eq(octet.last),
                    ]

        reading = Signal()
        place = Signal(range(block_places))
        left = Signal(range(block_places))
        m.d.comb += read_port.addr.eq(Cat(place, reading))
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        def fetch():
            m.d.comb += read_port.en.eq(1)
            m.d.sync += place.eq(place + 1)

        def send(octet):
            m.d.sync += [self.o.payload.eq(octet), self.o.valid.eq(1)]

        m.d.comb += read_port.en.eq(0)
        with m.FSM():
            with m.State("WAIT"):
                with m.If(full.bit_select(reading, 1)):
                    fetch()
                    m.next = "CODE"
            with m.State("CODE"):
                m.d.sync += left.eq(read_port.data)
                m.next = "OCTET"
            with m.State("OCTET"), m.If(~self.o.valid):
                send(read_port.data)
                m.d.sync += left.eq(left - 1)
                with m.If(left != 1):
                    fetch()
                with m.Else():
                    m.d.sync += [
                        full.bit_select(reading, 1).eq(0),
                        reading.eq(~reading),
                        place.eq(0),
                    ]
                    with m.If(ends.bit_select(reading, 1)):
                        m.next = "DELIMITER"
                    with m.Else():
                        m.next = "WAIT"
            with m.State("DELIMITER"), m.If(~self.o.valid):
                send(DELIMITER)
                m.next = "WAIT"
        return m
