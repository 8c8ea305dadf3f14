"""An attention head on a virtual board: the host's program on the whole design."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exaq.attention import AttentionConfig, attend
from exaq.data import load_head_sample
from exaq_fpga import Board, HeadBoard, WrongDeviceError
from exaq_fpga.boards import BOARDS
from exaq_fpga.flow.bitstreams.prepared import Prepared, prepare, usual_clock
from exaq_fpga.virtual.design import DIVISOR, compile_design
from exaq_fpga.virtual.virtual_board import Faults, VirtualBoard

SMALL: dict[str, Any] = {"head_size": 16, "lanes": 2, "max_row": 16, "logit_scale": 2**-5}
CONFIG = AttentionConfig(**SMALL, causal=True)
#: Seconds of silence after which the host asks again.
TIMEOUT = 0.2

pytestmark = pytest.mark.simulator


@cache
def prepared(config: AttentionConfig) -> Prepared:
    spec = BOARDS["ulx3s-85f"]
    return prepare(spec, config, link=spec.link.with_baud(usual_clock(spec, config) // DIVISOR))


@pytest.fixture(scope="module")
def program() -> Path:
    return compile_design(prepared(CONFIG))


def operands(heads: tuple[int, ...], rows: int, keys: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(rows)
    return (
        rng.integers(-9, 10, (*heads, rows, 16)),
        rng.integers(0, 16, (*heads, keys, 16)),
        rng.integers(-128, 128, (*heads, keys, 16)),
    )


def attends(port: str, q: Any, k: Any, v: Any) -> HeadBoard:
    with HeadBoard(port, timeout=TIMEOUT, retries=20) as board:
        assert board.identity == prepared(CONFIG).identity
        np.testing.assert_array_equal(board.attend(q, k, v), attend(q, k, v, CONFIG))
    return board


def test_heads_and_statistics(program: Path) -> None:
    with VirtualBoard(program) as virtual:
        with pytest.raises(WrongDeviceError, match="holds an attention head"):
            Board(virtual.port)
        for keys in (1, 3, 16):
            board = attends(virtual.port, *operands((2,), 20, keys))
            assert (board.link.resent, board.link.dropped, board.link.reports) == (0, 0, 0)
        with HeadBoard(virtual.port) as board:
            status = board.status()
        statistics = virtual.stop()
    assert (status["rows"], status["loads"], status["rejected"]) == (3 * 2 * 20, 6, 0)
    assert statistics.broken == 0


@pytest.mark.parametrize(
    "faults",
    [
        Faults(noise=1e-4),
        Faults(drop=1e-3),
        Faults(double=1e-3),
        Faults(breaks=1e-3, garbage=1e-3),
    ],
    ids=["noise", "drop", "double", "breaks and garbage"],
)
def test_faults_cost_time_but_no_row(program: Path, faults: Faults) -> None:
    given = operands((4,), 24, 16)
    with VirtualBoard(program, faults=faults, seed=1) as virtual:
        link = attends(virtual.port, *given).link
        assert sum(virtual.stop().faults.values()) > 5
    assert link.resent > 0


def test_a_layer_of_a_real_model() -> None:
    """Twelve heads of MiniLM: every bit is that of the golden model."""
    sample = load_head_sample()
    config = AttentionConfig(
        head_size=sample.q.shape[-1],
        keys=sample.keys,
        lanes=2,
        max_row=32,
        logit_scale=sample.logit_scale,
    )
    with (
        VirtualBoard(compile_design(prepared(config))) as virtual,
        HeadBoard(virtual.port) as board,
    ):
        found = board.attend(sample.q, sample.k, sample.v)
        assert board.link.resent == board.link.dropped == 0
        assert virtual.stop().broken == 0
    expected = attend(sample.q, sample.k, sample.v, config)
    assert len(found) == 12
    np.testing.assert_array_equal(found, expected)
