"""Constants of exponentials to base 2 and e, rounded once from decimals of 60 digits.

They do not depend on the machine's mathematics library. What is rounded is irrational, or exact, so
no tie is left to chance.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

_DIGITS = Context(prec=60)
_LN2 = _DIGITS.ln(Decimal(2))


def _decimal(value: Fraction) -> Decimal:
    return _DIGITS.divide(Decimal(value.numerator), Decimal(value.denominator))


def _rounded(value: Decimal, frac: int) -> int:
    scaled = _DIGITS.multiply(value, _DIGITS.power(Decimal(2), frac))
    return int(scaled.to_integral_value(rounding=ROUND_HALF_EVEN))


def round_exp2(level: Fraction, frac: int) -> int:
    """round(2**level * 2**frac)."""
    return _rounded(_exp2(level), frac)


def round_exp2_series(level: Fraction, factors: Iterable[tuple[int, Fraction]], frac: int) -> int:
    """round(2**level * 2**frac * sum of factor * ln(2)**power), of pairs of power and factor."""
    total = Decimal(0)
    for power, factor in factors:
        term = _DIGITS.multiply(_decimal(factor), _DIGITS.power(_LN2, power))
        total = _DIGITS.add(total, term)
    return _rounded(_DIGITS.multiply(_exp2(level), total), frac)


def _exp2(level: Fraction) -> Decimal:
    return _DIGITS.exp(_DIGITS.multiply(_decimal(level), _LN2))


def round_log2_e(factor: Fraction, frac: int) -> int:
    """round(factor * log2(e) * 2**frac)."""
    return _rounded(_DIGITS.divide(_decimal(factor), _LN2), frac)


def halvings(count: int, step: Fraction) -> int:
    """floor(count * ln(2) / step): the greatest n for which e**(-n * step) >= 2**-count."""
    exact = _DIGITS.divide(_DIGITS.multiply(_LN2, Decimal(count)), _decimal(step))
    return int(exact.to_integral_value(rounding=ROUND_FLOOR))
