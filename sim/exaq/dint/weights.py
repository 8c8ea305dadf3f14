"""Weights as codes and scales: one scale a row, or one for each group of a row's weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.dint.weight_formats import WeightFormat, finite, format_of
from exaq.scalars import flag, integer


@dataclass(frozen=True, kw_only=True)
class QuantizedWeights:
    """Weights of shape (..., row) as codes; ``quantize`` makes them.

    Members
    -------
    format
        What the codes mean.
    codes
        (..., row) uint8, 0 to 15.
    scales
        (..., groups) float64, of either sign.
    zeros
        (..., groups) float64, what level 0 stands for; None: 0.
    group_size
        Weights of a group; the last one of a row is shorter where it does not divide the row.
    """

    format: WeightFormat
    codes: NDArray[np.uint8]
    scales: NDArray[np.float64]
    zeros: NDArray[np.float64] | None
    group_size: int

    def dequantize(self) -> NDArray[np.float64]:
        """Real weights (..., row): level * scale + zero, each operation rounded to float64."""
        row = self.codes.shape[-1]
        real = self.format.values(self.codes) * spread(self.scales, row, self.group_size)
        return real if self.zeros is None else real + spread(self.zeros, row, self.group_size)


def quantize(
    values: ArrayLike,
    weights: str | WeightFormat = "dint4",
    *,
    group_size: int | None = None,
    scales: ArrayLike | None = None,
    zero_point: bool = False,
) -> QuantizedWeights:
    """Codes and scales of real weights.

    u = w / s is rounded to the nearest level of the format and clipped to its outermost ones. The
    quotient is that of float64.

    Parameters
    ----------
    values
        Real weights (..., row), finite, a row of at least one.
    weights
        A format or its name.
    group_size
        Weights that share a scale, at least 1; the last group of a row is shorter where it does
        not divide the row. None: the whole row.
    scales
        (..., groups), finite and not 0, instead of those of ``exaq.dint.scales``.
    zero_point
        Levels stand around a real number of each group's own instead of around 0: the lowest
        level is the group's least weight and the highest one its greatest, so that s =
        (max - min) / 13 in dINT4. A group of equal weights has scale 1, and that weight for zero.

    Raises
    ------
    TypeError
        Weights or scales are no real numbers, or ``group_size`` is no integer.
    ValueError
        A weight or a scale is not finite, a scale is 0 or does not fit, a row is empty, or scales
        are given with a zero point.
    """
    chosen = format_of(weights)
    real = _rows(values)
    row = real.shape[-1]
    size = row if group_size is None else min(integer("group_size", group_size, 1), row)
    zeros = None
    if flag("zero_point", zero_point):
        if scales is not None:
            raise ValueError("weights with a zero point have scales of their own: give none")
        steps, zeros = _around_zero_point(real, chosen, size)
    elif scales is None:
        steps = _scales(real, chosen, size)
    else:
        steps = finite(scales, "scales")
        wanted = (*real.shape[:-1], len(group_starts(row, size)))
        if steps.shape != wanted:
            raise ValueError(f"scales of shape {steps.shape} must have the shape {wanted}")
        if (steps == 0).any():
            raise ValueError("scales must not be 0")
    centred = real if zeros is None else real - spread(zeros, row, size)
    with np.errstate(over="ignore"):
        ratios = centred / spread(steps, row, size)
    # Where a given scale is so small that the quotient overflows, the level is an outermost one.
    limited = np.clip(ratios, 2 * chosen.lowest, 2 * chosen.highest)
    return QuantizedWeights(
        format=chosen, codes=chosen.encode(limited), scales=steps, zeros=zeros, group_size=size
    )


def scales(
    values: ArrayLike, weights: str | WeightFormat = "dint4", *, group_size: int | None = None
) -> NDArray[np.float64]:
    """The scale of each row, or of each group, that clips no weight and has the least size.

    A format whose levels reach from B to T takes s1 = max(max / T, min / B), or with the sign
    turned s2 = max(-min / T, -max / B): the scale is s1 if s1 <= s2, else -s2. In dINT4 B is -7
    and T is 6; the other formats reach as far on both sides, so their scales are positive. Where
    that is 0, as for weights that are all 0, the scale is 1.

    Parameters and errors are those of ``quantize``; the shape is (..., groups).
    """
    real = _rows(values)
    row = real.shape[-1]
    size = row if group_size is None else min(integer("group_size", group_size, 1), row)
    return _scales(real, format_of(weights), size)


def group_starts(row: int, group: int) -> range:
    """Where the groups of a row begin."""
    return range(0, row, group)


def spread(each: NDArray[np.float64], row: int, group: int) -> NDArray[np.float64]:
    """A number for each group, (..., groups), as one for each weight, (..., row)."""
    return np.repeat(each, group, axis=-1)[..., :row]


def _rows(values: ArrayLike) -> NDArray[np.float64]:
    real = finite(values, "weights")
    if not real.ndim:
        raise ValueError("weights must have at least one axis, the row")
    if not real.shape[-1]:
        raise ValueError("a row must have at least 1 weight, not 0")
    return real


def _scales(real: NDArray[np.float64], format: WeightFormat, group: int) -> NDArray[np.float64]:
    least, most = _extremes(real, group)
    straight = np.maximum(most / format.highest, least / format.lowest)
    turned = np.maximum(-least / format.highest, -most / format.lowest)
    found = np.where(straight <= turned, straight, -turned)
    return np.where(found == 0, 1.0, found)


def _around_zero_point(
    real: NDArray[np.float64], format: WeightFormat, group: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    least, most = _extremes(real, group)
    span = format.highest - format.lowest
    # Divided first: the difference of two large numbers may be none.
    steps = most / span - least / span
    flat = steps == 0
    zeros = np.where(flat, least, least - format.lowest * steps)
    return np.where(flat, 1.0, steps), zeros


def _extremes(
    real: NDArray[np.float64], group: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least and the greatest weight of each group."""
    starts = group_starts(real.shape[-1], group)
    return np.minimum.reduceat(real, starts, axis=-1), np.maximum.reduceat(real, starts, axis=-1)
