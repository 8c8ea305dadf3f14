"""The virtual board's own lines, round a design that is but a wire from rx to tx."""

from __future__ import annotations

import math
import os
import select
import time
from pathlib import Path

import numpy as np
import pytest
import serial

from exaq_cosim import ToolError
from exaq_fpga.virtual.compile import Pins, compile_board
from exaq_fpga.virtual.virtual_board import Faults, RunStatistics, VirtualBoard
from exaq_hdl.emit.verilog import rtlil_to_verilog

WIRE = """
module wire_only (input clock_0__io, input rx_0__io, output tx_0__io, output led);
  assign tx_0__io = rx_0__io;
  assign led = rx_0__io;
endmodule
"""
PINS = Pins(clock="clock_0__io", rx="rx_0__io", tx="tx_0__io")
DIVISOR = 4
OCTET_BITS = 10

pytestmark = pytest.mark.simulator


def compiled(divisor: int = DIVISOR) -> Path:
    return compile_board([WIRE], top="wire_only", pins=PINS, divisor=divisor)


def through(
    octets: bytes, faults: Faults | None = None, *, divisor: int = DIVISOR, seed: int = 0
) -> tuple[bytes, RunStatistics]:
    """What comes back for ``octets``, and the statistics."""
    with (
        VirtualBoard(compiled(divisor), faults=faults, seed=seed, linger=10000) as virtual,
        serial.Serial(virtual.port, 1_000_000, timeout=0.3) as port,
    ):
        port.write(octets)
        back = bytearray()
        while more := port.read(1 << 16):
            back += more
        return bytes(back), virtual.stop()


