"""From octets of the line to messages that wait to be taken."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from exaq.scalars import integer
from exaq_fpga.gateware.framing.cobs_decoder import CobsDecoder
from exaq_fpga.gateware.framing.frame_check import CHECK_BITS, CHECK_CYCLES, add_frame_check
from exaq_fpga.gateware.framing.octet_ram import OctetRam
from exaq_fpga.gateware.octets import LINE, MESSAGES
from exaq_fpga.link.protocol import CHECK, HEADER
from exaq_hdl.parts.component import Component

#: Octets in front of each message in the buffer: its length.
LENGTH_OCTETS = 2
#: Sizes of buffer that there may be.
LEAST_SIZE = 16
GREATEST_SIZE = 1 << 8 * LENGTH_OCTETS


class FrameReceiver(Component):
    """Takes frames from a line and keeps the messages of good ones until they are taken.

    Octets on ``i`` are at least ``line_cycles`` cycles apart; of closer ones, good frames count as
    damaged. A message takes its length and 2 octets of the
    buffer, while it arrives 4 more for its CRC; each octet's place is free again once it is on
    its way to ``o``. A frame that is not whole, has a wrong CRC or holds fewer octets than a
    message's header is dropped, and so is one that finds no room for any of its octets,
    damaged or not. Whatever came before, the octet after a delimiter begins a frame.

    Latency ``latency`` cycles from a frame's delimiter to its message, where no other is before
    it. Throughput of ``o`` ``cycles_per_octet`` cycles for an octet and ``gap`` cycles more for a
    message. Back-pressure holds messages in the buffer.

    Parameters
    ----------
    size
        Octets of the buffer, a power of two from 16 to 65536.

    Members
    -------
    i : stream of octets, always ready
    o : stream of MESSAGE_OCTET: type, tag and body
    length : octets of the message that ``o`` is in; valid with ``o.valid``
    taken : pulse: a frame ended, its message is in the buffer
    damaged : pulse: a frame ended and was dropped, for what it holds
    overflow : pulse: a frame ended and was dropped, for want of room
    """

    # An octet's check; a frame's end takes no longer than the two octets behind it.
    line_cycles = CHECK_CYCLES
    latency = 8
    cycles_per_octet = 2
    gap = 3

    def __init__(self, size: int):
        size = integer("size", size)
        if not LEAST_SIZE <= size <= GREATEST_SIZE or size & size - 1:
            raise ValueError(
                f"size must be a power of two from {LEAST_SIZE} to {GREATEST_SIZE}, not {size}"
            )
        self.size = size
        super().__init__(
            {
                "i": In(LINE),
                "o": Out(MESSAGES),
                "length": Out(range(size + 1)),
                "taken": Out(1),
                "damaged": Out(1),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        # Pointers have a bit more than an address has, to tell a full buffer from an empty one.
        # From `read` to `head` stand messages that are whole; the reader keeps to them. From
        # `head` to `write` stands what arrives, with room for its length in front. That room is
        # always there: the places of the last message's CRC, which are free again.
        m = Module()
        m.submodules.cobs = cobs = CobsDecoder()
        m.submodules.buffer = buffer = OctetRam(self.size)
        wiring.connect(m, wiring.flipped(self.i), cobs.i)
        pointer = range(2 * self.size)
        head, read = Signal(pointer), Signal(pointer)
        self._write_side(m, cobs.o, buffer, head, read)

        # A cycle late, so that a message's length is read once it is written: `head` goes first.
        waiting = Signal()
        m.d.sync += waiting.eq(read != head)
        self._read_side(m, buffer, read, waiting)
        return m

    def _write_side(
        self, m: Module, item: Any, buffer: OctetRam, head: Signal, read: Signal
    ) -> None:
        write = Signal.like(head, init=LENGTH_OCTETS)
        # The message's length so far, modulo the range of pointers: the check is not in it.
        length = Signal.like(head, init=-CHECK % (2 * self.size))
        too_short = Signal()
        no_room, lost = Signal(), Signal()
        m.d.sync += too_short.eq(length[-1] | (length[:-1] < HEADER))
        m.d.sync += no_room.eq(write ^ read == self.size)

        # An octet goes into the check in the cycle it comes in and those after it.
        restart = Signal()
        check = add_frame_check(m, restart)
        is_octet = Signal()
        step = Signal(range(CHECK_CYCLES))
        octet = item.payload.data
        matches = Signal()
        m.d.sync += matches.eq(check.match_detected)
        m.d.comb += [
            is_octet.eq(item.valid & ~item.payload.end),
            check.valid.eq(is_octet | (step != 0)),
            check.data.eq(octet.word_select(step, CHECK_BITS)),
        ]
        with m.If(check.valid):
            m.d.sync += step.eq(step + 1)

        # What `write` becomes: its sum with `step_by`, or `head`.
        go_back = Signal()
        step_by = Signal(range(LENGTH_OCTETS + 1))
        m.d.sync += write.eq(Mux(go_back, head, write + step_by))
        m.d.comb += [buffer.write_address.eq(write), buffer.write_data.eq(octet)]

        def store(octet: Value) -> None:
            m.d.comb += [
                buffer.write_enable.eq(1),
                buffer.write_data.eq(octet),
                step_by.eq(1),
            ]

        m.d.sync += [self.taken.eq(0), self.damaged.eq(0), self.overflow.eq(0)]
        with m.FSM():
            with m.State("FRAME"):
                with m.If(item.valid & item.payload.end):
                    m.next = "JUDGE"
                with m.Elif(is_octet & no_room):
                    m.d.sync += lost.eq(1)
                with m.Elif(is_octet):
                    store(octet)
                    m.d.sync += length.eq(length + 1)
            with m.State("JUDGE"):
                m.d.comb += go_back.eq(1)
                m.next = "RESTART"
                with m.If(lost):
                    m.d.sync += self.overflow.eq(1)
                with m.Elif(~item.payload.good | ~matches | too_short):
                    m.d.sync += self.damaged.eq(1)
                with m.Else():
                    m.d.sync += [self.taken.eq(1), head.eq(write - CHECK)]
                    m.next = "LENGTH_LOW"
            with m.State("LENGTH_LOW"):
                store(length[:8])
                m.next = "LENGTH_HIGH"
            with m.State("LENGTH_HIGH"):
                store(length[8:])
                m.next = "NEXT"
            with m.State("NEXT"):
                m.d.comb += go_back.eq(1)
                m.next = "RESTART"
            with m.State("RESTART"):
                m.d.comb += [restart.eq(1), step_by.eq(LENGTH_OCTETS)]
                m.d.sync += [length.eq(length.init), lost.eq(0)]
                m.next = "FRAME"

    def _read_side(self, m: Module, buffer: OctetRam, read: Signal, waiting: Signal) -> None:
        fetch = Signal()
        moved = Signal.like(self.length)
        is_last = Signal()
        m.d.comb += [
            buffer.read_enable.eq(fetch),
            buffer.read_address.eq(read),
        ]
        m.d.sync += is_last.eq(0)
        with m.If(fetch):
            m.d.sync += read.eq(read + 1)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        with m.FSM():
            with m.State("WAIT"), m.If(waiting & ~self.o.valid):
                m.d.comb += fetch.eq(1)
                m.d.sync += moved.eq(1)
                m.next = "LENGTH_LOW"
            with m.State("LENGTH_LOW"):
                m.d.comb += fetch.eq(1)
                m.d.sync += self.length[:8].eq(buffer.read_data)
                m.next = "LENGTH_HIGH"
            with m.State("LENGTH_HIGH"):
                m.d.comb += fetch.eq(1)
                m.d.sync += self.length[8:].eq(buffer.read_data)
                m.next = "OCTET"
            with m.State("OCTET"):
                # In time: octets move in every other cycle at most, and no message has just one.
                m.d.sync += is_last.eq(moved == self.length)
                with m.If(~self.o.valid):
                    m.d.comb += fetch.eq(~is_last)
                    m.d.sync += [
                        self.o.valid.eq(1),
                        self.o.payload.data.eq(buffer.read_data),
                        self.o.payload.last.eq(is_last),
                        moved.eq(moved + 1),
                    ]
                    with m.If(is_last):
                        m.next = "WAIT"
