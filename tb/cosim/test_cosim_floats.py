"""bf16 and fp16 logits through the compiled Verilog: every maximum, beside every border."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import exaq
from exaq import SoftmaxConfig, Tables
from exaq.float_format import FLOAT_FORMATS
from exaq.rows import Rows
from exaq_cosim import golden, golden_results, simulate

pytestmark = pytest.mark.simulator

NAMES = pytest.mark.parametrize("name", FLOAT_FORMATS)


def tables(*thresholds: int) -> Tables:
    """Exponentials that tell the codes apart in the probabilities."""
    return Tables(thresholds=thresholds, exp_rom=(1, 300, 2000, 9000))


#: Deep and near thresholds; with 0 only what equals the maximum reaches the last.
SETS = (
    tables(-(2**31), -43_369_103, 0),
    tables(-(2**24), -70_001, -256),
)


def unit_for(name: str) -> SoftmaxConfig:
    return SoftmaxConfig(logit_format=name, lanes=1, max_row=64, contexts=2, context_tables=SETS)


@NAMES
def test_every_maximum_beside_its_borders(name: str) -> None:
    """Rows of a maximum, and of the numbers at each border, just below and just above it."""
    floats, unit = FLOAT_FORMATS[name], unit_for(name)
    finite = np.arange(floats.lowest + 1, floats.infinity, dtype=np.int16)
    for context, chosen in enumerate(SETS):
        borders = floats.borders(finite, chosen.thresholds).astype(np.int32)
        near = (borders[:, :, None] + np.array([-1, 0, 1])).reshape(len(finite), -1)
        # No element exceeds the maximum, which comes last.
        near = np.clip(near, floats.lowest, finite[:, None])
        keys = np.concatenate([near, finite[:, None]], axis=1).astype(np.int16)
        logits = floats.values(keys)
        contexts = np.full(len(finite), context)
        result = simulate(logits, unit, contexts=contexts)
        assert (result.probabilities == golden(logits, unit, contexts=contexts)).all()
        assert not result.row_errors.any()


def hostile(rng: np.random.Generator, name: str, shape: tuple[int, int]) -> NDArray[Any]:
    """Ordinary logits, infinities, NaN, and rows of nothing else."""
    logits = exaq.round_logits(rng.normal(0, 3, shape), SoftmaxConfig(logit_format=name))
    special = rng.choice(np.array([-np.inf, np.inf, np.nan, 0.0, -0.0], np.float32), shape)
    share = rng.choice([0, 0, 0.05, 0.3, 1], (shape[0], 1))
    return np.where(rng.random(shape) < share, special, logits)


@NAMES
@pytest.mark.parametrize("masking", [True, False])
def test_errors_and_masks(name: str, masking: bool) -> None:
    """NaN and infinities in live, masked and absent elements, and beyond max_row."""
    rng = np.random.default_rng(masking)
    unit = SoftmaxConfig(logit_format=name, lanes=4, max_row=16, masking=masking)
    logits = hostile(rng, name, (600, 24))
    given: dict[str, Any] = {
        "mask": rng.random(logits.shape) < 0.8,
        "lengths": rng.integers(1, 25, 600),
        "overlong": True,
    }
    for stall in (0.0, 0.3):
        result = simulate(logits, unit, stall=stall, **given)
        assert (result.probabilities == golden(logits, unit, **given)).all()
        errors = Rows.of(logits, unit.format, **given).errors
        assert errors is not None
        assert 50 < errors.sum() < 550
        too_long = np.asarray(given["lengths"]) > 16
        assert (result.row_errors == (errors | too_long)).all()


@NAMES
def test_loads(name: str) -> None:
    """Tables brought at run time serve as those of reset do."""
    rng = np.random.default_rng(3)
    unit = unit_for(name)
    logits = exaq.round_logits(rng.normal(0, 2, (300, 20)), unit)
    contexts = rng.integers(0, 2, 300)
    loads = [(0, tables(-(2**26), -(2**25), -(2**23))), (1, tables(-(2**31), -999, -999))]
    result = simulate(logits, unit, contexts=contexts, loads=loads)
    assert (result.probabilities == golden(logits, unit, contexts=contexts, loads=loads)).all()
    held = unit.replace(context_tables=tuple(each for _, each in loads))
    assert (result.probabilities == exaq.softmax(logits, held, contexts=contexts)).all()


@NAMES
@pytest.mark.parametrize("output", ["codes", "probabilities"])
@pytest.mark.parametrize("contexts", [0, 2])
def test_row_results(name: str, output: str, contexts: int) -> None:
    """Maxima are numbers of the format, with their sign; -inf where nothing takes part."""
    rng = np.random.default_rng(7)
    unit = SoftmaxConfig(
        logit_format=name,
        lanes=2,
        max_row=32,
        output=output,
        row_results="table",
        contexts=contexts,
    )
    logits = hostile(rng, name, (400, 20))
    logits[:40] = rng.choice([0.0, -0.0], (40, 20))
    result = simulate(logits, unit, stall=0.2)
    assert (result.given == golden(logits, unit)).all()
    expected = golden_results(logits, unit)
    assert result.results is not None
    assert (result.results.sum == expected.sum).all()
    assert result.results.table is not None
    assert expected.table is not None
    assert np.array_equal(result.results.table, expected.table)
    maximum = result.results.maximum
    assert np.array_equal(maximum, expected.maximum)
    assert np.array_equal(np.signbit(maximum), np.signbit(expected.maximum))
    assert np.isneginf(maximum).any()


@NAMES
@pytest.mark.parametrize("output", ["codes", "probabilities"])
@pytest.mark.parametrize("contexts", [0, 3])
def test_sinks(name: str, output: str, contexts: int) -> None:
    """That of all rows; those of contexts, held after reset and loaded."""
    rng = np.random.default_rng(contexts)
    own = tuple(replace(SETS[1], sink=sink) for sink in (None, -2.0, 4.5))
    unit = SoftmaxConfig(
        logit_format=name,
        lanes=2,
        max_row=32,
        output=output,
        row_results="sum",
        sink=0.75,
        contexts=contexts,
        context_tables=own if contexts else None,
    )
    logits = hostile(rng, name, (400, 20))
    given: dict[str, Any] = {"mask": rng.random(logits.shape) < 0.8}
    loads = [(1, replace(SETS[0], sink=0.0)), (2, SETS[0])] if contexts else []
    if contexts:
        given["contexts"] = rng.integers(0, contexts, 400)
    for brought in ([], loads):
        result = simulate(logits, unit, loads=brought, stall=0.2, **given)
        assert (result.given == golden(logits, unit, loads=brought, **given)).all()
        expected = golden_results(logits, unit, loads=brought, **given)
        assert result.results is not None
        assert (result.results.sum == expected.sum).all()
        assert np.array_equal(result.results.maximum, expected.maximum)
        # Where nothing takes part the sink is the maximum.
        assert np.isfinite(result.results.maximum).all()
