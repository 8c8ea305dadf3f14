"""Codes, row results, sinks, windows, mask values and floating-point logits in one unit: what each
does alone, others test.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import exaq
from exaq import SoftmaxConfig, Tables
from exaq_cosim import golden, golden_results, simulate

TABLES = (
    Tables(thresholds=(-40, -20, -3), exp_rom=(3, 300, 17, 8000), sink=-100),
    Tables(thresholds=(-100, -50, -9), exp_rom=(1, 1, 2, 9000)),
)
CONFIGS: dict[str, dict[str, Any]] = {
    "codes, sums, a sink": {"output": "codes", "row_results": "sum", "sink": 30},
    "codes, tables, sinks": {
        "output": "codes", "sink": 5, "contexts": 2, "context_tables": TABLES, "lanes": 2,
    },
    "codes, sums, sinks, windows": {
        "output": "codes", "row_results": "sum", "sink": 5, "contexts": 2,
        "context_tables": TABLES, "window": True,
    },
    "results, a sink, windows, the lowest masks": {
        "row_results": "table", "sink": 100, "window": True, "mask_value": "lowest",
        "masking": False, "lanes": 3, "max_row": 42,
    },
    "results, sinks, windows": {
        "row_results": "table", "sink": -120, "contexts": 2, "context_tables": TABLES,
        "window": True,
    },
    "fp16, windows, codes": {"logit_format": "fp16", "window": True, "output": "codes", "bits": 4},
    "bf16, windows alone, results": {
        "logit_format": "bf16", "window": True, "masking": False, "row_results": "table",
        "contexts": 3, "lanes": 3, "max_row": 42,
    },
    "fp16, sinks, windows, codes": {
        "logit_format": "fp16", "sink": 0.5, "contexts": 2, "context_tables": TABLES,
        "window": True, "output": "codes",
    },
    "bf16, a sink, windows, results": {
        "logit_format": "bf16", "sink": -1.0, "window": True, "masking": False,
        "row_results": "table", "bits": 3,
    },
    "5 bits, a sink, results": {"bits": 5, "sink": 3, "row_results": "table"},
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_against_the_golden_model(name: str) -> None:
    settings: dict[str, Any] = {"max_row": 40, **CONFIGS[name]}
    config = SoftmaxConfig(**settings)
    rng = np.random.default_rng(len(name))
    count, row = 80, config.max_row + 5
    low, high = config.logit_range
    logits: Any = rng.integers(low, high, (count, row), endpoint=True)
    if config.logit_format != "integer":
        logits = exaq.round_logits(rng.normal(0, 3, (count, row)), config)
        logits[rng.random(logits.shape) < 0.03] = -np.inf
        logits[rng.random(logits.shape) < 0.003] = np.nan
    given: dict[str, Any] = {
        "lengths": rng.integers(1, row + 1, count),
        "mask": rng.random(logits.shape) < rng.choice([0, 0.5, 0.9, 1], (count, 1)),
        "window": tuple(rng.integers(0, row + 1, (2, count))),
        "contexts": rng.integers(0, config.contexts, count) if config.contexts else None,
        "overlong": True,
    }
    result = simulate(logits, config, stall=0.3, seed=3, **given)
    np.testing.assert_array_equal(result.given, golden(logits, config, **given))
    if config.row_results == "none":
        return
    assert result.results is not None
    expected = golden_results(logits, config, **given)
    np.testing.assert_array_equal(result.results.maximum, expected.maximum)
    np.testing.assert_array_equal(result.results.sum, expected.sum)
    if expected.table is not None and result.results.table is not None:
        np.testing.assert_array_equal(result.results.table, expected.table)
    assert (result.results.table is None) == (config.row_results != "table")
