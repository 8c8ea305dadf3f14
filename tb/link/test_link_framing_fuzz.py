"""Noise on the line: nothing wrong is delivered, nothing twice, and it never lasts.

What a damaged line still holds is told by the oracle (``link_frames.messages_in``), so that a
frame that survives is known from one that does not.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from link_frames import framed, message_items, messages_in, messages_of, random_message
from link_ram import checked_memories
from link_receive import CLOSEST, Reception
from unit.unit_bench import Bench, stalls

from exaq_fpga.gateware.framing.frame_receiver import FrameReceiver
from exaq_fpga.gateware.framing.frame_sender import FrameSender
from exaq_fpga.gateware.transports.uart import UartReceiver, UartTransmitter

__all__ = ["checked_memories"]

SIZE = 512
# A message whose frame has blocks of several lengths, and one to see that the line is sound.
MESSAGE = b"\x03\x21\x00\x00\x07\xff"
GOOD = b"\x02\x5a"


def is_subsequence(found: list[bytes], of: list[bytes]) -> bool:
    """Whether ``found`` comes from ``of`` by leaving some out: in order, none twice."""
    rest = iter(of)
    return all(message in rest for message in found)


def check(pieces: list[bytes]) -> Reception:
    """Each of ``pieces`` on the line with a delimiter and a good frame behind it.

    Good frames arrive, each once; of the pieces, what the oracle finds whole.
    """
    line = b"".join(piece + b"\0" + framed(GOOD) for piece in pieces)
    run = Reception(SIZE, line)
    assert run.messages == messages_in(line)
    assert run.messages.count(GOOD) == len(pieces)
    frames = [frame for frame in line.split(b"\0")[:-1] if frame]
    assert len(run.verdicts) == len(frames)
    assert run.count("overflow") == 0
    return run


@pytest.mark.parametrize("first", [0, 1, 2, 255])
def test_any_short_garbage_then_a_delimiter(first: int) -> None:
    garbage = [
        bytes([first, *rest])
        for length in range(4)
        for rest in product([0, 1, 2, 255], repeat=length)
    ]
    run = check(garbage)
    assert run.count("taken") == len(garbage)


@pytest.mark.parametrize("bit", range(8))
def test_each_bit_of_a_frame_flipped(bit: int) -> None:
    frame = framed(MESSAGE)
    flipped = [
        frame[:place] + bytes([frame[place] ^ 1 << bit]) + frame[place + 1 :]
        for place in range(len(frame))
    ]
    run = check(flipped)
    assert set(run.messages) == {GOOD}


def dropped(frame: bytes) -> Iterator[bytes]:
    for place in range(len(frame)):
        yield frame[:place] + frame[place + 1 :]


def doubled(frame: bytes) -> Iterator[bytes]:
    for place in range(len(frame)):
        yield frame[: place + 1] + frame[place:]


def truncated(frame: bytes) -> Iterator[bytes]:
    for place in range(len(frame)):
        yield frame[:place]


def headless(frame: bytes) -> Iterator[bytes]:
    for place in range(1, len(frame)):
        yield frame[place:]


def split(frame: bytes) -> Iterator[bytes]:
    for place in range(1, len(frame) - 1):
        yield frame[:place] + b"\0" + frame[place:]


def merged(frame: bytes) -> Iterator[bytes]:
    yield frame[:-1] + frame
    for place in range(1, len(frame) - 1):
        yield frame[:place] + frame


@pytest.mark.parametrize("fault", [dropped, doubled, truncated, headless, split, merged])
def test_each_place_of_a_frame(fault: Callable[[bytes], Iterator[bytes]]) -> None:
    pieces = list(fault(framed(MESSAGE)))
    run = check(pieces)
    # A frame without its delimiter, or with two, is whole: one is put behind each piece.
    frame = framed(MESSAGE)
    whole = sum(piece in (frame, frame[:-1], frame + b"\0") for piece in pieces)
    assert run.messages.count(MESSAGE) == whole
    assert set(run.messages) <= {GOOD, MESSAGE}


def spoil(rng: random.Random, line: bytearray) -> None:
    """One fault somewhere in ``line``."""
    place = rng.randrange(len(line))
    kind = rng.randrange(6)
    if kind == 0:
        line[place] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del line[place]
    elif kind == 2:
        line.insert(place, line[place])
    elif kind == 3:
        line[place:place] = rng.randbytes(rng.randrange(1, 9))
    elif kind == 4:
        del line[place : place + rng.randrange(1, 40)]
    else:
        line[place] = 0


@pytest.mark.parametrize("seed", range(6))
def test_random_noise(seed: int) -> None:
    """Many messages, a fault in most: what is whole arrives, and in order."""
    rng = random.Random(seed)
    sent = [random_message(rng, rng.choice([2, 3, 9, 40, 260])) for _ in range(14)]
    line = bytearray(b"".join(map(framed, sent)))
    for _ in range(rng.choice([3, 15, 60])):
        spoil(rng, line)
    gaps = iter(lambda: rng.choice([CLOSEST, CLOSEST, 5, 9, 30]), None)
    run = Reception(1024, bytes(line) + b"\0" + framed(GOOD), gaps=gaps)
    assert run.messages == messages_in(bytes(line) + b"\0" + framed(GOOD))
    assert is_subsequence(run.messages, [*sent, GOOD])
    assert run.messages[-1] == GOOD
    assert run.count("overflow") == 0
    assert run.count("damaged") > 0


@pytest.mark.parametrize("seed", range(4))
def test_random_octets_of_any_length(seed: int) -> None:
    """Nothing but garbage, with few delimiters, more than the buffer holds; then a good frame."""
    rng = random.Random(seed)
    few = rng.choice([0, 0.002, 0.02])
    garbage = bytes(0 if rng.random() < few else rng.randrange(1, 256) for _ in range(1500))
    run = Reception(256, garbage + b"\0" + framed(GOOD))
    assert run.messages == [GOOD]
    frames = [frame for frame in garbage.split(b"\0") if frame]
    assert run.verdicts[-1] == "taken"
    assert run.count("taken") == 1
    assert len(run.verdicts) == 1 + len(frames)
    assert (run.count("overflow") > 0) == any(len(frame) > 270 for frame in frames)


@pytest.mark.parametrize("seed", range(4))
def test_too_small_a_buffer_and_noise(seed: int) -> None:
    """Faults and overflow at once, a sink that pauses: in order, none twice, none wrong."""
    rng = random.Random(seed)
    sent = [random_message(rng, rng.choice([2, 3, 9, 25, 70])) for _ in range(40)]
    line = bytearray(b"".join(map(framed, sent)))
    for _ in range(10):
        spoil(rng, line)
    tail = bytes(200) + framed(GOOD)
    run = Reception(64, bytes(line) + b"\0" + tail, sink=stalls(seed, 0.9))
    assert is_subsequence(run.messages, [*sent, GOOD])
    assert min(run.count(verdict) for verdict in ("taken", "damaged", "overflow")) > 0
    assert run.count("taken") == len(run.messages)


@pytest.mark.parametrize("seed", range(4))
def test_noise_on_the_wire(seed: int) -> None:
    """Glitches, breaks and stuck lines at any moment of an octet, at the fastest rate.

    When the noise is over and the line was idle for an octet, a delimiter brings it back.
    """
    rng = random.Random(seed)
    m = Module()
    sender: Any = FrameSender()
    frames: Any = FrameReceiver(SIZE)
    transmitter: Any = UartTransmitter(4)
    receiver: Any = UartReceiver(4)
    force, level = Signal(), Signal()
    m.submodules += [sender, transmitter, receiver, frames]
    wiring.connect(m, sender.o, transmitter.i)
    wiring.connect(m, receiver.o, frames.i)
    m.d.comb += receiver.rx.eq(Mux(force, level, transmitter.tx))
    octet_cycles = 40
    noisy = 12_000
    sent: list[bytes] = []
    now = left = resume = 0
    calm = 300

    def source() -> Iterator[int]:
        """A message at a time, with the line idle for more than an octet in between."""
        nonlocal resume
        while True:
            over = now > noisy
            # After the noise, one to lose: it ends what noise may have left open.
            burst = [b"\x02\x01", GOOD] if over else [random_message(rng, rng.choice([2, 9, 60]))]
            sent.extend(burst)
            items = message_items(burst)
            yield from items[:-1]
            resume = now + (octet_cycles + 1) * (len(items) + 8) + 3 * octet_cycles
            yield items[-1]
            if over:
                return

    def pauses() -> Iterator[bool]:
        while True:
            yield now < resume

    def disturb(ctx: Any, cycle: int) -> None:
        nonlocal now, left, calm
        now = cycle
        if left:
            left -= 1
        elif calm or cycle >= noisy:
            calm -= 1
            ctx.set(force, 0)
        else:
            left = rng.choice([1, 2, 3, 9, 40, 150])
            calm = rng.choice([30, 300, 900, 1500])
            ctx.set(force, 1)
            ctx.set(level, rng.randrange(2))

    bench = Bench(m)
    bench.every(disturb)
    bench.feed(sender.i, source(), pauses())
    sink = bench.drain(frames.o, 0)
    taken = bench.probe(frames.taken)
    bench.run(cycles=noisy + 6000)
    assert sent[-1] == GOOD
    found = messages_of(sink.items)
    assert is_subsequence(found, sent)
    assert found[-1] == GOOD
    assert sum(taken.values) == len(found)
    assert 2 < len(found) < len(sent) - 2
