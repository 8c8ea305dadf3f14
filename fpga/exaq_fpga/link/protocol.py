"""Messages of the link: types, layouts, limits. docs/link.md is their specification.

A message is a type, a tag and a body. On the line it stands in a frame (see
``exaq_fpga.link.frames``). The host sends requests; the board answers each in the order of their
coming, with the request's tag. Besides answers it sends only ERROR messages, which report what it
had to drop. Numbers of several octets are little-endian.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Any, TypeAlias

from exaq import SoftmaxConfig
from exaq.attention import AttentionConfig
from exaq.release import release
from exaq_fpga.link.head_octets import pair_octets, query_octets

#: What the unit behind a link can be: a softmax, or an attention head.
UnitConfig: TypeAlias = SoftmaxConfig | AttentionConfig

#: Version of this protocol: a host refuses a board with another.
VERSION = 1
#: First octets of an identity.
MAGIC = b"EXAQ"
#: Set in the type of an answer.
ANSWER = 0x80
#: Octets of a message before its body: type, tag.
HEADER = 2
#: Octets of the CRC-32 that follows a message in its frame.
CHECK = 4
#: Octets of a row before its elements: length - 1, and a word of context and MASKED.
ROW_HEADER = 4
#: In a row's second word: octets of live bits come among the logits.
MASKED = 0x8000
#: In a row's second word: a window comes before the elements.
WINDOWED = 0x4000
#: Octets of each of a window's numbers, start and stop.
WINDOW_NUMBER = 3
#: Both.
WINDOW_OCTETS = 2 * WINDOW_NUMBER
#: Logits that an octet of live bits in front of them is for.
MASK_RUN = 8
#: Octets of a word of LOAD_TABLES.
LOAD_WORD = 4
#: Octets in front of the vectors of KEYS_VALUES and QUERIES, and behind the type and tag of the
#: answer to KEYS_VALUES: a number of vectors, and FINAL.
VECTORS_HEADER = 3
#: Bits of that number.
VECTOR_NUMBER = 8 * VECTORS_HEADER - 1
#: In these octets: the message ends with its head's last key and value; or the board has it.
FINAL = 1 << VECTOR_NUMBER
#: Octets of the receive buffer that a message takes beside its own.
OVERHEAD = CHECK + 2
#: Octets of the receive buffer that a host keeps free for STATUS requests.
RESERVE = 64


class Type(IntEnum):
    """First octet of a message from the host; the answer to it has ``ANSWER`` set as well."""

    IDENTIFY = 1
    STATUS = 2
    ROWS = 3
    LOAD_TABLES = 4
    BEGIN_HEAD = 5
    KEYS_VALUES = 6
    QUERIES = 7


#: First octet of an ERROR message; its body is an octet of Fault.
ERROR = 0xFF


class Fault(IntFlag):
    """Why a board sends an ERROR.

    DAMAGED, OVERFLOW and LINE report, with tag 0, what was dropped since the last report.
    UNKNOWN and MALFORMED answer a request, with its tag: there is no such type, or not of that
    length.
    """

    DAMAGED = 1
    OVERFLOW = 2
    LINE = 4
    UNKNOWN = 8
    MALFORMED = 16


class RowsStatus(IntFlag):
    """Last octet of the answer to ROWS, KEYS_VALUES or QUERIES: 0, or why the answer is not that of
    what was asked for.

    MALFORMED: a row is longer than max_row, has no such context, is masked where the unit has
    no masking, has a window that the unit cannot take, or the message ended within it; what
    follows was dropped. Of vectors: the message ended within one, which was dropped, or held none.
    ROW_ERROR: the unit flagged a row. NO_HEAD: rows of q were dropped, since the keys and values
    of their head are not complete.
    """

    MALFORMED = 1
    ROW_ERROR = 2
    NO_HEAD = 4


#: What STATUS answers with: 32-bit counters modulo 2**32 since reset, in this order.
COUNTERS = {
    "messages": "messages taken",
    "damaged": "frames dropped: wrong CRC, wrong COBS, or shorter than a message",
    "overflows": "frames dropped: no room in the receive buffer",
    "line_errors": "octets dropped: no stop bit; by UDP, how often datagrams were missing",
    "rejected": "messages answered by ERROR",
    "rows": "rows that left the unit",
    "beats": "beats that left the unit",
    "stalled": "cycles in which the unit had a beat to give and the link was busy",
    "loads": "sets of tables loaded, or heads whose keys and values are complete",
}


def check_linked(config: SoftmaxConfig) -> SoftmaxConfig:
    """``config``, which must be of a unit that can stand behind the link.

    Raises
    ------
    ValueError
        Its codes come with a reference for each beat, which no message carries.
    """
    if config.kernel.beat_reference_bits:
        raise ValueError(
            f"a board's link carries no references of beats: with the kernel {config.kernel.name} "
            "output must be probabilities, not codes"
        )
    return config


def row_octets(config: SoftmaxConfig, length: int, *, masked: bool) -> int:
    """Octets of a row of ``length`` logits in a ROWS message, its header included.

    On a unit with windows every row that this host sends has one.
    """
    mask = -(-length // MASK_RUN) if masked else 0
    window = WINDOW_OCTETS if config.window else 0
    return ROW_HEADER + window + length * config.logit_bytes + mask


def longest_message(config: UnitConfig) -> int:
    """Octets of the longest message that a host must be able to send: a row of ``max_row``, or a
    vector of a head.
    """
    if isinstance(config, AttentionConfig):
        return HEADER + VECTORS_HEADER + max(pair_octets(config), query_octets(config))
    return HEADER + row_octets(config, config.max_row, masked=config.masking)


def element_octets(config: SoftmaxConfig) -> int:
    """Octets that the answer to ROWS has for each element: of a probability, or of a code."""
    return 1 if config.output == "codes" else config.prob_bytes


def result_octets(config: SoftmaxConfig) -> int:
    """Octets that it has behind each row's elements: maximum, sum, probabilities of the codes."""
    if config.row_results == "none":
        return 0
    table = config.levels * config.prob_bytes if config.row_results == "table" else 0
    return config.logit_bytes + sum_octets(config) + table


