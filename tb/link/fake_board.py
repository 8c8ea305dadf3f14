"""Boards in Python, made from docs/link.md alone, and lines that damage octets.

Nothing here is shared with the host's code: framing goes octet by octet, rows are read one by one.
"""

from __future__ import annotations

import json
import os
import random
import select
import struct
import threading
import tty
import zlib
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, Self

import numpy as np

import exaq
from exaq import SoftmaxConfig, Tables

IDENTIFY, STATUS, ROWS, LOAD_TABLES, ERROR = 1, 2, 3, 4, 0xFF
DAMAGED, OVERFLOW, UNKNOWN, MALFORMED = 1, 2, 8, 16
COUNTED = (
    *("messages", "damaged", "overflows", "line_errors", "rejected"),
    *("rows", "beats", "stalled", "loads"),
)


def stuffed(octets: bytes) -> bytes:
    """A frame of COBS with its delimiter, made octet by octet."""
    out = bytearray([0])
    count = 0
    for number, octet in enumerate(octets):
        if octet:
            out.append(octet)
        if octet == 0 or len(out) - count == 255:
            out[count] = len(out) - count
            if octet == 0 or number + 1 < len(octets):
                count = len(out)
                out.append(0)
            else:
                return bytes(out) + b"\0"
    out[count] = len(out) - count
    return bytes(out) + b"\0"


def unstuffed(blocks: bytes) -> bytes | None:
    """What was stuffed, or None where the last block is not whole."""
    out = bytearray()
    left, zero = 0, False
    for octet in blocks:
        if left:
            out.append(octet)
            left -= 1
        else:
            if zero:
                out.append(0)
            left, zero = octet - 1, octet != 255
    return None if left else bytes(out)


def framed(message: bytes) -> bytes:
    return stuffed(message + struct.pack("<I", zlib.crc32(message)))


def identity_of(config: SoftmaxConfig, buffer: int = 4096, baud: int = 1_000_000) -> bytes:
    """Body of the answer to IDENTIFY."""
    fields = config.to_dict()
    text = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    values = {"board": "fake", "version": "1.2.3", "clock": 24_000_000, "baud": baud}
    head = b"EXAQ" + bytes([1, 0, 0, 0]) + struct.pack("<II", zlib.crc32(text), buffer)
    return head + zlib.compress(json.dumps(values | {"config": fields}).encode())


class Noise:
    """A line on which each octet is now and then flipped in a bit, dropped, doubled, or followed
    by a foreign one; ``begin`` octets pass unharmed.
    """

    def __init__(self, seed: int, rate: float, kinds: str = "fdxi", begin: int = 0) -> None:
        self._rng = random.Random(seed)
        self._rate, self._kinds, self._begin = rate, kinds, begin
        self.faults = 0

    def __call__(self, octets: bytes) -> bytes:
        out = bytearray()
        for octet in octets:
            if self._begin > 0:
                self._begin -= 1
            elif self._rng.random() < self._rate:
                self.faults += 1
                kind = self._rng.choice(self._kinds)
                out += {
                    "f": bytes([octet ^ 1 << self._rng.randrange(8)]),
                    "d": b"",
                    "x": bytes([octet, octet]),
                    "i": bytes([octet, self._rng.randrange(256)]),
                }[kind]
                continue
            out.append(octet)
        return bytes(out)


