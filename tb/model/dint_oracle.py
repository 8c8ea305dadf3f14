"""Weights of 4 bits from their definitions, in Python's fractions: slow and plain."""

from __future__ import annotations

import math
from fractions import Fraction

HALF, QUARTER = Fraction(1, 2), Fraction(1, 4)


def e2m1(exponent: int, mantissa: int) -> Fraction:
    """A positive number of E2M1, of its two fields."""
    if exponent == 0:
        return Fraction(mantissa, 2)
    return (1 + Fraction(mantissa, 2)) * 2 ** (exponent - 1)


_SIZES = [e2m1(exponent, mantissa) for exponent in range(4) for mantissa in range(2)]
_NEGATIVE = [Fraction(-k) for k in range(1, 7)]

#: Level of each code, as the numerics page lists them; None: there is no such code.
LEVELS: dict[str, list[Fraction | None]] = {
    "dint4": [*map(Fraction, range(7)), HALF, Fraction(-7), *_NEGATIVE, -HALF],
    "int4": [*map(Fraction, range(8)), None, *map(Fraction, range(-7, 0))],
    "fp4": [*_SIZES, *(-size for size in _SIZES)],
}


def away(u: Fraction) -> int:
    """The nearest integer; of two that are as near, the one farther from 0."""
    size = math.floor(abs(u) + HALF)
    return size if u >= 0 else -size


def level(name: str, u: Fraction) -> Fraction:
    """What u is rounded to."""
    if name == "dint4":
        if abs(u) < QUARTER:
            return Fraction(0)
        if abs(u) < 3 * QUARTER:
            return HALF if u > 0 else -HALF
        return Fraction(min(max(away(u), -7), 6))
    if name == "int4":
        return Fraction(min(max(away(u), -7), 7))
    # The spacing of E2M1 at |u|: 1/2 below 2, 1 below 4, then 2; half to even, at most 6.
    step = HALF if abs(u) < 2 else Fraction(1) if abs(u) < 4 else Fraction(2)
    return min(max(round(u / step) * step, Fraction(-6)), Fraction(6))


def scale(name: str, row: list[float]) -> float:
    """The scale of a row, as the numerics page has it."""
    top, bottom = {"dint4": (6, -7), "int4": (7, -7), "fp4": (6, -6)}[name]
    straight = max(max(row) / top, min(row) / bottom)
    turned = max(-min(row) / top, max(row) / -bottom)
    if straight == 0 and turned == 0:
        return 1.0
    return straight if straight <= turned else -turned
