"""Consistent overhead byte stuffing (Cheshire and Baker, 1999): octets without a zero."""

from __future__ import annotations

# Octets of a block that no zero follows.
_FULL = 254


def encode(octets: bytes) -> bytes:
    """``octets`` with their zeros taken out; at most one octet in 254 longer, and one more.

    Canonical: where octets end right after a full block, no empty block follows.
    """
    blocks = bytearray()
    *terminated, rest = octets.split(b"\0")
    for part in terminated:
        whole = len(part) // _FULL * _FULL
        _full_blocks(blocks, part[:whole])
        blocks.append(len(part) - whole + 1)
        blocks += part[whole:]
    whole = len(rest) // _FULL * _FULL
    _full_blocks(blocks, rest[:whole])
    if whole < len(rest) or not rest:
        blocks.append(len(rest) - whole + 1)
        blocks += rest[whole:]
    return bytes(blocks)


def _full_blocks(blocks: bytearray, octets: bytes) -> None:
    for start in range(0, len(octets), _FULL):
        blocks.append(_FULL + 1)
        blocks += octets[start : start + _FULL]


def decode(blocks: bytes) -> bytes:
    """What ``encode`` was given. An empty last block after a full one is taken as well.

    Raises
    ------
    ValueError
        There is no block, a block is not whole, or there is a zero.
    """
    if not blocks:
        raise ValueError("COBS needs a block, but there is no octet")
    if 0 in blocks:
        raise ValueError(f"COBS has no zeros, but there is one at {blocks.index(0)}")
    octets = bytearray()
    at, end = 0, len(blocks)
    while True:
        count = blocks[at]
        following = at + count
        octets += blocks[at + 1 : following]
        if following >= end:
            break
        if count <= _FULL:
            octets.append(0)
        at = following
    if following > end:
        raise ValueError(f"the last block lacks {following - end} of {count - 1} octets")
    return bytes(octets)