def random_octets(count: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(count)


@pytest.mark.parametrize("divisor", [2, 3, 4, 5, 16])
def test_every_octet_passes(divisor: int) -> None:
    octets = bytes(range(256)) + random_octets(1000)
    back, statistics = through(octets, divisor=divisor)
    assert back == octets
    assert statistics.octets_in == statistics.octets_out == len(octets)
    assert statistics.answer_cycles == len(octets) * OCTET_BITS * divisor
    assert statistics.busy == 1
    assert statistics.line_share(len(octets) // 2) == 0.5
    assert (statistics.octet_cycles, statistics.broken) == (OCTET_BITS * divisor, 0)


def test_time_of_the_host_is_not_the_boards() -> None:
    octets = random_octets(50)
    linger = 3000
    with (
        VirtualBoard(compiled(), linger=linger, patience=0) as virtual,
        serial.Serial(virtual.port, 1_000_000, timeout=5) as port,
    ):
        for _ in range(4):
            port.write(octets)
            assert port.read(len(octets)) == octets
            time.sleep(0.1)
        statistics = virtual.stop()
    assert statistics.cycles > 4 * linger
    # Silence begins in the middle of the stop bit.
    own = 4 * len(octets) * OCTET_BITS * DIVISOR
    assert own - 4 * DIVISOR < statistics.answer_cycles <= own


def test_terminal_is_raw_without_the_hosts_doing() -> None:
    octets = bytes(range(256))
    with VirtualBoard(compiled()) as virtual:
        port = os.open(virtual.port, os.O_RDWR | os.O_NOCTTY)
        try:
            os.write(port, octets)
            back = b""
            while len(back) < len(octets) and select.select([port], [], [], 5)[0]:
                back += os.read(port, 256)
        finally:
            os.close(port)
        assert back == octets
        time.sleep(0.5)
        # The host has gone, and the board does not mind.
        assert virtual.stop().standing > 0.4


# tx falls with rx, for ever; nothing resets it.
LOW = r"""
module \low
  wire input 1 \clock
  wire input 2 \rx
  wire output 3 \tx
  wire \next
  attribute \init 1'1
  wire \high
  cell $and \falls
    parameter \A_SIGNED 0
    parameter \A_WIDTH 1
    parameter \B_SIGNED 0
    parameter \B_WIDTH 1
    parameter \Y_WIDTH 1
    connect \A \high
    connect \B \rx
    connect \Y \next
  end
  cell $dff \register
    parameter \WIDTH 1
    parameter \CLK_POLARITY 1'1
    connect \CLK \clock
    connect \D \next
    connect \Q \high
  end
  connect \tx \high
end
"""


@pytest.mark.parametrize("octets", [b"", b"\xff"])
def test_initial_values_and_a_dead_line(octets: bytes) -> None:
    program = compile_board(
        [rtlil_to_verilog(LOW, initial=True)],
        top="low",
        pins=Pins(clock="clock", rx="rx", tx="tx"),
        divisor=DIVISOR,
    )
    with (
        VirtualBoard(program) as virtual,
        serial.Serial(virtual.port, 1_000_000, timeout=5) as port,
    ):
        port.write(octets)
        assert port.read(len(octets)) == b"\0" * len(octets)
        assert not virtual.wait(0.5)
        statistics = virtual.stop()
    assert statistics.octets_out == statistics.broken == len(octets)
    assert statistics.standing > 0.2


def test_dropped() -> None:
    back, statistics = through(random_octets(100), Faults(drop=1))
    assert back == b""
    assert statistics.octets_in == 100
    assert statistics.octets_out == 0
    assert statistics.faults.pop("drop") == 100
    assert set(statistics.faults.values()) == {0}


def test_doubled() -> None:
    octets = random_octets(100)
    back, statistics = through(octets, Faults(double=1))
    # Both lines double.
    assert back == bytes(octet for octet in octets for _ in range(4))
    assert statistics.octets_out == 200
    assert statistics.faults["double"] == 300


def test_breaks() -> None:
    octets = random_octets(100).replace(b"\0", b"\1")
    back, statistics = through(octets, Faults(breaks=1))
    # The board passes a break on, which counts as an octet without stop bit; a serial port reads
    # a break as 0. Those that the line makes on the way back come before the octets alone.
    assert statistics.broken == 100
    assert statistics.octets_out == 200
    assert statistics.faults["breaks"] == 200
    assert back == b"".join(bytes([0, 0, octet]) for octet in octets)


def test_garbage() -> None:
    octets = bytes(1000)
    back, statistics = through(octets, Faults(garbage=0.1))
    bursts = statistics.faults["garbage"]
    foreign = len(back) - len(octets)
    assert bursts < foreign < 16 * bursts
    assert foreign / 16 < len(back.replace(b"\0", b"")) <= foreign


@pytest.mark.parametrize("rate", [0.001, 0.01])
@pytest.mark.parametrize("kind", ["drop", "double", "breaks", "garbage"])
def test_rate_of_octet_faults(kind: str, rate: float) -> None:
    _, statistics = through(random_octets(20000), Faults(**{kind: rate}))
    octets = statistics.octets_in + statistics.octets_out
    spread = 5 * math.sqrt(octets * rate)
    assert abs(statistics.faults.pop(kind) - octets * rate) < spread
    assert set(statistics.faults.values()) == {0}


def test_noise() -> None:
    rate = 1e-3
    octets = random_octets(20000)
    back, statistics = through(octets, Faults(noise=rate))
    bits = (statistics.octets_in + statistics.octets_out) * OCTET_BITS
    flipped = statistics.faults["noise"]
    assert abs(flipped - bits * rate) < 5 * math.sqrt(bits * rate)
    # It hits data bits, start bits and stop bits: octets change, vanish and break.
    assert 0.9 * len(octets) < len(back) < 1.1 * len(octets)
    assert back != octets
    assert statistics.broken > 0


def test_seed_decides_the_faults() -> None:
    octets = random_octets(3000)
    faults = Faults(noise=1e-3, drop=1e-2, double=1e-2, breaks=1e-2, garbage=1e-2)
    runs = [through(octets, faults, seed=seed) for seed in (1, 1, 2)]
    assert runs[0][0] == runs[1][0] != runs[2][0]
    assert runs[0][1].faults == runs[1][1].faults != runs[2][1].faults


def test_full_terminal_holds_time() -> None:
    octets = random_octets(1 << 18)
    with (
        VirtualBoard(compiled(2)) as virtual,
        serial.Serial(virtual.port, 1_000_000, timeout=2, write_timeout=0.5) as port,
    ):
        # Nobody reads: at some time neither side can take more, and nothing is lost.
        sent = 0
        while sent < len(octets):
            try:
                sent += port.write(octets[sent : sent + 256])
            except serial.SerialTimeoutException:
                break
        else:
            pytest.fail("there is no end to what the terminal holds")
        port.timeout = 0.5
        back = bytearray()
        while more := port.read(4096):
            back += more
        whole = len(back)
        assert sent <= whole <= sent + 256
        assert back == octets[:whole]
        assert virtual.stop().standing > 0.3


@pytest.mark.parametrize("divisor", [1, 0, -4])
def test_divisor_is_refused(divisor: int) -> None:
    message = f"^the UART needs at least 2 cycles a bit, not {divisor}$"
    with pytest.raises(ValueError, match=message):
        compiled(divisor)


def test_wrong_verilog() -> None:
    failed = r"^Verilator failed with exit code 1: %Error.*"
    with pytest.raises(ToolError, match=failed + "modul"):
        compile_board(["modul x;"], top="x", pins=PINS, divisor=DIVISOR)
    pins = Pins(clock="clock_0__io", rx="uart", tx="tx_0__io")
    with pytest.raises(ToolError, match=failed + "'uart'"):
        compile_board([WIRE], top="wire_only", pins=pins, divisor=DIVISOR)


def test_sources_may_be_files(tmp_path: Path) -> None:
    path = tmp_path / "wire.v"
    path.write_text(WIRE, encoding="utf-8")
    assert compile_board([path], top="wire_only", pins=PINS, divisor=DIVISOR) == compiled()


def test_waves(tmp_path: Path) -> None:
    waves = tmp_path / "wire.vcd"
    program = compile_board([WIRE], top="wire_only", pins=PINS, divisor=DIVISOR, tracing=True)
    with (
        VirtualBoard(program, waves=waves, linger=100) as virtual,
        serial.Serial(virtual.port, 1_000_000, timeout=2) as port,
    ):
        port.write(b"\x55")
        assert port.read(1) == b"\x55"
    text = waves.read_text()
    (code,) = {line.split()[3] for line in text.splitlines() if line.endswith(" rx_0__io $end")}
    # 0x55 on the line: start bit, 1, 0, 1, ..., 0, stop bit; a bit is 4 cycles of 10.
    now, changes = 0, []
    for line in text.splitlines():
        if line.startswith("#"):
            now = int(line[1:])
        elif line in (f"0{code}", f"1{code}"):
            changes.append((now, line[0]))
    levels = [level for _, level in changes[1:]]
    assert levels == ["0", "1"] * 5
    steps = np.diff([at for at, _ in changes[1:]])
    assert set(steps.tolist()) == {10 * DIVISOR}
