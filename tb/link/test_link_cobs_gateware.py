"""COBS in hardware against its definition: every short frame, block borders, rates."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import pairwise, product
from typing import Any

import pytest
from link_frames import BLOCK, apart, message_items, random_message, stuffed, unstuffed
from link_ram import checked_memories
from unit.unit_bench import Bench, Pause, pack, stalls

from exaq_fpga.gateware.framing.cobs_decoder import FRAME_ITEM, CobsDecoder
from exaq_fpga.gateware.framing.cobs_encoder import BUFFER, CobsEncoder

__all__ = ["checked_memories"]

# The borders of blocks: one and two full ones, and what is next to them.
SEAMS = [253, 254, 255, 256, 507, 508, 509, 510]

# Pairs of the literature: S. Cheshire and M. Baker's rules worked by hand.
FACTS = [
    ("00", "0101"),
    ("0000", "010101"),
    ("001100", "01021101"),
    ("11220033", "0311220233"),
    ("11223344", "0511223344"),
    ("11000000", "0211010101"),
    (bytes(range(1, 255)).hex(), "ff" + bytes(range(1, 255)).hex()),
    (bytes(range(255)).hex(), "01ff" + bytes(range(1, 255)).hex()),
    (bytes(range(1, 256)).hex(), "ff" + bytes(range(1, 255)).hex() + "02ff"),
    (bytes(range(2, 256)).hex() + "00", "ff" + bytes(range(2, 256)).hex() + "0101"),
    (bytes(range(3, 256)).hex() + "0001", "fe" + bytes(range(3, 256)).hex() + "0201"),
]


class Encoding:
    """Encodes ``messages``, in one run; ``frames`` are what came out, delimiters taken off."""

    def __init__(self, messages: list[bytes], source: Pause = None, sink: Pause = None):
        encoder: Any = CobsEncoder()
        size = sum(len(stuffed(message)) + 1 for message in messages)
        bench = Bench(encoder, limit=200 + 60 * size)
        self.feed = bench.feed(encoder.i, message_items(messages), source)
        self.drain = bench.drain(encoder.o, size, sink)
        bench.run()
        *self.frames, rest = bytes(self.drain.items).split(b"\0")
        assert rest == b""


def decoded(line: bytes, pause: Pause = None) -> list[int]:
    """Items that a decoder gives for ``line``."""
    decoder: Any = CobsDecoder()
    bench = Bench(decoder, limit=10**6)
    bench.feed(decoder.i, line, pause)
    items = bench.probe(decoder.o.valid, decoder.o.payload)
    bench.run()
    return [payload for valid, payload in items.values if valid]


def end_item(good: bool) -> int:
    return pack(FRAME_ITEM, {"data": 0, "end": 1, "good": int(good)})


def frame_items(frame: bytes) -> list[tuple[int, ...]]:
    """What a decoder has to say of ``frame``: its octets, and its end as (whole,)."""
    if not frame:
        return []
    whole = unstuffed(frame)
    if whole is not None:
        return [*((0, octet) for octet in whole), (1, 1)]
    # Cut off in its last block: what comes before is that of the block filled up.
    missing = next(n for n in range(1, 255) if unstuffed(frame + b"\x55" * n) is not None)
    filled = unstuffed(frame + b"\x55" * missing)
    assert filled is not None
    return [*((0, octet) for octet in filled[:-missing]), (1, 0)]


def told(items: Iterable[int]) -> list[tuple[int, ...]]:
    """Items of a decoder in the form of ``frame_items``: only what counts of each."""
    end, good = (FRAME_ITEM[name].offset for name in ("end", "good"))
    return [(1, item >> good & 1) if item >> end & 1 else (0, item & 0xFF) for item in items]


def test_oracle_agrees_with_the_literature() -> None:
    for plain, frame in FACTS:
        assert stuffed(bytes.fromhex(plain)).hex() == frame
        assert unstuffed(bytes.fromhex(frame)) == bytes.fromhex(plain)
    for length in range(6):
        for octets in product([0, 1, 2, 255], repeat=length):
            assert unstuffed(stuffed(bytes(octets))) == bytes(octets)


def test_encoder_agrees_with_the_literature() -> None:
    messages = [bytes.fromhex(plain) for plain, _ in FACTS]
    assert [frame.hex() for frame in Encoding(messages).frames] == [frame for _, frame in FACTS]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6])
def test_every_short_message_is_encoded(length: int) -> None:
    messages = [bytes(octets) for octets in product([0, 1, 255], repeat=length)]
    assert Encoding(messages).frames == [stuffed(message) for message in messages]


@pytest.mark.parametrize("length", SEAMS)
def test_encoder_at_the_borders_of_blocks(length: int) -> None:
    """Without zeros, with one at each border, with one at each end, and a short frame behind."""
    plain = bytes(range(1, 255)) * 3
    messages = [plain[:length]]
    for place in {0, 252, 253, 254, 255, 508, length - 2, length - 1} & set(range(length)):
        message = bytearray(plain[:length])
        message[place] = 0
        messages += [bytes(message), b"\x01\x00"]
    assert Encoding(messages).frames == [stuffed(message) for message in messages]


def test_a_message_of_zeros() -> None:
    messages = [bytes(300), bytes(1), bytes(254)]
    assert Encoding(messages).frames == [stuffed(message) for message in messages]


@pytest.mark.parametrize("rates", [(0.2, 0.8), (0.8, 0.2), (0.6, 0.6)])
def test_encoder_with_random_stalls(rates: tuple[float, float]) -> None:
    rng = random.Random(str(rates))
    messages = [random_message(rng, rng.choice([1, 2, 9, 60, 254, 400])) for _ in range(12)]
    encoding = Encoding(messages, stalls(5, rates[0]), stalls(6, rates[1]))
    assert encoding.frames == [stuffed(message) for message in messages]


def test_encoder_takes_what_its_buffer_holds() -> None:
    """Nobody takes: in comes what fits, and at least two whole blocks."""
    encoder: Any = CobsEncoder()
    bench = Bench(encoder)
    feed = bench.feed(encoder.i, [1] * 1000)
    bench.every(lambda ctx, _: ctx.set(encoder.o.ready, 0))
    bench.run(cycles=1500)
    # Codes of two blocks and of the third; one octet has left the buffer for `o`.
    assert len(feed.times) == BUFFER + 1 - 3
    assert len(feed.times) >= 2 * BLOCK


def test_rates_of_the_encoder() -> None:
    """In and out: its attribute; in, codes and delimiters take as long as octets."""
    encoding = Encoding([b"\x01" * BLOCK, b"\x02" * BLOCK])
    # The first frame's first octets leave before the second frame could fill the buffer.
    step = CobsEncoder.cycles_per_octet
    between = step * (1 + 2)
    steps = [after - before for before, after in pairwise(encoding.feed.times)]
    assert steps == [step] * (BLOCK - 1) + [between] + [step] * (BLOCK - 1)
    assert {after - before for before, after in pairwise(encoding.drain.times)} == {step}


@pytest.mark.parametrize("zeros", [0, 0.1, 1])
def test_a_slow_sink_never_waits(zeros: float) -> None:
    """Octets taken every 40 cycles, as by the fastest UART: one is there each time."""
    rng = random.Random(int(10 * zeros))
    messages = [
        bytes(0 if rng.random() < zeros else 7 for _ in range(rng.choice([1, 2, 30, 300])))
        for _ in range(8)
    ]
    run = Encoding(messages, apart(5), apart(40))
    assert {after - before for before, after in pairwise(run.drain.times)} == {40}


def frames_over(alphabet: list[int], longest: int) -> Iterator[bytes]:
    for length in range(longest + 1):
        yield from map(bytes, product(alphabet, repeat=length))


def test_every_short_frame_is_decoded() -> None:
    """Whole or cut off, one behind the other; empty ones give nothing."""
    frames = list(frames_over([1, 2, 3, 5, 255], 5))
    random.Random(1).shuffle(frames)
    line = b"".join(frame + b"\0" for frame in frames)
    assert told(decoded(line)) == [item for frame in frames for item in frame_items(frame)]


def test_decoder_at_the_borders_of_blocks() -> None:
    """Canonical frames, those with an empty block behind a full one, and those cut off."""
    plain = bytes(range(1, 255)) * 3
    frames = []
    for length in SEAMS:
        frame = stuffed(plain[:length])
        frames += [frame, frame + b"\x01", frame[:-1], frame + b"\x02"]
    line = b"".join(frame + b"\0" for frame in frames)
    assert told(decoded(line)) == [item for frame in frames for item in frame_items(frame)]


@pytest.mark.parametrize("seed", range(3))
def test_any_octets_are_decoded(seed: int) -> None:
    rng = random.Random(seed)
    octets = rng.choices([0, rng.randrange(1, 20), 255, rng.randrange(1, 256)], k=6000)
    line = bytes(octet if rng.random() < 0.7 else rng.randrange(256) for octet in octets) + b"\0"
    want = [item for frame in line.split(b"\0")[:-1] for item in frame_items(frame)]
    assert told(decoded(line, stalls(seed))) == want


def test_latency_of_the_decoder_and_its_payload_between_octets() -> None:
    decoder: Any = CobsDecoder()
    bench = Bench(decoder)
    feed = bench.feed(decoder.i, stuffed(b"\x11\x22\x33") + b"\0", apart(4))
    out = bench.drain(decoder.o, 4)
    item = bench.probe(decoder.o.payload)
    bench.run(more=10)
    # The code gives nothing.
    assert out.times == [time + CobsDecoder.latency for time in feed.times[1:]]
    for time, payload in zip(out.times, out.items, strict=True):
        assert item.values[time : time + 4] == [payload] * 4
    assert out.items[-1] == end_item(True)
