"""What is said when there is no board, or something else, at a port."""

from __future__ import annotations

import os
import random
import stat
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import serial
from fake_board import Device, FakeBoard, Noise, framed, identity_of

from exaq import SoftmaxConfig
from exaq_fpga import (
    Board,
    BoardError,
    GarbageError,
    NoAnswerError,
    NoPortError,
    OtherVersionError,
    PortBusyError,
    PortError,
    PortPermissionError,
    SerialPort,
    WrongDeviceError,
)

CONFIG = SoftmaxConfig(max_row=64)
# Of boards that do not answer.
QUICK: Any = {"timeout": 0.1, "retries": 2}
PATIENT = 1.0


def refused(kind: type[BoardError], port: str, **options: Any) -> str:
    """The message with which a board at ``port`` fails: of just this class, one line."""
    baud = options.pop("baud", 1_000_000)
    with pytest.raises(BoardError) as caught:
        Board(SerialPort(port, baud=baud), **(QUICK | options))
    assert type(caught.value) is kind
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_no_such_port(tmp_path: Path) -> None:
    port = str(tmp_path / "ttyUSB7")
    message = refused(NoPortError, port)
    assert message.startswith(f"there is no port {port}; ")
    assert "no serial port is connected" in message or "; there are /dev/" in message


def test_no_serial_port(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert refused(PortError, str(file)).startswith(f"{file} is no serial port; ")
    message = refused(PortError, str(tmp_path))
    assert message == f"cannot open the port {tmp_path}: Is a directory"
    message = refused(PortError, "nothing://at-all")
    assert message.startswith("cannot open the port nothing://at-all: invalid URL")


@pytest.mark.parametrize("number", [1, 13])
def test_no_permission(number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The superuser, who may run this, may open everything.
    def denied(*_: object, **__: object) -> None:
        raise serial.SerialException(number, f"could not open port: [Errno {number}]")

    monkeypatch.setattr(serial, "serial_for_url", denied)
    port = tmp_path / "tty"
    port.touch()
    assert refused(PortPermissionError, str(port)) == (
        f"no permission to open {port}; on Linux, make yourself a member of the group that owns "
        f"it ({port.group()}) and log in anew"
    )
    assert "(dialout on Debian and Ubuntu)" in refused(PortPermissionError, "COM3")


def test_a_port_in_use() -> None:
    with FakeBoard(CONFIG) as fake:
        with Board(fake.port) as board:
            message = refused(PortBusyError, fake.port)
            assert message == f"the port {fake.port} is in use by another program"
            assert board.status()["messages"] == 3
        with Board(fake.port) as board:
            assert board.status()["messages"] == 6


def test_a_baud_rate_that_the_port_cannot_do() -> None:
    with Device() as device:
        message = refused(PortError, device.port, baud=2**40)
        assert message == f"the port {device.port} cannot do {2**40} baud"


def test_nobody_answers() -> None:
    with Device() as device:
        assert refused(NoAnswerError, device.port, baud=115200) == (
            f"nothing answers at {device.port} with 115200 baud: is it the board's port, the baud "
            "rate it was built for, and has it been programmed?"
        )


@pytest.mark.parametrize("seed", range(3))
def test_octets_of_another_baud_rate(seed: int) -> None:
    rng = random.Random(seed)
    with Device(lambda octets: rng.randbytes(3 * len(octets))) as device:
        message = refused(GarbageError, device.port)
    assert message.split(" octets came ")[1] == (
        f"at {device.port} with 1000000 baud, but no answer among them: the board was built for "
        "another baud rate, or another device is there"
    )
    assert int(message.split()[0]) > 0


def test_a_device_that_talks_for_itself() -> None:
    with Device(lambda octets: b"\r\nlogin: \r\nPassword: ") as device:
        assert "no answer among them" in refused(GarbageError, device.port)


@pytest.mark.parametrize("port", ["terminal", "loop://"])
def test_an_echo(port: str) -> None:
    with Device(lambda octets: octets) as device:
        port = device.port if port == "terminal" else port
        assert refused(WrongDeviceError, port) == (
            f"what is at {port} with 1000000 baud sends frames, but no answers: does it send back "
            "what it gets?"
        )


IDENTITY = identity_of(CONFIG)


@pytest.mark.parametrize(
    ("octets", "kind", "message"),
    [
        (
            b"NOPE" + IDENTITY[4:],
            WrongDeviceError,
            "what answers is no unit of this project",
        ),
        (IDENTITY[:15], WrongDeviceError, "what answers is no unit of this project"),
        (
            IDENTITY[:4] + b"\2" + IDENTITY[5:],
            OtherVersionError,
            "the board speaks version 2 of the link, this program version 1",
        ),
        (
            IDENTITY[:8] + bytes(4) + IDENTITY[12:],
            WrongDeviceError,
            "the board's configuration and its CRC do not fit each other",
        ),
        (
            IDENTITY[:16] + zlib.compress(b"{}"),
            WrongDeviceError,
            "the board's configuration cannot be read by this version: 'board'",
        ),
        (
            identity_of(CONFIG, buffer=147),
            WrongDeviceError,
            "the board's receive buffer of 147 octets is too small for its longest row, which "
            "needs 148",
        ),
    ],
)
def test_other_boards(octets: bytes, kind: type[BoardError], message: str) -> None:
    with FakeBoard(CONFIG, identity=octets) as fake:
        assert (
            refused(kind, fake.port, timeout=PATIENT)
            == f"at {fake.port} with 1000000 baud: {message}"
        )


def test_a_board_that_does_not_know_the_question() -> None:
    with FakeBoard(CONFIG, alter=lambda n, answer: bytes([255, answer[1], 8])) as fake:
        assert refused(WrongDeviceError, fake.port, timeout=PATIENT).endswith(
            ": the board refuses the request IDENTIFY: unknown"
        )


@pytest.mark.parametrize("seed", range(6))
def test_noise_while_connecting(seed: int) -> None:
    towards, back = Noise(seed, 0.02), Noise(seed + 9, 1e-3)
    with FakeBoard(CONFIG, from_host=towards, to_host=back) as fake:
        for _ in range(5):
            with Board(fake.port, timeout=0.3) as board:
                assert board.config == CONFIG


def test_old_octets_and_half_a_frame_are_in_nobodys_way() -> None:
    with FakeBoard(CONFIG) as fake:
        host = os.open(fake.port, os.O_RDWR | os.O_NOCTTY)
        os.write(host, framed(b"\1\1") * 20 + framed(b"\1\1")[:4])
        os.close(host)
        with Board(fake.port) as board:
            assert board.config == CONFIG


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"retries": 0}, ValueError, "retries must be at least 1, not 0"),
        ({"retries": "3"}, TypeError, "retries must be an integer, not '3'"),
        ({"window": True}, TypeError, "window must be an integer, not True"),
        ({"window": np.int16(0)}, ValueError, "window must be at least 1, not 0"),
        ({"timeout": "1"}, TypeError, "timeout must be a real number, not '1'"),
        ({"timeout": 0}, ValueError, "timeout must be positive, not 0.0"),
        ({"timeout": float("nan")}, ValueError, "timeout must be finite, not nan"),
    ],
)
def test_arguments(options: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        Board("nowhere", **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("baud", "kind", "message"),
    [
        (0, ValueError, "baud must be at least 1, not 0"),
        (9600.0, TypeError, "baud must be an integer, not 9600.0"),
    ],
)
def test_baud_rates_that_are_none(baud: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        SerialPort("nowhere", baud=baud)
    assert str(caught.value) == message


def test_numbers_of_numpy_are_as_good_as_those_of_python() -> None:
    options: Any = {
        "retries": np.uint8(3),
        "window": np.int64(9000),
        "timeout": np.float32(0.5),
    }
    with FakeBoard(CONFIG) as fake:
        port: Any = SerialPort(fake.port, baud=np.int32(115200))  # type: ignore[arg-type]
        with Board(port, **options) as board:
            assert board.config == CONFIG


def test_a_failed_connection_gives_the_port_back() -> None:
    with Device() as device:
        for _ in range(3):
            refused(NoAnswerError, device.port)
        assert stat.S_ISCHR(os.stat(device.port).st_mode)
