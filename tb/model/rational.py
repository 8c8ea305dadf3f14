"""The authors' quantizer in rational arithmetic: exact for every clip and scale."""

from __future__ import annotations

from fractions import Fraction


def position(distance: int, clip: Fraction, scale: Fraction, bits: int) -> Fraction:
    """(clip(d, C, 0) - C) / Delta, where d is ``distance`` logit steps (at most 0)."""
    d = distance * scale
    if d <= clip:
        return Fraction(0)
    return (min(d, Fraction(0)) - clip) * (2**bits - 1) / -clip


def round_half_even(value: Fraction) -> int:
    """The nearest integer; the even one of two that are equally near."""
    below, rest = divmod(value.numerator, value.denominator)
    twice = 2 * rest
    up = twice > value.denominator or (twice == value.denominator and below % 2 == 1)
    return below + up


def is_tie(value: Fraction) -> bool:
    """Whether ``value`` lies in the middle between two integers."""
    return value.denominator == 2
