"""What the recorder collects, against the attention that "eager" reports."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_models import BATCH, HEADS, LAYERS, MODELS, PADDING, TOKENS, run
from torch_zoo import tiny
from transformers import (
    BartConfig,
    BartModel,
    BertConfig,
    BertModel,
    PreTrainedModel,
    SwinConfig,
    SwinModel,
    WhisperConfig,
    WhisperModel,
)

import exaq
import exaq.torch
from exaq_cli.main import main


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
    model: Any = MODELS["llama"]()
    with exaq.torch.record(model) as parts:
        tokens = model.generate(torch.arange(4)[None], min_new_tokens=3, max_new_tokens=3)
    assert tokens.shape == (1, 7)
    with exaq.torch.record(model) as whole:
        model(tokens)
    for steps, (rows,) in zip(parts.layers, whole.layers, strict=True):
        assert [call.shape for call in steps] == [(HEADS, 4, 4), (HEADS, 1, 5), (HEADS, 1, 6)]
        for later, place in zip(steps[1:], (4, 5), strict=True):
            want = rows[:, place, : place + 1]
            np.testing.assert_allclose(later[:, 0], want, rtol=1e-4, atol=1e-5)


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


def test_a_receiver_gets_each_call_as_it_runs() -> None:
    model = MODELS["gpt2"]()
    texts = [torch.zeros(2, 5, dtype=torch.long), torch.ones(1, 7, dtype=torch.long)]
    with exaq.torch.record(model) as kept:
        for text in texts:
            model(text)
    got: list[tuple[int, NDArray[np.float32]]] = []
    with exaq.torch.record(model, receive=lambda *call: got.append(call)) as recording:
        model(texts[0])
        assert len(got) == LAYERS
        model(texts[1])
    assert recording.layers == [[], []]
    assert [layer for layer, _ in got] == [0, 1, 0, 1]
    for number, (layer, rows) in enumerate(got):
        np.testing.assert_array_equal(rows, kept.layers[layer][number // LAYERS])


def test_a_folder_and_a_receiver_are_refused_together(tmp_path: Path) -> None:
    message = "^logits are recorded to a folder or to a receiver, not to both$"
    with (
        pytest.raises(ValueError, match=message),
        exaq.torch.record(MODELS["gpt2"](), tmp_path, receive=print),
    ):
        pass
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


def bart(encoder_heads: int, decoder_heads: int) -> PreTrainedModel:
    config = BartConfig(
        vocab_size=96,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=encoder_heads,
        decoder_attention_heads=decoder_heads,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=64,
    )
    return BartModel(config).eval()


@pytest.mark.parametrize("source", [13, 12])
@pytest.mark.parametrize("padded", ["left", "right"])
def test_cross_attention_keeps_the_queries_of_padded_sources(source: int, padded: str) -> None:
    """What is padding among the keys says nothing about the queries, be they as many or not."""
    model = bart(4, 4)
    tokens = torch.arange(3, 3 + source)[None].repeat(2, 1)
    mask = torch.ones(2, source, dtype=torch.long)
    mask[1, slice(0, 8) if padded == "left" else slice(source - 8, source)] = 0
    target = torch.arange(20, 32)[None].repeat(2, 1)
    own = torch.ones(2, 12, dtype=torch.long)
    own[0, 9:] = 0
    with exaq.torch.record(model) as recording:
        model(tokens, attention_mask=mask, decoder_input_ids=target, decoder_attention_mask=own)
    encoder, decoder, cross = (rows for (rows,) in recording.layers)
    assert encoder.shape == (4, 2 * source - 8, source)
    assert decoder.shape == (4, 24 - 3, 12)
    assert cross.shape == (4, 24, source)
    live = np.isfinite(cross).reshape(4, 2, 12, source)
    want = np.broadcast_to(mask.bool().numpy()[:, None], (2, 12, source))
    np.testing.assert_array_equal(live, np.broadcast_to(want, live.shape))


def test_cross_attention_leaves_out_queries_without_a_key() -> None:
    model = bart(4, 4)
    mask = torch.tensor([[1] * 5, [0] * 5])
    tokens = torch.arange(3, 8)[None].repeat(2, 1)
    with exaq.torch.record(model) as recording:
        model(tokens, attention_mask=mask, decoder_input_ids=tokens)
    assert [rows.shape for (rows,) in recording.layers] == [(4, 5, 5), (4, 10, 5), (4, 5, 5)]


def test_bert_as_a_decoder_has_cross_attention_too() -> None:
    config = BertConfig(
        vocab_size=96,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=32,
        is_decoder=True,
        add_cross_attention=True,
    )
    model = BertModel(config).eval()
    tokens = torch.arange(3, 9)[None].repeat(2, 1)
    mask = torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    with exaq.torch.record(model) as recording:
        model(
            tokens,
            attention_mask=mask,
            encoder_hidden_states=torch.zeros(2, 6, 32),
            encoder_attention_mask=mask.flip(0),
        )
    assert [rows.shape for (rows,) in recording.layers] == [(4, 10, 6), (4, 12, 6)]


def test_token_that_may_not_see_itself_is_no_padding() -> None:
    """A token is padding where nothing may attend to it."""
    model = MODELS["bert"]()
    mask = ~torch.eye(5, dtype=torch.bool)[None, None].repeat(2, 1, 1, 1)
    mask[1, ..., 3:] = False
    with exaq.torch.record(model) as recording:
        model(torch.arange(5)[None].repeat(2, 1), attention_mask=mask)
    for (rows,) in recording.layers:
        assert rows.shape == (HEADS, 5 + 3, 5)


def whisper() -> PreTrainedModel:
    config = WhisperConfig(
        vocab_size=96,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=4,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_mel_bins=8,
        max_source_positions=10,
        max_target_positions=20,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    return WhisperModel(config).eval()


def swin() -> PreTrainedModel:
    config = SwinConfig(
        image_size=32, patch_size=4, embed_dim=16, depths=[1, 1], num_heads=[2, 4], window_size=4
    )
    return SwinModel(config).eval()


_TOKENS = torch.arange(3, 15)[None]
#: Models whose layers differ in heads, inputs of theirs, and the heads of their layers.
UNEVEN: dict[str, tuple[Callable[[], PreTrainedModel], dict[str, Tensor], list[int]]] = {
    "bart 4, 2": (lambda: bart(4, 2), {"input_ids": _TOKENS}, [4, 2, 2]),
    "bart 2, 4": (lambda: bart(2, 4), {"input_ids": _TOKENS}, [2, 4, 4]),
    "whisper": (
        whisper,
        {"input_features": torch.ones(1, 8, 20), "decoder_input_ids": _TOKENS},
        [2, 4, 4],
    ),
    "swin": (swin, {"pixel_values": torch.ones(1, 3, 32, 32)}, [2, 4]),
}


@pytest.mark.parametrize("per", ["all", "layer", "head"])
@pytest.mark.parametrize(("make", "given", "heads"), UNEVEN.values(), ids=UNEVEN)
def test_layers_may_differ_in_heads(
    make: Callable[[], PreTrainedModel], given: dict[str, Tensor], heads: list[int], per: str
) -> None:
    model = make()
    with exaq.torch.record(model) as recording:
        model(**given)
    assert [len(rows) for (rows,) in recording.layers] == heads
    options: dict[str, Any] = {"rule": "paper", "logit_width": 16, "logit_scale": 2.0**-8}
    tables = exaq.calibrate(recording.layers, per=per, **options)
    model = make()
    exaq.torch.set_tables(model, tables)
    model(**given)
    if per == "head":
        most, name = heads[0], f"layer0.head{heads[0] - 1}"
        added = dataclasses.replace(tables.find(name), name="more", head=most)
        expected = f"set 'more' is for head {most}, but the layer has heads 0..{most - 1}"
        with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
            exaq.torch.set_tables(model, dataclasses.replace(tables, sets=(*tables.sets, added)))


@pytest.mark.parametrize("per", ["layer", "head"])
def test_layers_that_did_not_run_leave_their_numbers(tmp_path: Path, per: str) -> None:
    """The half of CLIP that reads images, after that which reads texts."""
    model: Any = tiny("clip")
    image = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    with exaq.torch.record(model, tmp_path) as recording:
        model.get_image_features(pixel_values=image)
    assert [len(calls) for calls in recording.layers] == [0, 0, 1, 1]
    assert recording.files == [tmp_path / "layer2.npy", tmp_path / "layer3.npy"]
    tables = exaq.calibrate(recording.layers, per=per, rule="paper", logit_width=16)
    assert {entry.layer for entry in tables.sets} == {2, 3}
    exaq.torch.set_tables(model, tables)
    model.get_image_features(pixel_values=image)
    with pytest.raises(
        ValueError, match=r"^there are no tables for head 0 of layer 0, only for layers 2, 3$"
    ):
        model.get_text_features(input_ids=_TOKENS)


def test_tables_come_back_from_their_file_alone(tmp_path: Path) -> None:
    """What Transformers saves of a model holds neither its tables nor its implementation."""
    model = MODELS["bert"]()
    with exaq.torch.record(model) as recording:
        run(model, None)
    tables = exaq.calibrate(recording.layers, rule="paper", per="head", logit_width=16)
    exaq.torch.set_tables(model, tables, prob_bits=14)
    want = run(model, None)[0]
    model.save_pretrained(tmp_path)
    tables.save(tmp_path / "tables.json")
    again = BertModel.from_pretrained(tmp_path).eval()
    assert again.config._attn_implementation != "exaq"
    assert "exaq" not in (tmp_path / "config.json").read_text(encoding="utf-8")
    again.set_attn_implementation("eager")
    assert not torch.allclose(run(again, None)[0], want, atol=1e-5)
    exaq.torch.set_tables(again, exaq.TableFile.load(tmp_path / "tables.json"), prob_bits=14)
    assert torch.equal(run(again, None)[0], want)


def test_recorded_rows_stream_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`exaq simulate` on a recorded file gives what the model's softmax would make of its rows."""
    monkeypatch.chdir(tmp_path)
    model = MODELS["bert"]()
    with exaq.torch.record(model, tmp_path):
        run(model, PADDING["right"])
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "layer1.npy", "-o", "probs.npy", "--engine", "golden", "--float-output"])
    assert (ended.value.code, capsys.readouterr().err) == (0, "")
    rows = np.load("layer1.npy")
    live = np.isfinite(rows)
    assert not live.all()
    want = exaq.torch.softmax(torch.tensor(rows), exaq.SoftmaxConfig(), torch.tensor(live))
    np.testing.assert_array_equal(np.load("probs.npy"), want.double().numpy())
