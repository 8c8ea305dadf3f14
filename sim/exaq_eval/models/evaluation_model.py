"""What a model to evaluate is: the model, how it reads text, and the texts it is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from transformers import PreTrainedModel

from exaq_eval.models import character_decoder, corpus

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
        characters = 1 if self.tokenizer is character_decoder.encode else _TOKEN_CHARACTERS
        return corpus.windows(text, count, self.max_tokens + 1, self.tokenizer, characters)
