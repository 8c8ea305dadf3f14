"""Messages as a host packs them, and their answers, from the words of docs/link.md alone."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import exaq
from exaq import SoftmaxConfig, Tables

IDENTIFY, STATUS, ROWS, LOAD_TABLES = 1, 2, 3, 4
ANSWER, ERROR = 0x80, 0xFF
DAMAGED, OVERFLOW, LINE, UNKNOWN, MALFORMED = 1, 2, 4, 8, 16
#: Names of the counters in the answer to STATUS.
COUNTS = [
    "messages",
    "damaged",
    "overflows",
    "line_errors",
    "refused",
    "rows",
    "beats",
    "stalled",
    "loads",
]


@dataclass(frozen=True)
class Row:
    """A row to send. ``live``: a flag per logit, or None for a row without a mask."""

    logits: tuple[int, ...]
    live: tuple[bool, ...] | None = None
    context: int = 0

    def octets(self, config: SoftmaxConfig) -> bytes:
        """As it stands in the body of ROWS; pad bits of the logits are noise."""
        rng = random.Random(len(self.logits))
        size = -(-config.logit_width // 8)
        word = self.context | (0 if self.live is None else 0x8000)
        parts = [struct.pack("<HH", len(self.logits) - 1, word)]
        for k in range(0, len(self.logits), 8):
            if self.live is not None:
                flags = self.live[k : k + 8]
                bits = sum(1 << i for i, flag in enumerate(flags) if flag)
                noise = rng.getrandbits(8) >> len(flags) << len(flags)
                parts.append(bytes([bits | noise]))
            for logit in self.logits[k : k + 8]:
                pad = rng.getrandbits(8 * size) >> config.logit_width << config.logit_width
                number = logit & (1 << config.logit_width) - 1 | pad
                parts.append(number.to_bytes(size, "little"))
        return b"".join(parts)

    def probabilities(self, config: SoftmaxConfig, held: Sequence[Tables] = ()) -> list[int]:
        """What the golden model makes of it; ``held``: the contexts' tables, if not the first."""
        used = config
        if config.contexts:
            tables = (held or config.context_tables)[self.context]
            used = config.replace(contexts=0, tables=tables)
        mask = None if self.live is None else np.array(self.live)
        return [int(p) for p in exaq.softmax(np.array(self.logits), used, mask)]

    def answer(self, config: SoftmaxConfig, held: Sequence[Tables] = ()) -> bytes:
        """Its octets in the answer."""
        size = -(-config.prob_bits // 8)
        return b"".join(p.to_bytes(size, "little") for p in self.probabilities(config, held))


def random_row(config: SoftmaxConfig, rng: random.Random, length: int | None = None) -> Row:
    """Logits around a level of their own, or anywhere; with a mask or without."""
    low, high = config.logit_range
    count = length or rng.choice([1, rng.randint(1, config.max_row), config.max_row])
    centre, width = rng.randint(low, high), rng.choice([1, 2, 30, high])
    logits = [min(max(centre + rng.randint(-width, width), low), high) for _ in range(count)]
    live = None
    if config.masking and rng.random() < 0.6:
        density = rng.choice([0.0, 0.5, 0.5, 1.0])
        live = tuple(rng.random() < density for _ in logits)
    return Row(tuple(logits), live, rng.randrange(max(config.contexts, 1)))


def rows_message(config: SoftmaxConfig, tag: int, rows: Sequence[Row]) -> bytes:
    return bytes([ROWS, tag]) + b"".join(row.octets(config) for row in rows)


def rows_answer(
    config: SoftmaxConfig, tag: int, rows: Sequence[Row], held: Sequence[Tables] = ()
) -> bytes:
    body = b"".join(row.answer(config, held) for row in rows)
    return bytes([ROWS | ANSWER, tag]) + body + b"\0"


def load_message(tag: int, words: Sequence[int]) -> bytes:
    return bytes([LOAD_TABLES, tag]) + b"".join(struct.pack("<i", word) for word in words)


def counts(answer: bytes) -> dict[str, int]:
    """The counters in an answer to STATUS."""
    assert answer[0] == STATUS | ANSWER
    return dict(zip(COUNTS, struct.unpack("<9I", answer[2:]), strict=True))


def cut_rows(config: SoftmaxConfig, body: bytes) -> tuple[list[Row], int, bool]:
    """What a board has to make of any body of ROWS.

    The whole rows before the first fault; how many elements it gives of a row that the body ends
    in; whether there is a fault.
    """
    rows: list[Row] = []
    size = -(-config.logit_width // 8)
    sign = 1 << config.logit_width - 1
    if not body:
        return rows, 0, True
    while body:
        if len(body) <= 4:
            return rows, 0, True
        less, word = struct.unpack("<HH", body[:4])
        body = body[4:]
        masked, context = bool(word & 0x8000), word & 0x7FFF
        if less >= config.max_row or context >= max(config.contexts, 1):
            return rows, 0, True
        if masked and not config.masking:
            return rows, 0, True
        logits: list[int] = []
        live: list[bool] = []
        for k in range(less + 1):
            if masked and k % 8 == 0:
                if len(body) <= 1:
                    # The live bits alone close a row that has begun by an element more.
                    return rows, k + len(body) if k else 0, True
                live += [bool(body[0] >> i & 1) for i in range(min(8, less + 1 - k))]
                body = body[1:]
            if len(body) < size:
                return rows, k + bool(body), True
            number = int.from_bytes(body[:size], "little") & 2 * sign - 1
            logits.append((number ^ sign) - sign)
            body = body[size:]
        rows.append(Row(tuple(logits), tuple(live) if masked else None, context))
    return rows, 0, False
