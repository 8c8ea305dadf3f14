"""What the recorder collects, against the attention that "eager" reports."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_models import BATCH, HEADS, LAYERS, MODELS, PADDING, TOKENS, run
from transformers import DynamicCache, PreTrainedModel

import exaq
import exaq.torch


def eager_attentions(model: PreTrainedModel, mask: Tensor | None) -> list[NDArray[np.float64]]:
    """Probabilities (heads, rows, keys) of each layer, rows of padding queries left out."""
    model.set_attn_implementation("eager")
    live = np.ones((BATCH, TOKENS), dtype=bool) if mask is None else mask.bool().numpy()
    return [
        np.concatenate(
            [weights[text][:, live[text]] for text in range(BATCH)], axis=1, dtype=np.float64
        )
        for weights in (layer.numpy() for layer in run(model, mask).attentions)
    ]


@pytest.mark.parametrize("mask", PADDING.values(), ids=PADDING)
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_softmax_of_what_is_recorded_is_eager_attention(
    make: Callable[[], PreTrainedModel], mask: Tensor | None
) -> None:
    model = make()
    want = eager_attentions(model, mask)
    with exaq.torch.record(model) as recording:
        run(model, mask)
    assert len(recording.layers) == LAYERS
    for (rows,), expected in zip(recording.layers, want, strict=True):
        assert rows.dtype == np.float32
        live = np.isfinite(rows)
        assert live.any(axis=-1).all()
        assert np.isneginf(rows[~live]).all()
        got = exaq.reference.softmax(rows, live)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(live, expected > 0)


def test_each_run_of_a_layer_is_an_array() -> None:
    model = MODELS["gpt2"]()
    with exaq.torch.record(model) as recording:
        model(torch.zeros(2, 5, dtype=torch.long))
        model(torch.zeros(1, 7, dtype=torch.long))
    for calls in recording.layers:
        assert [call.shape for call in calls] == [(HEADS, 10, 5), (HEADS, 7, 7)]


def test_cached_keys_make_rows_longer() -> None:
    model = MODELS["llama"]()
    tokens = torch.arange(6)[None]
    with exaq.torch.record(model) as whole:
        model(tokens)
    with exaq.torch.record(model) as parts:
        cache = DynamicCache(config=model.config)
        name = "cache" if "cache" in signature(model.forward).parameters else "past_key_values"
        model(tokens[:, :4], **{name: cache}, use_cache=True)
        model(tokens[:, 4:], **{name: cache}, use_cache=True)
    for (rows,), (_, later) in zip(whole.layers, parts.layers, strict=True):
        np.testing.assert_allclose(later, rows[:, 4:], rtol=1e-4, atol=1e-5)


def test_softmax_of_the_model_is_the_one_it_has() -> None:
    model = MODELS["bert"]()
    exaq.torch.set_tables(model, exaq.SoftmaxConfig(clip=-1.0))
    want = run(model, None)[0]
    with exaq.torch.record(model):
        assert torch.equal(run(model, None)[0], want)
    assert torch.equal(run(model, None)[0], want)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_model_is_left_as_it_was(implementation: str) -> None:
    model = MODELS["gpt2"]()
    model.set_attn_implementation(implementation)
    with exaq.torch.record(model) as recording:
        run(model, None)
    with pytest.raises(RuntimeError, match=r"^stop$"), exaq.torch.record(model):
        raise RuntimeError("stop")
    assert model.config._attn_implementation == implementation
    exaq.torch.set_tables(model, None)
    run(model, None)
    assert [len(calls) for calls in recording.layers] == [1] * LAYERS


def test_recordings_may_nest() -> None:
    model = MODELS["bert"]()
    with exaq.torch.record(model) as outer:
        with exaq.torch.record(model) as inner:
            run(model, None)
        run(model, None)
    for one, other in zip(outer.layers, inner.layers, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        assert (len(one), len(other)) == (1, 1)


def test_folder_holds_what_memory_would(tmp_path: Path) -> None:
    model = MODELS["llama"]()
    tokens = torch.arange(14).reshape(2, 7)
    with exaq.torch.record(model) as kept:
        model(tokens)
        model(tokens[:1, :5])
    folder = tmp_path / "new" / "folder"
    with exaq.torch.record(model, folder) as recording:
        model(tokens)
        model(tokens[:1, :5])
        assert recording.layers == [[], []]
    assert recording.files == [folder / "layer0.npy", folder / "layer1.npy"]
    assert sorted(folder.iterdir()) == recording.files
    for file, (mapped,), (first, second) in zip(
        recording.files, recording.layers, kept.layers, strict=True
    ):
        assert isinstance(mapped, np.memmap)
        whole = np.load(file)
        np.testing.assert_array_equal(mapped, whole)
        assert (whole.shape, whole.dtype) == ((HEADS, 19, 7), np.float32)
        np.testing.assert_array_equal(whole[:, :14], first)
        np.testing.assert_array_equal(whole[:, 14:, :5], second)
        assert np.isneginf(whole[:, 14:, 5:]).all()


def test_folder_is_left_empty_by_a_failure(tmp_path: Path) -> None:
    model = MODELS["bert"]()

    def fail() -> None:
        with exaq.torch.record(model, tmp_path):
            run(model, None)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match=r"^stop$"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_folder_of_nothing_run_is_empty(tmp_path: Path) -> None:
    with exaq.torch.record(MODELS["bert"](), tmp_path) as recording:
        pass
    assert recording.files == []
    assert recording.layers == [[], []]
    assert list(tmp_path.iterdir()) == []


def test_recording_calibrates_tables_that_the_model_takes() -> None:
    model = MODELS["bert"]()
    with exaq.torch.record(model) as recording:
        run(model, PADDING["right"])
    tables = exaq.calibrate(recording.layers, rule="paper", per="head", logit_width=16)
    assert [(entry.layer, entry.head) for entry in tables.sets] == [
        (layer, head) for layer in range(LAYERS) for head in range(HEADS)
    ]
    exaq.torch.set_tables(model, tables)
    for weights in run(model, None).attentions:
        assert len(torch.unique(weights[0, 0, 0])) <= 4
