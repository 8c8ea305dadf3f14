"""How close probabilities are to a reference. Rows are the last axis; a mask marks live elements.

Everything is computed in float64 over live elements; rows without one do not count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.rows import live_elements, plain


def mean_absolute_error(
    reference: ArrayLike, probabilities: ArrayLike, mask: ArrayLike | None = None
) -> float:
    """Mean of abs(reference - probabilities) over all live elements."""
    p, q, live = _rows(reference, probabilities, mask)
    return float(np.abs(p - q).sum() / live.sum())


def kl_divergence(
    reference: ArrayLike,
    probabilities: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    floor: float = 0.0,
) -> float:
    """Kullback-Leibler divergence from the reference, in nats: mean over rows of sum p ln(p / q).

    Both rows are brought to the sum 1 first, so a row whose rounded probabilities do not add up
    is judged by its shape; ``row_sums`` shows the rest. An element with p = 0 adds 0. One with
    p > 0 and q = 0 makes the result infinite unless ``floor`` is given.

    Parameters
    ----------
    reference, probabilities
        p and q, none negative, shape (..., row); each live row of p has a positive sum.
    mask
        Booleans that broadcast to that shape, True = live.
    floor
        Live values of q below it are raised to it, before the row is brought to the sum 1. Half a
        step of the probabilities, 2**-(prob_bits + 1), suits rounded ones.
    """
    p, q, live = _rows(reference, probabilities, mask)
    if min(p.min(), q.min()) < 0:
        raise ValueError("probabilities must not be negative")
    q = np.where(live, np.maximum(q, floor), 0.0)
    p_sum, q_sum = p.sum(axis=-1, keepdims=True), q.sum(axis=-1, keepdims=True)
    if not p_sum.all():
        raise ValueError("each live row of the reference must have a positive sum")
    q = q / np.where(q_sum > 0, q_sum, 1.0)
    p = p / p_sum
    if ((p > 0) & (q == 0)).any():
        return float("inf")
    counted = p > 0
    ratio = np.divide(p, q, out=np.ones_like(p), where=counted)
    return float((p * np.log(ratio)).sum(axis=-1).mean())


def row_squared_error(
    reference: ArrayLike, probabilities: ArrayLike, mask: ArrayLike | None = None
) -> float:
    """Mean over rows of sum (p - q)**2: what a row's output loses, whatever the row's length."""
    p, q, _ = _rows(reference, probabilities, mask)
    return float(np.square(p - q).sum(axis=-1).mean())


def top1(reference: ArrayLike, probabilities: ArrayLike, mask: ArrayLike | None = None) -> float:
    """How often the likeliest element stays the likeliest, where equal ones draw lots.

    Quantized rows tie at their maximum. A row scores the share of its likeliest elements that are
    likeliest in the reference too: the chance that one of them, drawn at random, is right. Taking
    the first of them instead would flatter or belittle, as the order of the elements has it. The
    result is the mean over rows.
    """
    p, q, live = _rows(reference, probabilities, mask)
    best = live & (p == p.max(axis=-1, keepdims=True))
    chosen = live & (q == q.max(axis=-1, keepdims=True))
    return float(((best & chosen).sum(axis=-1) / chosen.sum(axis=-1)).mean())


def cosine(reference: ArrayLike, probabilities: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Mean over rows of the cosine between reference and probabilities; 0 for a row of zeros."""
    p, q, _ = _rows(reference, probabilities, mask)
    norms = np.linalg.norm(p, axis=-1) * np.linalg.norm(q, axis=-1)
    return float(((p * q).sum(axis=-1) / np.where(norms > 0, norms, 1.0)).mean())


def row_sums(probabilities: ArrayLike, mask: ArrayLike | None = None) -> NDArray[np.float64]:
    """Sum of each row's live probabilities, shape (...); 0 for a row without a live element."""
    values = plain(probabilities, "probabilities").astype(np.float64)
    live = True if mask is None else live_elements(mask, values.shape)
    return values.sum(axis=-1, where=live)


def _rows(
    reference: ArrayLike, probabilities: ArrayLike, mask: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Both arrays and the mask as live rows, two-dimensional, masked elements 0."""
    p = plain(reference, "reference").astype(np.float64)
    q = plain(probabilities, "probabilities").astype(np.float64)
    if p.shape != q.shape:
        raise ValueError(f"reference of shape {p.shape} and probabilities of {q.shape} differ")
    live = live_elements(np.True_ if mask is None else mask, p.shape)
    if not live.any():
        raise ValueError("there is no live element to compare")
    used = live.any(axis=-1)
    live = live[used]
    return np.where(live, p[used], 0.0), np.where(live, q[used], 0.0), live
