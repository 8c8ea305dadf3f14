"""Frames as the link's specification defines them: the oracle of tests of framing."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator

#: Most octets that a block of COBS holds.
BLOCK = 254


def stuffed(octets: bytes) -> bytes:
    """COBS of ``octets``, by its definition: what stands between zeros, in blocks."""
    runs = octets.split(b"\0")
    out = b""
    for run in runs:
        blocks = [run[k : k + BLOCK] for k in range(0, len(run), BLOCK)]
        if run is runs[-1]:
            blocks = blocks or [b""]
        elif not run or len(run) % BLOCK == 0:
            blocks.append(b"")
        out += b"".join(bytes([len(block) + 1]) + block for block in blocks)
    return out


def unstuffed(frame: bytes) -> bytes | None:
    """What a COBS frame without delimiter holds, or None where its last block is cut off."""
    out = b""
    while frame:
        code, block, frame = frame[0], frame[1 : frame[0]], frame[frame[0] :]
        if len(block) != code - 1:
            return None
        out += block + (b"\0" if frame and code - 1 < BLOCK else b"")
    return out


def framed(message: bytes) -> bytes:
    """``message`` on the line, with a delimiter behind."""
    return stuffed(message + zlib.crc32(message).to_bytes(4, "little")) + b"\0"


def messages_in(line: bytes) -> list[bytes]:
    """Messages of the whole and undamaged frames in ``line``."""
    found = []
    for frame in line.split(b"\0")[:-1]:
        held = unstuffed(frame)
        if held is not None and len(held) >= 6:
            message, check = held[:-4], held[-4:]
            if check == zlib.crc32(message).to_bytes(4, "little"):
                found.append(message)
    return found


def message_items(messages: list[bytes]) -> list[int]:
    """``messages`` as a stream of MESSAGE_OCTET carries them."""
    return [
        octet | (place == len(message) - 1) << 8
        for message in messages
        for place, octet in enumerate(message)
    ]


def messages_of(items: list[int]) -> list[bytes]:
    """Messages of a stream of MESSAGE_OCTET; the last must be whole."""
    messages, octets = [], bytearray()
    for item in items:
        octets.append(item & 0xFF)
        if item >> 8:
            messages.append(bytes(octets))
            octets.clear()
    assert not octets
    return messages


def random_message(rng: random.Random, length: int) -> bytes:
    """Octets with few, some or many zeros."""
    zeros = rng.choice([0, 0.01, 0.3, 0.9])
    return bytes(0 if rng.random() < zeros else rng.randrange(1, 256) for _ in range(length))


def apart(cycles: int) -> Iterator[bool]:
    """Pauses that keep a line's octets ``cycles`` cycles apart."""
    while True:
        yield False
        yield from [True] * (cycles - 1)
