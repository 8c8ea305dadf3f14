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
    least, skip = HEADER - (wrong and not watched), int(wrong and watched)
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    bits = (2 * size - 1).bit_length()
    writes, reads, write, read, head = (
        dut[name] for name in ("writes", "reads", "write", "read", "head")
    )
    item, comes = data.View(FRAME_ITEM, dut["cobs.o__payload"]), dut["cobs.o__valid"]
    octet, end = comes & ~item.end, comes & item.end
    stores, fetch = dut["buffer.write_enable"], dut["buffer.read_enable"]

    def between(low: Any, high: Any) -> Any:
        return (high - low)[:bits]

    used = between(read, head)

    # The line's pace: cycles since an octet.
    came = dut["i__valid"]
    since = Signal(range(CHECK_CYCLES + 1), init=CHECK_CYCLES)
    m.d.sync += since.eq(Mux(came, 0, since + (since != CHECK_CYCLES)))
    claim.given(~came | (since >= CHECK_CYCLES - 1))

    # An end comes with each delimiter that has an octet in front.
    delimiter, ended, begun = dut["i__payload"] == DELIMITER, Signal(), Signal()
    m.d.sync += ended.eq(came & delimiter & begun)
    with m.If(came):
        m.d.sync += begun.eq(~delimiter)
    claim.always(end == ended)
    claim.always(begun == dut["cobs.begun"])
    claim.always(begun | ((dut["cobs.left"] == 0) & ~dut["cobs.zero"]))
    claim.always(~comes | (since == 0))

    # A frame as it comes: how many of its octets were kept, whether one found no room. Cycles since
    # the end of the one before, up to where the next may have an octet.
    count, full, lost = Signal(bits), Signal(), Signal()
    age = Signal(range(2 * CHECK_CYCLES + 1), init=2 * CHECK_CYCLES - 2)
    m.d.sync += [
        full.eq(between(read, write) == size),
        age.eq(Mux(end, 1, age + (age != 2 * CHECK_CYCLES))),
    ]
    with m.If(octet):
        m.d.sync += [count.eq(count + ~full), lost.eq(lost | full)]
    with m.If(end):
        m.d.sync += [count.eq(0), lost.eq(0)]
    claim.always(~comes | ((writes == _FRAME) & (age == 2 * CHECK_CYCLES)))
    claim.always((age != 0) & (age <= 2 * CHECK_CYCLES) & (since <= CHECK_CYCLES))
    claim.always((age == 2 * CHECK_CYCLES) | ((count == 0) & ~lost))
    claim.always((age >= CHECK_CYCLES) | (since == age))
    claim.always(~begun | (age == 2 * CHECK_CYCLES) | (since + CHECK_CYCLES <= age))

    # What becomes of it: exactly one of three, in the second cycle behind its end.
    last_count, last_lost, last_good, matches = Signal(bits), Signal(), Signal(), Signal()
    m.d.sync += [
        last_count.eq(count),
        last_lost.eq(lost),
        last_good.eq(item.good),
        matches.eq(dut["check.match_detected"]),
    ]
    judged = age == 1
    good = ~last_lost & last_good & matches & (last_count >= least + CHECK)
    kept, told = Signal(), Signal(3)
    m.d.sync += told.eq(Mux(judged, Mux(last_lost, 4, Mux(good, 1, 2)), 0))
    with m.If(judged):
        m.d.sync += kept.eq(good)
    claim.always(Cat(dut["taken"], dut["damaged"], dut["overflow"]) == told)
    length = (last_count - CHECK)[:bits]

    # The states of the side that writes, by age; where it writes, and what it says of the frame.
    after_good = [_FRAME, _JUDGE, _LOW, _HIGH, _NEXT, _RESTART, _FRAME, _FRAME, _FRAME]
    after_bad = [_FRAME, _JUDGE, _RESTART] + 6 * [_FRAME]
    claim.always(writes == Mux(kept & (age > 1), Array(after_good)[age], Array(after_bad)[age]))
    claim.always(dut["restart"] == (age == Mux(kept, 5, 2)))
    taken_length = Signal(bits)
    with m.If(judged):
        m.d.sync += taken_length.eq(length)
    with m.If(writes == _FRAME):
        claim.always(between(head, write) == LENGTH_OCTETS + count)
        claim.always(used + LENGTH_OCTETS + count <= size)
        claim.always(dut["coming"] == (count - CHECK)[:bits])
        claim.always(dut["lost"] == lost)
        late = (age < 2 * CHECK_CYCLES - 1) | (since == 1)
        claim.always(late | (dut["too_short"] == (count < HEADER + CHECK)))
    with m.If(judged):
        claim.always(between(head, write) == LENGTH_OCTETS + last_count)
        claim.always(used + LENGTH_OCTETS + last_count <= size)
        claim.always(dut["coming"] == length)
        claim.always(dut["lost"] == last_lost)
        claim.always(dut["too_short"] == (last_count < HEADER + CHECK))
    for state, left in ((_LOW, 2), (_HIGH, 1), (_NEXT, 0)):
        with m.If(writes == state):
            claim.always(between(write, head) == taken_length + left)
            claim.always(dut["coming"] == taken_length)
    with m.If((writes == _LOW) | (writes == _HIGH)):
        claim.always(between(write, head) <= used)
    claim.always((writes != _RESTART) | (write == head))
    claim.always((taken_length <= size) | (age == 1) | ~kept | (age > 4))
    claim.always((dut["no_room"] == full) & (dut["matches"] == matches))
    claim.always(used <= size - CHECK)
    claim.always(~stores | (between(read, write) < size))

    # What is written: octets of frames behind the room for a length, then the length.
    claim.always(stores == ((octet & ~full) | (writes == _LOW) | (writes == _HIGH)))
    claim.always(~stores | (dut["buffer.write_address"] == write[:-1]))
    wide = Cat(taken_length, Const(0, 16))
    stored = Mux(octet, item.data, Mux(writes == _LOW, wide[:8], wide[8:16]))
    claim.always(~stores | (dut["buffer.write_data"] == stored))
    same = stores & fetch & (dut["buffer.write_address"] == dut["buffer.read__addr"])

    # What the check is given.
    shifts = Signal()
    with m.If(since == 0):
        m.d.sync += shifts.eq(octet)
    shifting = Mux(since == 0, octet, shifts & (since < CHECK_CYCLES))
    claim.always(dut["check.valid"] == shifting)
    claim.always(~shifting | (dut["check.data"] == item.data.word_select(since[:2], CHECK_BITS)))
    claim.always(dut["step"] == Mux(shifting, since[:2], 0))
    claim.always(~(dut["restart"] & shifting))

    if not watched:
        claim.given(~fetch | (read != head))
        claim.always(~(same & octet))
        claim.free += dut.free
        return claim

    # A message that is watched from its frame's end until its last octet is handed on.
    start, place = claim.constant(bits, "start"), claim.constant(bits, "place")
    claim.given(place < size - LENGTH_OCTETS - CHECK)
    on, reading, fresh = Signal(), Signal(), Signal()
    its_length, handed, content = Signal(bits), Signal(bits), Signal(8)
    waits_its_turn = on & ~reading
    chosen = judged & good & ~on & (head == start) & claim.unknown(1, "choice")
    with m.If(chosen):
        m.d.sync += [on.eq(1), fresh.eq(1), its_length.eq(length)]
    with m.If(age == CHECK_CYCLES - 1):
        m.d.sync += fresh.eq(0)
    with m.If(octet & ~full & ~on & (head == start) & (count == place + skip)):
        m.d.sync += content.eq(item.data)
    begins = fetch & (reads == _WAIT) & waits_its_turn & (read == start)
    hands = (reads == _OCTET) & ~dut["o__valid"]
    with m.If(begins):
        m.d.sync += [reading.eq(1), handed.eq(0)]
    with m.If(reading & hands):
        m.d.sync += handed.eq(handed + 1)
        with m.If(dut["is_last"]):
            m.d.sync += [on.eq(0), reading.eq(0)]

    # Words of the buffer: of its length, and of the octet that is watched.
    words = [Signal(8, name=f"word{k}", reset_less=True) for k in range(3)]
    places = [start, start + 1, start + LENGTH_OCTETS + place]
    latch = Signal(8, reset_less=True)
    given: Any = claim.unknown(8, "others")
    for word, at in zip(words, places, strict=True):
        at = at[: bits - 1]
        with m.If(stores & (dut["buffer.write_address"] == at)):
            m.d.sync += word.eq(dut["buffer.write_data"])
        given = Mux(dut["buffer.read__addr"] == at, word, given)
    with m.If(fetch):
        m.d.sync += latch.eq(given)
    dut.drive("buffer.read_data", latch)

    # Messages before it are read to their ends, and so is it.
    inner = fetch & (reads != _WAIT)
    claim.given(~(inner & ~reading) | (read != head))
    claim.given(~(inner & waits_its_turn) | (read != start))
    claim.always(~fetch | (read != head))
    finish = (start + LENGTH_OCTETS + its_length)[:bits]
    claim.always(~(fetch & reading) | (read != finish))
    ends = reading & hands & (handed == its_length - 1)
    claim.always(~(reading & hands) | (dut["is_last"] == ends))
    claim.always(~ends | (read == finish))
    claim.always(~same | (~octet & ~fresh))

    # What is handed on: its octets, the last one told, its length beside them.
    shown, is_place, is_end, octet_out, length_out = (
        Signal(),
        Signal(),
        Signal(),
        Signal(8),
        Signal(bits),
    )
    with m.If(hands):
        m.d.sync += [
            shown.eq(reading),
            is_place.eq(reading & (handed == place)),
            is_end.eq(ends),
            octet_out.eq(content),
            length_out.eq(its_length),
        ]
    offered = dut["o__valid"]
    answer, last = dut["o__payload"][:8], dut["o__payload"][8]
    claim.always(~(offered & shown) | ((last == is_end) & (dut["length"] == length_out)))
    claim.always(~(offered & is_place) | (answer == octet_out))
    claim.always(claim.held(offered, dut["o__ready"], dut["o__payload"], "message"))

    # What the induction needs beside it.
    wide = Cat(its_length, Const(0, 16))
    low, high = wide[:8], wide[8:16]
    claim.always(~reading | on)
    claim.always(~fresh | (on & ~reading & (age > 1) & (age < CHECK_CYCLES) & kept))
    claim.always(~fresh | (its_length == taken_length))
    claim.always(~(fresh & (writes == _LOW)) | (write == start))
    claim.always(~(fresh & (writes == _HIGH)) | (write == (start + 1)[:bits]))
    starts = (reads == _WAIT) & (read == start)
    claim.always(~(fresh & (writes == _LOW) & starts) | ~dut["waiting"])
    claim.always(~on | ((its_length >= HEADER) & (its_length <= size - LENGTH_OCTETS - CHECK)))
    comes_in = ~on & (head == start) & ((writes == _FRAME) | judged)
    here = Mux(judged, last_count, count) > place
    claim.always(~(comes_in & here) | (words[2] == content))
    needed = on & (place < its_length) & ~(reading & (reads == _OCTET) & (handed >= place))
    claim.always(~needed | (words[2] == content))
    with m.If(waits_its_turn):
        claim.always(between(read, start) + LENGTH_OCTETS + its_length <= used)
        claim.always((fresh & (writes == _LOW)) | (words[0] == low))
        claim.always(fresh | (words[1] == high))
    left = between(read, finish)
    with m.If(reading):
        claim.always((reads != _WAIT) & (left <= used))
        claim.always((reads == _OCTET) | ((handed == 0) & (dut["moved"] == 1)))
    with m.If(reading & (reads == _READ_LOW)):
        claim.always((left == its_length + 1) & (latch == low) & (words[1] == high))
    with m.If(reading & (reads == _READ_HIGH)):
        claim.always((left == its_length) & (latch == high) & (dut["length"][:8] == low))
    with m.If(reading & (reads == _OCTET)):
        claim.always((left + handed + 1 == its_length) & (dut["length"] == its_length))
        claim.always((dut["moved"] == handed + 1) & ((handed != place) | (latch == content)))
        claim.always(~offered | (handed != 0))
        first = handed == 0
        claim.always(offered | (dut["is_last"] == (~first & (dut["moved"] == dut["length"]))))
    claim.always(~(dut["waiting"] & (reads == _WAIT)) | (read != head))

    waits = Signal(3)
    idle = offered | ((reads == _WAIT) & (read == head))
    m.d.sync += waits.eq(Mux(idle, 0, waits + 1))
    claim.always(offered | (waits <= Array([dut["waiting"], 2, 3, 4])[reads]))
    claim.always((reads == _WAIT) | (reads == _OCTET) | ~offered)
    claim.free += dut.free
    return claim
