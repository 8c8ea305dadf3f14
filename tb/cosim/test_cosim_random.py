"""Random configurations, free tables among them, on random rows: every bit and error flag.

``EXAQ_RANDOM_CONFIGS=200 pytest tb/cosim/test_cosim_random.py`` tries more of them.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from exaq import SoftmaxConfig, Tables
from exaq.kernels.exaq import P_TABLES
from exaq_cosim import golden, simulate

COUNT = int(os.environ.get("EXAQ_RANDOM_CONFIGS", "8"))
LONGEST_STREAMED = 4000


def random_config(rng: np.random.Generator) -> SoftmaxConfig:
    """Any legal shape, small ones more often; tables of a clip, or free ones."""
    bits = int(rng.choice([2, 3, 4, 5, 6]))
    group = int(rng.integers(1, 12 // bits + 1))
    lanes = group * int(rng.integers(1, min(64 // group, int(rng.choice([1, 4, 16]))) + 1))
    beats = min(int(rng.choice([1, 2, 3, 8, 17, 130, 600])), 65536 // lanes)
    width = int(rng.choice([4, 5, 8, 12, 16, 24]))
    exp_frac = int(rng.integers(4, 17))
    levels = 2**bits
    chosen: dict[str, Any] = {}
    if rng.random() < 0.5:
        span = int(rng.choice([3, 20, 2 ** (width - 1), 2 ** (width + 1)]))
        exp_rom = rng.integers(0, 2 ** (exp_frac + 1), levels)
        exp_rom[-1] = max(1, exp_rom[-1])
        thresholds = np.sort(-rng.integers(0, span + 1, levels - 1))
        chosen["tables"] = Tables(
            thresholds=tuple(thresholds.tolist()), exp_rom=tuple(exp_rom.tolist())
        )
    else:
        chosen["clip"] = -float(rng.choice([0.01, 1, 3, 5, 8, 20]))
        chosen["logit_scale"] = float(rng.choice([1.0, 0.1, 0.0625, 2.0**-10]))
    if rng.random() < 0.6:
        chosen["full_rate_row"] = int(rng.integers(2, 42)) * levels * lanes
    return SoftmaxConfig(
        bits=bits,
        group=group,
        lanes=lanes,
        logit_width=width,
        max_row=lanes * beats,
        prob_bits=int(rng.integers(4, 25)),
        exp_frac=exp_frac,
        masking=bool(rng.random() < 0.7),
        p_table=str(rng.choice(P_TABLES)),
        **chosen,
    )


def random_rows(
    config: SoftmaxConfig, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_] | None]:
    """Logits wide apart or close together, lengths up to beyond max_row, masks of any density."""
    low, high = config.logit_range
    row = min(2 * config.max_row + 3, LONGEST_STREAMED)
    rows = max(30, min(400, 60000 // row))
    centre = rng.integers(low, high + 1, (rows, 1))
    spread = rng.choice([1, 4, 30, 2**config.logit_width], size=(rows, 1))
    logits = np.clip(centre + rng.integers(-spread, spread + 1, (rows, row)), low, high)
    marks = [1, 2, config.lanes, config.max_row, config.max_row + 1, row]
    lengths = np.minimum(rng.choice(marks, size=rows), row)
    anywhere = rng.integers(1, min(row, config.max_row) + 1, rows)
    lengths = np.where(rng.random(rows) < 0.5, anywhere, lengths)
    density = rng.choice([0, 0.05, 0.5, 0.95, 1], size=(rows, 1))
    return logits, lengths, rng.random((rows, row)) < density if config.masking else None


@pytest.mark.simulator
@pytest.mark.parametrize("seed", range(COUNT))
def test_random_configuration(seed: int) -> None:
    rng = np.random.default_rng([17, seed])
    config = random_config(rng)
    logits, lengths, mask = random_rows(config, rng)
    expected = golden(logits, config, mask=mask, lengths=lengths, overlong=True)
    for stall in (0, float(rng.choice([0.1, 0.5, 0.9]))):
        result = simulate(
            logits, config, mask=mask, lengths=lengths, stall=stall, seed=seed, overlong=True
        )
        np.testing.assert_array_equal(result.probabilities, expected, err_msg=f"{config}")
        np.testing.assert_array_equal(result.row_errors, lengths > config.max_row)
