"""Messages of attention heads and what a board has to answer, from the words of docs/link.md."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from exaq.attention import AttentionConfig, attend

IDENTIFY, STATUS, BEGIN_HEAD, KEYS_VALUES, QUERIES = 1, 2, 5, 6, 7
ANSWER, ERROR = 0x80, 0xFF
UNKNOWN, MALFORMED_REQUEST = 8, 16
MALFORMED, ROW_ERROR, NO_HEAD = 1, 2, 4
FINAL = 1 << 23


def octets_of(elements: Sequence[int], width: int) -> bytes:
    """Elements of ``width`` bits, the first one lowest, in whole octets."""
    word = sum((int(each) & (1 << width) - 1) << width * k for k, each in enumerate(elements))
    return word.to_bytes(-(-len(elements) * width // 8), "little")


def elements_of(octets: bytes, width: int, count: int, *, signed: bool) -> list[int]:
    word = int.from_bytes(octets, "little")
    found = [word >> width * k & (1 << width) - 1 for k in range(count)]
    half = 1 << width - 1
    return [(each ^ half) - half for each in found] if signed else found


def key_width(config: AttentionConfig) -> int:
    return 8 if config.keys == "int8" else 4


def pair(config: AttentionConfig, key: Sequence[int], value: Sequence[int]) -> bytes:
    return octets_of(key, key_width(config)) + octets_of(value, config.value_width)


def header(number: int, *, final: bool = False) -> bytes:
    return struct.pack("<I", number | (FINAL if final else 0))[:3]


def pairs_message(
    config: AttentionConfig, tag: int, k: Any, v: Any, number: int = 0, *, final: bool = True
) -> bytes:
    """Keys and values, the first of which has that number."""
    body = b"".join(pair(config, *both) for both in zip(k, v, strict=True))
    return bytes([KEYS_VALUES, tag]) + header(number, final=final) + body


def queries_message(config: AttentionConfig, tag: int, q: Any, number: int = 0) -> bytes:
    body = b"".join(octets_of(row, 8) for row in q)
    return bytes([QUERIES, tag]) + header(number) + body


def random_vectors(
    config: AttentionConfig, rng: random.Random, rows: int, keys: int
) -> tuple[Any, Any, Any]:
    """q, k and v of a head."""
    size = config.head_size

    def integers(count: int, low: int, high: int) -> Any:
        found = [[rng.randint(low, high) for _ in range(size)] for _ in range(count)]
        return np.array(found).reshape(count, size)

    codes = (-128, 127) if config.keys == "int8" else (0, 15)
    half = 2 ** (config.value_width - 1)
    # Rows of unlike operands mostly see one key: those of small ones spread.
    return (
        integers(rows, -9, 9),
        integers(keys, *codes),
        integers(keys, -half, half - 1),
    )


class HeadModel:
    """A board of an attention head in Python: messages in, answers out."""

    def __init__(self, config: AttentionConfig, identity: bytes = b"identity") -> None:
        self.config = config
        self.identity = identity
        self.keys: list[list[int]] = []
        self.values: list[list[int]] = []
        self.complete = False
        self.rejected = self.rows = self.loads = 0

    def answer(self, message: bytes) -> bytes:
        """But for STATUS, whose counters it does not know."""
        kind, tag, body = message[0], message[1], message[2:]
        answers: dict[int, Callable[[bytes], bytes]] = {
            BEGIN_HEAD: self._begin,
            KEYS_VALUES: self._pairs,
            QUERIES: self._queries,
            IDENTIFY: lambda body: self.identity,
        }
        made = answers.get(kind)
        fault = UNKNOWN if made is None and kind != STATUS else MALFORMED_REQUEST
        if made is None or (body and kind in (BEGIN_HEAD, IDENTIFY)):
            self.rejected += 1
            return bytes([ERROR, tag, fault])
        return bytes([kind | ANSWER, tag]) + made(body)

    def _begin(self, body: bytes) -> bytes:
        self.keys, self.values, self.complete = [], [], False
        return b"\0"

    def _vectors(self, body: bytes, size: int) -> tuple[int, bool, list[bytes], int]:
        """Number of the first, whether they end the head, the whole ones, and the status."""
        if len(body) <= 3:
            return 0, False, [], MALFORMED
        (word,) = struct.unpack("<I", body[:3] + b"\0")
        body = body[3:]
        whole = [body[k : k + size] for k in range(0, len(body), size)]
        cut = len(whole[-1]) < size
        final = bool(word & FINAL) and not cut
        return word & FINAL - 1, final, whole[: len(whole) - cut], MALFORMED * cut

    def _pairs(self, body: bytes) -> bytes:
        config, width = self.config, key_width(self.config)
        split = -(-config.head_size * width // 8)
        size = split + -(-config.head_size * config.value_width // 8)
        first, final, pairs, status = self._vectors(body, size)
        for n, octets in enumerate(pairs):
            if not self.complete and first + n == len(self.keys):
                key, value = octets[:split], octets[split:]
                signed = config.keys == "int8"
                self.keys.append(elements_of(key, width, config.head_size, signed=signed))
                self.values.append(
                    elements_of(value, config.value_width, config.head_size, signed=True)
                )
                self.complete = final and n == len(pairs) - 1
                self.loads += self.complete
        told = header(len(self.keys), final=self.complete)
        return told + bytes([status])

    def _queries(self, body: bytes) -> bytes:
        first, _, rows, status = self._vectors(body, self.config.head_size)
        if rows and not self.complete:
            return bytes([status | NO_HEAD])
        found = b""
        most = self.config.softmax.max_row
        plain = self.config.replace(causal=False)
        for n, octets in enumerate(rows):
            keys = min(len(self.keys), most)
            if self.config.causal:
                keys = min(keys, first + n + 1)
            row = elements_of(octets, 8, self.config.head_size, signed=True)
            output = attend([row], self.keys[:keys], self.values[:keys], plain)
            found += octets_of(output[0].tolist(), self.config.output_width)
            status |= ROW_ERROR * (len(self.keys) > most)
            self.rows += 1
        return found + bytes([status])
