# amaranth: UnusedElaboratable=no
"""From the line to messages: what is kept, what is dropped, room, rates."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from link_frames import framed, message_items, random_message, stuffed
from link_ram import checked_memories
from link_receive import CLOSEST, Reception, not_before
from unit.unit_bench import Bench, stalls

from exaq_fpga.gateware.framing.frame_receiver import FrameReceiver

__all__ = ["checked_memories"]

SIZES = [16, 32, 64, 512]
#: Octets of the buffer that a message takes besides its own: its length.
LENGTH = 2
#: And while it arrives: its CRC.
CHECK = 4


def raw(content: bytes) -> bytes:
    """A frame of ``content``, which should end in its CRC."""
    return stuffed(content) + b"\0"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pause", [None, 0.5])
def test_messages_of_every_length_that_fits(size: int, pause: float | None) -> None:
    rng = random.Random(size)
    longest = size - LENGTH - CHECK
    lengths = {2, 3, 9, rng.randrange(2, longest), longest - 1, longest}
    messages = [random_message(rng, length) for length in sorted(lengths)]
    for message in messages:
        # One at a time, so that there is room.
        sink = stalls(size, pause) if pause else None
        run = Reception(size, framed(message), sink=sink)
        assert (run.messages, run.verdicts) == ([message], ["taken"])


@pytest.mark.parametrize("gap", [CLOSEST, 5, 7, 40])
def test_messages_one_behind_the_other(gap: int) -> None:
    """Over the buffer's end and over again; no octet of the line is lost."""
    rng = random.Random(gap)
    messages = [random_message(rng, rng.choice([2, 3, 5, 8, 20])) for _ in range(30)]
    line = b"".join(map(framed, messages))
    run = Reception(64, line, gaps=iter(lambda: gap, None))
    assert run.messages == messages
    assert run.verdicts == ["taken"] * 30


def test_delimiters_in_a_row_are_no_frames() -> None:
    messages = [b"\x01\x02", b"\x03\x04\x05"]
    run = Reception(64, b"\0\0\0" + b"\0\0".join(map(framed, messages)) + b"\0\0")
    assert (run.messages, run.verdicts) == (messages, ["taken", "taken"])


def test_full_block_with_an_empty_one_behind() -> None:
    """Both ways to encode a message that ends with a full block are taken."""
    rng = random.Random(1)
    # The CRC must hold no zero for the last block to be full.
    message = next(
        each
        for each in iter(lambda: bytes(rng.randrange(1, 256) for _ in range(250)), None)
        if 0 not in zlib.crc32(each).to_bytes(4, "little")
    )
    frame = framed(message)
    run = Reception(512, frame + frame[:-1] + b"\x01\0")
    assert (run.messages, run.verdicts) == ([message] * 2, ["taken"] * 2)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\x00",
        b"\x05",
        b"\x01\x02\x03",
        # As short as a CRC, or an octet longer, and right as that.
        zlib.crc32(b"").to_bytes(4, "little"),
        b"\x01" + zlib.crc32(b"\x01").to_bytes(4, "little"),
        # Right but for one octet; the CRC's octets the other way round; none at all.
        b"\x01\x07" + (zlib.crc32(b"\x01\x07") ^ 0x01000000).to_bytes(4, "little"),
        b"\x01\x07" + zlib.crc32(b"\x01\x07").to_bytes(4, "big"),
        b"\x01\x07\x00\x00\x00\x00",
    ],
)
def test_content_that_is_no_message(damage: bytes) -> None:
    good = [b"\x01\x02", b"\x02\x03\x04"]
    run = Reception(64, framed(good[0]) + raw(damage) + framed(good[1]))
    assert (run.messages, run.verdicts) == (good, ["taken", "damaged", "taken"])


def test_short_of_a_message_by_its_length_alone() -> None:
    """The cases above are of content whose CRC is right; an octet more, and it is a message."""
    message = b"\x01\x02"
    for length, verdict in ((0, "damaged"), (1, "damaged"), (2, "taken")):
        content = message[:length] + zlib.crc32(message[:length]).to_bytes(4, "little")
        assert Reception(64, raw(content)).verdicts == [verdict], length


