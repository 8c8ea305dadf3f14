"""Frames of the line, from their definition: COBS by splitting at zeros, and zlib's CRC."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Sequence


def frame(message: bytes) -> bytes:
    """``message`` on the line, delimiter included."""
    whole = message + struct.pack("<I", zlib.crc32(message))
    stuffed = b""
    for part in whole.split(b"\0"):
        full = [part[k : k + 254] for k in range(0, len(part) - 253, 254)]
        rest = part[254 * len(full) :]
        stuffed += b"".join(b"\xff" + block for block in full) + bytes([len(rest) + 1]) + rest
    # A full block at the end needs nothing behind it.
    if len(whole) >= 254 and b"\0" not in whole[-254:]:
        run = len(re.split(b"\0", whole)[-1])
        if run % 254 == 0:
            stuffed = stuffed[:-1]
    return stuffed + b"\0"


def messages_in(octets: Sequence[int]) -> list[bytes]:
    """The messages of whole frames on a line; each frame must be sound."""
    line = bytes(octets)
    assert line == b"" or line[-1] == 0
    found = []
    for stuffed in line.split(b"\0")[:-1]:
        if not stuffed:
            continue
        whole = b""
        place = 0
        while place < len(stuffed):
            count = stuffed[place]
            block = stuffed[place + 1 : place + count]
            assert len(block) == count - 1
            place += count
            whole += block + (b"\0" if count < 255 and place < len(stuffed) else b"")
        message, check = whole[:-4], whole[-4:]
        assert check == struct.pack("<I", zlib.crc32(message))
        found.append(message)
    return found
