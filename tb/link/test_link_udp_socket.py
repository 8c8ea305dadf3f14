"""The host's end of the link by UDP: names of ports, datagrams and their numbers, errors."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from fake_board import FakeBoard

import exaq
from exaq import SoftmaxConfig
from exaq_fpga import Board, BoardError, LinkError, NoAnswerError, PortError, UdpSocket
from exaq_fpga.link.datagrams import LATE, MOST_OCTETS, PORT, Numbering
from exaq_fpga.link.transports.named_port import open_port

CONFIG = SoftmaxConfig(max_row=1024)


@contextmanager
def bound() -> Iterator[socket.socket]:
    """A socket of this machine, which is given up on after a second of silence."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as board:
        board.bind(("127.0.0.1", 0))
        board.settimeout(1)
        yield board


def name(board: socket.socket) -> str:
    return f"udp:127.0.0.1:{board.getsockname()[1]}"


@pytest.mark.parametrize(
    "port",
    ["udp:", "udp:host:", "udp:host:0", "udp:host:65536", "udp:host:x", "udp::5", "udp:h:1:2"],
)
def test_names_that_are_none(port: str) -> None:
    legal = "it is udp:HOST or udp:HOST:PORT, a port being 1 to 65535"
    message = f"{port!r} is no address of a board: {legal}"
    with pytest.raises(ValueError, match=rf"^{re.escape(message)}$"):
        open_port(port)


def test_baud_rate_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^a baud rate is for serial ports, and udp:10\.0\.0\.2 is none$"
    ):
        open_port("udp:10.0.0.2", baud=9600)


def test_no_such_host() -> None:
    with pytest.raises(PortError, match=r"^there is no host nowhere\.invalid: "):
        UdpSocket("udp:nowhere.invalid")


def test_port_is_that_of_the_link() -> None:
    transport = UdpSocket("udp:127.0.0.1")
    assert transport._socket.getpeername() == ("127.0.0.1", PORT)
    transport.close()


def test_nobody_listens() -> None:
    with bound() as board:
        port = name(board)
    with pytest.raises(
        BoardError, match=rf"^nothing answers at {port}: is it the board's port, and"
    ):
        Board(port, timeout=0.05, retries=2)


def test_nobody_answers() -> None:
    with bound() as board, pytest.raises(NoAnswerError):
        Board(name(board), timeout=0.05, retries=2)


def test_octets_go_in_numbered_datagrams() -> None:
    octets = bytes(range(256)) * 9
    with bound() as board:
        transport = UdpSocket(name(board))
        pending = bytearray(octets)
        while pending:
            assert transport.exchange(pending, 1) == b""
        datagrams = [board.recv(4096) for _ in range(-(-len(octets) // MOST_OCTETS))]
        transport.close()
    assert b"".join(datagram[2:] for datagram in datagrams) == octets
    assert max(len(datagram) for datagram in datagrams) == MOST_OCTETS + 2
    numbers = [int.from_bytes(datagram[:2], "little") for datagram in datagrams]
    assert [(number - numbers[0]) % 65536 for number in numbers] == [0, 1, 2]


def test_only_the_named_board_is_heard_and_old_datagrams_are_discarded() -> None:
    with bound() as board, bound() as other:
        transport = UdpSocket(name(board))
        transport.exchange(bytearray(b"\0"), 1)
        _, host = board.recvfrom(4096)
        other.sendto(b"\5\0other", host)
        board.sendto(b"\5\0old", host)
        transport.discard()
        board.sendto(b"\6\0new", host)
        assert transport.exchange(bytearray(), 1) == b"new"
        assert transport.exchange(bytearray(), 0) == b""
        transport.close()


def test_late_and_doubled_datagrams_are_dropped() -> None:
    numbering = Numbering()

    def taken(number: int) -> bool:
        return bool(numbering.take(number.to_bytes(2, "little") + b"x"))

    assert [taken(n) for n in (65535, 65535, 0, 65534, 2, 1, 3)] == [1, 0, 1, 0, 1, 0, 1]
    assert not taken((3 - LATE + 1) % 65536)
    assert taken((3 - LATE) % 65536)
    assert numbering.take(b"\7") == numbering.take(b"") == b""


def test_numbers_begin_again_behind_the_last() -> None:
    numbering = Numbering(65535)
    assert [numbering.number(b"a") for _ in range(2)] == [b"\xff\xffa", b"\0\0a"]


def test_time_of_octets_is_that_of_the_line() -> None:
    with bound() as board:
        transport = UdpSocket(name(board))
        # 8 ns a bit; preamble, headers, check and gap, and the number, round each datagram.
        assert transport.seconds(1) == pytest.approx((1 + 68) * 80e-9)
        assert transport.seconds(2 * MOST_OCTETS) == pytest.approx(2 * (MOST_OCTETS + 68) * 80e-9)
        transport.close()


def test_rows_of_a_board_that_answers_in_datagrams() -> None:
    rows = np.random.default_rng(5).integers(-128, 127, (20, 1024), endpoint=True)
    with FakeBoard(CONFIG) as fake, bound() as board:
        stop = threading.Event()

        def serve() -> None:
            numbering, host = Numbering(), Numbering()
            while not stop.is_set():
                try:
                    datagram, address = board.recvfrom(4096)
                except TimeoutError:
                    continue
                answer = fake.answers(host.take(datagram))
                for k in range(0, len(answer), MOST_OCTETS):
                    board.sendto(numbering.number(answer[k : k + MOST_OCTETS]), address)

        server = threading.Thread(target=serve)
        server.start()
        try:
            with Board(name(board)) as client:
                given = client.softmax(rows)
        finally:
            stop.set()
            server.join()
        assert (client.link.resent, client.link.dropped) == (0, 0)
    np.testing.assert_array_equal(given, exaq.softmax(rows, CONFIG))


def test_the_way_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    with bound() as board:
        transport = UdpSocket(name(board))

        class Gone:
            def __getattr__(self, name: str) -> object:
                return getattr(real, name)

            def send(self, octets: bytes) -> int:
                raise OSError(101, "Network is unreachable")

        real = transport._socket
        monkeypatch.setattr(transport, "_socket", Gone())
        message = rf"^the way to {name(board)} is gone: Network is unreachable$"
        with pytest.raises(LinkError, match=message):
            transport.exchange(bytearray(b"x"), 1)
        real.close()
