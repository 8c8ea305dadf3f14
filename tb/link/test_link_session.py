"""When a session asks, waits and gives up: on a line and a clock that the test moves."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import pytest
from fake_board import ROWS, STATUS, framed, unstuffed

from exaq_fpga import LinkError
from exaq_fpga.link.protocol import Type
from exaq_fpga.link.session import Request, Session

TIMEOUT = 1.0


class Line:
    """A transport of which the test says what comes, with a clock that stands unless waited for.

    Members
    -------
    now
        The time.
    sent
        Time and message of each frame sent.
    first
        The first octet sent.
    """

    name = "line"
    settings = ""

    def __init__(self, incoming: Iterable[tuple[float, bytes]], baud: int = 1_000_000) -> None:
        self._octet = 10 / baud
        self.now = 100.0
        self.sent: list[tuple[float, bytes]] = []
        self._incoming = iter(incoming)
        self._next: tuple[float, bytes] | None = None
        self._line = b""
        self.first: int | None = None

    def exchange(self, pending: bytearray, seconds: float) -> bytes:
        if pending:
            self.first = pending[0] if self.first is None else self.first
            *frames, self._line = (self._line + bytes(pending)).split(b"\0")
            messages = [unstuffed(frame) for frame in frames if frame]
            self.sent += [(self.now, message[:-4]) for message in messages if message]
            pending.clear()
            return b""
        if self._next is None:
            pause, octets = next(self._incoming, (1e9, b""))
            self._next = self.now + pause, octets
        due, octets = self._next
        self.now = min(due, self.now + seconds)
        if self.now < due:
            return b""
        self._next = None
        return octets

    def seconds(self, octets: int) -> float:
        return octets * self._octet

    def discard(self) -> None:
        raise AssertionError("a session discards nothing")

    def close(self) -> None:
        raise AssertionError("a session closes nothing")


Opened = Callable[..., tuple[Session, Line]]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    def make(
        incoming: Iterable[tuple[float, bytes]] = (),
        *,
        retries: int = 5,
        window: int = 4096,
        baud: int = 1_000_000,
    ) -> tuple[Session, Line]:
        line = Line(incoming, baud)
        monkeypatch.setattr("exaq_fpga.link.session.monotonic", lambda: line.now)
        made = Session(line, timeout=TIMEOUT, retries=retries)
        made.buffer, made.window = 4096, window
        return made, line

    return make


def forever(pause: float, octets: bytes) -> Iterator[tuple[float, bytes]]:
    while True:
        yield pause, octets


def status() -> Request:
    return Request(Type.STATUS, answer=36)


def test_silence_is_asked_about_and_then_given_up(opened: Opened) -> None:
    made, line = opened(retries=3)
    assert line.first is None
    with pytest.raises(LinkError, match=r"^the board does not answer any more: 3 requests "):
        made.ask(status())
    times = [at - 100 for at, _ in line.sent]
    assert times == pytest.approx([0, 1, 2, 3], abs=1e-3)
    assert line.now - 100 == pytest.approx(4, abs=2e-3)
    assert [message[0] for _, message in line.sent] == [STATUS] * 4
    assert len({message[1] for _, message in line.sent}) == 4
    assert made.statistics.probes == 3
    # What stood on the line before is ended.
    assert line.first == 0


def test_octets_on_their_way_are_no_silence(opened: Opened) -> None:
    made, line = opened(baud=300)
    with pytest.raises(LinkError):
        made.ask(Request(Type.ROWS, bytes(500), answer=100))
    # 510 octets of 10 bits take 17 s.
    assert line.sent[1][0] - line.sent[0][0] == pytest.approx(17 + TIMEOUT, rel=0.02)


def test_an_answer_that_trickles_in_is_waited_for(opened: Opened) -> None:
    body = bytes(range(250)) * 4

    def incoming() -> Iterator[tuple[float, bytes]]:
        for octet in framed(bytes([0x80 | ROWS, line.sent[0][1][1]]) + body):
            yield 0.9 * TIMEOUT, bytes([octet])

    made, line = opened(incoming())
    assert made.ask(Request(Type.ROWS, b"row", answer=1000)) == body
    assert line.now > 100 + 900 * TIMEOUT
    assert made.statistics.probes == 0
    assert made.statistics.received == len(framed(bytes(2) + body))


@pytest.mark.parametrize("octets", [b"\x55", b"babble" * 100, b"line\0", b"\0", bytes(1000)])
def test_babble_is_no_sign_of_life(opened: Opened, octets: bytes) -> None:
    made, line = opened(forever(0.5 * TIMEOUT, octets))
    with pytest.raises(LinkError, match=r"^the board does not answer any more"):
        made.ask(Request(Type.ROWS, bytes(100), answer=101))
    # As long as it could be the answer, and the octets of an earlier host's, it was waited for.
    assert line.now - 100 < 0.5 * TIMEOUT * 5000 / len(octets) + 10 * TIMEOUT


def test_frames_without_sense_are_no_sign_of_life(opened: Opened) -> None:
    made, _ = opened(forever(0.5 * TIMEOUT, framed(b"\x83\x00 of nobody")))
    with pytest.raises(LinkError, match=r"^the board does not answer any more"):
        made.ask(status())
    assert made.statistics.strange > 0


@pytest.mark.parametrize("octets", [b"", b"damage\0", framed(b"\xff\0\1")])
def test_the_reserve_for_status_is_never_overdrawn(opened: Opened, octets: bytes) -> None:
    made, line = opened(forever(0.6 * TIMEOUT, octets), retries=40)
    with pytest.raises(LinkError):
        made.ask(Request(Type.ROWS, bytes(100), answer=101))
    probes = sum(message[0] == STATUS for _, message in line.sent)
    # 8 octets each of the 64 that are kept for them.
    assert probes == 8


def test_requests_are_made_when_there_is_room_for_them(opened: Opened) -> None:
    made_requests = []

    def requests() -> Iterator[Request]:
        for number in range(1000):
            made_requests.append(number)
            yield Request(Type.ROWS, bytes(994), answer=9)

    made, line = opened()
    with pytest.raises(LinkError):
        list(made.run(requests()))
    # Four of 1002 octets fit into 4096 - 64, and the next one is held ready.
    assert sum(message[0] == ROWS for _, message in line.sent) == 4
    assert len(made_requests) == 5


def test_the_window_bounds_the_answers_under_way(opened: Opened) -> None:
    made, line = opened(window=1000)
    with pytest.raises(LinkError):
        list(made.run(Request(Type.ROWS, b"row", answer=300) for _ in range(9)))
    assert sum(message[0] == ROWS for _, message in line.sent) == 3
    made, line = opened(window=10)
    with pytest.raises(LinkError):
        list(made.run(Request(Type.ROWS, b"row", answer=300) for _ in range(9)))
    assert sum(message[0] == ROWS for _, message in line.sent) == 1


def test_tags_go_round_without_zero(opened: Opened) -> None:
    def incoming() -> Iterator[tuple[float, bytes]]:
        while True:
            yield 0, framed(bytes([0x80 | STATUS, line.sent[-1][1][1]]) + bytes(36))

    made, line = opened(incoming())
    for _ in range(600):
        made.ask(status())
    tags = [message[1] for _, message in line.sent]
    assert all(after == before % 255 + 1 for before, after in itertools.pairwise(tags))
    assert set(tags) == set(range(1, 256))


def test_a_lost_request_goes_again_at_once_and_in_its_order(opened: Opened) -> None:
    def incoming() -> Iterator[tuple[float, bytes]]:
        for place in (2, 3, 4, 5):
            tag = line.sent[place][1][1]
            yield 0.1, framed(bytes([0x80 | ROWS, tag]) + bytes([place]))

    made, line = opened(incoming())
    requests = [Request(Type.ROWS, bytes([number]), answer=1) for number in range(4)]
    found = [(request.body[0], body[0]) for request, body in made.run(iter(requests))]
    assert found == [(2, 2), (3, 3), (0, 4), (1, 5)]
    assert [message[2] for _, message in line.sent] == [0, 1, 2, 3, 0, 1]
    assert line.sent[4][0] == pytest.approx(100.1, abs=1e-3)
    assert (made.statistics.resent, made.statistics.probes) == (2, 0)


def test_a_pause_of_the_host_is_no_silence_of_the_board(opened: Opened) -> None:
    def incoming() -> Iterator[tuple[float, bytes]]:
        for place, (_, message) in enumerate(line.sent):
            # The second one has long been there when it is asked for.
            tag = message[1]
            yield 0, framed(bytes([0x80 | ROWS, tag]) + bytes([place]))

    made, line = opened(incoming())
    run = made.run(iter([Request(Type.ROWS, b"row", answer=1) for _ in range(2)]))
    next(run)
    line.now += 50 * TIMEOUT
    next(run)
    assert made.statistics.probes == 0


def test_a_run_that_is_left_sends_nothing_later(opened: Opened) -> None:
    def incoming() -> Iterator[tuple[float, bytes]]:
        for place in (2, -1):
            kind, tag = line.sent[place][1][:2]
            yield 0.1, framed(bytes([0x80 | kind, tag]) + bytes(36 if kind == STATUS else 1))

    made, line = opened(incoming())
    run = made.run(iter([Request(Type.ROWS, bytes([number]), answer=1) for number in range(4)]))
    request, _ = next(run)
    assert request.body == b"\2"
    # Two that were lost would go again now, and one is waited for.
    run.close()
    made.ask(status())
    assert [message[0] for _, message in line.sent] == [ROWS] * 4 + [STATUS]
