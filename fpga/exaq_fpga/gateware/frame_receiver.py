"""From octets of the line to messages that wait to be taken."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from exaq_fpga.gateware.cobs_decoder import CobsDecoder
from exaq_fpga.gateware.frame_check import CHECK_BITS, CHECK_CYCLES, frame_check
from exaq_fpga.gateware.octets import LINE, MESSAGES
from exaq_fpga.link.protocol import CHECK, HEADER

#: Octets in front of each message in the buffer: its length.
LENGTH_OCTETS = 2
#: Sizes of buffer that there may be.
LEAST_SIZE = 16
GREATEST_SIZE = 1 << 8 * LENGTH_OCTETS


class FrameReceiver(wiring.Component):
    """Takes frames from a line and keeps the messages of good ones until they are taken.

    Octets on ``i`` are at least 4 cycles apart. A message takes its length and 2 octets of the
    buffer, while it arrives 4 more for its CRC; each octet's place is free again once it is on
    its way to ``o``. A frame that is not whole, has a wrong CRC or holds fewer octets than a
    message's header is dropped, and so is one that finds no room for any of its octets,
    damaged or not. Whatever came before, the octet after a delimiter begins a frame.

    A message is on ``o`` at most ``latency`` cycles after the delimiter of its frame where no
    other waits. Throughput of ``o`` 1 octet in 2 cycles and ``gap`` cycles more for each message.
    ``o.ready`` may come at any time.

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

    latency = 9
    gap = 3

    def __init__(self, size):
        if not isinstance(size, int) or not LEAST_SIZE <= size <= GREATEST_SIZE or size & size - 1:
            raise ValueError(
                f"size must be a power of two from {LEAST_SIZE} to {GREATEST_SIZE}, not {size!r}"
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

    def elaborate(self, platform):
        # Pointers have a bit more than an address has: their difference is what is in use.
        # From `read` to `head` stand messages that are whole; the reader keeps to them. From
        # `head` to `write` stands what arrives, with room for its length in front.
        m = Module()
        m.submodules.cobs = cobs = CobsDecoder()
        m.submodules.check = check = frame_check()
        m.submodules.buffer = buffer = memory.Memory(shape=8, depth=self.size, init=[])
        write_port, read_port = buffer.write_port(), buffer.read_port()
        wiring.connect(m, wiring.flipped(self.i), cobs.i)
        pointer = range(2 * self.size)
        head, read = Signal(pointer), Signal(pointer)
        write = Signal(pointer, init=LENGTH_OCTETS)
        storing_length = Signal()
        self._write_side(m, cobs.o, check, write_port, (head, write, read), storing_length)

        waiting = Signal()
        m.d.sync += waiting.eq((read != head) & ~storing_length)
        self._read_side(m, read_port, read, waiting)
        return m

    def _write_side(self, m, item, check, port, pointers, storing_length):
        head, write, read = pointers
        # The message's length so far, modulo the range of pointers: the check is not in it.
        before = -CHECK % (2 * self.size)
        length = Signal(write.shape(), init=before)
        too_short = Signal()
        no_room, lost = Signal(), Signal()
        good = Signal()
        m.d.comb += too_short.eq(length[-1] | (length[:-1] < HEADER))
        m.d.sync += no_room.eq((write - read)[: len(write)] >= self.size)

        bits = Signal(8, reset_less=True)
        bits_left = Signal(CHECK_CYCLES)
        m.d.comb += [check.data.eq(bits[:CHECK_BITS]), check.valid.eq(bits_left[0])]
        m.d.sync += [bits.eq(bits >> CHECK_BITS), bits_left.eq(bits_left >> 1)]

        m.d.sync += [self.taken.eq(0), self.damaged.eq(0), self.overflow.eq(0)]
        m.d.comb += [
            port.addr.eq(write),
            port.data.eq(item.payload.data),
            storing_length.eq(1),
        ]

        def store(octet):
            m.d.comb += [port.en.eq(1), port.data.eq(octet)]
            m.d.sync += write.eq(write + 1)

        with m.FSM():
            with m.State("FRAME"):
                m.d.comb += storing_length.eq(0)
                m.d.sync += good.eq(item.payload.good)
                with m.If(item.valid & item.payload.end):
                    m.next = "JUDGE"
                with m.Elif(item.valid):
                    m.d.sync += [bits.eq(item.payload.data), bits_left.eq(~0)]
                    with m.If(no_room):
                        m.d.sync += lost.eq(1)
                    with m.Else():
                        store(item.payload.data)
                        m.d.sync += length.eq(length + 1)
            with m.State("JUDGE"):
                m.next = "RETURN"
                with m.If(lost):
                    m.d.sync += self.overflow.eq(1)
                with m.Elif(~good | ~check.match_detected | too_short):
                    m.d.sync += self.damaged.eq(1)
                with m.Else():
                    m.d.sync += [self.taken.eq(1), write.eq(head), head.eq(write - CHECK)]
                    m.next = "LENGTH_LOW"
            with m.State("LENGTH_LOW"):
                store(length[:8])
                m.next = "LENGTH_HIGH"
            with m.State("LENGTH_HIGH"):
                store(length[8:])
                m.next = "RETURN"
            with m.State("RETURN"):
                m.d.comb += check.start.eq(1)
                m.d.sync += [write.eq(head), length.eq(before), lost.eq(0)]
                m.next = "LEAVE_ROOM"
            with m.State("LEAVE_ROOM"):
                m.d.sync += write.eq(write + LENGTH_OCTETS)
                m.next = "FRAME"

    def _read_side(self, m, port, read, waiting):
        left = Signal.like(self.length)
        m.d.comb += [port.addr.eq(read), port.en.eq(0)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        def fetch():
            m.d.comb += port.en.eq(1)
            m.d.sync += read.eq(read + 1)

        with m.FSM():
            with m.State("WAIT"), m.If(waiting & ~self.o.valid):
                fetch()
                m.next = "LENGTH_LOW"
            with m.State("LENGTH_LOW"):
                fetch()
                m.d.sync += self.length.eq(port.data)
                m.next = "LENGTH_HIGH"
            with m.State("LENGTH_HIGH"):
                fetch()
                whole = Cat(self.length[:8], port.data)
                m.d.sync += [self.length.eq(whole), left.eq(whole)]
                m.next = "OCTET"
            with m.State("OCTET"), m.If(~self.o.valid):
                m.d.sync += [
                    self.o.valid.eq(1),
                    self.o.payload.data.eq(port.data),
                    self.o.payload.last.eq(left == 1),
                    left.eq(left - 1),
                ]
                with m.If(left == 1):
                    m.next = "WAIT"
                with m.Else():
                    fetch()
