"""Floating-point references: softmax, and EXAQ as its authors compute it.

Written from the formulas of EXAQ (arXiv 2410.03185) and its published code, where codes and levels
are floating-point ("fake quantization"). Nothing here is used by the golden model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.rows import check_shape, live_elements, plain
from exaq.scalars import integer, real


def softmax(x: ArrayLike, mask: ArrayLike | None = None) -> NDArray[np.float64]:
    """Softmax along the last axis, in float64.

    Parameters
    ----------
    x
        Real logits, shape (..., row).
    mask
        Booleans that broadcast to the shape of ``x``, True = live. Masked elements give 0, and so
        does every element of a row that has no live one. Their logits may be anything.
    """
    distance, live = _distance(plain(x, "logits").astype(np.float64), mask)
    return _normalized(np.exp(distance), live)


def quantize(
    x: ArrayLike, clip: float, bits: int, mask: ArrayLike | None = None
) -> NDArray[np.uint8]:
    """Codes of the authors' quantizer: round((clip(d, C, 0) - C) * (2**bits - 1) / -C).

    d is the distance to the maximum of the row's live elements, rounding is half to even as in
    ``torch.round``, and the arithmetic has the precision of ``x``: where d lies within a rounding
    error of the middle between two levels, the code may be either of their neighbours.

    Parameters
    ----------
    x
        Real logits, shape (..., row). Types other than float32 are computed in float64.
    clip
        C, negative, in the unit of ``x``.
    bits
        Width of a code, 1 to 8.
    mask
        As for ``softmax``; masked elements give code 0.
    """
    lowest = float(real("clip", clip))
    if not lowest < 0:
        raise ValueError(f"clip must be negative, not {lowest!r}")
    logits = plain(x, "logits")
    if logits.dtype != np.float32:
        logits = logits.astype(np.float64)
    distance, live = _distance(logits, mask)
    scale = (2 ** integer("bits", bits, 1, 8) - 1) / -lowest
    codes = np.rint((np.clip(distance, lowest, 0.0) - lowest) * scale)
    return np.where(live, codes, 0).astype(np.uint8)


def quantized_softmax(
    x: ArrayLike, clip: float, bits: int, mask: ArrayLike | None = None
) -> NDArray[np.float64]:
    """EXAQ in floating point: softmax of the levels that ``quantize`` picks, not rounded again."""
    codes = quantize(x, clip, bits, mask)
    lowest, bits = float(real("clip", clip)), integer("bits", bits)
    levels = codes * (-lowest / (2**bits - 1)) + lowest
    live = np.True_ if mask is None else live_elements(mask, codes.shape)
    return _normalized(np.exp(levels), live)


def _distance(
    x: NDArray[Any], mask: ArrayLike | None
) -> tuple[NDArray[Any], NDArray[np.bool_] | np.bool_]:
    """x - max over the row's live elements, 0 at masked elements, and the mask."""
    check_shape(x.shape)
    if mask is None:
        return x - x.max(axis=-1, keepdims=True), np.True_
    live = live_elements(mask, x.shape)
    known = np.where(live, x, -np.inf)
    largest = known.max(axis=-1, keepdims=True)
    return np.where(live, x, largest) - np.where(np.isneginf(largest), 0, largest), live


def _normalized(
    exponentials: NDArray[np.float64], live: NDArray[np.bool_] | np.bool_
) -> NDArray[np.float64]:
    """Each row over its sum, masked elements 0."""
    kept = np.where(live, exponentials, 0.0)
    total = kept.sum(axis=-1, keepdims=True)
    return kept / np.where(total > 0, total, 1.0)
