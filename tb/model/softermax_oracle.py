"""Softermax in plain integers and exact fractions, one element after the other.

Written from the definition in docs/numerics.md; of the configuration it takes settings, and nothing
that was computed from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from math import ceil, floor

from baps_oracle import LN_2, half_up

from exaq import SoftmaxConfig

#: Steps of t in an octave.
STEPS = 256
#: Octaves of a step of a sum's reference.
FOURS = 4

Row = Sequence[int | None]


@cache
def quarter(number: int, bits: int) -> int:
    """2**(-number/4) in units of 2**-bits, to the nearest one; 1 is saturated."""
    if number == 0:
        return 2**bits - 1
    # n - 1/2 < 2**(bits - number/4) < n + 1/2, to the fourth power.
    exact = 2 ** (4 * bits - number + 4)
    low, high = 0, 2**bits
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if (2 * middle - 1) ** 4 < exact else (low, middle)
    assert (2 * low - 1) ** 4 < exact < (2 * low + 1) ** 4
    return low


@cache
def power(f: int, bits: int) -> int:
    """2**(-f/256) by a straight line between two quarters of an octave; what it falls by is rounded
    down.
    """
    number, part = divmod(f, STEPS // 4)
    above, below = quarter(number, bits), quarter(number + 1, bits)
    return above - floor(Fraction((above - below) * part, STEPS // 4))


class Softermax:
    """A unit. A row is a list of logits, and None where nothing takes part."""

    def __init__(self, config: SoftmaxConfig) -> None:
        self.lanes, self.max_row = config.lanes, config.max_row
        self.exp_bits, self.prob_bits = config.exp_bits, config.prob_bits
        places = 2**config.logit_width
        #: log2 of the exponential of a logit of 1, in steps of t.
        self.exact_factor = STEPS * Fraction(config.logit_scale) / LN_2
        self.factor = Fraction(max(1, half_up(self.exact_factor * places)), places)
        self.lowest = self.ceiled(self.t(-(2 ** (config.logit_width - 1))))

    def t(self, logit: int) -> int:
        return half_up(logit * self.factor)

    def ceiled(self, t: int) -> int:
        """The least whole octave that is not below t."""
        return ceil(Fraction(t, STEPS))

    def exponential(self, t: int, reference: int) -> int:
        octave = self.ceiled(t)
        whole = power(STEPS * octave - t, self.exp_bits)
        return floor(Fraction(whole, 2 ** (reference - octave)))

    def beats(self, row: Row) -> list[Row]:
        return [row[k : k + self.lanes] for k in range(0, len(row), self.lanes)]

    def references(self, row: Row) -> list[int]:
        """Of each beat."""
        found, reference = [], self.lowest
        for beat in self.beats(row):
            live = [self.ceiled(self.t(logit)) for logit in beat if logit is not None]
            reference = max([reference, *live])
            found.append(reference)
        return found

    def exponentials(self, row: Row) -> list[list[int]]:
        """Of each beat, relative to its reference; 0 where nothing takes part."""
        return [
            [0 if logit is None else self.exponential(self.t(logit), reference) for logit in beat]
            for beat, reference in zip(self.beats(row), self.references(row), strict=True)
        ]

    def sum(self, row: Row) -> tuple[int, int]:
        """In units of an eighth of an exponential's, and the multiple of four octaves that it is
        relative to.
        """
        total, before = 0, FOURS * ceil(Fraction(self.lowest, FOURS))
        for reference, beat in zip(self.references(row), self.exponentials(row), strict=True):
            coarse = FOURS * ceil(Fraction(reference, FOURS))
            total = floor(Fraction(total, 2 ** (coarse - before)))
            total += sum(int(Fraction(8 * each, 2 ** (coarse - reference))) for each in beat)
            before = coarse
        return total, before

    def factor_of(self, total: int, rise: int) -> int:
        """What exponentials are multiplied by whose reference the sum's is above by ``rise``: half
        steps of a probability over the sum.
        """
        ones = 2 ** (self.prob_bits + 1)
        if total & (total - 1):
            return floor(Fraction(8 * ones * 2**self.exp_bits, total * 2**rise))
        # The reciprocal of a power of two is a bit short.
        places = total.bit_length() - self.exp_bits + rise - 3
        return floor(Fraction(2 * ones - 1, 2**places))

    def probabilities(self, row: Row) -> list[int]:
        references, (total, last) = self.references(row), self.sum(row)
        found = []
        for beat, reference in zip(self.exponentials(row), references, strict=True):
            for exponential in beat:
                if not exponential:
                    found.append(0)
                    continue
                factor = self.factor_of(total, last - reference)
                exact = Fraction(exponential * factor, 2 ** (self.exp_bits + 1))
                found.append(min(half_up(exact), 2**self.prob_bits - 1))
        return found
