"""Rows that each choose a context, tables of reset or loaded at run time, through the RTL."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import exaq
from exaq import SoftmaxConfig, Tables
from exaq_cosim import Simulation, golden, simulate
from exaq_hdl import emit_verilog


def random_tables(config: SoftmaxConfig, rng: np.random.Generator, count: int) -> list[Tables]:
    """Free tables: thresholds near 0 or beyond every logit, exponentials of the whole width."""
    result = []
    for _ in range(count):
        span = int(
            rng.choice([3, 40, 2 ** (config.logit_width - 1), 2 ** (config.logit_width + 2)])
        )
        exp_rom = rng.integers(0, 2**config.exp_bits, config.levels)
        exp_rom[-1] = max(1, exp_rom[-1])
        thresholds = np.sort(-rng.integers(0, span + 1, config.levels - 1))
        result.append(
            Tables(thresholds=tuple(thresholds.tolist()), exp_rom=tuple(exp_rom.tolist()))
        )
    return result


def expect(
    logits: NDArray[Any],
    config: SoftmaxConfig,
    each: list[Tables],
    contexts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    mask: NDArray[np.bool_] | None = None,
) -> NDArray[Any]:
    """Row by row, by a unit without contexts that has only the row's tables."""
    result = np.zeros(logits.shape, exaq.softmax(logits[:, :1], config).dtype)
    for row, end in enumerate(lengths):
        alone = config.replace(contexts=0, tables=each[contexts[row]])
        live = None if mask is None else mask[row, :end]
        result[row, :end] = exaq.softmax(logits[row, :end], alone, live)
    return result


# One context (no tid), a power of two, none, more than a byte holds; LUT_sum of 4 to 4096.
CONFIGS = {
    "1": SoftmaxConfig(contexts=1, max_row=64),
    "2, 3 bits": SoftmaxConfig(contexts=2, bits=3, lanes=8, logit_width=12, max_row=128),
    "5, lut4096": SoftmaxConfig(contexts=5, bits=3, group=4, max_row=32, masking=False),
    "2, 5 bits": SoftmaxConfig(contexts=2, bits=5, lanes=2, max_row=48),
    "300": SoftmaxConfig(contexts=300, lanes=1, max_row=8, logit_width=5, prob_bits=6),
}


