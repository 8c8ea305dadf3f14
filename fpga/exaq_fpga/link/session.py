"""Requests and answers over a line that may lose, damage or double anything."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar, cast

from exaq_fpga.link.errors import LinkError, RefusedError
from exaq_fpga.link.frames import DELIMITER, FrameDecoder, encode_frame, frame_octets
from exaq_fpga.link.protocol import (
    ANSWER,
    COUNTERS,
    ERROR,
    HEADER,
    OVERHEAD,
    RESERVE,
    Fault,
    RowsStatus,
    Type,
)
from exaq_fpga.link.transports.transport import Transport

# Octets of the smallest receive buffer that a board has: what holds before it is known.
_LEAST_BUFFER = 512
# Octets of a counter in the answer to STATUS.
_COUNTER = 4
# STATUS requests that the reserve of the receive buffer has room for, and how many of them go
# out because of damage seen rather than of silence.
_PROBES = RESERVE // (HEADER + OVERHEAD)
_EARLY_PROBES = _PROBES // 2
# Requests without an answer at a time. Few against the tags, so that none comes again too soon.
_OUTSTANDING = 100
_TAGS = 255
# Octets of an identity, or of what the board was sending to somebody else before.
_UNKNOWN_ANSWER = 4096


R = TypeVar("R", bound="Request")


class Request:
    """A message for the board.

    Parameters
    ----------
    type
        What it asks for.
    answer
        Octets of the answer's body. None: any.
    """

    def __init__(self, type: Type, body: bytes = b"", *, answer: int | None) -> None:
        self.type = type
        self.body = body
        self.answer = answer
        #: How often it was lost.
        self.lost = 0

    @property
    def room(self) -> int:
        """Octets of the board's receive buffer that it takes."""
        return HEADER + len(self.body) + OVERHEAD

    @property
    def reply(self) -> int:
        """Octets of the answer on the line, at most."""
        body = _UNKNOWN_ANSWER if self.answer is None else self.answer
        return frame_octets(HEADER + body)

    def again(self) -> Sequence[Request]:
        """What to send when it was lost: itself, or the same in smaller requests."""
        return [self]


@dataclass
class LinkStatistics:
    """What a link has seen since it was opened.

    Members
    -------
    requests, resent
        Requests sent, and how many of these because an earlier one or its answer was lost.
    probes
        STATUS requests sent because of silence or damage.
    dropped
        Frames from the board that were damaged.
    strange
        Whole frames that answer nothing: answers to an earlier host, or no answers.
    reports, faults
        ERROR messages that report what the board dropped, and all their faults.
    sent, received
        Octets.
    """

    requests: int = 0
    resent: int = 0
    probes: int = 0
    dropped: int = 0
    strange: int = 0
    reports: int = 0
    faults: Fault = field(default_factory=lambda: Fault(0))
    sent: int = 0
    received: int = 0


@dataclass
class _Sent:
    tag: int
    request: Request
    probe: bool = False
    # Nobody waits for the answer any more.
    abandoned: bool = False


