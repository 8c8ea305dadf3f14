"""Real attention logits that ship with the package; README.md beside them says whence."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class AttentionSample:
    """Integer attention logits of some layers and heads of a model, for a batch of texts.

    Members
    -------
    logits
        int8, shape (layers, heads, texts, tokens, tokens): the last axis is a row, one query
        against every key; real logit = ``scale`` * integer. Rows and columns of padding hold
        127: no live logit is above it, so a forgotten mask shows. Read-only.
    lengths
        Tokens of each text, [CLS] and [SEP] included; the longest is the padded length.
    scale
        Real value of one logit step.
    layers, heads
        The model's numbers, from 0, of the first two axes.
    tokens
        The tokens of each text, without padding.
    saturated
        Live logits that were limited to -128, and to 127.
    model
        Name of the model.
    """

    logits: NDArray[np.int8]
    lengths: tuple[int, ...]
    scale: float
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    tokens: tuple[tuple[str, ...], ...]
    saturated: tuple[int, int]
    model: str

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(texts, tokens, tokens), fits ``logits``: True where query and key are both live.

        A padding query's row has no live element: the unit gives zeros for it.
        """
        live = np.arange(self.logits.shape[-1]) < np.array(self.lengths)[:, None]
        return live[:, :, None] & live[:, None, :]


def load_attention_sample() -> AttentionSample:
    """The sample that ships: 24 heads of all-MiniLM-L6-v2 on four texts of up to 128 tokens."""
    path = resources.files(__name__) / "attention_sample.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        arrays: dict[str, NDArray[Any]] = dict(stored)
    arrays["logits"].flags.writeable = False
    below, above = arrays["saturated"].tolist()
    return AttentionSample(
        logits=arrays["logits"],
        lengths=tuple(arrays["lengths"].tolist()),
        scale=float(arrays["scale"]),
        layers=tuple(arrays["layers"].tolist()),
        heads=tuple(arrays["heads"].tolist()),
        tokens=tuple(
            tuple(row[:length].tolist())
            for row, length in zip(arrays["tokens"], arrays["lengths"], strict=True)
        ),
        saturated=(below, above),
        model=str(arrays["model"]),
    )
