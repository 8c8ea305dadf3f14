"""The default clip: the paper's up to 4 bits, and about the best on Gaussian rows at 5 and 6."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray

import exaq
from exaq.tables import DEFAULT_SIGMA, default_clip


def errors(exact: NDArray[np.float64], clip: float, bits: int) -> tuple[float, float]:
    """Divergence from the exact rows, in nats, and square error over the rows' square."""
    config = exaq.SoftmaxConfig(bits=bits, clip=clip)
    logits = exaq.logits_to_integers(np.log(exact), config.replace(logit_width=16))
    # Of the exact row only distances count; those beyond the unit's range are far below its step.
    near = np.maximum(logits - logits.max(axis=-1, keepdims=True) + 127, -128)
    got = exaq.probabilities_to_float(exaq.softmax(near, config), config)
    divergence = (exact * np.log(exact / np.maximum(got, 2.0**-17))).sum(axis=-1)
    square = ((got - exact) ** 2).sum(axis=-1) / (exact**2).sum(axis=-1)
    return float(divergence.mean()), float(square.mean())


@pytest.mark.parametrize(("bits", "expected"), [(5, -9.0), (6, -10.0)])
def test_wide_clips_are_about_the_best_by_both_errors(bits: int, expected: float) -> None:
    rows = np.random.default_rng(0).normal(0, DEFAULT_SIGMA, (400, 1024))
    weights = np.exp(rows - rows.max(axis=-1, keepdims=True))
    exact = weights / weights.sum(axis=-1, keepdims=True)
    swept = [errors(exact, clip, bits) for clip in np.arange(-13, -6, 0.25)]
    mine = errors(exact, default_clip(bits), bits)
    assert default_clip(bits) == expected
    for kind in range(2):
        least = min(each[kind] for each in swept)
        assert mine[kind] < 1.25 * least
        # And a clip that is 3 away is no match by either.
        for away in (-3, 3):
            assert errors(exact, expected + away, bits)[kind] > 1.3 * mine[kind]


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_narrow_clips_are_the_papers(bits: int) -> None:
    assert default_clip(bits) == exaq.paper_clip(2.0, bits)
    assert exaq.SoftmaxConfig(bits=bits).clip == default_clip(bits)


@pytest.mark.parametrize("bits", [5, 6])
def test_the_paper_has_no_clip_for_wide_codes(bits: int) -> None:
    message = f"the paper has a clip for 2 to 4 bits, not for {bits}: give clip or tables"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        exaq.paper_clip(2.0, bits)
    assert exaq.SoftmaxConfig(bits=bits).clip == default_clip(bits)
