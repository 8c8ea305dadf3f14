"""Rows as octets: against octets written one by one, as docs/link.md has them."""

from __future__ import annotations

import random
import struct
from typing import Any

import numpy as np
import pytest

from exaq import SoftmaxConfig
from exaq.rows import Rows
from exaq_fpga.link.row_messages import RowPacker, RowRange

CONFIGS: list[dict[str, Any]] = [
    {},
    {"masking": False},
    {"logit_width": 4, "prob_bits": 4},
    {"logit_width": 12, "prob_bits": 20},
    {"logit_width": 16, "prob_bits": 8, "contexts": 3},
    {"logit_width": 20, "prob_bits": 24, "contexts": 1000},
    {"logit_width": 24, "prob_bits": 9, "masking": False, "contexts": 2},
]


def written(logits: list[int], live: list[bool], context: int, config: SoftmaxConfig) -> bytes:
    """A row, octet by octet."""
    masked = not all(live)
    out = struct.pack("<HH", len(logits) - 1, context | masked << 15)
    for element, logit in enumerate(logits):
        if masked and element % 8 == 0:
            run = live[element : element + 8]
            out += bytes([sum(bit << place for place, bit in enumerate(run))])
        out += logit.to_bytes(config.logit_bytes, "little", signed=True)
    return out


def arguments(config: SoftmaxConfig, count: int, row: int, seed: int) -> dict[str, Any]:
    """Random rows with all that the unit takes, extreme logits among them."""
    rng = np.random.default_rng(seed)
    low, high = config.logit_range
    logits = rng.integers(low, high + 1, (count, row))
    logits[rng.random(logits.shape) < 0.1] = low
    logits[rng.random(logits.shape) < 0.1] = high
    live = rng.random(logits.shape) < rng.choice([0, 0.5, 0.9, 1], (count, 1))
    return {
        "logits": logits,
        "lengths": rng.choice(np.array([1, 2, 7, 8, 9, row - 1, row]), count),
        "mask": live if config.masking else None,
        "contexts": rng.integers(0, config.contexts, count) if config.contexts else None,
    }


def rows_of(given: dict[str, Any], config: SoftmaxConfig) -> Rows:
    logits, mask, lengths, contexts = (
        given[name] for name in ("logits", "mask", "lengths", "contexts")
    )
    return Rows.of(logits, config.format, mask=mask, lengths=lengths, contexts=contexts).streamed(
        config.format
    )


@pytest.mark.parametrize("row", [9, 17, 40])
@pytest.mark.parametrize("changes", CONFIGS)
def test_requests_octet_by_octet(changes: dict[str, Any], row: int) -> None:
    config = SoftmaxConfig(**changes)
    given = arguments(config, 60, row, seed=row)
    packer = RowPacker(rows_of(given, config), config)
    expected = []
    for number, (logits, length) in enumerate(zip(given["logits"], given["lengths"], strict=True)):
        live = [True] * row if given["mask"] is None else given["mask"][number].tolist()
        context = 0 if given["contexts"] is None else int(given["contexts"][number])
        expected.append(written(logits[:length].tolist(), live[:length], context, config))
    assert packer.pack(RowRange(0, 60)) == b"".join(expected)
    for start, stop in ((0, 1), (7, 8), (59, 60), (13, 47)):
        assert packer.pack(RowRange(start, stop)) == b"".join(expected[start:stop])


@pytest.mark.parametrize("changes", CONFIGS)
def test_answers_octet_by_octet(changes: dict[str, Any]) -> None:
    config = SoftmaxConfig(**changes)
    given = arguments(config, 40, 21, seed=3)
    packer = RowPacker(rows_of(given, config), config)
    rng = random.Random(1)
    expected = np.zeros((40, 21), np.int64)
    for rows in packer.ranges(200, 150):
        body = b""
        for number in range(rows.start, rows.stop):
            for element in range(given["lengths"][number]):
                p = rng.choice([0, 2**config.prob_bits - 1, rng.randrange(2**config.prob_bits)])
                expected[number, element] = p
                body += p.to_bytes(config.prob_bytes, "little")
        body += b"\0"
        assert len(body) == packer.answer_octets(rows)
        packer.unpack(rows, body)
    np.testing.assert_array_equal(packer.elements, expected)
    assert packer.elements.dtype == {1: "u1", 2: "u2", 3: "u4"}[config.prob_bytes]


@pytest.mark.parametrize("changes", CONFIGS)
@pytest.mark.parametrize(("request_room", "answer_room"), [(1000, 1000), (300, 10**9), (60, 200)])
def test_ranges_are_as_large_as_may_be(
    changes: dict[str, Any], request_room: int, answer_room: int
) -> None:
    config = SoftmaxConfig(**changes)
    packer = RowPacker(rows_of(arguments(config, 100, 30, seed=5), config), config)
    ranges = packer.ranges(request_room, answer_room)

    def fits(rows: RowRange) -> bool:
        # Type, tag, CRC and 2 octets of book-keeping.
        request = 2 + len(packer.pack(rows)) + 6
        return request <= request_room and packer.answer_octets(rows) <= answer_room

    place = 0
    for rows in ranges:
        assert rows.start == place < rows.stop
        assert fits(rows) or rows.stop == rows.start + 1
        assert rows.stop == 100 or not fits(RowRange(rows.start, rows.stop + 1))
        place = rows.stop
    assert place == 100


def test_only_what_is_within_a_row_makes_it_a_masked_one() -> None:
    config = SoftmaxConfig()
    mask = np.array([[True, True, False], [True, False, True], [True, True, True]])
    rows = Rows.of(np.zeros((3, 3), np.int8), config.format, mask=mask, lengths=[2, 3, 3]).streamed(
        config.format
    )
    body = RowPacker(rows, config).pack(RowRange(0, 3))
    assert body == bytes.fromhex("0100 0000 0000  0200 0080 05 000000  0200 0000 000000")


def test_halves() -> None:
    assert RowRange(3, 4).halves() == [RowRange(3, 4)]
    assert RowRange(3, 5).halves() == [RowRange(3, 4), RowRange(4, 5)]
    assert RowRange(0, 7).halves() == [RowRange(0, 3), RowRange(3, 7)]


def test_the_longest_row() -> None:
    config = SoftmaxConfig(max_row=65536, logit_width=24, prob_bits=24)
    logits = np.random.default_rng(1).integers(-(2**23), 2**23, 65536)
    mask = np.arange(65536) % 3 > 0
    packer = RowPacker(Rows.of(logits, config.format, mask=mask).streamed(config.format), config)
    (rows,) = packer.ranges(100, 100)
    assert packer.pack(rows) == written(logits.tolist(), mask.tolist(), 0, config)
    assert packer.answer_octets(rows) == 3 * 65536 + 1