class Device:
    """Anything at the end of a line: what comes goes through ``respond``.

    As a context manager it stands at a pseudo-terminal, in a thread of its own. Else ``answers``
    hands octets over.

    Members
    -------
    port
        Path of the terminal, which stays open: hosts come and go.
    """

    def __init__(self, respond: Callable[[bytes], bytes] | None = None) -> None:
        self._respond = respond
        self.port = ""
        self._out = bytearray()
        self.failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port = os.ttyname(self._slave)
        self._stopped, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._stop, b".")
        self._thread.join(20)
        for descriptor in (self._master, self._slave, self._stopped, self._stop):
            os.close(descriptor)
        assert not self._thread.is_alive()
        if self.failure is not None:
            raise self.failure

    def _serve(self) -> None:
        try:
            while self._step():
                pass
        except BaseException as error:
            self.failure = error

    def _step(self) -> bool:
        writers = [self._master] if self._out else []
        readable, writable, _ = select.select(
            [self._master, self._stopped], writers, [], self.patience()
        )
        if self._stopped in readable:
            return False
        if self._master in readable:
            self.take(os.read(self._master, 65536))
        elif writable:
            del self._out[: os.write(self._master, self._out)]
        elif not self._out:
            self.idle()
        return True

    def answers(self, octets: bytes) -> bytes:
        """What it sends when ``octets`` come, and no more."""
        self.take(octets)
        while self.patience() is not None:
            self.idle()
        out = bytes(self._out)
        self._out.clear()
        return out

    def patience(self) -> float | None:
        """How long to wait for the host before ``idle``."""
        return None

    def take(self, octets: bytes) -> None:
        """Octets from the host."""
        if self._respond is not None:
            self._out += self._respond(octets)

    def idle(self) -> None:
        """Nothing came for a while, and everything is sent."""


