"""EXAQ without calibration: the clip of each call, from the authors' formulas in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_models import MODELS

import exaq
import exaq.torch

FORMAT = {"logit_width": 16, "logit_scale": 2.0**-8}
FITS = {2: (1.66, 1.85), 3: (1.75, 2.06), 4: (1.83, 2.27)}


def clip_of(scores: np.ndarray, live: np.ndarray, bits: int) -> float:
    """C of one call, its rows one after the other."""
    distances = []
    for row, alive in zip(scores.reshape(-1, scores.shape[-1]), live, strict=True):
        if alive.any():
            distances += list(row[alive] - row[alive].max())
    slope, constant = FITS[bits]
    return max(min(distances), -slope * float(np.std(distances, ddof=1)) - constant)


@pytest.mark.parametrize("bits", FITS)
@pytest.mark.parametrize("spread", [0.01, 1.0, 30.0])
def test_the_clip_is_of_all_distances_of_the_call(bits: int, spread: float) -> None:
    rng = np.random.default_rng(bits)
    scores = (rng.standard_normal((2, 3, 4, 9)) * spread).astype(np.float32)
    live = rng.random((2, 1, 4, 9)) < 0.7
    live[0, 0, 0] = False
    whole = np.broadcast_to(live, scores.shape).reshape(-1, 9)
    unit = exaq.torch.Uncalibrated(bits=bits, changes=FORMAT)
    found = unit.of(torch.from_numpy(scores), torch.from_numpy(live))
    assert found.clip is not None
    assert float(found.clip) == pytest.approx(clip_of(scores, whole, bits), rel=1e-6)
    assert (found.bits, found.logit_width) == (bits, 16)


@pytest.mark.parametrize("scores", [[[0.0, 0.0]], [[3.0]], [[-5.0, -5.0]]])
def test_equal_scores_have_a_clip_of_one_step(scores: list[list[float]]) -> None:
    given = torch.tensor(scores)
    found = exaq.torch.Uncalibrated(bits=2, changes=FORMAT).of(given, given == given)
    assert found.clip == -(2.0**-8)


def test_nothing_live_has_some_clip() -> None:
    given = torch.zeros(1, 3)
    found = exaq.torch.Uncalibrated(bits=2).of(given, torch.zeros(1, 3, dtype=torch.bool))
    assert found.clip is not None
    assert found.clip < 0


def test_a_model_has_another_clip_at_each_call() -> None:
    model = MODELS["llama"]()
    unit = exaq.torch.Uncalibrated(bits=2, changes=FORMAT)
    exaq.torch.set_tables(model, unit, prob_bits=20)
    ids = torch.randint(1, 50, (1, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), exaq.torch.record(model) as recording:
        weights = model(ids, output_attentions=True).attentions
    logits = recording.layers[0][0]
    live = np.isfinite(logits)
    config = unit.config(clip=clip_of(logits, live.reshape(-1, 12), 2), prob_bits=20)
    wanted = exaq.probabilities_to_float(
        exaq.softmax(exaq.logits_to_integers(np.where(live, logits, 0), config), config, mask=live),
        config,
    )
    np.testing.assert_array_equal(weights[0][0].numpy(), wanted.astype(np.float32))


def test_other_widths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^the paper's clip is for 2 to 4 bits, not for 5$"):
        exaq.torch.Uncalibrated(bits=5)
