"""What the boards' receiver of frames keeps to, whatever comes on its line: ``frame_rules``.

The check is cut out: whether it matches is the prover's to say, and that it is given a frame's
octets, all, in order and no others, is claimed. The buffer is cut out, too. One message may be
watched, any of them, and one of its octets: three words of the buffer are kept, those of its length
and of that octet, and what is read of others is anything at all. For that the messages before it
are taken to be read to their ends, which is what is claimed of the one watched: an induction from
message to message. Without it, that the reader keeps to whole messages is taken for granted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data
from formal_engines import Claim
from formal_gateware import text_of, with_names
from formal_text import Dut, Opened, opened

from exaq_fpga.gateware.framing.cobs_decoder import DELIMITER, FRAME_ITEM
from exaq_fpga.gateware.framing.frame_check import CHECK_BITS, CHECK_CYCLES
from exaq_fpga.gateware.framing.frame_receiver import LENGTH_OCTETS, FrameReceiver
from exaq_fpga.link.protocol import CHECK, HEADER

MODULE = "frame_receiver"
# States, numbered as the text has them: of the side that writes, and of that which reads.
_FRAME, _JUDGE, _RESTART, _LOW, _HIGH, _NEXT = range(6)
_WAIT, _READ_LOW, _READ_HIGH, _OCTET = range(4)


def receiver_text(size: int) -> str:
    """A receiver with a buffer of ``size`` octets. Registers whose names the text made up have
    plain ones: the states of both sides, the place behind the last whole message, and the length
    of the message that comes.
    """
    return with_names(text_of(FrameReceiver(size), MODULE), MODULE, _MADE_UP)


_MADE_UP = {
    "writes": r"reg \[2:0\] \\?(fsm_state\S*) ?;",
    "reads": r"reg \[1:0\] \\?(fsm_state\S*) ?;",
    "head": r"= read != \\(\S+) ;",
    "no_room": r"= is_octet & \\(\S+) ;",
    "coming": r"reg \[\d+:0\] \\(length\S+) ;",
}


def open_receiver(text: str, folder: Path) -> Opened:
    """The receiver without check and buffer, what it counts and keeps shown."""
    inner = ["write", "read", "lost", "step", "moved", "is_last", "waiting", "too_short", "matches"]
    cobs = [f"cobs.{name}" for name in ("o__valid", "o__payload", "begun", "left", "zero")]
    show = [*inner, *cobs, *_MADE_UP]
    return opened(text, MODULE, folder, cut=["check", "buffer"], show=show)


def frame_rules(size: int, design: Opened, *, watched: bool = False, wrong: bool = False) -> Claim:
    """The claim, of frames alone, or with a message ``watched`` until it is handed on.

    Where ``wrong``, it is not true: a message may be an octet shorter than it may; or the octet
    that is watched is the one behind.
    """
    it = _Frames(size, design, least=HEADER - (wrong and not watched))
    it.ends()
    it.judgement()
    it.writing()
    it.check()
    if watched:
        message = _Message(it, skip=int(wrong))
        message.buffered()
        message.is_read()
        message.handed_on()
        message.invariants()
    else:
        # The reader keeps to whole messages.
        it.claim.given(~it.fetch | (it.read != it.head))
        it.claim.always(~(it.same & it.octet))
    it.claim.free += it.dut.free
    return it.claim


class _Frames:
    """Frames as they come, and what becomes of them.

    Members
    -------
    octet, end : an octet of a frame comes; its end does
    since, age : cycles since the line's last octet and since a frame's end, while they matter
    count, full : octets that were kept of the frame that comes; the buffer has no room
    last_count, length : of the frame that ended: its octets, and its message's
    judged, good : it is judged in this cycle; it is a whole message
    kept, taken_length : the newest one that was judged: that it was good, and its length
    used : octets of the buffer from where it is read to behind the last whole message
    stores, fetch, same : the buffer is written, and read, and both in one place
    """

    def __init__(self, size: int, design: Opened, *, least: int):
        self.size, self.least = size, least
        self.m = m = Module()
        self.dut = dut = Dut(m, design)
        self.claim = Claim(m, opened=design)
        self.bits = bits = (2 * size - 1).bit_length()
        self.writes, self.reads, self.write, self.read, self.head = (
            dut[name] for name in ("writes", "reads", "write", "read", "head")
        )
        self.item: Any = data.View(FRAME_ITEM, dut["cobs.o__payload"])
        comes = dut["cobs.o__valid"]
        self.comes, self.octet, self.end = comes, comes & ~self.item.end, comes & self.item.end
        self.stores, self.fetch = dut["buffer.write_enable"], dut["buffer.read_enable"]
        self.same = (
            self.stores & self.fetch & (dut["buffer.write_address"] == dut["buffer.read__addr"])
        )
        self.used = self.between(self.read, self.head)
        self.since = Signal(range(CHECK_CYCLES + 1), init=CHECK_CYCLES)
        self.age = Signal(range(2 * CHECK_CYCLES + 1), init=2 * CHECK_CYCLES - 2)
        self.count, self.full, self.lost = Signal(bits), Signal(), Signal()
        self.last_count, self.taken_length = Signal(bits), Signal(bits)
        self.judged, self.kept = self.age == 1, Signal()
        self.length = (self.last_count - CHECK)[:bits]

    def between(self, low: Any, high: Any) -> Any:
        """Octets from one place of the buffer to another."""
        return (high - low)[: self.bits]

    def ends(self) -> None:
        """An end comes with each delimiter that has an octet in front; octets keep their pace."""
        m, claim, dut, since, age = self.m, self.claim, self.dut, self.since, self.age
        came = dut["i__valid"]
        m.d.sync += since.eq(Mux(came, 0, since + (since != CHECK_CYCLES)))
        claim.given(~came | (since >= CHECK_CYCLES - 1))

        delimiter, ended, begun = dut["i__payload"] == DELIMITER, Signal(), Signal()
        m.d.sync += ended.eq(came & delimiter & begun)
        with m.If(came):
            m.d.sync += begun.eq(~delimiter)
        claim.always(self.end == ended)
        claim.always(begun == dut["cobs.begun"])
        claim.always(begun | ((dut["cobs.left"] == 0) & ~dut["cobs.zero"]))
        claim.always(~self.comes | (since == 0))

        # A frame as it comes: how many of its octets were kept, whether one found no room.
        count, full, lost = self.count, self.full, self.lost
        m.d.sync += [
            full.eq(self.between(self.read, self.write) == self.size),
            age.eq(Mux(self.end, 1, age + (age != 2 * CHECK_CYCLES))),
        ]
        with m.If(self.octet):
            m.d.sync += [count.eq(count + ~full), lost.eq(lost | full)]
        with m.If(self.end):
            m.d.sync += [count.eq(0), lost.eq(0)]
        claim.always(~self.comes | ((self.writes == _FRAME) & (age == 2 * CHECK_CYCLES)))
        claim.always((age != 0) & (age <= 2 * CHECK_CYCLES) & (since <= CHECK_CYCLES))
        claim.always((age == 2 * CHECK_CYCLES) | ((count == 0) & ~lost))
        claim.always((age >= CHECK_CYCLES) | (since == age))
        claim.always(~begun | (age == 2 * CHECK_CYCLES) | (since + CHECK_CYCLES <= age))

    def judgement(self) -> None:
        """Exactly one of three becomes of a frame, in the second cycle behind its end."""
        m, claim, dut = self.m, self.claim, self.dut
        self.last_lost, last_good, self.matches = Signal(), Signal(), Signal()
        m.d.sync += [
            self.last_count.eq(self.count),
            self.last_lost.eq(self.lost),
            last_good.eq(self.item.good),
            self.matches.eq(dut["check.match_detected"]),
        ]
        long_enough = self.last_count >= self.least + CHECK
        self.good = ~self.last_lost & last_good & self.matches & long_enough
        told = Signal(3)
        m.d.sync += told.eq(Mux(self.judged, Mux(self.last_lost, 4, Mux(self.good, 1, 2)), 0))
        with m.If(self.judged):
            m.d.sync += [self.kept.eq(self.good), self.taken_length.eq(self.length)]
        claim.always(Cat(dut["taken"], dut["damaged"], dut["overflow"]) == told)

    def writing(self) -> None:
        """What is written: octets of frames behind the room for a length, then the length."""
        m, claim, dut, age = self.m, self.claim, self.dut, self.age
        writes, write, head, between = self.writes, self.write, self.head, self.between
        count, last_count, size = self.count, self.last_count, self.size
        # States by age.
        after_good = [_FRAME, _JUDGE, _LOW, _HIGH, _NEXT, _RESTART, _FRAME, _FRAME, _FRAME]
        after_bad = [_FRAME, _JUDGE, _RESTART] + 6 * [_FRAME]
        is_good = self.kept & (age > 1)
        claim.always(writes == Mux(is_good, Array(after_good)[age], Array(after_bad)[age]))
        claim.always(dut["restart"] == (age == Mux(self.kept, 5, 2)))
        with m.If(writes == _FRAME):
            claim.always(between(head, write) == LENGTH_OCTETS + count)
            claim.always(self.used + LENGTH_OCTETS + count <= size)
            claim.always(dut["coming"] == (count - CHECK)[: self.bits])
            claim.always(dut["lost"] == self.lost)
            late = (age < 2 * CHECK_CYCLES - 1) | (self.since == 1)
            claim.always(late | (dut["too_short"] == (count < HEADER + CHECK)))
        with m.If(self.judged):
            claim.always(between(head, write) == LENGTH_OCTETS + last_count)
            claim.always(self.used + LENGTH_OCTETS + last_count <= size)
            claim.always(dut["coming"] == self.length)
            claim.always(dut["lost"] == self.last_lost)
            claim.always(dut["too_short"] == (last_count < HEADER + CHECK))
        for state, left in ((_LOW, 2), (_HIGH, 1), (_NEXT, 0)):
            with m.If(writes == state):
                claim.always(between(write, head) == self.taken_length + left)
                claim.always(dut["coming"] == self.taken_length)
        with m.If((writes == _LOW) | (writes == _HIGH)):
            claim.always(between(write, head) <= self.used)
        claim.always((writes != _RESTART) | (write == head))
        claim.always((self.taken_length <= size) | self.judged | ~self.kept | (age > 4))
        claim.always((dut["no_room"] == self.full) & (dut["matches"] == self.matches))
        claim.always(self.used <= size - CHECK)

        stores = self.stores
        claim.always(~stores | (between(self.read, write) < size))
        lengths = (writes == _LOW) | (writes == _HIGH)
        claim.always(stores == ((self.octet & ~self.full) | lengths))
        claim.always(~stores | (dut["buffer.write_address"] == write[:-1]))
        wide = Cat(self.taken_length, Const(0, 16))
        stored = Mux(self.octet, self.item.data, Mux(writes == _LOW, wide[:8], wide[8:16]))
        claim.always(~stores | (dut["buffer.write_data"] == stored))

    def check(self) -> None:
        """The check is given all octets of a frame, in order, and no others."""
        m, claim, dut, since = self.m, self.claim, self.dut, self.since
        shifts = Signal()
        with m.If(since == 0):
            m.d.sync += shifts.eq(self.octet)
        shifting = Mux(since == 0, self.octet, shifts & (since < CHECK_CYCLES))
        part = self.item.data.word_select(since[:2], CHECK_BITS)
        claim.always(dut["check.valid"] == shifting)
        claim.always(~shifting | (dut["check.data"] == part))
        claim.always(dut["step"] == Mux(shifting, since[:2], 0))
        claim.always(~(dut["restart"] & shifting))


class _Message:
    """A message that is watched from its frame's end until its last octet is handed on.

    Members
    -------
    start, place : where its length stands in the buffer; the number of the octet that is watched
    on, reading : it is in the buffer, or its octets come; it is being read
    fresh : its length is being written
    its_length, content, handed : its octets; the one watched; how many were handed on
    words : of the buffer: both of its length, and the octet that is watched
    """

    def __init__(self, frames: _Frames, *, skip: int):
        self.frames = it = frames
        claim, m = it.claim, it.m
        self.start, self.place = claim.constant(it.bits, "start"), claim.constant(it.bits, "place")
        claim.given(self.place < it.size - LENGTH_OCTETS - CHECK)
        self.on, self.reading, self.fresh = Signal(), Signal(), Signal()
        self.its_length, self.handed, self.content = Signal(it.bits), Signal(it.bits), Signal(8)
        self.waits_its_turn = self.on & ~self.reading
        here = it.head == self.start
        chosen = it.judged & it.good & ~self.on & here & claim.unknown(1, "choice")
        with m.If(chosen):
            m.d.sync += [self.on.eq(1), self.fresh.eq(1), self.its_length.eq(it.length)]
        with m.If(it.age == CHECK_CYCLES - 1):
            m.d.sync += self.fresh.eq(0)
        with m.If(it.octet & ~it.full & ~self.on & here & (it.count == self.place + skip)):
            m.d.sync += self.content.eq(it.item.data)
        waits = it.reads == _WAIT
        begins = it.fetch & waits & self.waits_its_turn & (it.read == self.start)
        self.hands = (it.reads == _OCTET) & ~it.dut["o__valid"]
        with m.If(begins):
            m.d.sync += [self.reading.eq(1), self.handed.eq(0)]
        with m.If(self.reading & self.hands):
            m.d.sync += self.handed.eq(self.handed + 1)
            with m.If(it.dut["is_last"]):
                m.d.sync += [self.on.eq(0), self.reading.eq(0)]

    def buffered(self) -> None:
        """Three words of the buffer are kept; what is read of others is anything."""
        it, m, dut = self.frames, self.frames.m, self.frames.dut
        self.words = [Signal(8, name=f"word{k}", reset_less=True) for k in range(3)]
        places = [self.start, self.start + 1, self.start + LENGTH_OCTETS + self.place]
        self.latch = Signal(8, reset_less=True)
        given: Any = it.claim.unknown(8, "others")
        for word, at in zip(self.words, places, strict=True):
            at = at[: it.bits - 1]
            with m.If(it.stores & (dut["buffer.write_address"] == at)):
                m.d.sync += word.eq(dut["buffer.write_data"])
            given = Mux(dut["buffer.read__addr"] == at, word, given)
        with m.If(it.fetch):
            m.d.sync += self.latch.eq(given)
        dut.drive("buffer.read_data", self.latch)

    def is_read(self) -> None:
        """If messages before it are read to their ends, then so is it."""
        it, claim, dut, reading = self.frames, self.frames.claim, self.frames.dut, self.reading
        fetch, read = it.fetch, it.read
        inner = fetch & (it.reads != _WAIT)
        claim.given(~(inner & ~reading) | (read != it.head))
        claim.given(~(inner & self.waits_its_turn) | (read != self.start))
        claim.always(~fetch | (read != it.head))
        self.finish = (self.start + LENGTH_OCTETS + self.its_length)[: it.bits]
        claim.always(~(fetch & reading) | (read != self.finish))
        self.ends = reading & self.hands & (self.handed == self.its_length - 1)
        claim.always(~(reading & self.hands) | (dut["is_last"] == self.ends))
        claim.always(~self.ends | (read == self.finish))
        claim.always(~it.same | (~it.octet & ~self.fresh))

    def handed_on(self) -> None:
        """Its octets come, the last one told, its length beside them, each in a few cycles."""
        it, claim, dut, m = self.frames, self.frames.claim, self.frames.dut, self.frames.m
        shown, is_place, is_end = Signal(), Signal(), Signal()
        octet_out, length_out = Signal(8), Signal(it.bits)
        with m.If(self.hands):
            m.d.sync += [
                shown.eq(self.reading),
                is_place.eq(self.reading & (self.handed == self.place)),
                is_end.eq(self.ends),
                octet_out.eq(self.content),
                length_out.eq(self.its_length),
            ]
        offered = dut["o__valid"]
        answer, last = dut["o__payload"][:8], dut["o__payload"][8]
        claim.always(~(offered & shown) | ((last == is_end) & (dut["length"] == length_out)))
        claim.always(~(offered & is_place) | (answer == octet_out))
        claim.always(claim.held(offered, dut["o__ready"], dut["o__payload"], "message"))

        waits = Signal(3)
        idle = offered | ((it.reads == _WAIT) & (it.read == it.head))
        m.d.sync += waits.eq(Mux(idle, 0, waits + 1))
        claim.always(offered | (waits <= Array([dut["waiting"], 2, 3, 4])[it.reads]))
        claim.always((it.reads == _WAIT) | (it.reads == _OCTET) | ~offered)

    def invariants(self) -> None:
        """What the induction needs beside it."""
        it, claim, dut, m = self.frames, self.frames.claim, self.frames.dut, self.frames.m
        on, reading, fresh, handed = self.on, self.reading, self.fresh, self.handed
        start, place, its_length, words = self.start, self.place, self.its_length, self.words
        read, reads, write, writes, between = it.read, it.reads, it.write, it.writes, it.between
        offered = dut["o__valid"]
        wide = Cat(its_length, Const(0, 16))
        low, high = wide[:8], wide[8:16]
        claim.always(~reading | on)
        new = on & ~reading & (it.age > 1) & (it.age < CHECK_CYCLES) & it.kept
        claim.always(~fresh | new)
        claim.always(~fresh | (its_length == it.taken_length))
        claim.always(~(fresh & (writes == _LOW)) | (write == start))
        claim.always(~(fresh & (writes == _HIGH)) | (write == (start + 1)[: it.bits]))
        starts = (reads == _WAIT) & (read == start)
        claim.always(~(fresh & (writes == _LOW) & starts) | ~dut["waiting"])
        most = it.size - LENGTH_OCTETS - CHECK
        claim.always(~on | ((its_length >= HEADER) & (its_length <= most)))
        comes_in = ~on & (it.head == start) & ((writes == _FRAME) | it.judged)
        here = Mux(it.judged, it.last_count, it.count) > place
        claim.always(~(comes_in & here) | (words[2] == self.content))
        gone = reading & (reads == _OCTET) & (handed >= place)
        claim.always(~(on & (place < its_length) & ~gone) | (words[2] == self.content))
        with m.If(self.waits_its_turn):
            claim.always(between(read, start) + LENGTH_OCTETS + its_length <= it.used)
            claim.always((fresh & (writes == _LOW)) | (words[0] == low))
            claim.always(fresh | (words[1] == high))
        left = between(read, self.finish)
        with m.If(reading):
            claim.always((reads != _WAIT) & (left <= it.used))
            claim.always((reads == _OCTET) | ((handed == 0) & (dut["moved"] == 1)))
        with m.If(reading & (reads == _READ_LOW)):
            claim.always((left == its_length + 1) & (self.latch == low) & (words[1] == high))
        with m.If(reading & (reads == _READ_HIGH)):
            claim.always((left == its_length) & (self.latch == high) & (dut["length"][:8] == low))
        with m.If(reading & (reads == _OCTET)):
            claim.always((left + handed + 1 == its_length) & (dut["length"] == its_length))
            is_content = (handed != place) | (self.latch == self.content)
            claim.always((dut["moved"] == handed + 1) & is_content)
            claim.always(~offered | (handed != 0))
            all_moved = dut["moved"] == dut["length"]
            claim.always(offered | (dut["is_last"] == ((handed != 0) & all_moved)))
        claim.always(~(dut["waiting"] & (reads == _WAIT)) | (read != it.head))
