"""Integer products of activations of 8 bits and weights of 4, in half units.

A product is activation times level in half steps. No rounding takes part before the scales, so
the order of the sum is nobody's matter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.dint.weight_formats import WeightFormat, finite, format_of
from exaq.rows import check_range, plain

#: The greatest size of a product in half units: 128 * 14, of activation -128 and weight -7.
MOST_PRODUCT = 1792

_INT8 = (-128, 127)


def dot(
    activations: ArrayLike, codes: ArrayLike, weights: str | WeightFormat = "dint4"
) -> NDArray[np.int64]:
    """Sums of products, exact, in half units.

    Their real value is sum * activation scale * weight scale / 2, where one scale of each serves
    the whole row; with groups it is the sum of that over the groups, each by a call of its own.

    Parameters
    ----------
    activations
        (..., row) integers from -128 to 127.
    codes
        (outputs, row) codes of the format.
    weights
        The format, or its name.

    Returns
    -------
    NDArray[np.int64]
        (..., outputs); of size ``MOST_PRODUCT`` * row at most, and 0 for rows of no elements.

    Raises
    ------
    TypeError
        Something is no integer, or a ``numpy.ma`` array.
    ValueError
        An activation or a code is out of range, or the shapes do not fit.
    """
    given = plain(activations, "activations")
    if given.dtype.kind not in "iu":
        raise TypeError(f"activations must be integers, not {given.dtype}")
    if given.size:
        check_range("activations", int(given.min()), int(given.max()), *_INT8)
    halves = format_of(weights).decode(codes)
    if halves.ndim != 2 or not given.ndim or given.shape[-1] != halves.shape[-1]:
        raise ValueError(
            f"activations of shape {given.shape} and codes of shape {halves.shape} must be "
            "(..., row) and (outputs, row)"
        )
    # float64 holds sums below 2**53 exactly, whatever their order, and multiplies fastest.
    if given.shape[-1] * MOST_PRODUCT >= 2**53:
        raise ValueError(f"rows of {given.shape[-1]} elements have sums beyond 2**53")
    return (given.astype(np.float64) @ halves.T.astype(np.float64)).astype(np.int64)


def activations(values: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Symmetric integers of 8 bits for real activations, and the scale of each row.

    The scale is the row's largest size over 127, and 1 for a row of zeros; x / scale is rounded
    half to even. -128 does not occur.

    Parameters
    ----------
    values
        (..., row) real numbers, finite, a row of at least one.

    Returns
    -------
    tuple
        (..., row) int8, and (..., 1) float64.

    Raises
    ------
    TypeError, ValueError
        They are no real numbers, one is not finite, or there is no row.
    """
    real = finite(values, "activations")
    if not real.ndim or not real.shape[-1]:
        raise ValueError("a row must have at least 1 activation")
    steps = np.abs(real).max(axis=-1, keepdims=True) / 127
    steps = np.where(steps == 0, 1.0, steps)
    # Of the smallest numbers that there are, the scale itself is rounded.
    return np.clip(np.rint(real / steps), -127, 127).astype(np.int8), steps
