"""A virtual board that is linked by UDP: the whole design behind a PHY, its cable good or bad."""

from __future__ import annotations

from functools import cache
from ipaddress import IPv4Address
from pathlib import Path

import numpy as np
import pytest

import exaq
from exaq import SoftmaxConfig
from exaq_cosim import ToolError
from exaq_fpga import Board
from exaq_fpga.boards import BOARDS, UdpLink
from exaq_fpga.flow.bitstreams.prepared import Prepared, prepare
from exaq_fpga.virtual.design import compile_design
from exaq_fpga.virtual.virtual_board import Faults, VirtualBoard

BOARD = "colorlight-5a75b"
#: Its longest answers take three datagrams.
CONFIG = SoftmaxConfig(max_row=1024)
#: By how much this link has to be faster than the serial port.
FASTER = 20
#: Seconds of silence after which the host asks again.
TIMEOUT = 0.2

pytestmark = pytest.mark.simulator


@cache
def prepared() -> Prepared:
    spec = BOARDS[BOARD]
    assert spec.ethernet is not None
    return prepare(spec, CONFIG, link=UdpLink(phy=spec.ethernet, address=IPv4Address("10.9.8.7")))


@pytest.fixture(scope="module")
def program() -> Path:
    return compile_design(prepared())


def stream(port: str, rows: int) -> Board:
    """The board, closed, after ``rows`` rows came back right."""
    logits = np.random.default_rng(rows).integers(-128, 127, (rows, CONFIG.max_row), endpoint=True)
    with Board(port, timeout=TIMEOUT, retries=20) as board:
        assert board.identity == prepared().identity
        given = board.softmax(logits)
    np.testing.assert_array_equal(given, exaq.softmax(logits, CONFIG))
    return board


def test_payload_is_much_faster_than_by_the_serial_port(program: Path) -> None:
    with VirtualBoard(program) as virtual:
        for rows in (3, 60):
            board = stream(virtual.port, rows)
            assert (board.link.resent, board.link.dropped, board.link.reports) == (0, 0, 0)
        statistics = virtual.stop()
    by_udp = statistics.octets_out / statistics.answer_cycles
    serial = 1 / BOARDS[BOARD].link.octet_cycles(prepared().clock)
    assert by_udp > FASTER * serial
    assert statistics.broken == 0


def test_faults_cost_time_alone(program: Path) -> None:
    faults = Faults(noise=3e-6, drop=0.02, double=0.05, reorder=0.05, garbage=0.3)
    with VirtualBoard(program, faults=faults, seed=2) as virtual:
        board = stream(virtual.port, 60)
        statistics = virtual.stop()
    assert statistics.broken == 0
    assert all(count for name, count in statistics.faults.items()), statistics.faults
    assert board.link.resent


def test_faults_of_the_other_link_are_refused(program: Path) -> None:
    with pytest.raises(ToolError, match=r"no such option: --breaks$"):
        VirtualBoard(program, faults=Faults(breaks=0.1)).start()
