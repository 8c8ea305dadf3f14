"""Real attention logits and operands that ship with the package; README.md says whence."""

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


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadSample:
    """Operands of all heads of a model's layer for a text, as an attention head takes them.

    Members
    -------
    q, k, v
        (heads, tokens, head size): int8, codes of ``keys``, int8; arguments of
        ``exaq.attention.attend``. Read-only.
    keys
        Format of the keys' elements.
    logit_scale, value_scale
        Real value of a dot product of 1, and of a value of 1.
    layer
        The model's number, from 0.
    tokens
        The tokens of the text.
    model
        Name of the model.
    """

    q: NDArray[np.int8]
    k: NDArray[np.uint8]
    v: NDArray[np.int8]
    keys: str
    logit_scale: float
    value_scale: float
    layer: int
    tokens: tuple[str, ...]
    model: str


def load_head_sample() -> HeadSample:
    """The sample that ships: the 12 heads of a layer of all-MiniLM-L6-v2 on a text."""
    path = resources.files(__name__) / "head_sample.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        arrays: dict[str, NDArray[Any]] = dict(stored)
    for name in ("q", "k", "v"):
        arrays[name].flags.writeable = False
    return HeadSample(
        q=arrays["q"],
        k=arrays["k"],
        v=arrays["v"],
        keys=str(arrays["keys"]),
        logit_scale=float(arrays["logit_scale"]),
        value_scale=float(arrays["value_scale"]),
        layer=int(arrays["layer"]),
        tokens=tuple(arrays["tokens"].tolist()),
        model=str(arrays["model"]),
    )
