"""The rows of a proof: corners, attention logits of a real model, chance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exaq import SoftmaxConfig
from exaq.data import load_attention_sample

# Of the rows made by chance.
_SEED = 20
# Share of the rows made by chance that have masked elements.
_MASKED = 0.4


@dataclass(frozen=True)
class ProofRows:
    """Arguments of ``Board.softmax`` and ``exaq.softmax``: rows side by side, of unequal length.

    Members
    -------
    logits, mask : (rows, longest); elements beyond a row's length are 0 and masked
    lengths, contexts : (rows,); contexts is None where the unit has none
    """

    logits: NDArray[np.int32]
    mask: NDArray[np.bool_]
    lengths: NDArray[np.int64]
    contexts: NDArray[np.int64] | None

    @property
    def elements(self) -> int:
        """Of all rows, masked ones included."""
        return int(self.lengths.sum())

    def first(self, count: int) -> ProofRows:
        """The first ``count`` rows."""
        longest = int(self.lengths[:count].max())
        return ProofRows(
            logits=self.logits[:count, :longest],
            mask=self.mask[:count, :longest],
            lengths=self.lengths[:count],
            contexts=None if self.contexts is None else self.contexts[:count],
        )


def proof_rows(config: SoftmaxConfig, elements: int) -> ProofRows:
    """Rows for a unit of ``config``; all corners, and others up to about ``elements`` in all.

    The same every time. Corners: every tail, the shortest and the longest row, all equal, the
    lowest and the highest logit, all but one element masked, all masked.
    """
    random = np.random.default_rng(_SEED)
    rows = list(_corners(config, random))
    used = sum(len(logits) for logits, _ in rows)
    real, chance = _real(config, random), _chance(config, random)
    while used < elements:
        for logits, mask in (next(real), next(chance)):
            rows.append((logits, mask))
            used += len(logits)
    lengths = np.array([len(logits) for logits, _ in rows])
    within = np.arange(lengths.max()) < lengths[:, None]
    logits = np.zeros(within.shape, np.int32)
    mask = np.zeros(within.shape, np.bool_)
    logits[within] = np.concatenate([row for row, _ in rows])
    mask[within] = np.concatenate([live for _, live in rows]) if config.masking else True
    contexts = random.integers(config.contexts, size=len(rows)) if config.contexts else None
    return ProofRows(logits, mask, lengths, contexts)


_Row = tuple[NDArray[np.int32], NDArray[np.bool_]]


def _corners(config: SoftmaxConfig, random: np.random.Generator) -> Iterator[_Row]:
    low, high = config.logit_range
    longest = config.max_row

    def uniform(length: int) -> NDArray[np.int32]:
        return random.integers(low, high, length, np.int32, endpoint=True)

    def live(length: int) -> NDArray[np.bool_]:
        return np.ones(length, np.bool_)

    for length in range(1, min(3 * config.lanes, longest) + 1):
        yield uniform(length), live(length)
    short = min(4 * config.lanes + 1, longest)
    for value in (low, -1, 0, high):
        yield np.full(short, value, np.int32), live(short)
    for place in (0, short - 1):
        alone = np.full(short, low, np.int32)
        alone[place] = high
        yield alone, live(short)
        yield uniform(short), np.arange(short) == place
    yield uniform(short), ~live(short)
    ramp = np.linspace(low, high, min(2 * short, longest)).astype(np.int32)
    yield ramp, live(len(ramp))
    yield ramp[::-1].copy(), live(len(ramp))
    yield uniform(longest), live(longest)
    yield uniform(longest), random.random(longest) < 0.5
    yield uniform(1), live(1)


def _real(config: SoftmaxConfig, random: np.random.Generator) -> Iterator[_Row]:
    """Rows of the shipped sample of attention logits, cut to what the unit takes."""
    sample = load_attention_sample()
    low, high = config.logit_range
    layers, heads, texts = sample.logits.shape[:3]
    while True:
        text = int(random.integers(texts))
        length = sample.lengths[text]
        query = int(random.integers(length))
        row = sample.logits[random.integers(layers), random.integers(heads), text, query]
        # Padded to the batch's length as in the model, and masked; or without padding.
        shown = len(row) if config.masking and random.random() < 0.5 else length
        shown = min(shown, config.max_row)
        logits = np.clip(row[:shown].astype(np.int32), low, high)
        yield logits, np.arange(shown) < length


def _chance(config: SoftmaxConfig, random: np.random.Generator) -> Iterator[_Row]:
    low, high = config.logit_range
    while True:
        length = round(float(config.max_row) ** random.random())
        if random.random() < 0.5:
            logits = random.integers(low, high, length, np.int32, endpoint=True)
        else:
            # About as far apart as the clip: every code comes.
            spread = -float(config.clip or -6) / float(config.logit_scale) / 2
            middle = random.integers(low, high, endpoint=True)
            logits = np.clip(random.normal(middle, spread, length).round(), low, high)
        live = np.ones(length, np.bool_)
        if random.random() < _MASKED:
            live = random.random(length) < random.random()
        yield logits.astype(np.int32), live
