"""The kernel multiply in Python's integers and fractions, from its definition in docs/numerics.md.

Every constant is rounded from rational bounds of an exponential that agree on how.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from itertools import pairwise
from math import ceil, comb, factorial, floor

from exaq import SoftmaxConfig

Bounds = tuple[Fraction, Fraction]

# Bits of the fractions that bounds are cut to, outwards.
_BITS = 320
_HALF = Fraction(1, 2)


def _cut(low: Fraction, high: Fraction) -> Bounds:
    one = 1 << _BITS
    return Fraction(floor(low * one), one), Fraction(ceil(high * one), one)


@cache
def ln2() -> Bounds:
    terms = sum((Fraction(1, k << k) for k in range(1, 300)), Fraction(0))
    return _cut(terms, terms + Fraction(1, 1 << 299))


def exp_minus(low: Fraction, high: Fraction) -> Bounds:
    """Bounds of e**-x for every x from ``low`` to ``high``, both at least 0."""
    return _exp(-high)[0], _exp(-low)[1]


@cache
def _exp(x: Fraction) -> Bounds:
    halvings = max(0, (-floor(x)).bit_length())
    small = x / (1 << halvings)
    # An alternating series whose terms shrink lies between any two neighbouring sums.
    sums = [sum((small**k / factorial(k) for k in range(n)), Fraction(0)) for n in (60, 61)]
    low, high = _cut(min(sums), max(sums))
    for _ in range(halvings):
        low, high = _cut(low * low, high * high)
    return low, high


def rounded(bounds: Bounds, frac: int) -> int:
    """round(value * 2**frac) of what lies between ``bounds``."""
    low, high = (floor(end * (1 << frac) + _HALF) for end in bounds)
    assert low == high
    return low


def half_up(value: Fraction) -> int:
    return floor(value + _HALF)


def exp2_minus(f: Fraction) -> Bounds:
    low, high = ln2()
    return exp_minus(f * low, f * high)


@cache
def reach_bits(exp_bits: int, logit_width: int, scale: Fraction) -> int:
    """The fewest bits, 2 at least, beyond which e**-x is less than half of the last place."""
    least = Fraction(1, 1 << (exp_bits + 1))
    for bits in range(2, logit_width):
        low, high = exp_minus(scale * (1 << bits), scale * (1 << bits))
        if high < least:
            return bits
        assert low > least
    return logit_width


class Exponentials:
    """The weight of each distance."""

    def __init__(self, exponential: str, exp_bits: int, logit_width: int, scale: Fraction):
        self.kind, self.bits, self.scale = exponential, exp_bits, scale
        self.frac = exp_bits + 2
        self.top = (1 << self.frac) - 1
        self.reach = reach_bits(exp_bits, logit_width, scale)
        low, high = ln2()
        point = self.reach + 12
        self.point = point
        self.factor = rounded((scale / high, scale / low), point)

    def constant(self, bounds: Bounds) -> int:
        return min(rounded(bounds, self.frac), self.top)

    def weight(self, distance: int) -> int:
        if distance >> self.reach:
            return 0
        if self.kind == "split":
            step = 1 << (self.reach // 2)
            low = distance % step
            exact = Fraction(1)
            for x in (self.scale * (distance - low), self.scale * low):
                exact *= Fraction(self.constant(exp_minus(x, x)), 1 << self.frac)
        else:
            t = distance * self.factor
            whole, rest = divmod(t, 1 << self.point)
            f = rest // (1 << (self.point - 14))
            exact = Fraction(self.exp2(f), 1 << (self.frac + whole))
        return min(half_up(exact * (1 << self.bits)), (1 << self.bits) - 1)

    def exp2(self, f: int) -> int:
        one = 1 << 14
        if self.kind == "schraudolph":
            value = (1 << self.frac) - floor(Fraction(f << self.frac, 2 * one))
            return min(value, self.top)
        number = int(self.kind[-1])
        if self.kind.startswith("pwl"):
            ends = [self.constant(exp2_minus(Fraction(k, number))) for k in range(number + 1)]
            piece, part = divmod(f * number, one)
            above, below = list(pairwise(ends))[piece]
            return above - floor(Fraction((above - below) * part, one))
        coefficients = [self.constant(coefficient(k, number)) for k in range(number + 1)]
        value = coefficients.pop()
        while coefficients:
            value = coefficients.pop() - floor(Fraction(value * f, one))
        return value


@cache
def coefficient(power: int, order: int) -> Bounds:
    """Of (-f)**power in the Taylor polynomial of ``order`` that 2**-f has round 1/2."""
    ends = []
    for root, base in zip(exp2_minus(_HALF), ln2(), strict=True):
        terms = (
            base**k / factorial(k) * comb(k, power) * _HALF ** (k - power)
            for k in range(power, order + 1)
        )
        ends.append(root * sum(terms))
    return ends[0], ends[1]


@cache
def weights(exponential: str, exp_bits: int, logit_width: int, scale: Fraction) -> tuple[int, ...]:
    """The weight of every distance."""
    each = Exponentials(exponential, exp_bits, logit_width, scale)
    return tuple(each.weight(distance) for distance in range(1 << logit_width))


def reciprocal(total: int, bits: int) -> tuple[int, int]:
    """Mantissa and exponent of 1 / total."""
    exponent = max(e for e in range(total.bit_length()) if 2**e <= total)
    mantissa = floor(Fraction(1 << (bits + exponent), total))
    return min(mantissa, (1 << bits) - 1), exponent


def softmax_row(
    row: Sequence[int], live: Sequence[bool] | None, config: SoftmaxConfig
) -> list[int]:
    """Probabilities of a row of ``config``, whose kernel is multiply."""
    flags = [True] * len(row) if live is None else list(live)
    taken = [x for x, is_live in zip(row, flags, strict=True) if is_live]
    if not taken:
        return [0] * len(row)
    table = weights(
        config.exponential, config.exp_bits, config.logit_width, Fraction(config.logit_scale)
    )
    top = max(taken)
    found = [table[top - x] if is_live else 0 for x, is_live in zip(row, flags, strict=True)]
    mantissa, exponent = reciprocal(sum(found), config.prob_bits + 2)
    last = (1 << config.prob_bits) - 1
    given = {w: min(half_up(Fraction(w * mantissa, 4 << exponent)), last) for w in {*found}}
    return [given[w] for w in found]