class FakeBoard(Device):
    """A board as docs/link.md has it, with golden models for rows.

    It answers only when no more octets come, so that the host always has under way whatever it
    dares to.

    Parameters
    ----------
    config
        Of the unit.
    buffer
        Octets of the receive buffer.
    window
        Octets of answers that the host says it can receive.
    from_host, to_host
        What the line does to octets.
    deaf, doubled
        Numbers of requests, counted as they come, that are not heard, or heard twice.
    mute, echoed
        Numbers of answers that are not sent, or sent twice.
    silent_from, reset_at
        Number of the answer from which on nothing is sent; number of that before which
        the board is reset and forgets everything.
    alter
        What becomes of an answer: called with its number and the message.
    identity
        Body of the answer to IDENTIFY, where it is not that of ``config``.

    Members
    -------
    complaints
        What the host did that it must not.
    counters
        As STATUS tells them.
    lag
        Seconds without an octet after which it answers.
    deepest
        Most requests that were waiting at a time.
    asked, answered
        Types of requests taken; answers sent, but for what is muted.
    """

    def __init__(
        self,
        config: SoftmaxConfig,
        *,
        buffer: int = 4096,
        window: int = 16384,
        baud: int = 1_000_000,
        from_host: Callable[[bytes], bytes] = bytes,
        to_host: Callable[[bytes], bytes] = bytes,
        deaf: Collection[int] = (),
        doubled: Collection[int] = (),
        mute: Collection[int] = (),
        echoed: Collection[int] = (),
        silent_from: int | None = None,
        reset_at: int | None = None,
        alter: Callable[[int, bytes], bytes] = lambda number, message: message,
        identity: bytes | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.buffer, self.window = buffer, window
        self.from_host, self.to_host = from_host, to_host
        self.deaf, self.doubled, self.mute, self.echoed = deaf, doubled, mute, echoed
        self.silent_from, self.reset_at, self.alter = silent_from, reset_at, alter
        self.identity = identity_of(config, buffer, baud) if identity is None else identity
        self.complaints: list[str] = []
        self.deepest = 0
        self.lag = 0.0005
        self.asked: list[int] = []
        self.answered: list[bytes] = []
        self._heard = 0
        self._reset()

    def _reset(self) -> None:
        self.counters = dict.fromkeys(COUNTED, 0)
        self.tables: list[Tables] = list(self.config.context_tables)
        self._line = bytearray()
        # Messages that wait, and whether they are copies that the line made.
        self._queue: deque[tuple[bytes, bool]] = deque()
        self._faults = 0

    def patience(self) -> float | None:
        return self.lag if self._queue or self._faults else None

    def take(self, octets: bytes) -> None:
        for octet in self.from_host(octets):
            if octet:
                self._line.append(octet)
            elif self._line:
                frame = bytes(self._line)
                self._line.clear()
                self._frame(frame)

    def _frame(self, frame: bytes) -> None:
        octets = unstuffed(frame)
        if octets is None or len(octets) < 6:
            return self._fault("damaged", DAMAGED)
        message, check = octets[:-4], octets[-4:]
        if struct.pack("<I", zlib.crc32(message)) != check:
            return self._fault("damaged", DAMAGED)
        number = self._heard
        self._heard += 1
        for copy in range(0 if number in self.deaf else 1 + (number in self.doubled)):
            self._message(message, bool(copy))
        return None

    def _message(self, message: bytes, copy: bool) -> None:
        if sum(len(other) + 6 for other, _ in self._queue) + len(message) + 6 > self.buffer:
            return self._fault("overflows", OVERFLOW)
        self._queue.append((message, copy))
        self.deepest = max(self.deepest, len(self._queue))
        self.asked.append(message[0])
        self.counters["messages"] += 1
        sent = [other for other, copied in self._queue if not copied]
        room = sum(len(other) + 6 for other in sent if other[0] != STATUS)
        if room > self.buffer - 64:
            self.complaints.append(f"{room} octets of requests in a buffer of {self.buffer}")
        replies = [self._reply_octets(other) for other in sent if other[0] == ROWS]
        if len(replies) > 1 and sum(replies) > self.window:
            self.complaints.append(f"{sum(replies)} octets of answers for {self.window}")
        return None

    def _reply_octets(self, message: bytes) -> int:
        rows, _ = self._rows(message[2:])
        config = self.config
        elements = sum(len(logits) for logits, _, _ in rows)
        size = 1 if config.output == "codes" else config.prob_bytes
        return 8 + 1 + elements * size + len(rows) * len(self._results([0], [True], config))

    def _fault(self, counter: str, fault: int) -> None:
        self.counters[counter] += 1
        self._faults |= fault

    def idle(self) -> None:
        if self._faults:
            self._send(bytes([ERROR, 0, self._faults]))
            self._faults = 0
        elif self._queue:
            if len(self.answered) == self.reset_at:
                self.reset_at = None
                self._reset()
                return
            message, _ = self._queue.popleft()
            self._send(self._answer(message), numbered=True)

    def _send(self, message: bytes, *, numbered: bool = False) -> None:
        number = len(self.answered)
        times = 1
        if numbered:
            message = self.alter(number, message)
            self.answered.append(message)
            times = 0 if number in self.mute else 1 + (number in self.echoed)
        if self.silent_from is None or number < self.silent_from:
            self._out += self.to_host(framed(message) * times)

    def _answer(self, message: bytes) -> bytes:
        kind, tag, body = message[0], message[1], message[2:]
        answer = {
            IDENTIFY: self._identify, STATUS: self._status, ROWS: self._softmax,
            LOAD_TABLES: self._load,
        }.get(kind)  # fmt: skip
        result = UNKNOWN if answer is None else answer(body)
        if isinstance(result, int):
            self.counters["rejected"] += 1
            return bytes([ERROR, tag, result])
        return bytes([kind | 0x80, tag]) + result

    def _identify(self, body: bytes) -> bytes | int:
        return MALFORMED if body else self.identity

    def _status(self, body: bytes) -> bytes | int:
        return MALFORMED if body else struct.pack("<9I", *self.counters.values())

    def _load(self, body: bytes) -> bytes | int:
        config = self.config
        if not config.contexts:
            return UNKNOWN
        count = 2 * config.levels + (config.sink is not None)
        if len(body) != 4 * count:
            return bytes([1])
        context, *words = struct.unpack(f"<{count}i", body)
        sink = None if config.sink is None else words.pop()
        thresholds, levels = words[: config.levels - 1], words[config.levels - 1 :]
        if not 0 <= context < config.contexts:
            return bytes([2])
        self.tables[context] = Tables(
            thresholds=tuple(thresholds), exp_rom=tuple(levels), sink=sink
        )
        self.counters["loads"] += 1
        return bytes([0])

    def _rows(self, body: bytes) -> tuple[list[tuple[list[int], list[bool], int]], bool]:
        """Logits, live bits and context of each row, and whether all of it was well formed."""
        config = self.config
        size = config.logit_bytes
        rows: list[tuple[list[int], list[bool], int]] = []
        at = 0
        while at < len(body):
            if at + 4 > len(body):
                return rows, False
            last, word = struct.unpack_from("<HH", body, at)
            at += 4
            masked, windowed, context = bool(word & 0x8000), bool(word & 0x4000), word & 0x3FF
            if last >= config.max_row or context >= max(1, config.contexts):
                return rows, False
            if (masked and not config.masking) or (windowed and not config.window):
                return rows, False
            start, stop = 0, last + 1
            if windowed:
                start = int.from_bytes(body[at : at + 3], "little")
                stop = int.from_bytes(body[at + 3 : at + 6], "little")
                at += 6
            logits: list[int] = []
            live: list[bool] = []
            for element in range(last + 1):
                if element % 8 == 0:
                    bits = body[at] if masked and at < len(body) else 255
                    at += masked
                if at + size > len(body):
                    return rows, False
                logits.append(int.from_bytes(body[at : at + size], "little", signed=True))
                live.append(bool(bits >> element % 8 & 1) and start <= element < stop)
                at += size
            rows.append((logits, live, context))
        return rows, bool(rows)

    def _softmax(self, body: bytes) -> bytes:
        rows, good = self._rows(body)
        out = b""
        wrong = False
        for logits, live, context in rows:
            config = self.config
            if config.contexts:
                config = config.replace(tables=self.tables[context])
            size = 1 if config.output == "codes" else config.prob_bytes
            for p in self.golden(logits, live, config):
                out += int(p).to_bytes(size, "little")
            out += self._results(logits, live, config)
            wrong |= self._wrong(logits, live)
            self.counters["rows"] += 1
            self.counters["beats"] += -(-len(logits) // config.lanes)
        return out + bytes([(not good) + 2 * wrong])

    def golden(self, logits: list[int], live: list[bool], config: SoftmaxConfig) -> Any:
        """Probabilities or codes of a row."""
        function = exaq.quantize if config.output == "codes" else exaq.softmax
        return function(numbers(logits, config), config, np.array(live))

    def _wrong(self, logits: list[int], live: list[bool]) -> bool:
        """Whether an element that takes part is NaN or +inf."""
        if self.config.logit_format == "integer":
            return False
        given = numbers(logits, self.config)
        return bool((np.array(live) & (np.isnan(given) | np.isposinf(given))).any())

    def _results(self, logits: list[int], live: list[bool], config: SoftmaxConfig) -> bytes:
        """Octets of a row's results, where the unit gives any."""
        if config.row_results == "none":
            return b""
        found = exaq.row_results(numbers(logits, config), config, np.array(live))
        if config.logit_format == "integer":
            maximum = int(found.maximum).to_bytes(config.logit_bytes, "little", signed=True)
        elif config.logit_format == "fp16":
            maximum = found.maximum.astype(np.float16).tobytes()
        else:
            maximum = found.maximum.astype(np.float32).tobytes()[2:]
        total = int(found.sum).to_bytes(-(-config.sum_bits // 8), "little")
        table: Any = [] if found.table is None else found.table
        each = [int(p).to_bytes(config.prob_bytes, "little") for p in table]
        return maximum + total + b"".join(each)


def numbers(logits: list[int], config: SoftmaxConfig) -> Any:
    """Logits as the golden model takes them, from the integers that their octets make."""
    bits = np.array(logits) & 0xFFFF
    if config.logit_format == "fp16":
        return bits.astype(np.uint16).view(np.float16)
    if config.logit_format == "bf16":
        return (bits.astype(np.uint32) << 16).view(np.float32)
    return np.array(logits)
