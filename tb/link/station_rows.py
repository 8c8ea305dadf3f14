"""Messages as a host packs them, and their answers, from the words of docs/link.md alone."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    "rejected",
    "rows",
    "beats",
    "stalled",
    "loads",
]


def results_octets(config: SoftmaxConfig) -> int:
    """Octets of a row's results."""
    if config.row_results == "none":
        return 0
    table = config.row_results == "table"
    fixed = -(-config.logit_width // 8) + -(-config.sum_bits // 8)
    return fixed + table * config.levels * -(-config.prob_bits // 8)


@dataclass(frozen=True)
class Row:
    """A row to send. ``live``: a flag per logit, or None for a row without a mask. Logits of a
    floating-point format are its bits.
    """

    logits: tuple[int, ...]
    live: tuple[bool, ...] | None = None
    context: int = 0
    window: tuple[int, int] | None = None

    def octets(self, config: SoftmaxConfig) -> bytes:
        """As it stands in the body of ROWS; pad bits of the logits are noise."""
        rng = random.Random(len(self.logits))
        size = -(-config.logit_width // 8)
        word = self.context | (0 if self.live is None else 0x8000)
        word |= 0 if self.window is None else 0x4000
        parts = [struct.pack("<HH", len(self.logits) - 1, word)]
        parts += [edge.to_bytes(3, "little") for edge in self.window or ()]
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

    def numbers(self, config: SoftmaxConfig) -> NDArray[Any]:
        """The logits as the golden model takes them."""
        bits = np.array(self.logits)
        if config.logit_format == "fp16":
            return bits.astype(np.uint16).view(np.float16)
        if config.logit_format == "bf16":
            return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return bits

    def answer(self, config: SoftmaxConfig, held: Sequence[Tables] = ()) -> bytes:
        """Its octets in the answer; ``held``: the contexts' tables, if not the first."""
        used = config
        if config.contexts:
            tables = (held or config.context_tables)[self.context]
            used = config.replace(contexts=0, tables=tables)
        mask = None if self.live is None else np.array(self.live)
        window = None
        if self.window is not None:
            start, stop = (min(edge, len(self.logits)) for edge in self.window)
            window = (start, stop)
        codes = config.output == "codes"
        function = exaq.quantize if codes else exaq.softmax
        size = 1 if codes else -(-config.prob_bits // 8)
        elements = function(self.numbers(config), used, mask, window=window)
        octets = b"".join(int(p).to_bytes(size, "little") for p in elements)
        if config.row_results == "none":
            return octets
        results = exaq.row_results(self.numbers(config), used, mask, window=window)
        if config.logit_format == "integer":
            octets += int(results.maximum).to_bytes(config.logit_bytes, "little", signed=True)
        else:
            wide = np.float32(results.maximum)
            bits = np.uint32(wide.view(np.uint32) >> np.uint32(16))
            if config.logit_format == "fp16":
                bits = wide.astype(np.float16).view(np.uint16)
            octets += int(bits).to_bytes(2, "little")
        octets += int(results.sum).to_bytes(-(-config.sum_bits // 8), "little")
        if results.table is not None:
            size = -(-config.prob_bits // 8)
            octets += b"".join(int(p).to_bytes(size, "little") for p in results.table)
        return octets

    def wrong(self, config: SoftmaxConfig) -> bool:
        """Whether the unit flags it: an element that takes part is NaN or +inf."""
        if config.logit_format == "integer":
            return False
        numbers = self.numbers(config).astype(np.float64)
        start, stop = self.window or (0, len(numbers))
        live = np.array(self.live or (True,) * len(numbers))
        part = live & (np.arange(len(numbers)) >= start) & (np.arange(len(numbers)) < stop)
        return bool((part & (np.isnan(numbers) | np.isposinf(numbers))).any())


def random_row(config: SoftmaxConfig, rng: random.Random, length: int | None = None) -> Row:
    """Logits around a level of their own, or anywhere; with a mask or without."""
    low, high = config.logit_range
    if config.logit_format != "integer":
        low, high = 0, 0xFFFF
    count = length or rng.choice([1, rng.randint(1, config.max_row), config.max_row])
    centre, width = rng.randint(low, high), rng.choice([1, 2, 30, high])
    logits = [min(max(centre + rng.randint(-width, width), low), high) for _ in range(count)]
    live = None
    if config.masking and rng.random() < 0.6:
        density = rng.choice([0.0, 0.5, 0.5, 1.0])
        live = tuple(rng.random() < density for _ in logits)
    window = None
    if config.window and rng.random() < 0.8:
        most = min(config.max_row + 1, (1 << config.max_row.bit_length()) - 1)
        window = (rng.randint(0, min(count + 1, most)), rng.randint(0, most))
    return Row(tuple(logits), live, rng.randrange(max(config.contexts, 1)), window)


def rows_message(config: SoftmaxConfig, tag: int, rows: Sequence[Row]) -> bytes:
    return bytes([ROWS, tag]) + b"".join(row.octets(config) for row in rows)


def rows_answer(
    config: SoftmaxConfig, tag: int, rows: Sequence[Row], held: Sequence[Tables] = ()
) -> bytes:
    body = b"".join(row.answer(config, held) for row in rows)
    status = 2 * any(row.wrong(config) for row in rows)
    return bytes([ROWS | ANSWER, tag]) + body + bytes([status])


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
        window = None
        if config.window:
            context &= 0x3FFF
        if less >= config.max_row or context >= max(config.contexts, 1):
            return rows, 0, True
        if masked and not config.masking:
            return rows, 0, True
        if config.window and word & 0x4000:
            if len(body) <= 6:
                return rows, 0, True
            window = (
                int.from_bytes(body[:3], "little"),
                int.from_bytes(body[3:6], "little"),
            )
            body = body[6:]
            if max(window) >> config.max_row.bit_length():
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
            signed = config.logit_format == "integer"
            logits.append((number ^ sign) - sign if signed else number)
            body = body[size:]
        rows.append(Row(tuple(logits), tuple(live) if masked else None, context, window))
    return rows, 0, False


def check_answer(config: SoftmaxConfig, message: bytes, answer: bytes, identity: bytes) -> None:
    """Fails where ``answer`` is none to ``message``, which may hold anything but a load of the
    right length; tables are those of ``config``. What comes of a row cut off is not looked at.
    """
    kind, tag, body = message[0], message[1], message[2:]
    if kind == ROWS:
        rows, more, malformed = cut_rows(config, body)
        expected = rows_answer(config, tag, rows)[:-1]
        assert answer[: len(expected)] == expected
        # A row that is cut off has its results too.
        size = 1 if config.output == "codes" else config.prob_bytes
        cut = more * size + bool(more) * results_octets(config)
        assert len(answer) == len(expected) + cut + 1
        assert answer[-1] & 1 == malformed
        if not more:
            assert bool(answer[-1] & 2) == any(row.wrong(config) for row in rows)
    elif kind == STATUS and not body:
        assert answer[:2] == bytes([STATUS | ANSWER, tag])
        assert len(answer) == 2 + 4 * len(COUNTS)
    elif kind == IDENTIFY and not body:
        assert answer == bytes([IDENTIFY | ANSWER, tag]) + identity
    elif kind == LOAD_TABLES and config.contexts:
        assert len(body) != 8 * config.levels
        assert answer == bytes([LOAD_TABLES | ANSWER, tag, 1])
    else:
        fault = MALFORMED if kind in (IDENTIFY, STATUS) else UNKNOWN
        assert answer == bytes([ERROR, tag, fault])


def garbage(config: SoftmaxConfig, rng: random.Random) -> bytes:
    """A message of anything, or one that was good once, or is; no load of the right length."""
    if rng.random() < 0.3:
        kind = rng.choice([ROWS, ROWS, LOAD_TABLES, IDENTIFY, STATUS, rng.randrange(256)])
        length = rng.choice([0, 1, 3, 4, 5, rng.randrange(60)])
        length += kind == LOAD_TABLES and length == 8 * config.levels
        return bytes([kind, rng.randrange(1, 256)]) + rng.randbytes(length)
    rows = [
        random_row(config, rng, rng.randint(1, min(12, config.max_row)))
        for _ in range(rng.randint(1, 3))
    ]
    message = bytearray(rows_message(config, rng.randrange(1, 256), rows))
    for _ in range(rng.choice([0, 1, 1, 3])):
        place = rng.randrange(2, len(message))
        damage = rng.randrange(4)
        if damage == 0:
            message[place] ^= 1 << rng.randrange(8)
        elif damage == 1:
            del message[place:]
        elif damage == 2:
            del message[place : place + rng.randint(1, 4)]
        else:
            message[place:place] = rng.randbytes(rng.randint(1, 4))
        if len(message) == 2:
            break
    return bytes(message)
