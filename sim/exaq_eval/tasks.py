"""What a model is measured by: embeddings of texts, or prediction of the next token."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from exaq_eval.measures.scores import embedding_scores, loss_scores
from exaq_eval.models import EvaluationModel, from_folder, minilm, smollm2, tiny_decoder
from exaq_eval.models.folder import is_large

#: Windows that a language model is evaluated on, those that tables are calibrated on, those that
#: may be chosen for it, and those at most that attention is compared on.
WINDOWS, CALIBRATED_WINDOWS, CALIBRATION_WINDOWS, COMPARED_WINDOWS = 64, 16, 256, 16
#: The same of a model of many weights (``exaq_eval.models.folder.LARGE``).
LARGE_WINDOWS, LARGE_CALIBRATED_WINDOWS = 16, 4
LARGE_CALIBRATION_WINDOWS = 32
#: Tokens of the windows that the attention of such a model is compared on; one window at least.
LARGE_COMPARED_TOKENS = 1024


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """A model, the texts that it is measured on, and those that tables are calibrated on.

    Texts run one at a time, so that no padding takes part.

    Members
    -------
    name
        The model's.
    model
        In evaluation mode.
    texts
        Token numbers, a vector for each text; the first may be among those of calibration.
    calibration
        Token numbers for calibration, a vector for each text.
    what
        What the texts are, in the plural.
    """

    kind: ClassVar[str]
    #: The objective whose tables "tuned" begins with, and texts of a step of it.
    tuned_from: ClassVar[str]
    tuning_batch: ClassVar[int]

    name: str
    model: PreTrainedModel
    texts: Sequence[Tensor]
    calibration: Sequence[Tensor]
    what: str

    def __post_init__(self) -> None:
        for text in (*self.texts, *self.calibration):
            if len(text) < 2:
                raise ValueError(f"a text must have at least 2 tokens, not {len(text)}")

    @property
    def attention_texts(self) -> Sequence[Tensor]:
        """Texts that attention is compared on."""
        return self.texts

    @property
    @abstractmethod
    def calibration_counts(self) -> dict[str, int]:
        """Texts that tables are calibrated on unless said otherwise, by granularity."""

    @abstractmethod
    def forward(self, text: Tensor) -> Any:
        """What the model gives for one text; gradients flow where they are enabled."""

    def loss(self, output: Any, text: Tensor) -> Tensor:
        """The task's loss of what ``forward`` gave; ``ValueError`` where there is none."""
        raise ValueError(f"{self.name} has no loss: the objective loss is for decoders")

    @abstractmethod
    def run(self, text: Tensor) -> NDArray[np.float64]:
        """The model's output for one text, with one row."""

    def outputs(self) -> NDArray[np.float64]:
        """The model's output for all texts, a row each."""
        return np.concatenate([self.run(text) for text in self.texts])

    @abstractmethod
    def scores(
        self, exact: NDArray[np.float64], given: NDArray[np.float64], calibrated: int
    ) -> dict[str, float]:
        """Figures of the outputs of all texts against those of the float model.

        ``calibrated`` is how many texts of ``calibration`` the tables come from.
        """

    def describe(self) -> dict[str, Any]:
        """Kind and number of texts, tokens, and a hash of them, for JSON."""
        return {
            "texts": len(self.texts),
            "what": self.what,
            "tokens": self.tokens,
            "sha256": _sha256(self.texts),
        }

    @property
    def identity(self) -> dict[str, str]:
        """Hashes of the model's ``weights``, the ``texts``, and the ``calibration`` texts."""
        weights = hashlib.sha256()
        for name, weight in sorted(self.model.state_dict().items()):
            weights.update(name.encode())
            weights.update(weight.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return {
            "weights": weights.hexdigest(),
            "texts": _sha256(self.texts),
            "calibration": _sha256(self.calibration),
        }

    @property
    def tokens(self) -> int:
        """Tokens that the figures are about."""
        return sum(map(len, self.texts))


class Embedding(Task):
    """Sentence embeddings of an encoder: the mean of the last layer's states."""

    kind = "encoder"
    tuned_from = "block"
    tuning_batch = 4

    @property
    def calibration_counts(self) -> dict[str, int]:
        # Per head there is less data for each set of tables.
        return {"layer": 12, "head": 36}

    def forward(self, text: Tensor) -> Any:
        return self.model(input_ids=text[None])

    def run(self, text: Tensor) -> NDArray[np.float64]:
        with torch.inference_mode():
            states = self.forward(text).last_hidden_state
        return states.double().mean(dim=1).numpy()

    def scores(
        self, exact: NDArray[np.float64], given: NDArray[np.float64], calibrated: int
    ) -> dict[str, float]:
        return embedding_scores(exact, given, calibrated)


@dataclass(frozen=True, kw_only=True)
class Prediction(Task):
    """Prediction of the next token by a causal language model; a text is a window.

    The first token of a window is not predicted, its last one is not an input.

    Members
    -------
    window
        Inputs of a window, where they are not as many as the model's windows usually have.
    """

    kind = "decoder"
    tuned_from = "mse"
    tuning_batch = 1

    window: int | None = None

    @property
    def calibration_counts(self) -> dict[str, int]:
        large = is_large(self.model)
        count = LARGE_CALIBRATED_WINDOWS if large else CALIBRATED_WINDOWS
        return {"layer": count, "head": count}

    @property
    def attention_texts(self) -> Sequence[Tensor]:
        # Spread over all.
        most = COMPARED_WINDOWS
        if is_large(self.model):
            most = max(LARGE_COMPARED_TOKENS // (len(self.texts[0]) - 1), 1)
        step = -(-len(self.texts) // most)
        return self.texts[::step]

    def describe(self) -> dict[str, Any]:
        """As of every task; and ``window``, where its length was chosen."""
        window = {} if self.window is None else {"window": self.window}
        return super().describe() | window

    def forward(self, text: Tensor) -> Any:
        return self.model(input_ids=text[None, :-1], use_cache=False)

    def loss(self, output: Any, text: Tensor) -> Tensor:
        """Mean cross entropy of the next token, nats."""
        return functional.cross_entropy(output.logits[0], text[1:])

    def run(self, text: Tensor) -> NDArray[np.float64]:
        with torch.inference_mode():
            logits = self.forward(text).logits
        return functional.cross_entropy(logits[0].double(), text[1:]).numpy()[None]

    def scores(
        self, exact: NDArray[np.float64], given: NDArray[np.float64], calibrated: int
    ) -> dict[str, float]:
        return loss_scores(exact, given)

    @property
    def tokens(self) -> int:
        return sum(len(text) - 1 for text in self.texts)


def _sha256(texts: Sequence[Tensor]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(np.asarray(text, dtype="<i8").tobytes() + b"\n")
    return digest.hexdigest()


#: Models that are built in, by name.
BUILT_IN = {"minilm": minilm, "decoder": tiny_decoder, "smollm2": smollm2}


def load(
    name: str, texts: int | None = None, *, partial: bool = False, tokens: int | None = None
) -> Task:
    """The task of a model: one of ``BUILT_IN``, or that of a Transformers folder.

    Parameters
    ----------
    name
        A built-in name or a folder's path.
    texts
        Take so many of the texts only: the first docstrings, or so many windows.
    partial
        As for ``from_folder``.
    tokens
        Inputs of a decoder's windows, instead of the usual number.

    Raises
    ------
    ModelError
        The model is missing or cannot be evaluated, or has no such windows.
    """
    found = BUILT_IN[name]() if name in BUILT_IN else from_folder(name, partial=partial)
    return task_of(found, texts, tokens)


def task_of(found: EvaluationModel, texts: int | None = None, tokens: int | None = None) -> Task:
    """The task of ``found``; ``texts`` and ``tokens`` as for ``load``.

    A model of many weights is measured on fewer windows.
    """
    usual = found.max_tokens
    if tokens is not None:
        found = found.with_windows(tokens)
    if found.kind == "encoder":
        read = [found.tokenizer(text) for text in found.texts]
        return Embedding(
            name=found.name,
            model=found.model,
            texts=read[:texts],
            calibration=read,
            what="docstrings of the Python standard library",
        )
    large = is_large(found.model)
    return Prediction(
        name=found.name,
        model=found.model,
        texts=found.windows(texts or (LARGE_WINDOWS if large else WINDOWS)).unbind(),
        calibration=found.windows(
            LARGE_CALIBRATION_WINDOWS if large else CALIBRATION_WINDOWS, calibration=True
        ).unbind(),
        what=f"windows of {found.max_tokens} tokens of {found.source}",
        window=None if found.max_tokens == usual else found.max_tokens,
    )
