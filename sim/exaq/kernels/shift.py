"""Softmax of powers of two: shifts and adds in the place of multiplications.

An element's code k says how many octaves it lies below its row's maximum, so that 2**-k stands for
its exponential. The row's sum gives one number R, and R shifted right by k is the probability.

    >>> import exaq
    >>> config = exaq.SoftmaxConfig(kernel="shift", prob_bits=8)
    >>> config.factor, exaq.softmax([[40, 10, -60]], config).tolist()
    (Fraction(23, 256), [[209, 26, 0]])
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil

import numpy as np

from exaq.kernels.powers import round_exp2_series, round_log2_e
from exaq.kernels.reciprocal import exponent
from exaq.kernels.weighted import Integers, Weighted
from exaq.scalars import choice, integer
from exaq.stream_format import StreamFormat

#: Ways from the sum to the probability.
VARIANTS = ("e2softmax", "ita")

# Largest code of e2softmax, whose codes have 4 bits.
_E2SOFTMAX_MOST = 15
# Legal range, both ends included.
_FACTOR_BITS = (1, 12)
# What is added to ln(2) for the reciprocal of 1 + f, where f is below 1/2 and where it is not.
_EIGHTHS = (Fraction(1, 8), Fraction(-1, 8))


@dataclass(frozen=True, kw_only=True)
class Shift(Weighted):
    """Parameters of the kernel, and its golden model.

    The code of an element that lies d logit steps below its row's maximum is

        k = min(floor(factor * d + 1/2), most_code)

    where ``factor`` is logit_scale * log2(e), rounded to ``factor_bits`` significant bits. Nothing
    but k itself is rounded on the way.

    **e2softmax** (SOLE, ICCAD 2023, arXiv 2510.17189): weights 2**-k with k of 4 bits, and a
    division in the log domain. With 2**n the highest power of two in the sum S, S is
    2**n * (1 + f). For 1 / (1 + f) stands (2 * ln(2) + 1/4 - q) / 2, where q is f cut off to one
    bit, 0 or 1/2; that is 0.818 or 0.568, and right in the mean over f:

        R = floor(round(2**prob_bits * (ln(2) + 1/8 - q/2)) / 2**n),   p = floor(R / 2**k)

    The paper has d + (d >> 1) - (d >> 4) for factor * d, which is what 5 bits of log2(e) are. Ours
    are the scale of the logits in the factor, k rounded to the nearest, probabilities of any width,
    and further digits of the two constants.

    **ita** (arXiv 2307.03493): weights floor(2**prob_bits / 2**k), and one division a row:

        R = floor((2**prob_bits - 1) * 2**prob_bits / S),   p = floor(R / 2**k)

    At ITA's 8 bits and its scale of the logits, ln(2) / 32, this is ITA's arithmetic: the factor
    is 2**-5, a shift by 5 with a rounding bit. Other widths and scales are ours. ITA finds the
    maximum while a row comes in, and shifts the sum right whenever it grows; here the maximum is
    known before the first weight, and the sum is exact.

    Parameters
    ----------
    variant
        ``"e2softmax"`` or ``"ita"``.
    factor_bits
        Significant bits of ``factor``, 1 to 12: the fewer, the fewer adders.
    """

    name = "shift"

    variant: str = "e2softmax"
    factor_bits: int = 5

    def __post_init__(self) -> None:
        choice("variant", self.variant, VARIANTS)
        self._set("factor_bits", integer("factor_bits", self.factor_bits, *_FACTOR_BITS))

    @property
    def octaves(self) -> int:
        """Power of two that the row's maximum weighs."""
        return _E2SOFTMAX_MOST if self.variant == "e2softmax" else self.format.prob_bits

    @property
    def most_code(self) -> int:
        """Largest code; every element further down has it too."""
        return _E2SOFTMAX_MOST if self.variant == "e2softmax" else self.format.prob_bits + 1

    @property
    def stored_bits(self) -> int:
        """A stored word is the code."""
        return self.most_code.bit_length()

    @property
    def weight_bits(self) -> int:
        """A weight is a power of two, or 0."""
        return self.octaves + 1

    @property
    def sum_bits(self) -> int:
        """Width of the sum of as many maxima as the longest row has elements."""
        return (self.format.max_row << self.octaves).bit_length()

    @property
    def least_sum(self) -> int:
        """The weight of the maximum."""
        return 1 << self.octaves

    @property
    def row_fields(self) -> Mapping[str, int]:
        """The row's ``reciprocal`` R."""
        return {"reciprocal": self.format.prob_bits}

    @property
    def zero(self) -> int | None:
        """The largest code of ``ita``, which shifts R out; there is none of ``e2softmax``."""
        return self.most_code if self.variant == "ita" else None

    def finish_period(self, format: StreamFormat) -> int:
        """A cycle for each quotient bit of a division, and one more; 1 without a division."""
        return format.prob_bits + 1 if self.variant == "ita" else 1

    @cached_property
    def factor(self) -> Fraction:
        """Octaves of a logit step, as they are computed with."""
        scale, most = Fraction(self.format.logit_scale), 2**self.factor_bits
        # The most fraction bits with which the rounded number keeps to so many bits; ``most``
        # itself is a power of two, of one significant bit.
        frac = self.factor_bits - scale.numerator.bit_length() + scale.denominator.bit_length() + 2
        while round_log2_e(scale, frac) > most:
            frac -= 1
        return round_log2_e(scale, frac) / Fraction(2) ** frac

    @cached_property
    def reaches(self) -> tuple[int, ...]:
        """Least distance, in logit steps, of each code from 1 on."""
        codes = range(1, self.most_code + 1)
        return tuple(ceil((code - Fraction(1, 2)) / self.factor) for code in codes)

    @cached_property
    def reciprocals(self) -> tuple[int, int]:
        """Of ``e2softmax``: what stands for 2**prob_bits / (1 + f), for q of 0 and of 1/2."""
        below, above = (
            round_exp2_series(Fraction(0), [(1, Fraction(1)), (0, eighth)], self.format.prob_bits)
            for eighth in _EIGHTHS
        )
        return below, above

    def weigh(self, distance: Integers) -> tuple[Integers, Integers]:
        far = np.iinfo(np.int64).max
        reaches = np.array([min(reach, far) for reach in self.reaches], np.int64)
        codes = np.searchsorted(reaches, distance, side="right").astype(np.int64)
        return codes, np.int64(self.least_sum) >> codes

    def finish(self, total: Integers) -> dict[str, Integers]:
        total = np.maximum(total, self.least_sum)
        if self.variant == "ita":
            one = 2**self.format.prob_bits
            return {"reciprocal": (one - 1) * one // total}
        power = exponent(total)
        half = (total >> (power - 1)) & 1
        return {"reciprocal": np.array(self.reciprocals)[half] >> (power - self.octaves)}

    def emit(self, stored: Integers, row: Mapping[str, Integers]) -> Integers:
        return row["reciprocal"] >> stored
