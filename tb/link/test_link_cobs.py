"""COBS on the host: against published vectors, and a coder that goes octet by octet."""

from __future__ import annotations

import itertools
import random

import pytest
from fake_board import stuffed, unstuffed

from exaq_fpga.link.cobs import decode, encode

ASCENDING = bytes(range(1, 255))

# Octets and their blocks, as the literature has them.
VECTORS = [
    ("00", "01 01"),
    ("00 00", "01 01 01"),
    ("00 11 00", "01 02 11 01"),
    ("11 22 00 33", "03 11 22 02 33"),
    ("11 22 33 44", "05 11 22 33 44"),
    ("11 00 00 00", "02 11 01 01 01"),
    (ASCENDING.hex(), "ff" + ASCENDING.hex()),
    ("00" + ASCENDING.hex(), "01 ff" + ASCENDING.hex()),
    (ASCENDING.hex() + "ff", "ff" + ASCENDING.hex() + "02 ff"),
    (ASCENDING[1:].hex() + "ff 00", "ff" + ASCENDING[1:].hex() + "ff 01 01"),
    (ASCENDING[2:].hex() + "ff 00 01", "fe" + ASCENDING[2:].hex() + "ff 02 01"),
]


@pytest.mark.parametrize(("octets", "blocks"), VECTORS)
def test_published_vectors(octets: str, blocks: str) -> None:
    assert encode(bytes.fromhex(octets)) == bytes.fromhex(blocks)
    assert decode(bytes.fromhex(blocks)) == bytes.fromhex(octets)


def check(octets: bytes) -> None:
    blocks = encode(octets)
    assert blocks + b"\0" == stuffed(octets), octets.hex()
    assert decode(blocks) == octets, octets.hex()
    assert len(blocks) <= len(octets) + len(octets) // 254 + 1


def test_all_short_messages() -> None:
    for length in range(8):
        for octets in itertools.product(b"\0\1\xff", repeat=length):
            check(bytes(octets))


@pytest.mark.parametrize("length", [253, 254, 255, 256, 507, 508, 509, 510, 762, 763])
def test_full_blocks_with_a_zero_anywhere(length: int) -> None:
    check(b"\7" * length)
    for place in range(length):
        check(b"\7" * place + b"\0" + b"\7" * (length - place - 1))


def test_random_messages() -> None:
    rng = random.Random(1)
    for _ in range(300):
        zeros = rng.choice([0, 0.001, 0.01, 0.5])
        length = rng.randrange(1200)
        check(bytes(0 if rng.random() < zeros else rng.randint(1, 255) for _ in range(length)))


def test_every_short_string_of_blocks() -> None:
    for length in range(1, 7):
        for octets in itertools.product(b"\1\2\3\5\xff", repeat=length):
            blocks = bytes(octets)
            expected = unstuffed(blocks)
            if expected is None:
                with pytest.raises(ValueError, match=r"^the last block lacks \d+ of \d+ octets$"):
                    decode(blocks)
            else:
                assert decode(blocks) == expected


def test_an_empty_block_after_a_full_one_is_taken() -> None:
    full = b"\xff" + ASCENDING
    assert decode(full + b"\1") == decode(full) == ASCENDING
    assert decode(full + b"\1\1") == ASCENDING + b"\0"


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (b"", r"^COBS needs a block, but there is no octet$"),
        (b"\3\7\0\7", r"^COBS has no zeros, but there is one at 2$"),
        (b"\2\7\6\7", r"^the last block lacks 4 of 5 octets$"),
    ],
)
def test_what_is_no_cobs(blocks: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(blocks)
