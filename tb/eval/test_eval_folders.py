"""Folders of models that are damaged, incomplete or not fetched: each is refused by one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from exaq_eval import models

Change = Callable[[Path], object]

WEIGHTS, PICKLED = "model.safetensors", "pytorch_model.bin"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n"
FETCH = "is but a pointer of git-lfs; fetch it by: git lfs pull"


def put(name: str, content: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(content)


def cut(name: str, octets: int) -> Change:
    """Keep the first ``octets``; negative: lose the last ones."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:octets])


def without(*names: str) -> Change:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def configured(**values: Any) -> Change:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    """Other weights, in a file that is whole."""

    def rewrite(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        change(tensors)
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})

    return rewrite


def pickled(then: Change) -> Change:
    """The weights as PyTorch pickles them, and a change after that."""

    def change(folder: Path) -> None:
        torch.save(load_file(folder / WEIGHTS), folder / PICKLED)
        (folder / WEIGHTS).unlink()
        then(folder)

    return change


DAMAGED = "is cut off or damaged"
NO_JSON = f"{DAMAGED}: it is not JSON"
UNFIT = "its weights do not fit config.json: wrong or missing is"
CASES: dict[str, tuple[Change, str]] = {
    "pointer": (put(WEIGHTS, POINTER), f"{WEIGHTS} {FETCH}"),
    "empty": (put(WEIGHTS, b""), f"{WEIGHTS} {DAMAGED}"),
    "length cut": (cut(WEIGHTS, 5), f"{WEIGHTS} {DAMAGED}"),
    "header cut": (cut(WEIGHTS, 40), f"{WEIGHTS} {DAMAGED}"),
    "data cut": (cut(WEIGHTS, -4), f"{WEIGHTS} {DAMAGED}"),
    "no weights": (
        without(WEIGHTS),
        f"Error no file named {WEIGHTS}, or {PICKLED}, found in directory {{folder}}.",
    ),
    "one weight missing": (
        weights(lambda tensors: tensors.pop("embeddings.word_embeddings.weight")),
        f"{UNFIT} embeddings.word_embeddings.weight",
    ),
    "a layer missing": (
        configured(num_hidden_layers=3),
        f"{UNFIT} encoder.layer.2.attention.output.LayerNorm.bias and 15 more",
    ),
    "other shapes": (
        configured(intermediate_size=32),
        f"{UNFIT} encoder.layer.0.intermediate.dense.bias and 5 more",
    ),
    "pickled pointer": (pickled(put(PICKLED, POINTER)), f"{PICKLED} {FETCH}"),
    "pickled empty": (pickled(put(PICKLED, b"")), f"{PICKLED} {DAMAGED}"),
    "pickled cut early": (pickled(cut(PICKLED, 1000)), f"{PICKLED} {DAMAGED}"),
    "pickled cut late": (pickled(cut(PICKLED, -50)), f"{PICKLED} {DAMAGED}"),
    "pickled garbage": (
        pickled(put(PICKLED, b"\x80\x02garbage")),
        "its weights are damaged",
    ),
    "config pointer": (put("config.json", POINTER), f"config.json {FETCH}"),
    "config empty": (put("config.json", b""), f"config.json {NO_JSON}"),
    "config cut": (cut("config.json", 60), f"config.json {NO_JSON}"),
    "config not text": (put("config.json", bytes(range(128, 256))), f"config.json {NO_JSON}"),
    "config too deep": (put("config.json", b"[" * 100_000), f"config.json {NO_JSON}"),
    "config a number": (put("config.json", b"3"), "config.json must hold a JSON object"),
    "architectures": (
        configured(architectures=5),
        "the architectures in config.json must be a list, not 5",
    ),
    "no such activation": (configured(hidden_act="nope"), "'nope' is missing or unknown"),
    "no tokenizer": (
        without("tokenizer.json", "tokenizer_config.json"),
        "its tokenizer has no vocabulary: are files missing?",
    ),
    "tokenizer pointer": (put("tokenizer.json", POINTER), f"tokenizer.json {FETCH}"),
    "tokenizer cut": (cut("tokenizer.json", 100), f"tokenizer.json {NO_JSON}"),
    "tokenizer a list": (put("tokenizer.json", b"[]"), "tokenizer.json must hold a JSON object"),
    "tokenizer settings cut": (
        cut("tokenizer_config.json", 20),
        f"tokenizer_config.json {NO_JSON}",
    ),
}


@pytest.mark.parametrize(("change", "reason"), CASES.values(), ids=CASES)
def test_damage_is_one_line_that_names_the_folder(
    change: Change,
    reason: str,
    encoder_folder: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = Path(shutil.copytree(encoder_folder, tmp_path / "mine"))
    change(folder)
    with pytest.raises(models.ModelError) as caught:
        models.from_folder(folder)
    expected = f"cannot read the model in {folder}: {reason.format(folder=folder)}"
    assert str(caught.value) == expected
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: None,
        pickled(lambda folder: None),
        pickled(lambda folder: (folder / "unused.safetensors").write_bytes(POINTER)),
        # Embeddings do without the pooler, which many checkpoints lack.
        weights(
            lambda tensors: [tensors.pop(f"pooler.dense.{part}") for part in ("weight", "bias")]
        ),
        weights(lambda tensors: tensors.update(classifier=torch.zeros(3))),
    ],
)
def test_what_does_no_harm_is_read_in_silence(
    change: Change, encoder_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(encoder_folder, tmp_path / "mine"))
    change(folder)
    tokens = models.from_folder(encoder_folder).tokenizer("the file returns a class")
    model = models.from_folder(folder)
    assert model.tokenizer("the file returns a class").tolist() == tokens.tolist()
    with torch.no_grad():
        states = [
            each.model(tokens[None]).last_hidden_state
            for each in (model, models.from_folder(encoder_folder))
        ]
    assert torch.equal(*states)
    assert capfd.readouterr() == ("", "")


def test_a_decoder_without_a_vocabulary_is_refused(decoder_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(decoder_folder, tmp_path / "mine"))
    without("tokenizer.json", "tokenizer_config.json")(folder)
    with pytest.raises(models.ModelError) as caught:
        models.from_folder(folder)
    assert str(caught.value).startswith(f"cannot read the model in {folder}: ")
    assert "\n" not in str(caught.value)