def rows(
    config: SoftmaxConfig, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    low, high = config.logit_range
    spread = rng.choice([2, 30, high - low + 1], size=(200, 1))
    logits = np.clip(low + rng.integers(0, spread, (200, config.max_row)), low, high)
    return logits, rng.integers(0, config.contexts, 200), rng.integers(1, config.max_row + 1, 200)


@pytest.mark.simulator
@pytest.mark.parametrize("name", CONFIGS)
def test_tables_of_reset_and_tables_loaded(name: str) -> None:
    plain = CONFIGS[name]
    rng = np.random.default_rng(3)
    each = random_tables(plain, rng, plain.contexts)
    held = plain.replace(context_tables=tuple(each))
    logits, contexts, lengths = rows(plain, seed=4)
    mask = rng.random(logits.shape) < 0.8 if plain.masking else None
    expected = expect(logits, plain, each, contexts, lengths, mask)
    # Some contexts keep what they held after reset, one is loaded twice.
    few = {int(c): random_tables(plain, rng, 1)[0] for c in rng.integers(0, plain.contexts, 3)}
    twice = [(next(iter(few)), each[0]), *few.items()]
    changed = [few.get(c, tables) for c, tables in enumerate(each)]
    options: dict[str, Any] = {"mask": mask, "lengths": lengths, "contexts": contexts}
    for stall in (0, 0.6):
        kept = simulate(logits, held, **options, stall=stall, seed=5)
        loaded = simulate(logits, plain, **options, loads=list(enumerate(each)), stall=stall)
        both = simulate(logits, held, **options, loads=twice, stall=stall)
        assert (kept.loads, loaded.loads, both.loads) == (0, plain.contexts, len(twice))
        check(kept, expected)
        check(loaded, expected)
        check(both, expect(logits, plain, changed, contexts, lengths, mask))


def check(result: Simulation, expected: NDArray[Any]) -> None:
    assert result.probabilities.dtype == expected.dtype
    np.testing.assert_array_equal(result.probabilities, expected)
    assert not result.row_errors.any()


def test_golden_is_the_same_as_row_by_row() -> None:
    config = CONFIGS["2, 3 bits"]
    rng = np.random.default_rng(6)
    each = random_tables(config, rng, 2)
    logits, contexts, lengths = rows(config, seed=7)
    mask = rng.random(logits.shape) < 0.8
    expected = expect(logits, config, each, contexts, lengths, mask)
    held = config.replace(context_tables=tuple(each))
    for unit, loads in ((held, []), (config, [(1, each[1]), (0, each[0])])):
        got = golden(logits, unit, mask=mask, lengths=lengths, contexts=contexts, loads=loads)
        np.testing.assert_array_equal(got, expected)


@pytest.mark.simulator
def test_contexts_broadcast_and_default_to_0() -> None:
    plain = CONFIGS["2, 3 bits"]
    each = random_tables(plain, np.random.default_rng(8), 2)
    config = plain.replace(context_tables=tuple(each))
    logits = rows(config, seed=9)[0][:12, :40].reshape(3, 2, 2, 40)
    full = np.full(12, 40)
    for contexts, numbers in (
        (None, np.zeros(12, int)),
        (1, np.ones(12, int)),
        (np.array([[0], [1]], np.uint8), np.arange(12) // 2 % 2),
    ):
        result = simulate(logits, config, contexts=contexts)
        expected = expect(logits.reshape(12, 40), config, each, numbers, full)
        check(result, expected.reshape(logits.shape))


@pytest.mark.simulator
def test_cycles_of_a_load() -> None:
    """A word a handful of cycles, then what the manifest says; none of it in the rows' cycles."""
    config = CONFIGS["5, lut4096"]
    logits = rows(config, seed=10)[0]
    each = random_tables(config, np.random.default_rng(11), 3)
    declared = emit_verilog(config).manifest["contexts"]
    entries, words = 2 ** (config.bits * config.group), 2 * config.levels
    assert entries < declared["cycles_of_a_load"] < entries + 100
    runs = [simulate(logits, config, loads=list(enumerate(each[:n]))) for n in range(4)]
    assert runs[0].load_cycles == 0
    # A unit without contexts takes a beat from cycle 1 on.
    assert runs[0].first_in[0] == 1 + declared["cycles_after_reset"]
    for count, run in enumerate(runs[1:], 1):
        least = count * (declared["cycles_of_a_load"] + words)
        assert least < run.load_cycles < least + count * 5 * words
        assert run.first_in[0] > runs[0].first_in[0] + run.load_cycles
        assert run.cycles == runs[0].cycles
        np.testing.assert_array_equal(np.diff(run.first_in), np.diff(runs[0].first_in))
    figures = runs[2].to_dict()
    assert (figures["loads"], figures["load_cycles"]) == (2, runs[2].load_cycles)


@pytest.mark.parametrize("function", [simulate, golden])
@pytest.mark.parametrize(
    ("contexts", "options", "error", "message"),
    [
        (0, {"contexts": 0}, ValueError, "a configuration without contexts takes no contexts"),
        (2, {"contexts": [0, 2]}, ValueError, "contexts must be in 0..1, not 2"),
        (2, {"contexts": [-1, 0]}, ValueError, "contexts must be in 0..1, not -1"),
        (1, {"contexts": 1}, ValueError, "contexts must be in 0..0, not 1"),
        (2, {"contexts": [0.0, 1.0]}, TypeError, "contexts must be integers, not float64"),
        (
            2,
            {"contexts": [0, 1, 0]},
            ValueError,
            "contexts of shape (3,) must broadcast to the rows' shape, (2,)",
        ),
        (
            0,
            {"loads": [(0, SoftmaxConfig().tables)]},
            ValueError,
            "a configuration without contexts takes no tables at run time",
        ),
        (
            2,
            {"loads": [(2, SoftmaxConfig().tables)]},
            ValueError,
            "context must be in 0..1, not 2",
        ),
        (
            2,
            {"loads": [(1, SoftmaxConfig(bits=3).tables)]},
            ValueError,
            "tables for 3 bits do not fit a configuration of 2 bits",
        ),
    ],
)
def test_refusals(
    function: Any, contexts: int, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as refused:
        function(np.zeros((2, 3), np.int8), SoftmaxConfig(contexts=contexts), **options)
    assert str(refused.value) == message


@pytest.mark.simulator
@pytest.mark.parametrize("seed", range(int(os.environ.get("EXAQ_RANDOM_CONTEXTS", "2"))))
def test_random_units_with_contexts(seed: int) -> None:
    rng = np.random.default_rng([19, seed])
    bits = int(rng.choice([2, 3, 4]))
    group = int(rng.integers(1, 12 // bits + 1))
    lanes = group * int(rng.integers(1, 4))
    config = SoftmaxConfig(
        bits=bits,
        group=group,
        lanes=lanes,
        logit_width=int(rng.choice([4, 8, 13, 24])),
        max_row=lanes * int(rng.choice([1, 2, 9, 100])),
        prob_bits=int(rng.integers(4, 25)),
        exp_frac=int(rng.integers(4, 25)),
        masking=bool(rng.random() < 0.7),
        contexts=int(rng.choice([1, 2, 3, 4, 7, 12])),
    )
    each = random_tables(config, rng, config.contexts)
    held = config.replace(context_tables=tuple(each))
    logits, contexts, lengths = rows(config, seed)
    mask = rng.random(logits.shape) < 0.7 if config.masking else None
    again = [(int(c), random_tables(config, rng, 1)[0]) for c in rng.integers(0, len(each), 4)]
    options: dict[str, Any] = {"mask": mask, "lengths": lengths, "contexts": contexts}
    for stall in (0, float(rng.choice([0.1, 0.5, 0.9]))):
        for loads in ([], again):
            result = simulate(logits, held, **options, loads=loads, stall=stall, seed=seed)
            check(result, golden(logits, held, **options, loads=loads))
