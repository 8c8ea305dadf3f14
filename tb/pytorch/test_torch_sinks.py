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


OWN = exaq.Tables(thresholds=(-40, -20, -5), exp_rom=(3, 90, 2000, 8192), sink=-30)


def test_sinks_of_a_configuration_are_those_of_the_golden_model() -> None:
    config = exaq.SoftmaxConfig(
        contexts=2, sink=25, context_tables=(OWN, exaq.SoftmaxConfig().tables)
    )
    rng = np.random.default_rng(3)
    logits = rng.integers(-60, 60, (3, 2, 5, 17))
    mask = rng.random(logits.shape) < 0.6
    contexts = np.array([[0], [1]])
    got = exaq.torch.softmax(
        torch.tensor(logits), config, torch.tensor(mask), torch.tensor(contexts)
    )
    want = exaq.softmax(logits, config, mask, contexts)
    np.testing.assert_array_equal(got.numpy() * 2**16, want)
    assert (want != exaq.softmax(logits, config, mask, 1 - contexts)).any()
    one = exaq.SoftmaxConfig(sink=25)
    np.testing.assert_array_equal(
        exaq.torch.softmax(torch.tensor(logits), one).numpy() * 2**16, exaq.softmax(logits, one)
    )
    scores = torch.tensor(logits * 0.0625)
    assert torch.equal(
        exaq.torch.softmax(scores, one),
        exaq.torch.softmax(scores, exaq.SoftmaxConfig(), sink=25 * 0.0625),
    )
    expected = "^the configuration has a sink of its own, 25: give no other$"
    with pytest.raises(ValueError, match=expected):
        exaq.torch.softmax(torch.tensor(logits), one, sink=torch.tensor(1))


def test_attention_goes_by_sinks_of_tables_unless_the_model_has_its_own() -> None:
    generator = torch.Generator().manual_seed(5)
    query, key, value = (torch.randn(2, 4, 6, 8, generator=generator) for _ in range(3))
    plain = exaq.Tables(thresholds=OWN.thresholds, exp_rom=OWN.exp_rom)
    heads = [OWN, exaq.Tables(thresholds=(-9, -3, 0), exp_rom=(1, 5, 90, 8192), sink=60)]
    file = exaq.TableFile(
        bits=2,
        logit_width=8,
        logit_scale=0.0625,
        exp_frac=13,
        sets=tuple(
            exaq.TableSet(name=f"h{h}", tables=heads[h % 2], layer=0, head=h) for h in range(4)
        ),
    )
    layer = Layer()
    exaq.torch.layers.attached(layer).set(file, 0, {})
    weights = exaq.torch.attention(layer, query, key, value, None)[1]
    scores = query @ key.transpose(2, 3) * 8**-0.5
    for head in range(4):
        tables = heads[head % 2]
        config = exaq.SoftmaxConfig(
            tables=exaq.Tables(thresholds=tables.thresholds, exp_rom=tables.exp_rom)
        )
        joined = torch.nn.functional.pad(
            scores[:, head], (0, 1), value=float(tables.sink or 0) * 0.0625
        )
        integers = exaq.logits_to_integers(joined.numpy(), config)
        want = exaq.softmax(integers, config)[..., :-1]
        np.testing.assert_array_equal(weights[:, head].numpy() * 2**16, want)
    expected = re.escape(
        "Layer has attention sinks of its own, and its tables have the sink -30: give tables "
        "without a sink"
    )
    with pytest.raises(ValueError, match=f"^{expected}$"):
        exaq.torch.attention(layer, query, key, value, None, sinks=torch.zeros(4))
    # Heads without a sink beside others with one are refused, not given another head's.
    sets = (*file.sets[:3], exaq.TableSet(name="h3", tables=plain, layer=0, head=3))
    mixed = exaq.TableFile(bits=2, logit_width=8, logit_scale=0.0625, exp_frac=13, sets=sets)
    exaq.torch.layers.attached(layer).set(mixed, 0, {})
    expected = re.escape("set 'h3' has no sink, but others have: give it one by sink")
    with pytest.raises(ValueError, match=f"^{expected}$"):
        exaq.torch.attention(layer, query, key, value, None)
