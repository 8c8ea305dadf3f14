"""Kernels beside EXAQ as compiled Verilog: what each cycle shows, and references of beats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from exaq import Baps, SoftmaxConfig, beat_references, quantize, row_results, softmax
from exaq_cosim import golden, golden_references, golden_results, simulate
from exaq_hdl import emit_verilog

CODES = SoftmaxConfig(kernel="baps", output="codes", row_results="sum", lanes=3, max_row=48)


def stimulus(seed: int, rows: int = 60, row: int = 60) -> dict[str, Any]:
    """Rows whose maxima rise by little and by much, masked, of any length, over-long ones too."""
    rng = np.random.default_rng(seed)
    spread = rng.choice([2.0, 20.0, 90.0], (rows, 1))
    logits = np.clip(np.rint(rng.normal(0, spread, (rows, row))), -128, 127).astype(np.int64)
    live = rng.random((rows, row)) < rng.choice([0.1, 0.9, 1.0], (rows, 1))
    return {
        "logits": logits,
        "mask": live,
        "lengths": rng.integers(1, row + 1, rows),
        "overlong": True,
    }


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_codes_references_and_results(stall: float) -> None:
    given = stimulus(1)
    logits = given.pop("logits")
    found = simulate(logits, CODES, stall=stall, seed=5, **given)
    np.testing.assert_array_equal(found.codes, golden(logits, CODES, **given))
    assert found.results is not None
    assert found.results.differing(golden_results(logits, CODES, **given)) == 0
    assert found.references is not None
    np.testing.assert_array_equal(found.references, golden_references(logits, CODES, **given))
    assert found.references.shape == (60, 20)
    np.testing.assert_array_equal(found.row_errors, given["lengths"] > CODES.max_row)


def test_a_beat_leaves_as_soon_as_it_is_coded() -> None:
    """Whatever the row's length, and without what the row holds later."""
    latency = emit_verilog(CODES).manifest["latency"]
    assert latency == {"cycles": 12, "counted_from": "each beat"}
    for elements in (1, 4, 48):
        found = simulate(np.zeros((1, elements), np.int64), CODES)
        assert found.latency.max == latency["cycles"]
        assert found.row_cycles.max == latency["cycles"] + -(-elements // CODES.lanes)
    results = emit_verilog(CODES).manifest["row_results"]["latency"]
    assert found.results_latency is not None
    assert found.results_latency.max == results


def test_codes_with_references_and_results_make_the_softmax() -> None:
    """As a consumer puts them together."""
    logits = stimulus(2)["logits"][:, :48]
    assert isinstance(CODES.kernel, Baps)
    values = CODES.kernel.values(quantize(logits, CODES))
    references = np.repeat(beat_references(logits, CODES), CODES.lanes, axis=-1)
    results = row_results(logits, CODES)
    sums = np.ldexp(results.sum.astype(float), -CODES.sum_frac)
    found = np.ldexp(values, references - results.maximum[:, None]) / sums[:, None]
    real = logits * float(CODES.logit_scale)
    exact = np.exp(real - real.max(axis=-1, keepdims=True))
    exact /= exact.sum(axis=-1, keepdims=True)
    assert abs(found - exact).max() < 0.04
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=0.002)


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel": "baps", "prob_bits": 8, "probability_format": "float"},
        {"kernel": "multiply", "window": True},
        {"kernel": "softermax", "window": True},
    ],
    ids=["baps", "multiply", "softermax"],
)
def test_probabilities(settings: dict[str, Any]) -> None:
    config = SoftmaxConfig(**settings, lanes=3, max_row=48)
    given = stimulus(3)
    logits = given.pop("logits")
    found = simulate(logits, config, stall=0.3, **given)
    np.testing.assert_array_equal(found.probabilities, golden(logits, config, **given))
    alone = simulate(logits[:1, :48], config)
    np.testing.assert_array_equal(alone.probabilities, softmax(logits[:1, :48], config))
    assert alone.latency.max == emit_verilog(config).manifest["latency"]["cycles"]
