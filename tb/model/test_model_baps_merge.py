"""Parts of a row, each with a reference of its own, and the row that they make."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import exaq
from exaq import WEIGHT_FRAC, SoftmaxConfig


@pytest.mark.parametrize("step", [1, 8])
def test_parts_make_the_row(step: int) -> None:
    config = SoftmaxConfig(
        kernel="baps", output="codes", row_results="sum", reference_step=step, logit_width=12,
        logit_scale=2**-6,
    )  # fmt: skip
    rng = np.random.default_rng(step)
    spread = rng.choice([1.0, 30.0, 600.0], (40, 1))
    rows = np.clip(np.rint(rng.normal(0, spread, (40, 96))), -2048, 2047).astype(np.int64)
    live = rng.random(rows.shape) < 0.9
    live[:3, :32] = False
    cuts = [0, 32, 52, 96]
    parts = [
        exaq.row_results(rows[:, low:high], config, live[:, low:high])
        for low, high in pairwise(cuts)
    ]
    merged = exaq.merge(parts, config)
    whole = exaq.row_results(rows, config, live)
    np.testing.assert_array_equal(merged.maximum, whole.maximum)
    # Exactly the parts' sums, moved by whole octaves as far as the weights' digits reach.
    for part, weights in zip(parts, merged.weights, strict=True):
        for below, weight in zip((merged.maximum - part.maximum).tolist(), weights, strict=True):
            assert weight == (1 << WEIGHT_FRAC) >> below
    sums = sum(w * p.sum.astype(object) for w, p in zip(merged.weights, parts, strict=True))
    assert (merged.sum == sums).all()
    # The row itself cuts off each exponential, and its sum at each rise.
    near = merged.sum / 2.0**WEIGHT_FRAC
    assert (abs(near - whole.sum) <= 96 + config.max_row // config.lanes).all()
    real = np.where(live, rows * float(config.logit_scale), -np.inf)
    exact = np.log(np.exp(real - real.max(-1, keepdims=True)).sum(-1)) + real.max(-1)
    for found in (merged.log_sum_exp(config), whole.log_sum_exp(config)):
        np.testing.assert_allclose(found, exact, atol=0.1)
    with pytest.raises(TypeError, match="the kernel baps has no table of probabilities"):
        merged.tables(config)
