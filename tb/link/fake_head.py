"""A board of an attention head in Python, at the end of any line."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

from fake_board import STATUS, FakeBoard
from head_messages import QUERIES, HeadModel

from exaq.attention import AttentionConfig


def head_identity(config: AttentionConfig, buffer: int = 2048, unit: str = "attention") -> bytes:
    """Body of the answer to IDENTIFY."""
    fields = config.to_dict()
    text = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    values = {"board": "fake", "version": "1.2.3", "clock": 24_000_000, "baud": 1_000_000}
    head = b"EXAQ" + bytes([1, 0, 0, 0]) + struct.pack("<II", zlib.crc32(text), buffer)
    return head + zlib.compress(json.dumps(values | {"config": fields, "unit": unit}).encode())


class FakeHead(FakeBoard):
    """``FakeBoard`` with ``HeadModel`` behind it."""

    def __init__(self, config: AttentionConfig, *, buffer: int = 2048, **options: Any) -> None:
        self.head = config
        whole = {"identity": head_identity(config, buffer)} | options
        super().__init__(config.softmax, buffer=buffer, **whole)

    def _reset(self) -> None:
        super()._reset()
        self.model = HeadModel(self.head, self.identity)

    def _answer(self, message: bytes) -> bytes:
        if message[0] == STATUS:
            return super()._answer(message)
        return self.model.answer(message)

    def _message(self, message: bytes, copy: bool) -> None:
        super()._message(message, copy)
        size = self.head.head_size
        replies = [
            (len(other) - 5) // size * size * self.head.output_width // 8 + 9
            for other, copied in self._queue
            if other[0] == QUERIES and not copied
        ]
        if len(replies) > 1 and sum(replies) > self.window:
            self.complaints.append(f"{sum(replies)} octets of answers for {self.window}")
