"""The emitted Verilog in the place of the unit: its ports, and rows through it."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
import serial
from amaranth.back import rtlil  # type: ignore[attr-defined]
from amaranth.hdl import ClockDomain, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from station_frames import frame, messages_in
from station_rows import (
    ANSWER,
    ERROR,
    LOAD_TABLES,
    STATUS,
    check_answer,
    counts,
    garbage,
    load_message,
    random_row,
    rows_answer,
    rows_message,
)

from exaq import SoftmaxConfig, Tables
from exaq_fpga.gateware.linked_station import LinkedStation
from exaq_fpga.gateware.transports.uart_transport import UartTransport
from exaq_fpga.gateware.verilog_unit import MODULE, VerilogUnit
from exaq_fpga.virtual.compile import Pins, compile_board
from exaq_fpga.virtual.virtual_board import VirtualBoard
from exaq_hdl.emit.verilog import emit_verilog, rtlil_to_verilog
from exaq_hdl.shell.row_shell import unit_ports

CONFIGS = {
    "masks": SoftmaxConfig(lanes=4, max_row=8, full_rate_row=32),
    "no masks": SoftmaxConfig(lanes=1, max_row=4, masking=False, logit_width=12, prob_bits=20),
    "1 context": SoftmaxConfig(lanes=2, max_row=8, full_rate_row=32, contexts=1),
    "5 contexts": SoftmaxConfig(bits=3, lanes=8, max_row=16, contexts=5, masking=False),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)
DIVISOR = 4
# Until a board that does not answer has failed.
PATIENCE = 60.0

Component: Any = wiring.Component
to_rtlil: Any = rtlil.convert


def verilog_ports(text: str) -> dict[str, tuple[str, int]]:
    """Direction and width of each port of ``MODULE``, from its text."""
    body = text.split(f"module {MODULE}(")[1].split("endmodule")[0]
    found = {}
    for direction, high, name in re.findall(
        r"^ *(input|output)(?: reg| wire)? *(?:\[(\d+):0\])? *(\w+) *;", body, re.MULTILINE
    ):
        found[name] = (direction, int(high or 0) + 1)
    return found


@EVERY
def test_ports(name: str) -> None:
    """The instance has every port of the emitted module, and no other; direction and width."""
    config = CONFIGS[name]
    unit: Any = VerilogUnit(unit_ports(config))
    ports = {"clk": ("input", 1), "rst": ("input", 1)} | {
        port: ("input" if flow is In else "output", len(value))
        for port, (flow, value) in unit.verilog_ports().items()
    }
    assert ports == verilog_ports(emit_verilog(config, top="core").verilog)
    # It can be elaborated, and holds one instance.
    assert to_rtlil(unit).count(f"cell \\{MODULE} ") == 1


class Top(Component):
    """A station whose domain is reset in its first cycles."""

    def __init__(self, config: SoftmaxConfig):
        self.station: Any = LinkedStation(
            config, b"identity", VerilogUnit(unit_ports(config)), UartTransport(DIVISOR)
        )
        super().__init__({"clock": In(1), "rx": In(1), "tx": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        sync: Any = ClockDomain("sync")
        start: Any = ClockDomain("start", reset_less=True)
        m.domains += [sync, start]
        cycles = Signal(3)
        m.d.start += cycles.eq(cycles + ~cycles.all())
        m.submodules.station = station = self.station
        m.d.comb += [
            start.clk.eq(self.clock),
            sync.clk.eq(self.clock),
            sync.rst.eq(~cycles.all()),
            station.rx.eq(self.rx),
            self.tx.eq(station.tx),
        ]
        return m


def compiled(config: SoftmaxConfig) -> Path:
    """The program of the verilated station."""
    design = rtlil_to_verilog(to_rtlil(Top(config), name="top"), initial=True)
    sources = [design, emit_verilog(config, top="core").verilog]
    pins = Pins(clock="clock", rx="rx", tx="tx")
    return compile_board(sources, top="top", pins=pins, divisor=DIVISOR)


def exchange(config: SoftmaxConfig, requests: list[bytes], noise: list[bytes]) -> list[bytes]:
    """Answers of the verilated station, one request at a time.

    ``noise``: what stands on the line before each request; what the board reports of it is left
    out.
    """
    answers: list[bytes] = []
    with (
        VirtualBoard(compiled(config)) as board,
        serial.Serial(board.port, timeout=PATIENCE) as port,
    ):
        for number, (request, before) in enumerate(zip(requests, noise, strict=True), start=1):
            port.write(before + frame(request))
            while len(answers) < number:
                (message,) = messages_in(port.read_until(b"\0"))
                if message[:2] != bytes([ERROR, 0]):
                    answers.append(message)
    return answers


def new_tables(config: SoftmaxConfig, rng: random.Random) -> Tables:
    thresholds = sorted(rng.randint(-(2**config.logit_width), 0) for _ in range(config.levels - 1))
    levels = [rng.randrange(1, 2**config.exp_bits) for _ in range(config.levels)]
    return Tables(thresholds=tuple(thresholds), exp_rom=tuple(levels))


@pytest.mark.simulator
@EVERY
def test_rows(name: str) -> None:
    config = CONFIGS[name]
    rng = random.Random(name)
    held = list(config.context_tables)
    requests, expected = [], []
    loads = rows_sent = 0
    for tag in range(1, 40):
        if config.contexts and tag % 7 == 0:
            context = rng.randrange(config.contexts)
            held[context] = new_tables(config, rng)
            requests.append(load_message(tag, config.load_words(context, held[context])))
            expected.append(bytes([LOAD_TABLES | ANSWER, tag, 0]))
            loads += 1
            continue
        rows = [random_row(config, rng) for _ in range(rng.randint(1, 9))]
        requests.append(rows_message(config, tag, rows))
        expected.append(rows_answer(config, tag, rows, held))
        rows_sent += len(rows)
    if config.contexts:
        words = config.load_words(0, held[0])
        requests.append(load_message(50, [*words[:-1], 0]))
        expected.append(bytes([LOAD_TABLES | ANSWER, 50, 8]))
    requests.append(bytes([STATUS, 99]))
    answers = exchange(config, requests, [b""] * len(requests))
    assert answers[:-1] == expected
    found = counts(answers[-1])
    assert (found["messages"], found["rows"], found["loads"]) == (
        len(requests),
        rows_sent,
        loads,
    )
    assert found["damaged"] == found["overflows"] == found["line_errors"] == found["rejected"] == 0


@pytest.mark.simulator
@pytest.mark.parametrize("name", ["masks", "5 contexts"])
def test_garbage(name: str) -> None:
    """Many messages of anything among octets of anything: each gets its one answer."""
    config = CONFIGS[name]
    rng = random.Random(name)
    requests = [garbage(config, rng) for _ in range(700)]
    requests.append(bytes([STATUS, 99]))
    noise = [
        rng.randbytes(rng.randint(1, 30)) + b"\0" if rng.random() < 0.2 else b"" for _ in requests
    ]
    answers = exchange(config, requests, noise)
    for request, answer in zip(requests, answers, strict=True):
        check_answer(config, request, answer, b"identity")
    found = counts(answers[-1])
    assert found["messages"] == len(requests)
    assert found["rejected"] == sum(answer[0] == ERROR for answer in answers) > 50
    assert found["damaged"] >= sum(map(bool, noise)) > 50
    assert found["loads"] == found["overflows"] == found["line_errors"] == 0


@pytest.mark.simulator
def test_line_is_busy_while_requests_wait() -> None:
    """Rows as long as they get, whose probabilities are full of zeros: blocks of COBS are short
    then, and an answer's last ones have to last until the next row has been read.
    """
    config = SoftmaxConfig(lanes=1, max_row=256)
    rng = random.Random(1)
    rows = [random_row(config, rng, config.max_row) for _ in range(24)]
    requests = [frame(rows_message(config, tag, [row])) for tag, row in enumerate(rows, start=1)]
    with (
        VirtualBoard(compiled(config)) as board,
        serial.Serial(board.port, timeout=PATIENCE) as port,
    ):
        # Three of the longest fit into the receive buffer.
        for request in requests[:3]:
            port.write(request)
        for number, row in enumerate(rows):
            (answer,) = messages_in(port.read_until(b"\0"))
            assert answer == rows_answer(config, number + 1, [row])
            port.write(b"".join(requests[number + 3 : number + 4]))
        statistics = board.stop()
    assert statistics.busy > 0.99
