"""Softmax by a reciprocal of the row's sum and one multiplication an element.

With the distance d >= 0, the scale s and P = prob_bits the kernel defines

    E = e^(-d s) in units of 2^-exp_bits, made as ``exponential`` says, at most 2^exp_bits - 1
    S = sum of E over the row's live elements, e = floor(log2 S)
    R = min(floor(2^(P + 2) * 2^e / S), 2^(P + 2) - 1)
    p = min(round half up(E * R / 2^(e + 2)), 2^P - 1)

    >>> import exaq
    >>> config = exaq.SoftmaxConfig(kernel="multiply", lanes=4)
    >>> exaq.softmax([[0, 0, -16, -128]], config).tolist()
    [[27673, 27673, 10180, 9]]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import comb, factorial

import numpy as np
from numpy.typing import NDArray

from exaq.kernels.pieces import by_pieces, linear_pieces
from exaq.kernels.powers import halvings, round_exp2_series, round_log2_e
from exaq.kernels.reciprocal import reciprocal
from exaq.kernels.weighted import Integers, Weighted
from exaq.scalars import choice, integer
from exaq.stream_format import StreamFormat
from exaq.tables import round_exp

#: How a unit makes exponentials.
EXPONENTIALS = ("split", "taylor2", "taylor3", "pwl4", "pwl8", "schraudolph")

#: Widest logits: beyond them the tables of ``split`` grow large.
MAX_LOGIT_WIDTH = 16

# Legal range, both ends included.
_EXP_BITS = (8, 24)

#: Bits of tables and polynomials below the last bit of a weight.
GUARD = 2
#: Fraction bits of the exponent to base 2 that polynomials get.
EXPONENT_FRAC = 14
# Fraction bits that the factor from a distance to it has, beyond the distance's bits.
_FACTOR_FRAC = 12


@dataclass(frozen=True, kw_only=True)
class Multiply(Weighted):
    """Parameters of the kernel, and its golden model.

    Parameters
    ----------
    exponential
        How an exponential is made from a distance. ``"split"``: from two tables, of the distance's
        high and low bits, and their rounded product. The others multiply the distance by a constant
        and so go to base 2, whose integer part shifts; they differ in what they take for 2**-f of
        the fraction f. ``"taylor2"``, ``"taylor3"``: the Taylor polynomial of that order round f =
        1/2. ``"pwl4"``, ``"pwl8"``: 4 or 8 linear pieces that meet the curve at their ends.
        ``"schraudolph"``: 1 - f/2.
    exp_bits
        Fraction bits of an exponential, 8 to 24; 1 is saturated at 2**exp_bits - 1.
    """

    name = "multiply"

    exponential: str = "split"
    exp_bits: int = 16

    def __post_init__(self) -> None:
        choice("exponential", self.exponential, EXPONENTIALS)
        self._set("exp_bits", integer("exp_bits", self.exp_bits, *_EXP_BITS))

    def _settle(self, format: StreamFormat) -> None:
        super()._settle(format)
        if format.logit_width > MAX_LOGIT_WIDTH:
            raise ValueError(
                f"logit_width must be in 4..{MAX_LOGIT_WIDTH} with the kernel {self.name}, "
                f"not {format.logit_width}"
            )

    @property
    def stored_bits(self) -> int:
        """A stored word is the weight."""
        return self.exp_bits

    @property
    def weight_bits(self) -> int:
        """A weight is the exponential, below 1."""
        return self.exp_bits

    @property
    def zero(self) -> int:
        """An exponential of 0 gives 0."""
        return 0

    @property
    def reciprocal_bits(self) -> int:
        """Width of the mantissa of a row's reciprocal."""
        return self.format.prob_bits + 2

    @property
    def sum_range_bits(self) -> int:
        """Places by which the highest bits of two rows' sums can be apart."""
        return self._sum_range(self.format)

    def _sum_range(self, format: StreamFormat) -> int:
        # The maximum's exponential has its highest bit set.
        return self.widest_sum(format, self.exp_bits) - self.exp_bits

    @property
    def least_sum(self) -> int:
        """1/2: every variant gives more at distance 0."""
        return 1 << (self.exp_bits - 1)

    @property
    def row_fields(self) -> Mapping[str, int]:
        """The reciprocal's ``mantissa``, and ``exponent``, that of the sum less exp_bits - 1."""
        return {
            "mantissa": self.reciprocal_bits,
            "exponent": max(1, self.sum_range_bits.bit_length()),
        }

    def finish_period(self, format: StreamFormat) -> int:
        """A cycle for each place that a sum may have to be shifted and for each quotient bit."""
        return self._sum_range(format) + format.prob_bits + 2 + 1

    @property
    def table_bits(self) -> int:
        """Fraction bits of tables and polynomials, in which 1 is saturated."""
        return self.exp_bits + GUARD

    @cached_property
    def reach_bits(self) -> int:
        """Bits of the distances whose exponential may be more than 0: a distance of more bits
        gives 0; at least 2.
        """
        last = halvings(self.exp_bits + 1, self._step)
        return min(self.format.logit_width, max(2, last.bit_length()))

    @property
    def _step(self) -> Fraction:
        return Fraction(self.format.logit_scale)

    @property
    def low_bits(self) -> int:
        """Of ``split``: bits of the distance that look up the second table."""
        return self.reach_bits // 2

    @cached_property
    def split_tables(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of ``split``: e^-x of the distances' high bits, and of their low bits."""
        high = [
            self._table_exp(place << self.low_bits)
            for place in range(1 << (self.reach_bits - self.low_bits))
        ]
        return tuple(high), tuple(self._table_exp(place) for place in range(1 << self.low_bits))

    def _table_exp(self, distance: int) -> int:
        return self._below_one(round_exp(-distance * self._step, self.table_bits))

    def _below_one(self, value: int) -> int:
        return min(value, (1 << self.table_bits) - 1)

    @property
    def factor_frac(self) -> int:
        """Fraction bits of ``factor``."""
        return self.reach_bits + _FACTOR_FRAC

    @cached_property
    def factor(self) -> int:
        """logit_scale * log2(e), what a distance is multiplied by to give an exponent to base 2."""
        return round_log2_e(self._step, self.factor_frac)

    @cached_property
    def coefficients(self) -> tuple[int, ...]:
        """Of Taylor polynomials: a_0 ... a_n of a_0 - a_1 f + a_2 f^2 - a_3 f^3, all positive."""
        order = int(self.exponential[-1])
        found = []
        for power in range(order + 1):
            # The terms (ln(2) * (1/2 - f))**k / k!, k <= order, multiplied out.
            terms = [
                (k, Fraction(comb(k, power), 2 ** (k - power) * factorial(k)))
                for k in range(power, order + 1)
            ]
            value = round_exp2_series(Fraction(-1, 2), terms, self.table_bits)
            found.append(self._below_one(value))
        return tuple(found)

    @cached_property
    def pieces(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of linear pieces: 2^-f where each begins, and how much it falls."""
        return linear_pieces(int(self.exponential[-1]), self.table_bits)

    def weigh(self, distance: Integers) -> tuple[Integers, Integers]:
        near = distance & ((1 << self.reach_bits) - 1)
        found = self._split(near) if self.exponential == "split" else self._base2(near)
        found = np.minimum(found, 2**self.exp_bits - 1)
        found = np.where(near == distance, found, 0)
        return found, found

    def _split(self, distance: Integers) -> Integers:
        high, low = (np.array(table, np.int64) for table in self.split_tables)
        product = high[distance >> self.low_bits] * low[distance & ((1 << self.low_bits) - 1)]
        return _half_up(product, 2 * self.table_bits - self.exp_bits)

    def _base2(self, distance: Integers) -> Integers:
        exponent = distance * self.factor
        fraction = (exponent >> (self.factor_frac - EXPONENT_FRAC)) & ((1 << EXPONENT_FRAC) - 1)
        return _half_up(self._exp2(fraction), (exponent >> self.factor_frac) + GUARD)

    def _exp2(self, f: Integers) -> Integers:
        """2^-f of ``table_bits`` fraction bits, below 1."""
        if self.exponential == "schraudolph":
            one = 1 << self.table_bits
            return np.minimum(one - ((f << self.table_bits) >> (EXPONENT_FRAC + 1)), one - 1)
        if self.exponential.startswith("pwl"):
            return by_pieces(self.pieces, f, EXPONENT_FRAC)
        *lower, value = self.coefficients
        found: Integers = np.full_like(f, value)
        for coefficient in reversed(lower):
            found = coefficient - ((found * f) >> EXPONENT_FRAC)
        return found

    def finish(self, total: Integers) -> dict[str, Integers]:
        mantissa, exponent = reciprocal(total, self.reciprocal_bits)
        return {"mantissa": mantissa, "exponent": exponent - (self.exp_bits - 1)}

    def emit(self, stored: Integers, row: Mapping[str, Integers]) -> Integers:
        # 2^exp_bits stands for 1 in both; the reciprocal has two bits more than a probability.
        places = row["exponent"] + (self.exp_bits - 1) + 2
        return np.minimum(_half_up(stored * row["mantissa"], places), 2**self.format.prob_bits - 1)


def _half_up(value: Integers, places: Integers | int) -> Integers:
    """value / 2**places, rounded half up; ``places`` are at least 1."""
    found: NDArray[np.int64] = ((value >> (places - 1)) + 1) >> 1
    return found
