"""From real numbers to the unit's integers and back, and masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.config import SoftmaxConfig
from exaq.scalars import integer


def logits_to_integers(logits: ArrayLike, config: SoftmaxConfig) -> NDArray[np.signedinteger[Any]]:
    """Real logits in steps of ``config.logit_scale``, rounded half to even.

    Values beyond ``config.logit_range`` saturate.

    Parameters
    ----------
    logits
        Finite real logits of a floating-point type, any shape. An element that takes no part is
        left out by a mask, not by -inf.
    config
        Gives ``logit_scale`` and ``logit_width``.

    Returns
    -------
    NDArray[np.signedinteger]
        Shape of ``logits``; int8, int16 or int32, the narrowest that holds ``logit_width`` bits.
    """
    real = np.asarray(logits)
    if not np.issubdtype(real.dtype, np.floating):
        raise TypeError(f"logits must be floating-point numbers, not {real.dtype}")
    finite = np.isfinite(real)
    if not finite.all():
        raise ValueError(
            f"logits must be finite, not {real[~finite][0]}; use a mask to leave elements out"
        )
    with np.errstate(over="ignore"):
        steps = np.rint(real.astype(np.float64) / float(config.logit_scale))
    types = (np.int8, np.int16, np.int32)
    dtype = next(t for t in types if np.iinfo(t).bits >= config.logit_width)
    return np.clip(steps, *config.logit_range).astype(dtype)


def probabilities_to_float(probabilities: ArrayLike, config: SoftmaxConfig) -> NDArray[np.float64]:
    """Real probabilities p / 2**prob_bits, exact, of the unit's unsigned integers p."""
    integers = np.asarray(probabilities)
    if not np.issubdtype(integers.dtype, np.integer):
        raise TypeError(f"probabilities must be integers, not {integers.dtype}")
    most = 2**config.prob_bits - 1
    if integers.size:
        for extreme in (int(integers.min()), int(integers.max())):
            if not 0 <= extreme <= most:
                raise ValueError(
                    f"probabilities of {config.prob_bits} bits must be in 0..{most}, not {extreme}"
                )
    return np.ldexp(integers.astype(np.float64), -config.prob_bits)


def length_mask(lengths: ArrayLike, row: int) -> NDArray[np.bool_]:
    """Mask of rows that are filled from the left: the first ``length`` elements are live.

    Parameters
    ----------
    lengths
        Integers 0 .. ``row``, any shape (...).
    row
        Elements of a row, at least 1.

    Returns
    -------
    NDArray[np.bool_]
        Shape (..., row), True = live.
    """
    row = integer("row", row, 1)
    counts = np.asarray(lengths)
    if not np.issubdtype(counts.dtype, np.integer):
        raise TypeError(f"lengths must be integers, not {counts.dtype}")
    outside = counts[(counts < 0) | (counts > row)]
    if outside.size:
        raise ValueError(f"lengths must be in 0..{row}, not {outside[0]}")
    return np.arange(row) < counts[..., None]


def broadcast_mask(mask: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """``mask`` as a read-only view of ``shape``, checked: boolean, and no larger than it."""
    live = np.asarray(mask)
    if live.dtype != np.bool_:
        raise TypeError(f"mask must be boolean, not {live.dtype}")
    try:
        return np.broadcast_to(live, shape)
    except ValueError:
        raise ValueError(f"mask of shape {live.shape} does not fit the shape {shape}") from None
