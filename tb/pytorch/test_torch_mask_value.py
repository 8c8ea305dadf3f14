"""The mask value in PyTorch: the same elements are masked as in the unit, and no real score is."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

import exaq
import exaq.torch

CONFIG = exaq.SoftmaxConfig(bits=3, logit_width=5, logit_scale=0.5, mask_value="lowest")


def golden(logits: Any, mask: Any = None, **options: Any) -> Any:
    found = exaq.softmax(logits, CONFIG, mask, **options)
    return exaq.probabilities_to_float(found, CONFIG)


def test_integers_that_are_the_mask_value_are_masked() -> None:
    rng = np.random.default_rng(1)
    logits = rng.integers(-16, 16, (40, 3, 9))
    logits[rng.random(logits.shape) < 0.3] = -16
    logits[0] = -16
    mask = rng.random(logits.shape) < 0.8
    for given in (None, mask):
        live = None if given is None else torch.from_numpy(given)
        got = exaq.torch.softmax(torch.from_numpy(logits), CONFIG, live).numpy()
        np.testing.assert_array_equal(got, golden(logits, given))
        assert not got[logits == -16].any()
    # With the lowest logit as one that takes part, it would get something.
    plain = exaq.torch.softmax(torch.from_numpy(logits), CONFIG.replace(mask_value="none"))
    assert plain.numpy()[logits == -16].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_real_scores_saturate_above_it(dtype: torch.dtype) -> None:
    rng = np.random.default_rng(2)
    real = rng.normal(0, 7, (30, 8)).astype(np.float32)
    real[:, 0] = -30
    live = rng.random(real.shape) < 0.7
    live[:, 0] = True
    got = exaq.torch.softmax(torch.from_numpy(real).to(dtype), CONFIG, torch.from_numpy(live))
    integers = exaq.logits_to_integers(real, CONFIG, live)
    assert (integers[:, 0] == -15).all()
    np.testing.assert_array_equal(got.numpy(), golden(integers))
    assert got[:, 0].numpy().all()


def test_sinks_are_no_mask_value() -> None:
    scores = torch.tensor([[1, 2, -16]])
    got = exaq.torch.softmax(scores, CONFIG, sink=torch.tensor([-15]))
    np.testing.assert_array_equal(got.numpy(), golden(scores.numpy(), sink=-15))
    with pytest.raises(ValueError, match=f"^{re.escape('sink must be in -15..15, not -16')}$"):
        exaq.torch.softmax(scores, CONFIG, sink=torch.tensor([-16]))
    low = exaq.torch.softmax(scores.double(), CONFIG, sink=torch.tensor([-1e4]).double())
    np.testing.assert_array_equal(low.numpy(), golden([[2, 4, -15]], sink=-15))


def test_windows_are_a_matter_of_hardware() -> None:
    scores = torch.arange(6).reshape(2, 3)
    plain = exaq.torch.softmax(scores, CONFIG)
    assert torch.equal(exaq.torch.softmax(scores, CONFIG.replace(window=True)), plain)
