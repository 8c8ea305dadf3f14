"""The attention function inside models of Transformers: tiny ones, with random weights."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_models import BATCH, LAYERS, MODELS, PADDING, TOKENS, run
from transformers import BertConfig, BertModel, PreTrainedModel

import exaq
import exaq.torch

FINE: dict[str, Any] = {"logit_width": 16, "logit_scale": 2.0**-8}


def recorded(model: PreTrainedModel, mask: Tensor | None) -> list[NDArray[np.float32]]:
    """Attention logits (batch, heads, queries, keys) of each layer, from its own "eager" pass.

    The softmax is caught as "eager" calls it; masked elements are at the lowest value.
    """
    seen: list[NDArray[np.float32]] = []
    plain = torch.nn.functional.softmax

    def catch(scores: Tensor, *args: Any, **options: Any) -> Tensor:
        seen.append(scores.detach().numpy())
        return plain(scores, *args, **options)

    model = copy.deepcopy(model)
    model.set_attn_implementation("eager")
    with mock.patch.object(torch.nn.functional, "softmax", catch):
        run(model, mask)
    assert len(seen) == LAYERS
    return seen


@pytest.mark.parametrize("mask", PADDING.values(), ids=PADDING)
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_float_softmax_is_eager_attention(
    make: Callable[[], PreTrainedModel], mask: Tensor | None
) -> None:
    model = make()
    model.set_attn_implementation("eager")
    eager = run(model, mask)
    exaq.torch.set_tables(model, None)
    assert model.config._attn_implementation == "exaq"
    ours = run(model, mask)
    assert torch.equal(ours[0], eager[0])
    assert len(ours.attentions) == LAYERS
    for got, want in zip(ours.attentions, eager.attentions, strict=True):
        assert torch.equal(got, want)


@pytest.mark.parametrize("mask", PADDING.values(), ids=PADDING)
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_first_layer_has_the_probabilities_of_the_golden_model(
    make: Callable[[], PreTrainedModel], mask: Tensor | None
) -> None:
    model = make()
    scores = recorded(model, mask)[0]
    config = exaq.SoftmaxConfig(bits=3, clip=-2.0, prob_bits=12, **FINE)
    exaq.torch.set_tables(model, config)
    got = run(model, mask).attentions[0].numpy()
    live = scores > -1e30
    integers = exaq.logits_to_integers(np.where(live, scores, 0), config)
    np.testing.assert_array_equal(got * 2**12, exaq.softmax(integers, config, live))


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_output_is_that_of_a_forward_pass_with_the_softmax_replaced(
    make: Callable[[], PreTrainedModel],
) -> None:
    """ "eager" with its softmax replaced by the golden model gives the same hidden states."""
    model = make()
    config = exaq.SoftmaxConfig(bits=2, clip=-1.0, **FINE)
    mask = PADDING["right"]

    def golden(scores: Tensor, *args: Any, **options: Any) -> Tensor:
        real = scores.detach().numpy()
        live = real > -1e30
        integers = exaq.logits_to_integers(np.where(live, real, 0), config)
        return torch.from_numpy(np.float32(exaq.softmax(integers, config, live) / 2**16))

    model.set_attn_implementation("eager")
    exact = run(model, mask)[0]
    with mock.patch.object(torch.nn.functional, "softmax", golden):
        want = run(model, mask)[0]
    exaq.torch.set_tables(model, config)
    got = run(model, mask)[0]
    assert torch.equal(got, want)
    assert not torch.allclose(got, exact, atol=1e-5)
    exaq.torch.set_tables(model, None)
    assert torch.equal(run(model, mask)[0], exact)


def sets_of(places: list[tuple[int | None, int | None]]) -> exaq.TableFile:
    """A file with a set, unlike the others, for each (layer, head)."""
    return exaq.TableFile(
        bits=2,
        exp_frac=13,
        logit_width=16,
        logit_scale=2.0**-8,
        sets=tuple(
            exaq.TableSet(
                name=f"set{number}",
                layer=layer,
                head=head,
                tables=exaq.Tables.from_clip(
                    -0.5 - number, bits=2, logit_scale=2.0**-8, exp_frac=13
                ),
            )
            for number, (layer, head) in enumerate(places)
        ),
    )


@pytest.mark.parametrize(
    "places",
    [
        [(None, None)],
        [(layer, None) for layer in range(LAYERS)],
        [(layer, head) for layer in range(LAYERS) for head in range(4)],
        [(None, head) for head in range(4)],
        [(0, 2), (0, None), (None, 3), (None, None)],
    ],
    ids=["all", "layer", "head", "head of every layer", "mixed"],
)
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_file_gives_each_layer_and_head_its_set(
    make: Callable[[], PreTrainedModel], places: list[tuple[int | None, int | None]]
) -> None:
    model, file = make(), sets_of(places)
    exaq.torch.set_tables(model, file, prob_bits=14)
    with exaq.torch.record(model) as recording:
        attentions = run(model, None).attentions
    for layer, weights in enumerate(attentions):
        (scores,) = recording.layers[layer]
        for head in range(4):
            config = file.config(file.of(layer, head).name, prob_bits=14)
            rows = scores[head].reshape(BATCH, TOKENS, TOKENS)
            live = np.isfinite(rows)
            integers = exaq.logits_to_integers(np.where(live, rows, 0), config)
            want = exaq.softmax(integers, config, live)
            np.testing.assert_array_equal(weights[:, head].numpy() * 2**14, want)


def test_file_must_fit_the_model() -> None:
    model = MODELS["bert"]()
    exaq.torch.set_tables(model, None)
    before = run(model, None)[0]
    cases: list[tuple[list[tuple[int | None, int | None]], str]] = [
        ([(0, None), (1, 0)], "there are no tables for layer 1, head 1"),
        ([(None, 0)], "there are no tables for layer 0, head 1"),
        ([(None, None), (2, None)], "set 'set1' is for layer 2, but the model has layers 0..1"),
        ([(None, None), (0, 4)], "set 'set1' is for head 4, but the layer has heads 0..3"),
        ([(None, None), (None, 4)], "set 'set1' is for head 4, but the layer has heads 0..3"),
    ]
    for places, expected in cases:
        with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
            exaq.torch.set_tables(model, sets_of(places))
    assert torch.equal(run(model, None)[0], before)


def test_layer_without_tables_is_refused_when_it_runs() -> None:
    model = MODELS["bert"]()
    exaq.torch.set_tables(model, sets_of([(0, None)]))
    with pytest.raises(ValueError, match=r"^there are no tables for layer 1, head 0$"):
        run(model, None)


def test_model_without_attention_is_refused() -> None:
    expected = "Linear has no attention layer that an implementation can be set for"
    with pytest.raises(ValueError, match=f"^{expected}$"):
        exaq.torch.attention_layers(torch.nn.Linear(2, 2))


def test_layers_count_from_the_first() -> None:
    model = MODELS["llama"]()
    layers = exaq.torch.attention_layers(model)
    assert layers == [layer.self_attn for layer in model.model.layers]


class Layer(torch.nn.Module):
    """Stands for an attention layer in calls of the function itself."""


def call(mask: Tensor | None, **options: Any) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    query, key, value = (torch.randn(2, 4, 6, 8, generator=generator) for _ in range(3))
    return exaq.torch.attention(Layer(), query, key, value, mask, **options)


def test_boolean_and_added_masks_are_the_same() -> None:
    live = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(1)) < 0.6
    live[..., 0] = True
    added = torch.where(live, 0.0, torch.finfo().min)
    for got, want in zip(call(live), call(added), strict=True):
        torch.testing.assert_close(got, want)
    weights = call(live)[1]
    assert torch.equal(weights > 0, live.expand(weights.shape))


def test_scale_limit_and_bias_of_scores() -> None:
    generator = torch.Generator().manual_seed(5)
    query, key, _ = (torch.randn(2, 4, 6, 8, generator=generator) for _ in range(3))
    scores = torch.einsum("bhqd,bhkd->bhqk", query, key)
    bias = torch.randn(1, 4, 6, 6)
    torch.testing.assert_close(call(None)[1], (scores / 8**0.5).softmax(-1))
    torch.testing.assert_close(call(None, scaling=0.3)[1], (scores * 0.3).softmax(-1))
    torch.testing.assert_close(
        call(None, scaling=1.0, softcap=2.0)[1], (2 * torch.tanh(scores / 2)).softmax(-1)
    )
    torch.testing.assert_close(
        call(None, scaling=1.0, position_bias=bias)[1], (scores + bias).softmax(-1)
    )


def test_probabilities_are_dropped_in_training_only() -> None:
    config = BertConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.5,
    )
    model = BertModel(config)
    exaq.torch.set_tables(model, exaq.SoftmaxConfig(clip=-1.0))
    shares = []
    for training in (False, True):
        (weights,) = run(model.train(training), None).attentions
        shares.append(float((weights == 0).float().mean()))
    assert shares[0] == 0
    assert 0.3 < shares[1] < 0.7