@pytest.mark.parametrize("size", SIZES)
def test_room_is_used_to_the_last_octet(size: int) -> None:
    """Nobody takes: exactly those messages are kept that the contract has room for."""
    rng = random.Random(size)
    for _ in range(4 if size < 512 else 1):
        # The first is on its way out: its length and two octets have left their places.
        used = -4
        kept: list[bytes] = []
        verdicts: list[str] = []
        line = b""
        while len(line) < 3 * size:
            message = random_message(rng, rng.randrange(2, size // 3))
            needs = used + LENGTH + len(message) + CHECK
            # Of the first, nothing has left while it arrives.
            fits = needs + (0 if kept else 4) <= size
            verdicts.append("taken" if fits else "overflow")
            if fits:
                used += LENGTH + len(message)
                kept.append(message)
            line += framed(message) + b"\0" * 5
        run = Reception(size, line, sink=not_before(CLOSEST * len(line) + 40))
        assert (run.messages, run.verdicts) == (kept, verdicts)
        assert "overflow" in verdicts


@pytest.mark.parametrize("size", SIZES)
def test_one_octet_too_many(size: int) -> None:
    """A frame longer than the buffer, by an octet or by far, is one overflow."""
    good = b"\x01\x02\x03"
    for extra in (1, 5, 2 * size + 1):
        long = bytes(1 + k % 255 for k in range(size - LENGTH - CHECK + extra))
        run = Reception(size, framed(long) + framed(good))
        assert (run.messages, run.verdicts) == ([good], ["overflow", "taken"]), extra


@pytest.mark.parametrize("size", [64, 512])
@pytest.mark.parametrize("rate", [0.5, 0.97])
def test_a_host_that_keeps_to_the_window_overruns_nothing(size: int, rate: float) -> None:
    """Unanswered messages and 6 octets for each stay within the buffer: each is taken."""
    rng = random.Random(size)
    receiver: Any = FrameReceiver(size)
    messages = [random_message(rng, rng.randrange(2, size // 2)) for _ in range(3000 // size)]
    bench = Bench(receiver, limit=10**5)

    def line() -> Iterator[int]:
        for number, message in enumerate(messages):
            while outstanding(number) + len(message) + LENGTH + CHECK > size:
                yield 0
            yield from framed(message)

    def outstanding(number: int) -> int:
        lasts = sum(item >> 8 for item in sink.items)
        return sum(len(message) + LENGTH + CHECK for message in messages[lasts:number])

    items = message_items(messages)
    gaps = iter([False, True, True, True] * 10**5)
    sink = bench.drain(receiver.o, len(items), stalls(1, rate))
    bench.feed(receiver.i, line(), gaps)
    pulses = bench.probe(receiver.taken, receiver.damaged | receiver.overflow)
    bench.run()
    assert sink.items == items
    assert sum(taken for taken, _ in pulses.values) == len(messages)
    assert not any(dropped for _, dropped in pulses.values)


@pytest.mark.parametrize("gap", [1, 2, 3])
def test_closest_octets_are_as_told(gap: int) -> None:
    """A cycle closer than ``line_cycles`` is too close; at it, the tests above lose nothing."""
    assert FrameReceiver.line_cycles == CLOSEST
    line = framed(b"\x01\x02") * 3
    assert Reception(64, line, gaps=iter(lambda: gap, None)).count("damaged") > 0


def test_latency_and_rate() -> None:
    """From the delimiter to the first octet; an octet in 2 cycles; the gap between messages."""
    one = Reception(64, framed(b"\x01\x02\x03"))
    assert one.sink.times[0] - one.feed.times[-1] == FrameReceiver.latency
    messages = [b"\x01\x02\x03\x04", b"\x05\x06", b"\x07\x08\x09"]
    line = b"".join(map(framed, messages))
    run = Reception(64, line, sink=not_before(CLOSEST * len(line) + 40))
    assert run.messages == messages
    octet, gap = FrameReceiver.cycles_per_octet, FrameReceiver.gap
    steps = [after - before for before, after in pairwise(run.sink.times)]
    between = octet + gap
    assert steps == [octet] * 3 + [between] + [octet] + [between] + [octet] * 2


@pytest.mark.parametrize("size", [0, 8, 24, 100, 131072])
def test_sizes_that_are_refused(size: Any) -> None:
    with pytest.raises(ValueError, match=r"^size must be ") as refusal:
        FrameReceiver(size)
    assert str(refusal.value) == f"size must be a power of two from 16 to 65536, not {size}"


def test_a_size_is_an_integer() -> None:
    size: Any = 64.0
    with pytest.raises(TypeError, match=r"^size must be an integer, not 64\.0$"):
        FrameReceiver(size)
