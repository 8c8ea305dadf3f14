"""Frames on the host: none is delivered wrong, and damage costs no neighbour."""

from __future__ import annotations

import random
import struct
import zlib

import pytest
from fake_board import Noise, framed, stuffed

from exaq_fpga.link.frames import FrameDecoder, encode_frame, frame_octets

BEFORE, MESSAGE, AFTER = b"\x83\x01before", b"\x83\x02\0\1\0\xff and a zero\0", b"\x83\x03after\0"


def messages(seed: int, count: int) -> list[bytes]:
    rng = random.Random(seed)
    sizes = [rng.choice([2, 3, 8, 40, 253, 260, 700]) for _ in range(count)]
    return [bytes(rng.choices(range(256), k=size)) for size in sizes]


def test_frames_are_those_of_the_specification() -> None:
    assert encode_frame(b"\1\1") == bytes.fromhex("07 01 01 28 13 C5 2F 00")
    assert encode_frame(b"\2\2") == bytes.fromhex("07 02 02 51 11 E1 9D 00")
    for message in messages(1, 200):
        assert encode_frame(message) == framed(message)


def test_frame_octets_bounds_every_frame() -> None:
    for length in [*range(2, 20), *range(240, 520)]:
        for octet in (b"\0", b"\1"):
            assert len(encode_frame(octet * length)) <= frame_octets(length)
    assert len(encode_frame(b"\1" * 247)) == frame_octets(247)


@pytest.mark.parametrize("seed", range(8))
def test_any_pieces(seed: int) -> None:
    expected = messages(seed, 40)
    line = b"\0\0".join(map(encode_frame, expected))
    rng = random.Random(seed)
    decoder = FrameDecoder()
    found = []
    while line:
        size = rng.choice([1, 1, 2, 7, 100, 3000])
        found += decoder.feed(line[:size])
        line = line[size:]
    assert found == expected
    assert decoder.dropped == 0


def test_every_flipped_bit() -> None:
    frames = [encode_frame(message) for message in (BEFORE, MESSAGE, AFTER)]
    for place in range(len(frames[1])):
        for bit in range(8):
            damaged = bytearray(frames[1])
            damaged[place] ^= 1 << bit
            decoder = FrameDecoder()
            found = decoder.feed(frames[0] + bytes(damaged) + frames[2])
            # Only without its delimiter does it take the next one along.
            lost_end = place == len(damaged) - 1
            assert found == ([BEFORE] if lost_end else [BEFORE, AFTER])
            assert decoder.dropped >= 1


def test_every_octet_dropped_or_doubled() -> None:
    frames = [encode_frame(message) for message in (BEFORE, MESSAGE, AFTER)]
    for place in range(len(frames[1])):
        at = frames[1][place : place + 1]
        for instead in (b"", at * 2):
            middle = frames[1][:place] + instead + frames[1][place + 1 :]
            found = FrameDecoder().feed(frames[0] + middle + frames[2])
            doubled_end = place == len(frames[1]) - 1 and instead
            if doubled_end:
                assert found == [BEFORE, MESSAGE, AFTER]
            else:
                assert MESSAGE not in found
                assert found in ([BEFORE], [BEFORE, AFTER])


@pytest.mark.parametrize("seed", range(20))
def test_noise_makes_no_message_of_its_own(seed: int) -> None:
    expected = messages(seed, 60)
    noise = Noise(seed, 0.01)
    line = noise(b"".join(map(encode_frame, expected)))
    found = FrameDecoder().feed(line)
    rest = iter(expected)
    assert all(message in rest for message in found)
    assert noise.faults > 20
    assert len(found) < len(expected)


@pytest.mark.parametrize("octets", [b"", b"\7", struct.pack("<I", zlib.crc32(b""))])
def test_shorter_than_a_message(octets: bytes) -> None:
    decoder = FrameDecoder()
    assert decoder.feed(stuffed(octets)) == []
    assert decoder.dropped == 1
    one = b"\7"
    assert decoder.feed(stuffed(one + struct.pack("<I", zlib.crc32(one)))) == []
    assert decoder.dropped == 2


def test_nothing_between_delimiters_is_no_frame() -> None:
    decoder = FrameDecoder()
    assert decoder.feed(bytes(100)) == []
    assert decoder.dropped == 0


def test_a_frame_without_an_end_takes_no_memory_and_is_one_frame() -> None:
    decoder = FrameDecoder(longest=300)
    for _ in range(1000):
        assert decoder.feed(b"\7" * 100) == []
        assert decoder._held <= 100_000
        assert sum(map(len, decoder._pieces)) <= 300
    assert decoder.feed(b"\0" + encode_frame(MESSAGE)) == [MESSAGE]
    assert decoder.dropped == 1
