"""Messages as a host packs them, their answers, and a simulation that exchanges the two.

All from the words of docs/link.md, octet by octet: nothing here uses the host's own code.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth.hdl import Value
from amaranth.sim import Simulator

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

Pause = Iterator[bool] | None


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


def stalls(seed: int, probability: float = 0.5) -> Iterator[bool]:
    """A flag a cycle, true to pause, in runs of changing density."""
    rng = random.Random(seed)
    while True:
        level = rng.choice([0.0, probability, 1 - (1 - probability) / 4])
        for _ in range(rng.randrange(1, 40)):
            yield rng.random() < level


class Exchange:
    """Sends ``messages`` to a component's ``i`` and collects ``count`` of them from its ``o``.

    ``answers`` are what came, ``times`` the cycles of each octet. An offer that is withdrawn or
    changed, a message too many, and ``limit`` cycles are errors. ``every(ctx, cycle)`` is called
    before each clock edge. ``gate(sent, come)``: whether the next message may go.
    """

    def __init__(
        self,
        component: Any,
        messages: Sequence[bytes],
        count: int,
        *,
        source: Pause = None,
        sink: Pause = None,
        limit: int = 30000,
        more: int = 60,
        every: Callable[[Any, int], None] | None = None,
        gate: Callable[[int, int], bool] | None = None,
    ):
        self.answers: list[bytes] = []
        self.times: list[list[int]] = []
        self.taken: list[int] = []
        self._messages, self._count = list(messages), count
        self._source, self._sink = source, sink
        self._limit, self._more = limit, more
        self._every, self._gate = every, gate
        self._top: Any = component
        simulator = Simulator(component)
        simulator.add_clock(1e-6)
        simulator.add_testbench(self._drive)
        simulator.run()

    async def _drive(self, ctx: Any) -> None:
        top = self._top
        given = [
            (octet, k == len(message) - 1, len(message))
            for message in self._messages
            for k, octet in enumerate(message)
        ]
        place = sent = 0
        offered = waiting = False
        held = None
        coming: list[int] = []
        times: list[int] = []
        left = self._more
        noise = random.Random(1)
        for cycle in range(self._limit):
            paused = self._source is not None and next(self._source)
            if not waiting:
                begins = place == 0 or (place < len(given) and given[place - 1][1])
                blocked = begins and self._gate and not self._gate(sent, len(self.answers))
                offered = place < len(given) and not paused and not blocked
                octet, last, length = (
                    given[place]
                    if offered
                    else (noise.getrandbits(8), noise.getrandbits(1), noise.getrandbits(8))
                )
                ctx.set(top.i.valid, int(offered))
                ctx.set(Value.cast(top.i.payload), octet | int(last) << 8)
                if hasattr(top, "length"):
                    ctx.set(top.length, length)
            open_sink = int(not (self._sink is not None and next(self._sink)))
            ctx.set(top.o.ready, open_sink)
            if self._every:
                self._every(ctx, cycle)
            _, _, ready, valid, payload = await ctx.tick().sample(
                top.i.ready, top.o.valid, Value.cast(top.o.payload)
            )
            waiting = offered and not ready
            if offered and ready:
                self.taken.append(cycle)
                sent += given[place][1]
                place += 1
            if held is not None:
                assert valid, f"cycle {cycle}: an octet was withdrawn"
                assert payload == held, f"cycle {cycle}: an octet changed"
            held = payload if valid and not open_sink else None
            if valid and open_sink:
                coming.append(payload & 0xFF)
                times.append(cycle)
                if payload >> 8:
                    self.answers.append(bytes(coming))
                    self.times.append(times)
                    coming, times = [], []
            if place == len(given) and len(self.answers) >= self._count:
                left -= 1
                if not left:
                    break
        else:
            raise AssertionError(
                f"after {self._limit} cycles {place} of {len(given)} octets have been taken "
                f"and {len(self.answers)} of {self._count} messages come"
            )
        assert not coming
        assert len(self.answers) == self._count
