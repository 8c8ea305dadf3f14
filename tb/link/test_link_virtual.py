"""The virtual board: the host's program on the whole design, over good lines and bad ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exaq
from exaq import SoftmaxConfig
from exaq_cosim import ToolError
from exaq_fpga import Board
from exaq_fpga.boards import BOARDS
from exaq_fpga.flow.bitstreams.prepared import Prepared, prepare
from exaq_fpga.link.transports.serial_port import OCTET_BITS
from exaq_fpga.virtual.design import DIVISOR, compile_design
from exaq_fpga.virtual.virtual_board import Faults, VirtualBoard

CONFIG = SoftmaxConfig(max_row=256)
#: Seconds of silence after which the host asks again.
TIMEOUT = 0.2
#: Cycles that a board is given to come up, and that it then waits for the host.
BOOT, LINGER = 8192, 1 << 18

pytestmark = pytest.mark.simulator


@cache
def prepared(name: str = "icebreaker", config: SoftmaxConfig = CONFIG, clock: int = 0) -> Prepared:
    spec = BOARDS[name]
    clock = clock or spec.clock
    return prepare(spec, config, clock=clock, link=spec.link.with_baud(clock // DIVISOR))


@pytest.fixture(scope="module")
def program() -> Path:
    return compile_design(prepared())


def random_rows(rows: int, config: SoftmaxConfig = CONFIG) -> tuple[np.ndarray, ...]:
    """Logits, live elements and lengths."""
    rng = np.random.default_rng(rows)
    shape = (rows, config.max_row)
    logits = rng.integers(*config.format.logit_range, shape, endpoint=True)
    return logits, rng.random(shape) < 0.8, rng.integers(1, config.max_row, rows, endpoint=True)


def expected(
    logits: np.ndarray, live: np.ndarray, lengths: np.ndarray, config: SoftmaxConfig = CONFIG
) -> np.ndarray:
    present = np.arange(logits.shape[1]) < lengths[:, None]
    return exaq.softmax(logits, config, live & present)


def stream(port: str, rows: int, config: SoftmaxConfig = CONFIG) -> Board:
    """Streams random rows, checks every bit; the board that did it."""
    logits, live, lengths = random_rows(rows, config)
    with Board(port, timeout=TIMEOUT, retries=20) as board:
        assert board.config == config
        given = board.softmax(logits, mask=live, lengths=lengths)
    np.testing.assert_array_equal(given, expected(logits, live, lengths, config))
    return board


def test_rows_and_statistics(program: Path) -> None:
    with VirtualBoard(program) as virtual:
        with Board(virtual.port) as board:
            assert board.identity == prepared().identity
        board = stream(virtual.port, 60)
        assert (board.link.resent, board.link.dropped, board.link.reports) == (0, 0, 0)
        statistics = virtual.stop()
        assert virtual.stop() == statistics
    assert statistics.octets_in > board.link.sent
    assert statistics.octets_out > board.link.received
    assert statistics.octet_cycles == OCTET_BITS * DIVISOR
    assert statistics.broken == 0
    assert set(statistics.faults.values()) == {0}
    assert not Path(virtual.port).exists()


def test_line_is_kept_busy(program: Path) -> None:
    logits = random_rows(200)[0][:, :128]
    # Patience of a second: however slow this machine is, the board does not see it.
    with VirtualBoard(program, patience=1.0) as virtual, Board(virtual.port) as board:
        given = board.softmax(logits)
        statistics = virtual.stop()
    assert 0.97 < statistics.busy <= 1
    assert statistics.line_share(given.nbytes) > 0.9
    assert statistics.answer_cycles < statistics.cycles


KINDS = {
    "noise": Faults(noise=1e-4),
    "drop": Faults(drop=1e-3),
    "double": Faults(double=1e-3),
    "breaks": Faults(breaks=1e-3),
    "garbage": Faults(garbage=1e-3),
}


@pytest.mark.parametrize("kind", KINDS)
def test_faults_cost_time_but_no_row(program: Path, kind: str) -> None:
    with VirtualBoard(program, faults=KINDS[kind], seed=1) as virtual:
        link = stream(virtual.port, 60).link
        faults = virtual.stop().faults
    assert faults.pop(kind) > 5
    assert set(faults.values()) == {0}
    assert link.resent > 0
    assert link.dropped + link.reports > 0


def test_all_faults_at_once(program: Path) -> None:
    faults = Faults(noise=3e-5, drop=3e-4, double=3e-4, breaks=3e-4, garbage=3e-4)
    with VirtualBoard(program, faults=faults, seed=2) as virtual:
        assert stream(virtual.port, 100).link.resent > 0
        assert min(virtual.stop().faults.values()) > 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_host_ends_in_mid_stream(program: Path, how: signal.Signals) -> None:
    code = (
        "import sys, numpy; from exaq_fpga import Board\n"
        "board = Board(sys.argv[1])\n"
        "print('streaming', flush=True)\n"
        "board.softmax(numpy.zeros((100000, 256), numpy.int8))\n"
    )
    with VirtualBoard(program) as virtual:
        for _ in range(2):
            with subprocess.Popen(
                [sys.executable, "-c", code, virtual.port],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            ) as host:
                assert host.stdout is not None
                assert host.stdout.readline() == "streaming\n"
                time.sleep(0.1)
                host.send_signal(how)
                assert host.wait(30) != 0
            stream(virtual.port, 10)


def test_hosts_one_after_the_other(program: Path) -> None:
    with VirtualBoard(program) as virtual:
        for rows in (3, 1, 20):
            stream(virtual.port, rows)
        with Board(virtual.port) as board:
            assert board.status()["rows"] == 24


def test_time_stands_still_without_work(program: Path) -> None:
    with VirtualBoard(program, linger=LINGER) as virtual:
        assert not virtual.wait(1.0)
        statistics = virtual.stop()
    assert statistics.cycles == BOOT + LINGER
    assert statistics.standing > 0.5
    assert (statistics.octets_in, statistics.octets_out, statistics.busy) == (0, 0, 0)


def test_time_stands_still_while_nobody_reads(program: Path) -> None:
    logits = random_rows(100)[0]
    late: list[int] = []

    def slow(done: int, total: int) -> None:
        if done > total // 2 and not late:
            late.append(done)
            time.sleep(0.5)

    # More may be on its way than a terminal holds.
    with VirtualBoard(program) as virtual, Board(virtual.port, window=1 << 17) as board:
        given = board.softmax(logits, progress=slow)
        assert board.link.resent == 0
    assert late
    np.testing.assert_array_equal(given, exaq.softmax(logits, CONFIG))


def interrupted(virtual: VirtualBoard) -> None:
    assert virtual.pid is not None
    os.kill(virtual.pid, signal.SIGINT)


def terminated(virtual: VirtualBoard) -> None:
    assert virtual.pid is not None
    os.kill(virtual.pid, signal.SIGTERM)


@pytest.mark.parametrize("end", [interrupted, terminated])
def test_signals_end_it_with_statistics(program: Path, end: Callable[[VirtualBoard], None]) -> None:
    with VirtualBoard(program) as virtual:
        stream(virtual.port, 1)
        end(virtual)
        assert virtual.wait(10)
        assert virtual.stop().octets_out > 0


def test_it_ends_with_the_process_that_started_it(program: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from exaq_fpga.virtual.virtual_board import *\n"
        "virtual = VirtualBoard(Path(sys.argv[1])); virtual.start()\n"
        "print(virtual.port, flush=True); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(program)], capture_output=True, text=True, check=False
    )
    port = Path(done.stdout.strip())
    assert done.returncode == -signal.SIGKILL
    assert str(port).startswith("/dev/")
    for _ in range(100):
        if not port.exists():
            return
        time.sleep(0.1)
    pytest.fail("the virtual board outlives the process that started it")


# Of each family and kind of PLL, one; both kinds of tables; another kernel.
@pytest.mark.parametrize(
    ("name", "clock", "config"),
    [
        ("ice40-hx8k-evn", 0, SoftmaxConfig(max_row=16, lanes=1)),
        ("ulx3s-12f", 0, SoftmaxConfig(max_row=24, lanes=8, bits=3, logit_width=12)),
        ("ecpix5-85", 0, SoftmaxConfig(max_row=16, masking=False, prob_bits=20)),
        ("tang-nano-9k", 0, SoftmaxConfig(max_row=16, contexts=2)),
        ("tang-nano-9k", 54_000_000, SoftmaxConfig(max_row=16, lanes=1)),
        ("icebreaker", 0, SoftmaxConfig(kernel="shift", max_row=16)),
    ],
)
def test_other_boards(name: str, clock: int, config: SoftmaxConfig) -> None:
    design = prepared(name, config, clock)
    logits, live, lengths = random_rows(30, config)
    live |= not config.masking
    with VirtualBoard(compile_design(design)) as virtual, Board(virtual.port) as board:
        assert board.identity == design.identity
        mask = live if config.masking else None
        given = board.softmax(logits, mask=mask, lengths=lengths)
        assert virtual.stop().broken == 0
    np.testing.assert_array_equal(given, expected(logits, live, lengths, config))


@pytest.mark.parametrize(
    "settings",
    [
        {"output": "codes", "window": True, "contexts": 2, "sink": 9, "lanes": 3, "max_row": 24},
        {"logit_format": "fp16", "row_results": "table", "bits": 4, "max_row": 16},
        {"output": "codes", "row_results": "sum", "mask_value": "lowest", "masking": False},
    ],
)
def test_all_that_a_board_gives(settings: dict[str, Any]) -> None:
    config = SoftmaxConfig(**{"max_row": 32, **settings})
    logits: Any = random_rows(40, config)[0]
    if config.logit_format != "integer":
        logits = exaq.round_logits(logits / 256.0, config)
        logits[3, 2:5] = (np.nan, np.inf, -np.inf)
    count, row = logits.shape
    rng = np.random.default_rng(5)
    given: dict[str, Any] = {
        "mask": rng.random(logits.shape) < 0.8,
        "lengths": rng.integers(1, row, count, endpoint=True),
        "contexts": rng.integers(0, config.contexts, count) if config.contexts else None,
        "window": (rng.integers(0, row // 2, count), rng.integers(1, row, count)),
    }
    with VirtualBoard(compile_design(prepared("ulx3s-12f", config))) as virtual:
        with Board(virtual.port) as board:
            came = board.stream(logits, **given)
        assert virtual.stop().broken == 0
    function = exaq.quantize if config.output == "codes" else exaq.softmax
    np.testing.assert_array_equal(came.elements, function(logits, config, **given))
    assert came.results is not None
    assert came.results.differing(exaq.row_results(logits, config, **given)) == 0


def test_no_such_program(tmp_path: Path) -> None:
    virtual = VirtualBoard(tmp_path / "none")
    with pytest.raises(ToolError, match="cannot be run: No such file or directory"):
        virtual.start()
    with pytest.raises(ToolError, match=r"^the virtual board does not run$"):
        virtual.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_faults_are_probabilities(kind: str) -> None:
    for value in (-0.1, 1.5):
        with pytest.raises(ValueError, match=f"^{kind} is a probability, 0 to 1, not {value}$"):
            Faults(**{kind: value})
    with pytest.raises(ValueError, match=f"^{kind} must be finite, not nan$"):
        Faults(**{kind: float("nan")})