class Session:
    """The host's side of the link: flow control and recovery, as docs/link.md has them.

    Every request is answered in the end, once, or an exception says why not: also where octets
    are lost, damaged or doubled on the way, as long as something gets through. Neither the
    board's receive buffer nor ``window`` is ever overrun. All in the caller's thread,
    which waits in the transport.

    Parameters
    ----------
    transport
        The way to the board.
    timeout
        Seconds of silence after which the board is asked for its STATUS. The time that octets are
        on their way, as the transport tells it, does not count as silence.
    retries
        How often in turn it is asked in vain before the link is given up.

    Members
    -------
    buffer
        Octets of the board's receive buffer, set when it is known.
    window
        Octets of answers that may be under way. A longer answer is waited for alone.
    statistics
        Of the link.
    """

    def __init__(self, transport: Transport, *, timeout: float, retries: int) -> None:
        self.buffer = _LEAST_BUFFER
        self.window = _UNKNOWN_ANSWER
        self.statistics = LinkStatistics()
        self._transport = transport
        self._timeout = timeout
        self._retries = retries
        self._decoder = FrameDecoder()
        self._tag = secrets.randbelow(_TAGS)
        self._waiting: list[_Sent] = []
        self._again: deque[Request] = deque()
        # A delimiter ends what an earlier host may have left on the line.
        self._pending = bytearray(DELIMITER)
        # Silence is counted from here; it may lie ahead, where octets are being sent.
        self._heard = monotonic()
        self._idle = self._heard
        self._fruitless = 0
        self._silences = 0

    def ask(self, request: Request) -> bytes:
        """The body of the answer to ``request``; errors as ``run``."""
        ((_, body),) = self.run([request])
        return body

    def run(self, requests: Iterable[R]) -> Generator[tuple[R, bytes], None, None]:
        """Send ``requests`` in their order; yield each with its answer's body, when it comes.

        A lost request comes as those of its ``again``, which must be of its own type.
        ``requests`` is gone through only as far as there is room on the way. Close the generator
        where it is left before its end: nobody waits for the other answers then.

        Raises
        ------
        RefusedError
            The board answers a request with an ERROR.
        LinkError
            The board does not answer any more, a request does not get through, or the transport
            is gone.
        """
        following = iter(requests)
        fresh: Request | None = next(following, None)
        self._heard = monotonic()
        self._silences = self._fruitless = 0
        try:
            while True:
                while (request := self._again[0] if self._again else fresh) is not None:
                    if not self._fits(request):
                        break
                    if self._again:
                        self._again.popleft()
                        self.statistics.resent += 1
                    else:
                        fresh = next(following, None)
                    self._send(request)
                if request is None and all(sent.abandoned or sent.probe for sent in self._waiting):
                    return
                for message in self._receive():
                    answered = self._take(message)
                    if answered is not None:
                        yield cast(tuple[R, bytes], answered)
        finally:
            self._again.clear()
            for sent in self._waiting:
                sent.abandoned = True

    def _fits(self, request: Request) -> bool:
        waiting = [sent.request for sent in self._waiting if not sent.probe]
        room = sum(other.room for other in waiting) + request.room
        replies = sum(other.reply for other in waiting) + request.reply
        return (
            room <= self.buffer - RESERVE
            and len(waiting) < _OUTSTANDING
            and (not waiting or replies <= self.window)
        )

    def _send(self, request: Request, *, probe: bool = False) -> None:
        self._tag = self._tag % _TAGS + 1
        self._waiting.append(_Sent(self._tag, request, probe))
        self._pending += encode_frame(bytes([request.type, self._tag]) + request.body)
        self.statistics.requests += 1

    def _probe(self, most: int) -> None:
        """Ask for STATUS, whose answer settles all that went before, with ``most`` under way."""
        if sum(sent.probe for sent in self._waiting) < most:
            self._send(Request(Type.STATUS, answer=_COUNTER * len(COUNTERS)), probe=True)
            self.statistics.probes += 1

    def _receive(self) -> list[bytes]:
        """Send and receive what there is; wait for it until the silence is too long."""
        wait = max(self._heard, self._idle) + self._timeout - monotonic()
        before = len(self._pending)
        octets = self._transport.exchange(self._pending, max(wait, 0))
        now = monotonic()
        sent = before - len(self._pending)
        if wait <= 0 and not octets:
            self._silent()
        if sent:
            self._idle = max(self._idle, now) + self._transport.seconds(sent)
            self.statistics.sent += sent
        if not octets:
            return []
        self.statistics.received += len(octets)
        # Octets count for a sign of life while they may belong to an answer that is due.
        self._fruitless += len(octets)
        due = sum(sent.request.reply for sent in self._waiting)
        if self._fruitless <= 2 * due + _UNKNOWN_ANSWER:
            self._heard = now
        messages = self._decoder.feed(octets)
        if self._decoder.dropped:
            self.statistics.dropped += self._decoder.dropped
            self._decoder.dropped = 0
            self._probe(_EARLY_PROBES)
        return messages

    def _silent(self) -> None:
        if self._silences == self._retries:
            raise LinkError(
                f"the board does not answer any more: {self._retries} requests for its status, "
                f"{self._timeout:g} s apart, were in vain"
            )
        self._silences += 1
        self._heard = monotonic()
        self._probe(_PROBES)

    def _take(self, message: bytes) -> tuple[Request, bytes] | None:
        """Settle what ``message`` settles; the request that it answers, with the body."""
        kind, tag, body = message[0], message[1], message[HEADER:]
        if kind == ERROR and tag == 0:
            self.statistics.reports += 1
            if len(body) == 1:
                self.statistics.faults |= Fault(body[0])
            self._probe(_EARLY_PROBES)
            return None
        place = next((n for n, sent in enumerate(self._waiting) if sent.tag == tag), None)
        if place is None:
            self.statistics.strange += 1
            return None
        sent = self._waiting[place]
        request = sent.request
        if kind != ERROR and (kind != request.type | ANSWER or not _possible(request, body)):
            self.statistics.strange += 1
            self._probe(_EARLY_PROBES)
            return None
        earlier = self._waiting[:place]
        del self._waiting[: place + 1]
        self._silences = self._fruitless = 0
        for lost in earlier:
            if not (lost.probe or lost.abandoned):
                self._lose(lost.request)
        if sent.probe or sent.abandoned:
            return None
        if kind == ERROR:
            reasons = Fault(body[0] if body else 0)
            raise RefusedError(
                f"the board refuses the request {request.type.name}: "
                f"{(reasons.name or 'without a reason').lower()}"
            )
        return request, body

    def _lose(self, request: Request) -> None:
        request.lost += 1
        parts = request.again()
        if len(parts) == 1 and request.lost > 4 * self._retries:
            raise LinkError(
                f"a {request.type.name} request of {len(request.body)} octets, or its answer, "
                f"was lost {request.lost} times in turn: the line is too bad"
            )
        self._again.extend(parts)


def _possible(request: Request, body: bytes) -> bool:
    """Whether a request can have such an answer: of its length, or cut short with the reason."""
    if request.answer is None or len(body) == request.answer:
        return True
    cut = request.type in (Type.ROWS, Type.QUERIES) and 0 < len(body) < request.answer
    return cut and bool(body[-1] & (RowsStatus.MALFORMED | RowsStatus.NO_HEAD))
