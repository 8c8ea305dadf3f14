"""From real numbers to the unit's integers and back, and masks of lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.config import SoftmaxConfig
from exaq.rows import joined_mask, live_elements, plain, split_masked
from exaq.scalars import integer
from exaq.stream_format import element_type


def logits_to_integers(
    logits: ArrayLike, config: SoftmaxConfig, mask: ArrayLike | None = None
) -> NDArray[np.signedinteger[Any]]:
    """Real logits in steps of ``config.logit_scale``, rounded half to even.

    Values beyond ``config.format.live_range`` saturate, so none becomes a mask value.

    Parameters
    ----------
    logits
        Real logits of a floating-point type, any shape; those that take part are finite. Where a
        mask is in them, as -inf or as a finite number, ``exaq.live_scores`` finds it.
    config
        Gives ``logit_scale``, ``logit_width`` and ``mask_value``.
    mask
        Booleans that broadcast to the shape of ``logits``, True = live. None: all are live.

    Returns
    -------
    NDArray[np.signedinteger]
        Shape of ``logits``; int8, int16 or int32, the narrowest that holds ``logit_width`` bits.
        Masked elements become 0, or the mask value where there is one. A ``numpy.ma`` array gives
        one of the same mask.
    """
    if config.format.float_format is not None:
        raise ValueError(
            f"a configuration of {config.logit_format} logits has no integers; "
            "exaq.round_logits gives its numbers"
        )
    real, live = _finite(logits, mask)
    with np.errstate(over="ignore"):
        steps = np.rint(real.astype(np.float64) / float(config.logit_scale))
    integers = np.clip(steps, *config.format.live_range).astype(
        element_type(config.logit_width, signed=True)
    )
    masked = config.format.masked_logit
    taking_part = joined_mask(live, mask, real.shape)
    if masked is not None and taking_part is not None:
        integers = np.where(taking_part, integers, integers.dtype.type(masked))
    return integers if live is None else np.ma.MaskedArray(integers, ~live)


def _finite(
    logits: ArrayLike, mask: ArrayLike | None
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Checked real logits, 0 where masked, and the live elements of a ``numpy.ma`` array."""
    real, live = split_masked(logits)
    if not np.issubdtype(real.dtype, np.floating):
        raise TypeError(f"logits must be floating-point numbers, not {real.dtype}")
    if mask is not None:
        real = np.where(live_elements(mask, real.shape), real, 0)
    finite = np.isfinite(real)
    if not finite.all():
        raise ValueError(
            f"logits must be finite, not {real[~finite][0]}; use a mask to leave elements out"
        )
    return real, live


def round_logits(
    logits: ArrayLike, config: SoftmaxConfig, mask: ArrayLike | None = None
) -> NDArray[Any]:
    """Real logits as a unit of ``config`` takes them.

    For integer logits ``logits_to_integers``. For ``bf16`` and ``fp16`` the nearest number of the
    format to logit / ``logit_scale``, half to even and at most its largest one, as float32;
    masked elements become -inf, which means masked.

    Parameters
    ----------
    logits, mask
        As of ``logits_to_integers``.
    config
        Gives ``logit_format`` and ``logit_scale``, and ``logit_width`` of integers.
    """
    floats = config.format.float_format
    if floats is None:
        return logits_to_integers(logits, config, mask)
    real, live = _finite(logits, mask)
    rounded = floats.round(real.astype(np.float64) / float(config.logit_scale))
    if mask is not None:
        rounded = np.where(live_elements(mask, real.shape), rounded, np.float32(-np.inf))
    return rounded if live is None else np.ma.MaskedArray(rounded, ~live)


def probabilities_to_float(probabilities: ArrayLike, config: SoftmaxConfig) -> NDArray[np.float64]:
    """Real probabilities, exact, of the unit's unsigned integers p: p / 2**prob_bits, or what the
    kernel's number format says that p is.
    """
    integers = plain(probabilities, "probabilities")
    if not np.issubdtype(integers.dtype, np.integer):
        raise TypeError(f"probabilities must be integers, not {integers.dtype}")
    most = 2**config.prob_bits - 1
    if integers.size:
        for extreme in (int(integers.min()), int(integers.max())):
            if not 0 <= extreme <= most:
                raise ValueError(
                    f"probabilities of {config.prob_bits} bits must be in 0..{most}, not {extreme}"
                )
    return config.kernel.probability_values(integers)


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
    counts = plain(lengths, "lengths")
    if not np.issubdtype(counts.dtype, np.integer):
        raise TypeError(f"lengths must be integers, not {counts.dtype}")
    outside = counts[(counts < 0) | (counts > row)]
    if outside.size:
        raise ValueError(f"lengths must be in 0..{row}, not {outside[0]}")
    return np.arange(row) < counts[..., None]


def causal_windows(
    queries: int, keys: int, *, span: int | None = None
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Windows of the rows of causal attention: each query sees the keys up to its own.

    The last query's own key is the last one, whatever the numbers: query i sees the keys below
    i + 1 + keys - queries, as in a decoder with a cache of earlier keys. With as many queries as
    keys these are the masks of PyTorch's ``is_causal``; with other numbers that counts from the
    first query instead. Where there are fewer keys than queries, the first queries see none.

    Parameters
    ----------
    queries, keys
        Rows, and elements of each, at least 1.
    span
        Keys that a query sees at most, its own and those right before it, at least 1: a sliding
        window. None: all before it.

    Returns
    -------
    tuple
        Starts and stops, (queries,) int32 each: ``window`` of ``exaq.softmax`` for logits of shape
        (..., queries, keys). Start is not below stop where a query sees no key.
    """
    queries, keys = integer("queries", queries, 1), integer("keys", keys, 1)
    stops = np.maximum(np.arange(1, queries + 1) + (keys - queries), 0)
    if span is None:
        starts = np.zeros_like(stops)
    else:
        starts = np.maximum(stops - integer("span", span, 1), 0)
    return starts.astype(np.int32), stops.astype(np.int32)
