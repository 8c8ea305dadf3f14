"""Models in folders that Transformers saved: read from there alone, or refused with the reason."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NoReturn
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

import exaq.torch
from exaq_eval.models import corpus
from exaq_eval.models.evaluation_model import EvaluationModel, ModelError
from exaq_eval.models.quiet import quiet

#: Longest text that an encoder reads, longest window of a small decoder, in tokens.
MAX_TOKENS = 256
#: Decoders of so many weights and more have longer windows, and are measured on fewer of them.
LARGE, LARGE_TOKENS = 50_000_000, 512

# What a file begins with that git-lfs left in the place of a large one.
_POINTER = b"version https://git-lfs.github.com/spec/"
# Files that each hold an object of JSON, where they are there.
_OBJECTS = ("config.json", "tokenizer.json", "tokenizer_config.json")
# Tokens that no text here has.
_ANY_LENGTH = 2**24
# A layer that encoders may have on top. Embeddings do without, so it may lack its weights.
_POOLER = "pooler"


def from_folder(
    path: Path | str, name: str | None = None, *, partial: bool = False
) -> EvaluationModel:
    """The model that Transformers saved in a folder: config.json, weights and tokenizer.

    It is a decoder where its configuration names a causal language model, else an encoder.
    ``partial``: it may have attention layers that keep a float softmax of their own.

    Raises
    ------
    ModelError
        The folder holds no such model, one whose files are damaged, incomplete or not fetched, one
        with an encoder and a decoder, or one whose attention, or unless ``partial`` a part of it,
        has no exchangeable implementation.
    """
    folder = Path(path)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} holds no config.json: no folder of a Transformers model")
    config = _read(AutoConfig, folder)
    if config.is_encoder_decoder:
        raise ModelError(f"{folder} holds an encoder with a decoder, which cannot be evaluated")
    names = config.architectures or []
    if not isinstance(names, list):
        _refuse(folder, f"the architectures in config.json must be a list, not {names!r}")
    causal = any(name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values() for name in names)
    model = _load(AutoModelForCausalLM if causal else AutoModel, folder, partial)
    tokenizer = _read(AutoTokenizer, folder)
    # Without its files, Transformers makes one up that knows no word.
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        _refuse(folder, "its tokenizer has no vocabulary: are files missing?")
    positions = getattr(config, "max_position_embeddings", None)
    usual = LARGE_TOKENS if causal and is_large(model) else MAX_TOKENS
    most = usual if positions is None else min(usual, positions)
    # Windows are cut from what is read, whatever their length; more than a window is not needed.
    limit = (positions or _ANY_LENGTH) + 1 if causal else most

    def encode(text: str) -> Tensor:
        return torch.tensor(tokenizer(text, truncation=True, max_length=limit)["input_ids"])

    docstrings = () if causal else tuple(corpus.docstrings())
    return EvaluationModel(
        name=name or folder.resolve().name,
        kind="decoder" if causal else "encoder",
        model=model,
        tokenizer=encode,
        max_tokens=most,
        texts=(corpus.validation_text(),) if causal else docstrings,
        calibration=(corpus.training_text(),) if causal else docstrings,
        positions=positions if causal else None,
    )


def is_large(model: PreTrainedModel) -> bool:
    """Whether the model has so many weights that a look at it must be a short one."""
    return sum(weight.numel() for weight in model.parameters()) >= LARGE


def load_decoder(folder: Path) -> PreTrainedModel:
    """The causal language model in a folder, in evaluation mode, all its attention switched."""
    return _load(AutoModelForCausalLM, folder)


def unswitched(model: PreTrainedModel) -> dict[str, int]:
    """Number of the attention layers of each class that keep a float softmax of their own."""
    return dict(Counter(type(layer).__name__ for layer in exaq.torch.unswitched_layers(model)))


def _load(kind: Any, folder: Path, partial: bool = False) -> PreTrainedModel:
    # Transformers would make up weights that are missing or have another shape, at random.
    options = {"output_loading_info": True, "ignore_mismatched_sizes": True}
    model: PreTrainedModel
    model, found = _read(kind, folder, dtype=torch.float32, **options)
    missing = {name for name in found["missing_keys"] if _POOLER not in name.split(".")}
    wrong = sorted(missing | {name for name, *_ in found["mismatched_keys"]})
    if wrong:
        names = f"{wrong[0]} and {len(wrong) - 1} more" if wrong[1:] else wrong[0]
        _refuse(folder, f"its weights do not fit config.json: wrong or missing is {names}")
    try:
        exaq.torch.attention_layers(model)
    except ValueError as error:
        raise ModelError(f"{folder}: {error}") from None
    left = unswitched(model)
    if left and not partial:
        each = ", ".join(f"{count} {name}" for name, count in left.items())
        raise ModelError(
            f"{folder}: attention layers of {type(model).__name__} keep a float softmax of their "
            f"own, {each}; --partial evaluates the others"
        )
    return model.eval()


def _read(kind: Any, folder: Path, **options: Any) -> Any:
    """What ``kind`` reads from ``folder``, from there alone."""
    with quiet():
        try:
            return kind.from_pretrained(str(folder), local_files_only=True, **options)
        except Exception as error:  # Each reader of files has errors of its own.
            words = "its weights are damaged" if isinstance(error, UnpicklingError) else str(error)
            reason = " ".join(words.split()) or type(error).__name__
            if isinstance(error, KeyError):
                reason = f"{reason} is missing or unknown"
            _refuse(folder, _damage(folder) or reason)


def _damage(folder: Path) -> str | None:
    """Which file makes a folder unreadable, and why, where that can be seen from outside."""
    for path in sorted(folder.iterdir()):
        if not path.is_file():
            continue
        try:
            with path.open("rb") as file:
                head = file.read(len(_POINTER))
            if head == _POINTER:
                return f"{path.name} is but a pointer of git-lfs; fetch it by: git lfs pull"
            if path.name in _OBJECTS and not isinstance(json.loads(path.read_bytes()), dict):
                return f"{path.name} must hold a JSON object"
            if path.suffix == ".safetensors":
                with safe_open(path, "pt"):
                    pass
            zipped = head.startswith(b"PK")
            if path.suffix == ".bin" and (not head or (zipped and not is_zipfile(path))):
                return f"{path.name} is cut off or damaged"
        except OSError as error:
            return f"{path.name}: {error.strerror}"
        except (ValueError, RecursionError):
            return f"{path.name} is cut off or damaged: it is not JSON"
        except SafetensorError:
            return f"{path.name} is cut off or damaged"
    return None


def _refuse(folder: Path, reason: str) -> NoReturn:
    raise ModelError(f"cannot read the model in {folder}: {reason}")