def sum_octets(config: SoftmaxConfig) -> int:
    """Octets of a row's sum."""
    return -(-config.sum_bits // 8)


def answer_octets(config: SoftmaxConfig, length: int) -> int:
    """Octets of a row of ``length`` logits in the answer to ROWS."""
    return length * element_octets(config) + result_octets(config)


def buffer_octets(config: UnitConfig) -> int:
    """Size of a board's receive buffer: a power of two that holds three longest messages.

    Vectors of a head are short, and messages of several of them shall share the buffer.
    """
    least = 2048 if isinstance(config, AttentionConfig) else 512
    need = 3 * (longest_message(config) + OVERHEAD) + RESERVE
    return max(least, 1 << (need - 1).bit_length())


# What an identity says of the unit, beside the configuration; the softmax says nothing.
_ATTENTION = "attention"


class IdentityError(ValueError):
    """An answer to IDENTIFY that no board of this protocol version gives."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a board says of itself: the answer to IDENTIFY.

    Parameters
    ----------
    board
        Name of the board it was built for.
    config
        The unit's configuration, tables included.
    version
        Of the generator.
    clock
        Of the unit, in Hz.
    baud
        Of the UART.
    buffer
        Octets of the receive buffer.

    """

    board: str
    config: UnitConfig
    clock: int
    baud: int
    buffer: int
    version: str = field(default_factory=release)

    _FIXED = struct.Struct("<4sB3xII")

    def to_octets(self) -> bytes:
        """Body of the answer: magic, protocol version, three zeros, CRC-32 of the configuration
        (its ``build_crc``), size of the receive buffer, and all of it as JSON,
        compressed by zlib.
        """
        fixed = self._FIXED.pack(MAGIC, VERSION, self.config.build_crc, self.buffer)
        values = {
            "board": self.board,
            "version": self.version,
            "clock": self.clock,
            "baud": self.baud,
            "config": self.config.to_dict(),
        }
        if isinstance(self.config, AttentionConfig):
            values["unit"] = _ATTENTION
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return fixed + zlib.compress(text.encode(), 9)

    @classmethod
    def from_octets(cls, octets: bytes) -> Identity:
        """The identity in an answer's body.

        Raises
        ------
        IdentityError
            It is none, or of another protocol version; the message says what it is.
        """
        if octets[: len(MAGIC)] != MAGIC or len(octets) < cls._FIXED.size:
            raise IdentityError("what answers is no unit of this project")
        _, version, crc, buffer = cls._FIXED.unpack_from(octets)
        if version != VERSION:
            raise IdentityError(
                f"the board speaks version {version} of the link, this program version {VERSION}"
            )
        try:
            values: dict[str, Any] = json.loads(zlib.decompress(octets[cls._FIXED.size :]))
            kinds: dict[Any, type[UnitConfig]] = {None: SoftmaxConfig, _ATTENTION: AttentionConfig}
            identity = cls(
                board=str(values["board"]),
                version=str(values["version"]),
                clock=int(values["clock"]),
                baud=int(values["baud"]),
                buffer=buffer,
                config=kinds[values.get("unit")].from_dict(values["config"]),
            )
        except (zlib.error, KeyError, TypeError, ValueError) as error:
            raise IdentityError(
                f"the board's configuration cannot be read by this version: {error}"
            ) from error
        if identity.config.build_crc != crc:
            raise IdentityError("the board's configuration and its CRC do not fit each other")
        return identity
