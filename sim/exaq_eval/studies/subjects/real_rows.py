"""Rows of real attention logits: those that ship, and those of a model that is installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

import exaq
from exaq import Tables, reference
from exaq.data import load_attention_sample
from exaq_eval.studies.study import StudyError
from exaq_eval.studies.subjects.random_rows import Floats


@dataclass(frozen=True, kw_only=True)
class RealRows:
    """Attention logits of several heads.

    Members
    -------
    name
        Where they come from, for people.
    logits
        (rows, row), real, any finite value where masked.
    live
        (rows, row): the mask; no row is without a live element.
    heads
        (rows,): number of the head that a row is of, from 0, across layers.
    """

    name: str
    logits: Floats
    live: NDArray[np.bool_]
    heads: NDArray[np.intp]

    @property
    def exact(self) -> Floats:
        """Float softmax of the rows."""
        return reference.softmax(self.logits, self.live)

    def paper_clips(self, bits: int) -> list[float]:
        """Clip of each head by the paper's rule, as of one call."""
        clips = []
        for head in range(int(self.heads.max()) + 1):
            chosen = self.heads == head
            live, logits = self.live[chosen], self.logits[chosen]
            peak = np.where(live, logits, -np.inf).max(axis=-1, keepdims=True)
            distances = (logits - peak)[live]
            sigma, lowest = float(distances.std(ddof=1)), float(distances.min())
            clips.append(max(exaq.paper_clip(sigma, bits), lowest))
        return clips

    def probabilities(
        self, clips: list[float], bits: int, *, logit_scale: float, exp_frac: int, prob_bits: int
    ) -> Floats:
        """The unit's probabilities with a clip for each head; logits of all bits they need."""
        each = tuple(
            Tables.from_clip(clip, bits=bits, logit_scale=logit_scale, exp_frac=exp_frac)
            for clip in clips
        )
        config = exaq.SoftmaxConfig(
            bits=bits,
            logit_width=logit_width(logit_scale),
            logit_scale=logit_scale,
            exp_frac=exp_frac,
            prob_bits=prob_bits,
            contexts=len(each),
            context_tables=each,
        )
        integers = exaq.logits_to_integers(self.logits, config)
        given = exaq.softmax(integers, config, self.live, self.heads)
        return exaq.probabilities_to_float(given, config)


def logit_width(logit_scale: float) -> int:
    """Bits of a logit that reach from -128 to 128 in steps of ``logit_scale``, a power of two."""
    return 8 - int(np.log2(logit_scale))


def shipped_rows(every: int = 1) -> RealRows:
    """Every ``every``-th row of the sample that ships with ``exaq.data``, in steps of its scale."""
    sample = load_attention_sample()
    shape = sample.logits.shape
    live = np.broadcast_to(sample.mask, shape)
    heads = np.arange(shape[0] * shape[1]).reshape(shape[0], shape[1], 1, 1)
    kept = live.any(axis=-1)
    return RealRows(
        name=f"shipped logits (int8, steps of {sample.scale:g})",
        logits=sample.logits[kept][::every].astype(np.float64) * sample.scale,
        live=live[kept][::every],
        heads=np.broadcast_to(heads, kept.shape)[kept][::every],
    )


def recorded_rows(texts: int, every: int) -> RealRows:
    """Every ``every``-th row of all heads of MiniLM on its first ``texts`` docstrings, in float.

    Raises
    ------
    ImportError
        PyTorch or Transformers are missing.
    StudyError
        The model is missing.
    """
    # Only here: the shipped logits need neither. The first one's message names the extra.
    import_module("exaq.torch")
    import torch

    import exaq.torch
    from exaq_eval.models import ModelError, minilm

    try:
        model = minilm()
    except ModelError as error:
        raise StudyError(str(error)) from error
    with torch.inference_mode(), exaq.torch.record(model.model) as recording:
        for text in model.texts[:texts]:
            model.model(input_ids=model.tokenizer(text)[None])
    layers = [layer_rows(calls, every) for calls in recording.layers]
    heads = [rows.heads + number * (1 + rows.heads.max()) for number, rows in enumerate(layers)]
    return RealRows(
        name=f"{model.name}, recorded in float",
        logits=np.concatenate([rows.logits for rows in layers]),
        live=np.concatenate([rows.live for rows in layers]),
        heads=np.concatenate(heads),
    )


def layer_rows(calls: Sequence[NDArray[Any]], every: int) -> RealRows:
    """Every ``every``-th row of each call (heads, rows, row) of a layer, -inf where masked."""
    longest = max(call.shape[-1] for call in calls)
    blocks = []
    heads = []
    for call in calls:
        chosen = call[:, ::every]
        count, rows, length = chosen.shape
        padded = np.full((count, rows, longest), -np.inf)
        padded[..., :length] = chosen
        blocks.append(padded.reshape(-1, longest))
        heads.append(np.repeat(np.arange(count), rows))
    logits = np.concatenate(blocks)
    live = np.isfinite(logits)
    return RealRows(
        name="layer",
        logits=np.where(live, logits, 0.0),
        live=live,
        heads=np.concatenate(heads),
    )
