"""Frames: how messages stand on the line. A frame is COBS of a message and its CRC-32, and a zero.

The zero is found again after any damage, so a damaged frame costs itself alone.
"""

from __future__ import annotations

import struct
import zlib

from exaq_fpga.link import cobs
from exaq_fpga.link.protocol import CHECK, HEADER

#: Ends a frame.
DELIMITER = b"\0"

_CHECK = struct.Struct("<I")
# Longer than any frame of this link: the longest row has 65536 probabilities of 3 octets.
_LONGEST = 2**18


def encode_frame(message: bytes) -> bytes:
    """The frame of ``message``, delimiter included."""
    return cobs.encode(message + _CHECK.pack(zlib.crc32(message))) + DELIMITER


def frame_octets(message: int) -> int:
    """Octets of the longest frame of a message of ``message`` octets."""
    stuffed = message + CHECK
    return stuffed + stuffed // 254 + 2


class FrameDecoder:
    """Messages out of a line's octets, which may come in any pieces.

    Frames that are damaged (COBS, CRC), shorter than a message or longer than ``longest`` are
    dropped; nothing between two delimiters is no frame.

    Members
    -------
    dropped
        Frames dropped.
    """

    def __init__(self, longest: int = _LONGEST) -> None:
        self.dropped = 0
        self._longest = longest
        self._pieces: list[bytes] = []
        self._held = 0
        self._overlong = False

    def feed(self, octets: bytes) -> list[bytes]:
        """The messages that ``octets`` complete, in their order."""
        *ended, rest = octets.split(DELIMITER)
        messages = []
        for part in ended:
            self._hold(part)
            message = self._end()
            if message is not None:
                messages.append(message)
        self._hold(rest)
        return messages

    def _hold(self, octets: bytes) -> None:
        self._held += len(octets)
        if self._held > self._longest:
            self._overlong = True
            self._pieces.clear()
        elif octets:
            self._pieces.append(octets)

    def _end(self) -> bytes | None:
        frame = b"".join(self._pieces)
        overlong, empty = self._overlong, not self._held
        self._pieces.clear()
        self._held = 0
        self._overlong = False
        if empty:
            return None
        message = None if overlong else _message(frame)
        self.dropped += message is None
        return message


def _message(frame: bytes) -> bytes | None:
    try:
        octets = cobs.decode(frame)
    except ValueError:
        return None
    message, check = octets[:-CHECK], octets[-CHECK:]
    if len(octets) < HEADER + CHECK or _CHECK.pack(zlib.crc32(message)) != check:
        return None
    return message
