"""A board is reached over any transport; a serial port is one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_board import Device, FakeBoard, Noise
from in_memory import InMemory

import exaq
from exaq import SoftmaxConfig
from exaq_fpga import Board, BoardError, NoAnswerError, SerialPort, Transport, WrongDeviceError
from exaq_fpga.link.errors import GarbageError, LinkError

CONFIG = SoftmaxConfig(max_row=64)
QUICK: Any = {"timeout": 0.01, "retries": 1}


def logits(rows: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(rows).integers(-128, 128, (rows, 50))


def test_what_is_a_transport() -> None:
    with Device() as device:
        port = SerialPort(device.port)
        transports: list[Transport] = [port, InMemory(device)]
        assert all(isinstance(each, Transport) for each in transports)
        port.close()
    assert not isinstance(device, Transport)


def test_rows_over_a_transport_that_is_no_port() -> None:
    transport = InMemory(FakeBoard(CONFIG))
    with Board(transport) as board:
        x = logits(300)
        np.testing.assert_array_equal(board.softmax(x), exaq.softmax(x, CONFIG))
        assert board.status()["rows"] == 300
        assert board.link.resent == 0
        assert transport.closed == 0
    assert transport.closed == 1
    board.close()
    assert transport.closed == 1


def test_a_transport_may_lose_and_damage() -> None:
    towards, back = Noise(1, 2e-3, begin=200), Noise(2, 2e-3, begin=600)
    fake = FakeBoard(CONFIG, from_host=towards, to_host=back)
    with Board(InMemory(fake), timeout=0.02, retries=20) as board:
        x = logits(100)
        np.testing.assert_array_equal(board.softmax(x), exaq.softmax(x, CONFIG))
        assert board.link.resent > 0
    assert towards.faults + back.faults > 10
    assert fake.complaints == []


def test_text_is_a_serial_port() -> None:
    with FakeBoard(CONFIG) as fake:
        with Board(fake.port) as board:
            assert board.config == CONFIG
        with Board(SerialPort(fake.port, baud=115_200)) as board:
            assert board.config == CONFIG


@pytest.mark.parametrize("given", [None, 115_200, Path("tty"), Device], ids=repr)
def test_what_is_no_transport(given: Any) -> None:
    message = f"transport must be a Transport or the name of a port, not {given!r}"
    with pytest.raises(TypeError, match=rf"^{re.escape(message)}$"):
        Board(given)


@pytest.mark.parametrize(
    ("device", "kind", "message"),
    [
        (
            Device(),
            NoAnswerError,
            "nothing answers at a device in memory: is it the board's port, and has it been "
            "programmed?",
        ),
        (
            Device(lambda octets: b"login" * len(octets)),
            GarbageError,
            "70 octets came at a device in memory, but no answer among them: another device is "
            "there",
        ),
        (
            Device(bytes),
            WrongDeviceError,
            "what is at a device in memory sends frames, but no answers: does it send back what "
            "it gets?",
        ),
    ],
    ids=["silent", "babbling", "echoing"],
)
def test_no_board_is_found(device: Device, kind: type[BoardError], message: str) -> None:
    transport = InMemory(device)
    with pytest.raises(kind) as raised:
        Board(transport, **QUICK)
    assert re.sub(r"^\d+", "70", str(raised.value)) == message
    assert transport.closed == 1


def test_a_transport_that_goes_away() -> None:
    class Gone(InMemory):
        def exchange(self, pending: bytearray, seconds: float) -> bytes:
            if self._device.failure is not None:
                raise LinkError("the way is gone")
            return super().exchange(pending, seconds)

    fake = FakeBoard(CONFIG)
    transport = Gone(fake)
    board = Board(transport)
    fake.failure = OSError()
    with pytest.raises(LinkError, match=r"^the way is gone$"):
        board.status()
    assert transport.closed == 1
    with pytest.raises(LinkError, match=r"^the board is closed$"):
        board.status()


@pytest.mark.parametrize(("baud", "octets"), [(1_000_000, 1000), (9600, 3), (115_200, 0)])
def test_an_octet_takes_ten_bits_of_a_serial_port(baud: int, octets: int) -> None:
    with Device() as device:
        port = SerialPort(device.port, baud=baud)
        assert port.seconds(octets) == pytest.approx(octets * 10 / baud)
        assert (port.name, port.settings) == (f"{device.port} with {baud} baud", "baud rate")
        port.close()
