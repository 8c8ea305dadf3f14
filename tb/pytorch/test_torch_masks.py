"""Finite numbers that mask, in whichever argument a model adds them: no probability with tables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_models import MODELS, run
from torch_zoo import tiny
from transformers import SwinConfig, SwinModel, T5Config, T5EncoderModel

import exaq
import exaq.torch

CONFIG = exaq.SoftmaxConfig(bits=2, clip=-4.0, logit_width=16, logit_scale=2.0**-8)
TOKENS, KNOWN = 32, 20


@pytest.mark.parametrize("lowest", [-math.inf, -1e9, -1e4, False], ids=str)
@pytest.mark.parametrize("tables", [None, CONFIG], ids=["float", "tables"])
def test_the_past_does_not_see_the_future(
    lowest: float | bool, tables: exaq.SoftmaxConfig | None
) -> None:
    model = MODELS["llama"]()
    mask = torch.ones(1, 1, TOKENS, TOKENS, dtype=torch.bool).tril()
    if lowest is not False:
        mask = torch.where(mask, 0.0, lowest)
    tokens = torch.randint(3, 50, (1, TOKENS), generator=torch.Generator().manual_seed(1))
    other = tokens.clone()
    other[:, KNOWN:] = 7
    exaq.torch.set_tables(model, tables)
    with torch.no_grad():
        one, two = (model(each, attention_mask=mask).logits for each in (tokens, other))
    assert torch.equal(one[:, :KNOWN], two[:, :KNOWN])
    assert not torch.equal(one[:, KNOWN:], two[:, KNOWN:])


@pytest.mark.parametrize("kind", ["bert", "markuplm"])
def test_padded_keys_get_nothing(kind: str) -> None:
    model = MODELS["bert"]() if kind == "bert" else tiny(kind)
    tokens = torch.randint(3, 50, (1, TOKENS), generator=torch.Generator().manual_seed(1))
    mask = torch.ones(1, TOKENS, dtype=torch.long)
    mask[:, KNOWN:] = 0
    exaq.torch.set_tables(model, CONFIG)
    with torch.no_grad():
        attentions = model(tokens, attention_mask=mask, output_attentions=True).attentions
    assert len(attentions) == 2
    for weights in attentions:
        assert weights[..., KNOWN:].count_nonzero() == 0
        assert weights[..., :KNOWN].sum(dim=-1).min() > 0.9


def test_relative_positions_are_no_mask_beside_one() -> None:
    """T5 hands its biases over apart from the mask."""
    config = T5Config(vocab_size=96, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    model = T5EncoderModel(config).eval()
    tokens = torch.randint(3, 90, (1, TOKENS), generator=torch.Generator().manual_seed(1))
    mask = torch.ones(1, TOKENS, dtype=torch.long)
    mask[:, KNOWN:] = 0
    exaq.torch.set_tables(model, CONFIG)
    with torch.no_grad(), exaq.torch.record(model) as recording:
        attentions = model(tokens, attention_mask=mask, output_attentions=True).attentions
    for weights, (rows,) in zip(attentions, recording.layers, strict=True):
        assert weights[..., KNOWN:].count_nonzero() == 0
        live = np.isfinite(rows)
        assert live.shape == (4, KNOWN, TOKENS)
        assert live[..., :KNOWN].all()
        assert not live[..., KNOWN:].any()


def test_shifted_windows_do_not_mix() -> None:
    """Swin adds -100 to its biases where two patches are neighbours by the shift alone."""
    config = SwinConfig(
        image_size=32, patch_size=4, embed_dim=16, depths=[2], num_heads=[2], window_size=4
    )
    model = SwinModel(config).eval()
    image = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    model.set_attn_implementation("eager")
    with torch.no_grad():
        exact = model(image, output_attentions=True).attentions[0]
    layers = exaq.torch.attention_layers(model)
    exaq.torch.set_tables(model, CONFIG)
    shares: list[Tensor] = []
    hook = layers[1].register_forward_hook(lambda _, __, result: shares.append(result[1]))
    with torch.no_grad(), exaq.torch.record(model) as recording:
        model(image, output_attentions=True)
    hook.remove()
    assert exact.shape == (4, 2, 16, 16)
    (weights,) = shares
    # Windows, then patches: the last window in a direction holds patches of both sides of it.
    place = torch.arange(8)
    sides = torch.where(place < 4, 0, torch.where(place < 6, 1, 2))
    area = (3 * sides[:, None] + sides).reshape(2, 4, 2, 4).transpose(1, 2).reshape(4, 16)
    apart = area[:, :, None] != area[:, None, :]
    assert weights.movedim(1, 0)[:, apart].count_nonzero() == 0
    live = np.isfinite(recording.layers[1][0]).reshape(2, 4, 16, 16)
    np.testing.assert_array_equal(live, np.broadcast_to(~apart.numpy(), live.shape))
    assert np.isfinite(recording.layers[0][0]).all()


class Layer(torch.nn.Module):
    """Stands for an attention layer in calls of the function itself."""


@pytest.mark.parametrize("name", ["attention_mask", "position_bias"])
def test_linear_biases_stay_biases(name: str) -> None:
    """Those of ALiBi fall by a step a key, to far below where a float softmax has nothing."""
    keys = 400
    generator = torch.Generator().manual_seed(5)
    query, value = (torch.randn(1, 2, 3, 8, generator=generator) for _ in range(2))
    key = torch.randn(1, 2, keys, 8, generator=generator)
    value = torch.randn(1, 2, keys, 8, generator=generator)
    bias = torch.arange(1 - keys, 1.0) * torch.tensor([0.5, 1.0])[:, None, None]
    arguments: dict[str, Any] = {"attention_mask": None} | {name: bias[None]}
    lives: list[Tensor] = []
    layer = Layer()
    attached = exaq.torch.layers.attached(layer)
    attached.collect = lambda seen: lives.append(seen.live.expand(seen.scores.shape))
    exaq.torch.attention(layer, query, key, value, **arguments)
    (live,) = lives
    assert live.all()
    masked = bias[None].clone()
    masked[..., :10] -= 1e4
    exaq.torch.attention(layer, query, key, value, **(arguments | {name: masked}))
    assert not lives[1][..., :10].any()
    assert lives[1][..., 10:].all()


def test_masks_of_two_arguments_join() -> None:
    generator = torch.Generator().manual_seed(5)
    query, key, value = (torch.randn(1, 2, 4, 8, generator=generator) for _ in range(3))
    causal = torch.ones(4, 4, dtype=torch.bool).tril()
    first = torch.zeros(1, 1, 4, 4)
    first[..., 0] = -100.0
    lives: list[Tensor] = []
    layer = Layer()
    exaq.torch.layers.attached(layer).collect = lambda seen: lives.append(seen.live)
    exaq.torch.attention(layer, query, key, value, causal[None, None], position_bias=first)
    want = causal.clone()
    want[:, 0] = False
    assert torch.equal(lives[0][0, 0], want)


def test_rows_without_a_live_key_are_zeros() -> None:
    model = MODELS["gpt2"]()
    exaq.torch.set_tables(model, CONFIG)
    mask = torch.ones(3, 9, dtype=torch.long)
    mask[1, :3] = 0
    for weights in run(model, mask).attentions:
        assert weights[1, :, :3].count_nonzero() == 0
