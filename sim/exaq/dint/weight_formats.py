"""Which level each of 16 codes stands for, and which level a number is rounded to.

A number u, a weight over its scale, gets the nearest level. Beyond the outermost ones it gets
these, and at a tie what the format says.

    >>> from exaq.dint import DINT4
    >>> DINT4.encode([0.2, 0.25, 0.75, 9, -0.3, -6.5]).tolist()
    [0, 7, 1, 6, 15, 8]
    >>> DINT4.values([7, 8, 15]).tolist()
    [0.5, -7.0, -0.5]
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.rows import check_range, plain
from exaq.scalars import choice


@dataclass(frozen=True, kw_only=True)
class WeightFormat:
    """Sixteen codes and what they stand for.

    Parameters
    ----------
    name
        ``"dint4"``, ``"int4"`` or ``"fp4"``.
    halves
        Level of each code, in half steps; None: there is no such code. Of codes that share a level
        the first one is encoded.
    ties
        Which of two levels a number half-way between them gets: ``"away"``, that farther from 0,
        or ``"even"``, that whose code is even.
    """

    name: str
    halves: tuple[int | None, ...]
    ties: str

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """The levels in half steps, ascending."""
        return tuple(sorted({half for half in self.halves if half is not None}))

    @cached_property
    def level_codes(self) -> tuple[int, ...]:
        """The code of each of ``levels``."""
        return tuple(self.halves.index(level) for level in self.levels)

    @cached_property
    def borders(self) -> tuple[float, ...]:
        """The least float64, in steps, that each of ``levels`` gets, but the lowest."""
        found = []
        for (low, high), (code, _) in zip(
            pairwise(self.levels), pairwise(self.level_codes), strict=True
        ):
            middle = (low + high) / 4
            # Codes of neighbouring levels alternate, so one of the two is even.
            up = middle > 0 if self.ties == "away" else code % 2 == 1
            found.append(middle if up else math.nextafter(middle, math.inf))
        return tuple(found)

    @property
    def lowest(self) -> float:
        """The lowest level, in steps."""
        return self.levels[0] / 2

    @property
    def highest(self) -> float:
        """The highest level, in steps."""
        return self.levels[-1] / 2

    def encode(self, steps: ArrayLike) -> NDArray[np.uint8]:
        """Codes of real numbers in steps, any shape, rounded and clipped as the format says.

        Raises
        ------
        TypeError
            They are neither integers nor floating-point numbers, or a ``numpy.ma`` array.
        ValueError
            One of them is not finite.
        """
        places = np.searchsorted(self.borders, finite(steps, "steps"), side="right")
        return np.array(self.level_codes, np.uint8)[places]

    def decode(self, codes: ArrayLike) -> NDArray[np.int8]:
        """Levels of codes in half steps, any shape.

        Raises
        ------
        TypeError
            Codes are no integers, or a ``numpy.ma`` array.
        ValueError
            One is not in 0..15, or is none of the format's.
        """
        given = checked_codes(codes)
        for code, half in enumerate(self.halves):
            if half is None and (given == code).any():
                raise ValueError(f"{self.name} has no code {code}")
        return np.array([half or 0 for half in self.halves], np.int8)[given]

    def values(self, codes: ArrayLike) -> NDArray[np.float64]:
        """Levels of codes in steps, any shape, exact; raises as ``decode`` does."""
        return self.decode(codes) / 2


#: Code 0 to 6: 0 to 6; 7: +1/2; 8: -7; 9 to 14: -1 to -6; 15: -1/2.
DINT4 = WeightFormat(
    name="dint4",
    halves=(0, 2, 4, 6, 8, 10, 12, 1, -14, -2, -4, -6, -8, -10, -12, -1),
    ties="away",
)
#: Two's complement from -7 to 7; code 8, which would be -8, is none.
INT4 = WeightFormat(
    name="int4",
    halves=(0, 2, 4, 6, 8, 10, 12, 14, None, -14, -12, -10, -8, -6, -4, -2),
    ties="away",
)
#: E2M1: a sign, and 0, 1/2, 1, 3/2, 2, 3, 4 or 6. Code 8 is -0, and is not encoded.
FP4 = WeightFormat(
    name="fp4",
    halves=(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12),
    ties="even",
)

#: The formats by name.
WEIGHT_FORMATS = {each.name: each for each in (DINT4, INT4, FP4)}


def format_of(weights: str | WeightFormat) -> WeightFormat:
    """The format itself, or that of a name; else ValueError."""
    if isinstance(weights, WeightFormat):
        return weights
    return WEIGHT_FORMATS[choice("weights", weights, tuple(WEIGHT_FORMATS))]


def finite(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Real numbers as float64; TypeError where they are none, ValueError where one is not finite.

    Numbers of other types that float64 does not have are rounded to it.
    """
    given = plain(values, name)
    if given.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be real numbers, not {given.dtype}")
    real: NDArray[np.float64] = given.astype(np.float64)
    wrong = ~np.isfinite(real)
    if wrong.any():
        raise ValueError(f"{name} must be finite, not {real[wrong][0]}")
    return real


def checked_codes(codes: ArrayLike) -> NDArray[Any]:
    """Integers from 0 to 15 as an array; else TypeError or ValueError."""
    given = plain(codes, "codes")
    if given.dtype.kind not in "iu":
        raise TypeError(f"codes must be integers, not {given.dtype}")
    if given.size:
        check_range("codes", int(given.min()), int(given.max()), 0, 15)
    return given
