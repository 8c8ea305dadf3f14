"""Attention sinks: logits that join maximum and sum of their rows and have no output."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch_zoo import inputs, outputs, tiny
from transformers import PreTrainedModel

import exaq
import exaq.torch

CONFIG = exaq.SoftmaxConfig(bits=3, clip=-4.0, prob_bits=12, logit_width=16, logit_scale=2.0**-8)


class Layer(nn.Module):
    """Stands for an attention layer in calls of the function itself."""


def with_sinks(kind: str) -> PreTrainedModel:
    """A model whose sinks are not zero, as they are made, but matter."""
    model = tiny(kind)
    generator = torch.Generator().manual_seed(11)
    for name, weights in model.named_parameters():
        if "sink" in name:
            weights.data = torch.randn(weights.shape, generator=generator) + 1
    return model


@pytest.mark.parametrize(
    "kind",
    ["gpt_oss", "inkling2_text", "deepseek_v4", "granite_swa", "mimo_v2_flash", "flint"],
)
def test_float_softmax_is_eager_attention(kind: str) -> None:
    model = with_sinks(kind)
    given = inputs(model)
    eager = outputs(model, given)
    exaq.torch.set_tables(model, None)
    for got, want in zip(outputs(model, given), eager, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-6)


def attentions(model: PreTrainedModel, tokens: Tensor) -> list[NDArray[np.float32]]:
    with torch.no_grad():
        return [layer.numpy() for layer in model(tokens, output_attentions=True).attentions]


def test_recorded_rows_end_in_the_sink() -> None:
    model = with_sinks("gpt_oss")
    tokens = torch.randint(3, 80, (2, 12), generator=torch.Generator().manual_seed(4))
    eager = attentions(model, tokens)
    with exaq.torch.record(model) as recording:
        model(tokens)
    layers = exaq.torch.attention_layers(model)
    for layer, (rows,), want in zip(layers, recording.layers, eager, strict=True):
        heads = want.shape[1]
        assert rows.shape == (heads, 24, 13)
        given: Any = layer.sinks
        np.testing.assert_array_equal(
            rows[..., -1], np.broadcast_to(given.detach().numpy()[:, None], (heads, 24))
        )
        exact = exaq.reference.softmax(rows, np.isfinite(rows))[..., :-1]
        np.testing.assert_allclose(
            exact.reshape(heads, 2, 12, 12).swapaxes(0, 1), want, rtol=1e-4, atol=1e-6
        )


def test_tables_give_the_probabilities_of_rows_with_one_more_element() -> None:
    """The golden model on rows that hold the sink as an element; its probability is dropped."""
    model = with_sinks("gpt_oss")
    tokens = torch.randint(3, 80, (2, 12), generator=torch.Generator().manual_seed(4))
    exaq.torch.set_tables(model, CONFIG)
    with exaq.torch.record(model) as recording:
        got = attentions(model, tokens)
    for (rows,), weights in zip(recording.layers, got, strict=True):
        live = np.isfinite(rows)
        integers = exaq.logits_to_integers(np.where(live, rows, 0), CONFIG)
        want = exaq.softmax(integers, CONFIG, live)[..., :-1]
        heads = len(rows)
        np.testing.assert_array_equal(weights.swapaxes(0, 1).reshape(heads, 24, 12) * 2**12, want)
        assert weights.sum(axis=-1).max() < 0.95


def test_recording_calibrates_tables_that_the_model_takes() -> None:
    model = with_sinks("gpt_oss")
    tokens = torch.randint(3, 80, (2, 12), generator=torch.Generator().manual_seed(4))
    eager = attentions(model, tokens)
    with exaq.torch.record(model) as recording:
        model(tokens)
    tables = exaq.calibrate(recording.layers, per="head", logit_width=16, logit_scale=2.0**-8)
    exaq.torch.set_tables(model, tables)
    for got, want in zip(attentions(model, tokens), eager, strict=True):
        assert np.abs(got - want).mean() < 0.05


@pytest.mark.parametrize("name", ["s_aux", "sinks"])
def test_shapes_of_sinks(name: str) -> None:
    generator = torch.Generator().manual_seed(5)
    query, key, value = (torch.randn(2, 4, 6, 8, generator=generator) for _ in range(3))
    sinks = torch.randn(4, generator=generator)

    def weights(shaped: Tensor) -> Tensor:
        given: dict[str, Any] = {name: shaped}
        return exaq.torch.attention(Layer(), query, key, value, None, **given)[1]

    each = [
        weights(shaped)
        for shaped in (
            sinks,
            sinks[:, None, None],
            sinks[None, :, None, None],
            sinks[None, :, None, None].expand(2, 4, 6, 1),
        )
    ]
    scores = query @ key.transpose(2, 3) * 8**-0.5
    odds = scores.exp()
    want = odds / (odds.sum(-1, keepdim=True) + sinks.exp()[:, None, None])
    for got in each:
        torch.testing.assert_close(got, want)
    expected = re.escape("sinks of shape (3,) do not fit scores of shape (2, 4, 6, 6)")
    with pytest.raises(ValueError, match=f"^{expected}$"):
        weights(torch.zeros(3))
