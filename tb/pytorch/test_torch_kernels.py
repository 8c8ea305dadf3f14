"""Kernels beside EXAQ in PyTorch: the probabilities of the golden model on the same logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch_models import MODELS

import exaq
import exaq.torch

KERNELS: dict[str, dict[str, Any]] = {
    "baps": {"kernel": "baps", "lanes": 2},
    "baps of eight bits": {"kernel": "baps", "prob_bits": 8, "probability_format": "float"},
    "multiply": {"kernel": "multiply"},
    "softermax": {"kernel": "softermax"},
    "shift": {"kernel": "shift"},
    "lut": {"kernel": "lut"},
}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_probabilities_are_those_of_the_golden_model(name: str, dtype: torch.dtype) -> None:
    config = exaq.SoftmaxConfig(**KERNELS[name], max_row=64)
    generator = torch.Generator().manual_seed(3)
    scores = (3 * torch.randn(4, 3, 20, generator=generator)).to(dtype)
    live = torch.rand(4, 3, 20, generator=generator) < 0.8
    live[1, 2] = False
    found = exaq.torch.softmax(scores.masked_fill(~live, -torch.inf), config)
    logits = exaq.logits_to_integers(scores.double().numpy(), config)
    expected = exaq.probabilities_to_float(exaq.softmax(logits, config, live.numpy()), config)
    assert found.dtype == dtype
    assert torch.equal(found, torch.from_numpy(expected).to(dtype))
    steps = exaq.torch.softmax(torch.from_numpy(logits), config, live)
    np.testing.assert_array_equal(steps.numpy(), expected.astype(np.float32))


def test_what_another_kernel_has_not_is_refused() -> None:
    config = exaq.SoftmaxConfig(kernel="multiply", max_row=64)
    scores = torch.zeros(2, 8)
    with pytest.raises(ValueError, match="the kernel multiply takes no sinks"):
        exaq.torch.softmax(scores, config, sink=torch.zeros(2))
    with pytest.raises(ValueError, match="without contexts takes no contexts"):
        exaq.torch.softmax(scores, config, contexts=0)
    with pytest.raises(ValueError, match=r"a row must have 1\.\.64 elements, not 68"):
        exaq.torch.softmax(torch.zeros(2, 68), config)


def test_a_model_runs_another_kernel() -> None:
    """Near its own float softmax, and not that."""
    model = MODELS["bert"]()
    model.set_attn_implementation("exaq")
    tokens = torch.arange(12)[None]
    with torch.no_grad():
        exact = model(tokens).last_hidden_state
        exaq.torch.set_tables(model, exaq.SoftmaxConfig(kernel="multiply", logit_width=12))
        found = model(tokens).last_hidden_state
    assert not torch.equal(found, exact)
    assert torch.nn.functional.cosine_similarity(found, exact, dim=-1).min() > 0.999
