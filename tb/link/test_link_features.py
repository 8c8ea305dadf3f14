"""Codes, row results, windows, mask values, sinks and floating-point logits over the link: the
host against a board that is made from docs/link.md alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fake_board import FakeBoard
from in_memory import InMemory

import exaq
from exaq import SoftmaxConfig
from exaq_fpga import Board, RefusedError
from exaq_fpga.link.protocol import buffer_octets

CONFIGS: dict[str, dict[str, Any]] = {
    "codes and sums": {"output": "codes", "row_results": "sum", "lanes": 3, "max_row": 63},
    "codes and tables": {"output": "codes", "bits": 4, "contexts": 3, "prob_bits": 20},
    "row results": {"row_results": "table", "bits": 3, "logit_width": 12, "prob_bits": 8},
    "sums beside probabilities": {"row_results": "sum", "masking": False},
    "windows": {"window": True},
    "windows alone": {"window": True, "masking": False, "max_row": 65536},
    "mask value": {"mask_value": "lowest", "masking": False},
    "bf16": {"logit_format": "bf16", "row_results": "table"},
    "fp16": {"logit_format": "fp16", "masking": False, "output": "codes", "bits": 5},
    "sinks": {"sink": 20, "row_results": "sum", "contexts": 2},
}


def rows(config: SoftmaxConfig, count: int, row: int) -> dict[str, Any]:
    """Random rows with all that the unit can take."""
    rng = np.random.default_rng(7)
    low, high = config.logit_range
    logits: Any = rng.integers(low, high, (count, row), endpoint=True)
    if config.logit_format != "integer":
        logits = exaq.round_logits(rng.normal(0, 4, (count, row)), config)
        logits[rng.random(logits.shape) < 0.05] = -np.inf
        logits[: count // 4][rng.random((count // 4, row)) < 0.01] = np.nan
        logits[count // 2, 0] = np.inf
    live = rng.random(logits.shape) < rng.choice([0, 0.5, 0.9, 1], (count, 1))
    starts, stops = np.sort(rng.integers(0, row + 1, (2, count)), axis=0)
    by_mask = config.masking or config.mask_value == "lowest" or config.logit_format != "integer"
    return {
        "logits": logits,
        "lengths": rng.choice(np.array([1, 2, 7, 8, 9, row - 1, row]), count),
        "mask": live if by_mask else None,
        "contexts": rng.integers(0, config.contexts, count) if config.contexts else None,
        "window": (starts, stops[::-1]) if by_mask or config.window else None,
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_all_of_it(name: str) -> None:
    config = SoftmaxConfig(**CONFIGS[name])
    given = rows(config, 50, 60)
    fake = FakeBoard(config, buffer=buffer_octets(config))
    with Board(InMemory(fake)) as board:
        assert board.config == config
        got = board.stream(**given)
    logits = given.pop("logits")
    function = exaq.quantize if config.output == "codes" else exaq.softmax
    expected = function(logits, config, **given)
    np.testing.assert_array_equal(got.elements, expected)
    assert got.elements.dtype == expected.dtype
    if config.row_results == "none":
        assert got.results is None
    else:
        assert got.results is not None
        results = exaq.row_results(logits, config, **given)
        np.testing.assert_array_equal(got.results.maximum, results.maximum)
        np.testing.assert_array_equal(got.results.sum, results.sum)
        assert (got.results.table is None) == (results.table is None)
        if results.table is not None and got.results.table is not None:
            np.testing.assert_array_equal(got.results.table, results.table)
            assert got.results.table.dtype == results.table.dtype
    assert not fake.complaints


def test_shapes() -> None:
    config = SoftmaxConfig(output="codes")
    logits = np.zeros((2, 3, 5), np.int8)
    with Board(InMemory(FakeBoard(config))) as board:
        got = board.stream(logits)
        with pytest.raises(ValueError, match=r"^the board gives codes: ask for them by stream$"):
            board.softmax(logits)
    assert got.elements.shape == (2, 3, 5)
    assert got.results is not None
    assert got.results.maximum.shape == got.results.sum.shape == (2, 3)
    assert got.results.table is not None
    assert got.results.table.shape == (2, 3, 4)


@pytest.mark.parametrize("flagged", [False, True])
def test_an_error_that_comes_where_none_is_or_does_not_where_one_is(flagged: bool) -> None:
    config = SoftmaxConfig(logit_format="fp16")

    def alter(number: int, message: bytes) -> bytes:
        return message[:-1] + bytes([2 * flagged]) if message[0] == 0x83 else message

    logits = np.array([[1.0, 2.0 if flagged else np.nan]], np.float16)
    words = (
        r"^the board reports an error in rows 0 to 0 \(status 2\)$"
        if flagged
        else r"^the board sees no error in rows 0 to 0, one of which holds NaN or \+inf$"
    )
    with (
        Board(InMemory(FakeBoard(config, alter=alter))) as board,
        pytest.raises(RefusedError, match=words),
    ):
        board.stream(logits)


def test_loads_bring_sinks() -> None:
    config = SoftmaxConfig(sink=20, contexts=2)
    tables = exaq.Tables(thresholds=(-9, -5, -1), exp_rom=(1, 20, 300, 8192), sink=-3)
    logits = np.arange(12).reshape(2, 6)
    with Board(InMemory(FakeBoard(config))) as board:
        board.load_tables(1, tables)
        got = board.softmax(logits, contexts=[0, 1])
    loaded = config.replace(context_tables=(config.tables, tables))
    np.testing.assert_array_equal(got, exaq.softmax(logits, loaded, contexts=[0, 1]))
