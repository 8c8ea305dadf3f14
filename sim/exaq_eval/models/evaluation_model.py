"""What a model to evaluate is: the model, how it reads text, and the texts it is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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
        ``"minilm"``, ``"decoder"``, ``"smollm2"`` or the name of the folder.
    kind
        ``"encoder"``: embeds texts. ``"decoder"``: predicts the next token, causal.
    model
        In evaluation mode, float32, on the CPU; any attention implementation.
    tokenizer
        Token numbers of one text, shape (tokens,), with the tokens that the model wants around
        it. An encoder's are cut at ``max_tokens``.
    max_tokens
        Longest input in tokens; of a decoder the length of its windows.
    texts
        What the model is evaluated on. Encoder: docstrings. Decoder: one long text that it was
        not trained on by us.
    calibration
        What tables are calibrated on. Encoder: the same docstrings, of which a calibration takes
        the first ones. Decoder: one long text, other files than ``texts``.
    positions
        Tokens that a decoder has positions for; None: any number.
    source
        What a decoder's texts are, and what of them calibration does not see: words that follow
        "windows of".
    """

    name: str
    kind: Literal["encoder", "decoder"]
    model: PreTrainedModel
    tokenizer: Callable[[str], Tensor]
    max_tokens: int
    texts: tuple[str, ...]
    calibration: tuple[str, ...]
    positions: int | None = None
    source: str = "Python's standard library, of files that calibration does not see"

    def with_windows(self, tokens: int) -> EvaluationModel:
        """The decoder with windows of so many tokens.

        Raises
        ------
        ModelError
            It is an encoder, which has no windows, or has no positions for so many tokens.
        """
        if self.kind != "decoder":
            raise ModelError(f"{self.name} is an encoder, whose texts are not cut into windows")
        if tokens < 1 or (self.positions is not None and tokens > self.positions):
            most = "" if self.positions is None else f"..{self.positions}"
            raise ModelError(
                f"windows of {self.name} must be of 1{most or ' or more'} tokens, not {tokens}"
            )
        return replace(self, max_tokens=tokens)

    def windows(self, count: int, *, calibration: bool = False) -> Tensor:
        """``count`` windows of max_tokens + 1 tokens of a decoder's text, spread evenly over it.

        All tokens but the last are a window's input, all but the first what it predicts.

        Raises
        ------
        ModelError
            The text is too short.
        """
        (text,) = self.calibration if calibration else self.texts
        characters = 1 if self.tokenizer is character_decoder.encode else _TOKEN_CHARACTERS
        try:
            return corpus.windows(text, count, self.max_tokens + 1, self.tokenizer, characters)
        except ValueError as error:
            raise ModelError(f"{self.name}: {error}") from None
