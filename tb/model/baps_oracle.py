"""BAPS in plain integers and exact fractions, one element after the other.

Written from the definition in the documentation alone; of the configuration it takes settings, and
nothing that was computed from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from math import floor

import hif8_oracle

from exaq import SoftmaxConfig

with localcontext(prec=90):
    #: The natural logarithm of 2, to more digits than anything here depends on.
    LN_2 = Fraction(Decimal(2).ln())

#: Exponentials times this are HiF8's numbers.
LIFT = 8
#: Leading bits of a sum that count for a floating-point probability.
SUM_DIGITS = 10


def half_up(value: Fraction) -> int:
    """The nearest integer; the upper one of two."""
    return floor(value + Fraction(1, 2))


def floor_log2(value: Fraction) -> int:
    """The largest k with 2**k <= value."""
    k = value.numerator.bit_length() - value.denominator.bit_length()
    return k if Fraction(2) ** k <= value else k - 1


def mantissa(fraction: int) -> int:
    """2**(fraction/16) in eighths, to the nearest one: no such power is half-way."""
    return next(m for m in range(8, 17) if 2 ** (64 + fraction) < (2 * m + 1) ** 16)


def e5m3_number(code: int) -> Fraction:
    """What a code of e5m3 stands for."""
    exponent, eighths = code >> 3, code & 7
    return Fraction(8 + eighths, 8) * Fraction(2) ** (exponent - 31) if exponent else Fraction(0)


def e5m3_code(value: Fraction) -> int:
    """The code of the nearest number of four bits, the upper one of two; 0 where that has none."""
    if not value:
        return 0
    exponent = floor_log2(value)
    eighths = half_up(value * 8 / Fraction(2) ** exponent)
    if eighths == 16:
        exponent, eighths = exponent + 1, 8
    return (exponent + 31) << 3 | eighths - 8 if exponent + 31 >= 1 else 0


def ceil_log2(n: int) -> int:
    """Smallest k with 2**k >= n."""
    return next(k for k in range(n + 1) if 2**k >= n)


Beat = Sequence[int | None]


class Baps:
    """A unit. A row is a list of logits, and None where nothing takes part."""

    def __init__(self, config: SoftmaxConfig) -> None:
        self.lanes, self.max_row = config.lanes, config.max_row
        self.hif8 = config.code_format == "hif8"
        self.step = config.reference_step
        self.prob_bits = config.prob_bits
        self.float = config.probability_format == "float"
        self._exponentials: dict[int, tuple[int, Fraction]] = {}
        self._steps: dict[int, int] = {}
        self._probabilities: dict[tuple[Fraction, int], int] = {}
        # log2 of the exponential of a logit of 1, in sixteenths, to logit_width fraction bits.
        self.exact_factor = 16 * Fraction(config.logit_scale) / LN_2
        places = 2**config.logit_width
        self.factor = Fraction(max(1, half_up(self.exact_factor * places)), places)
        self.lowest = self.ceiled(self.t(-(2 ** (config.logit_width - 1))))
        self.sum_frac = 16 + self.step - 1

    def t(self, logit: int) -> int:
        if logit not in self._steps:
            self._steps[logit] = half_up(logit * self.factor)
        return self._steps[logit]

    def ceiled(self, t: int) -> int:
        """The least reference that is not below t/16 octaves."""
        return -floor(Fraction(-t, 16 * self.step)) * self.step

    def code(self, t: int, reference: int) -> int:
        """Code of an element."""
        return self._exponential(t, reference)[0]

    def value(self, t: int, reference: int) -> Fraction:
        """What the code of an element stands for, relative to its reference."""
        return self._exponential(t, reference)[1]

    def _exponential(self, t: int, reference: int) -> tuple[int, Fraction]:
        distance = t - 16 * reference
        if distance not in self._exponentials:
            exact = Fraction(mantissa(t % 16), 8) * Fraction(2) ** (t // 16 - reference)
            if self.hif8:
                number = hif8_oracle.nearest(LIFT * exact)
                found = hif8_oracle.NUMBERS[number], number / LIFT
            else:
                code = e5m3_code(exact)
                found = code, exact if code else Fraction(0)
            self._exponentials[distance] = found
        return self._exponentials[distance]

    def beats(self, row: Beat) -> list[Beat]:
        return [row[k : k + self.lanes] for k in range(0, len(row), self.lanes)]

    def references(self, row: Beat) -> list[int]:
        """Of each beat."""
        found, reference = [], self.lowest
        for beat in self.beats(row):
            live = [self.ceiled(self.t(logit)) for logit in beat if logit is not None]
            reference = max([reference, *live])
            found.append(reference)
        return found

    def coded(self, row: Beat) -> list[tuple[int, Fraction]]:
        """Code of each element, and what it stands for relative to the row's last reference."""
        references = self.references(row)
        found = []
        for beat, reference in zip(self.beats(row), references, strict=True):
            rise = references[-1] - reference
            for logit in beat:
                if logit is None:
                    found.append((0, Fraction(0)))
                    continue
                code, value = self._exponential(self.t(logit), reference)
                found.append((code, value / 2**rise))
        return found

    def codes(self, row: Beat) -> list[int]:
        return [code for code, _ in self.coded(row)]

    def sum(self, row: Beat) -> int:
        """In units of 2**-sum_frac, relative to the row's last reference."""
        total, before = 0, self.lowest
        for beat, reference in zip(self.beats(row), self.references(row), strict=True):
            total >>= reference - before
            for logit in beat:
                if logit is not None:
                    total += floor(self.value(self.t(logit), reference) * 2**self.sum_frac)
            before = reference
        return total

    def quotients(self, row: Beat) -> list[Fraction]:
        """Probability of each element by the row's own sum, exactly."""
        total = self.sum(row)
        return [value * 2**self.sum_frac / max(total, 1) for _, value in self.coded(row)]

    def probabilities(self, row: Beat) -> list[int]:
        """Linear: of mantissas the quotients are rounded, half up; what an element is below its
        row's reference is shifted. Floating-point: the nearest numbers by the sum's leading digits.
        """
        total, found = self.sum(row), []
        for _, value in self.coded(row):
            if not value:
                found.append(0)
                continue
            if (value, total) not in self._probabilities:
                self._probabilities[value, total] = self._probability(value, total)
            found.append(self._probabilities[value, total])
        return found

    def _probability(self, value: Fraction, total: int) -> int:
        if not self.float:
            below = -floor_log2(value)
            quotient = value * 2 ** (below + self.sum_frac) / total
            return min(half_up(quotient * 2**self.prob_bits) >> below, 2**self.prob_bits - 1)
        last = max(total.bit_length() - SUM_DIGITS, 0)
        code = e5m3_code(value * 2**self.sum_frac / (total >> last << last))
        if not self.hif8:
            return code
        return hif8_oracle.NUMBERS[hif8_oracle.nearest(e5m3_number(code))]
