"""Softmax by small tables (arXiv 2111.10770): one of exponentials, and one of what divides them.

The distance of an element to its row's maximum looks up its exponential E, of ``table_bits`` bits.
The row's sum of them looks up its reciprocal, or a column of probabilities.

    >>> import exaq
    >>> config = exaq.SoftmaxConfig(kernel="lut", prob_bits=8)
    >>> config.table_bytes, exaq.softmax([[40, 10, -60]], config).tolist()
    (422, [[220, 34, 0]])
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from math import floor
from typing import Any

import numpy as np

from exaq.kernels.reciprocal import exponent
from exaq.kernels.weighted import Integers, Weighted
from exaq.scalars import choice, integer
from exaq.stream_format import StreamFormat
from exaq.tables import round_scaled_exp

#: Ways from the sum to the probability.
VARIANTS = ("rexp", "2d")
#: Words that a table may have at most.
MOST_WORDS = 4096

# Legal ranges, both ends included.
_RANGES = {"table_bits": (4, 12), "exp_entries": (4, 1024)}
_CODE_BITS = (1, 8)
# Where nothing else is said; they keep tables near the paper's in size.
_MANTISSA_BITS = {"rexp": 5, "2d": 2}
_USUAL_CODE_BITS = 4
# What a kernel that is settled has in the place of None: no reader of one ever meets it.
_DERIVED: Any = None


@dataclass(frozen=True, kw_only=True)
class Lut(Weighted):
    """Parameters of the kernel ``lut``.

    Both variants are those of Vasyltsov and Chang (arXiv 2111.10770). Theirs are the two kinds of
    tables, words of 8 bits, and a size of about 700 bytes. What the paper leaves open, or what a
    stream of rows of any length needs otherwise, is ours: it is all that follows.

    **Exponentials.** With w = ``table_bits`` and d the distance in logit steps, the table of
    exponentials has the words

        E_i = round((2**w - 1) * e**(-logit_scale * 2**step * i)),   i = (d + half) >> step

    with half = 2**(step - 1), or 0 where step is 0: i is d / 2**step rounded half up. ``step`` is
    the least with which ``exp_entries`` words reach down to one that is 0, or to the largest
    distance. The table ends there; what lies further down has its last word.

    **Sums.** S, the exact sum of a row's E, is rounded half up to ``mantissa_bits`` + 1 significant
    bits: S', which numbers the columns of the second table. So these are a fixed number for each
    octave and as many as ``max_row`` needs, while the paper's are evenly spaced up to some sum.

    **rexp**: the second table holds reciprocals, and an element takes one multiplication:

        A = min(floor(2**(2 * w) / S' + 1/2), 2**w - 1),
        p = floor(E * A * 2**(prob_bits - 2 * w) + 1/2)

    **2d**: the second table holds probabilities. Its rows are numbered by a code of the
    exponential, c = floor(E * C / (2**w - 1) + 1/2) with C = 2**``code_bits`` - 1, and
    nothing is multiplied:

        p = floor(2**prob_bits * (2**w - 1) * c / (C * S') + 1/2)

    Either p is at most 2**prob_bits - 1.

    Parameters
    ----------
    variant
        ``"rexp"`` or ``"2d"``.
    table_bits
        Width of an exponential and of a reciprocal, 4 to 12.
    exp_entries
        Words that the table of exponentials may have, 4 to 1024.
    mantissa_bits
        Bits of a sum below its highest one that tell columns apart, 0 to table_bits - 2. Default:
        5, with ``2d`` 2.
    code_bits
        With ``2d``: width of an exponential's code, 1 to 8. Default: 4. With ``rexp`` it is None.
    """

    name = "lut"

    variant: str = "rexp"
    table_bits: int = 8
    exp_entries: int = 128
    mantissa_bits: int = _DERIVED
    code_bits: int | None = None

    def __post_init__(self) -> None:
        choice("variant", self.variant, VARIANTS)
        for name, legal in _RANGES.items():
            self._set(name, integer(name, getattr(self, name), *legal))
        if self.mantissa_bits is not None:
            most = self.table_bits - 2
            self._set("mantissa_bits", integer("mantissa_bits", self.mantissa_bits, 0, most))
        if self.code_bits is not None:
            if self.variant != "2d":
                raise ValueError(f"code_bits must be left out with {self.variant}, which has none")
            self._set("code_bits", integer("code_bits", self.code_bits, *_CODE_BITS))

    def _settle(self, format: StreamFormat) -> None:
        super()._settle(format)
        if self.mantissa_bits is None:
            usual = _MANTISSA_BITS[self.variant]
            self._set("mantissa_bits", min(usual, self.table_bits - 2))
        if self.code_bits is None and self.variant == "2d":
            self._set("code_bits", _USUAL_CODE_BITS)
        words = self.columns << (self.code_bits or 0)
        if words > MOST_WORDS:
            raise ValueError(
                f"the table behind the sum has {words} words, at most {MOST_WORDS} are legal: "
                "make mantissa_bits, code_bits or max_row smaller"
            )

    @property
    def one(self) -> int:
        """The exponential of the row's maximum."""
        return 2**self.table_bits - 1

    @property
    def stored_bits(self) -> int:
        """A stored word is the exponential, or its code."""
        return self.code_bits or self.table_bits

    @property
    def weight_bits(self) -> int:
        """A weight is an exponential."""
        return self.table_bits

    @property
    def row_fields(self) -> Mapping[str, int]:
        """With ``rexp`` the row's ``reciprocal``, with ``2d`` its ``column``."""
        if self.variant == "rexp":
            return {"reciprocal": self.table_bits}
        return {"column": self.column_bits}

    @property
    def zero(self) -> int:
        """An exponential of 0 gives 0, and so does its code."""
        return 0

    @property
    def least_sum(self) -> int:
        """The weight of the maximum."""
        return self.one

    def finish_period(self, format: StreamFormat) -> int:
        """A sum looks up its table in every cycle."""
        return 1

    @property
    def step(self) -> int:
        """Power of two that a distance is divided by to number the exponentials."""
        return self._exponentials()[0]

    @property
    def exponentials(self) -> tuple[int, ...]:
        """The table of exponentials, from distance 0 on."""
        return self._exponentials()[1]

    def _exponentials(self) -> tuple[int, tuple[int, ...]]:
        most = 2**self.format.logit_width - 1
        scale = Fraction(self.format.logit_scale)
        return _exponentials(scale, self.one, most, self.exp_entries)

    @cached_property
    def codes(self) -> tuple[int, ...]:
        """With ``2d``: the code of each of the ``exponentials``."""
        if self.code_bits is None:
            return ()
        most = 2**self.code_bits - 1
        return tuple(_round_half_up(Fraction(e * most, self.one)) for e in self.exponentials)

    @cached_property
    def columns(self) -> int:
        """Sums that the second table tells apart."""
        return int(self._column(np.array([self.format.max_row * self.one], np.int64))[0]) + 1

    @property
    def column_bits(self) -> int:
        """Width of a column's number, at least 1."""
        return max(1, (self.columns - 1).bit_length())

    @cached_property
    def rounded_sums(self) -> tuple[int, ...]:
        """The sum S' of each column."""
        octave = 2**self.mantissa_bits
        return tuple(
            2 ** (self.table_bits - self.mantissa_bits + column // octave)
            * (octave + column % octave)
            for column in range(self.columns)
        )

    @cached_property
    def reciprocals(self) -> tuple[int, ...]:
        """With ``rexp``: the table of reciprocals, by column."""
        if self.variant != "rexp":
            return ()
        unit = 2 ** (2 * self.table_bits)
        return tuple(min(_round_half_up(Fraction(unit, s)), self.one) for s in self.rounded_sums)

    @cached_property
    def probabilities(self) -> tuple[tuple[int, ...], ...]:
        """With ``2d``: for each column, the probability of each code."""
        if self.code_bits is None:
            return ()
        codes, most = range(2**self.code_bits), 2**self.format.prob_bits - 1
        unit = Fraction(2**self.format.prob_bits * self.one, codes[-1])
        return tuple(
            tuple(min(_round_half_up(unit * code / s), most) for code in codes)
            for s in self.rounded_sums
        )

    @property
    def table_bytes(self) -> int:
        """Bytes of one copy of every table, each of its words as wide as it must be."""
        bits = len(self.exponentials) * (self.table_bits + (self.code_bits or 0))
        bits += len(self.reciprocals) * self.table_bits
        if self.code_bits is not None:
            bits += (self.columns << self.code_bits) * self.format.prob_bits
        return -(-bits // 8)

    def weigh(self, distance: Integers) -> tuple[Integers, Integers]:
        exponentials = np.array(self.exponentials, np.int64)
        place = (distance + (2**self.step >> 1)) >> self.step
        place = np.minimum(place, len(exponentials) - 1)
        weight = exponentials[place]
        return (np.array(self.codes, np.int64)[place] if self.codes else weight), weight

    def finish(self, total: Integers) -> dict[str, Integers]:
        column = self._column(np.maximum(total, self.least_sum))
        if self.variant == "rexp":
            return {"reciprocal": np.array(self.reciprocals, np.int64)[column]}
        return {"column": column}

    def emit(self, stored: Integers, row: Mapping[str, Integers]) -> Integers:
        if self.variant == "2d":
            return np.array(self.probabilities, np.int64)[row["column"], stored]
        product = stored * row["reciprocal"]
        shift = 2 * self.table_bits - self.format.prob_bits
        if shift > 0:
            product = (product + 2 ** (shift - 1)) >> shift
        else:
            product <<= -shift
        return np.minimum(product, 2**self.format.prob_bits - 1)

    def _column(self, total: Integers) -> Integers:
        """Column of each sum that a row can have."""
        shift = exponent(total) - self.mantissa_bits
        # What is rounded up to the next power of two is its first column: the numbers run on.
        rounded = (total + (np.int64(1) << (shift - 1))) >> shift
        octave = 2**self.mantissa_bits
        return (shift + self.mantissa_bits - self.table_bits) * octave + rounded - octave


@lru_cache(maxsize=64)
def _exponentials(
    scale: Fraction, one: int, most: int, entries: int
) -> tuple[int, tuple[int, ...]]:
    """Step and table of exponentials for distances up to ``most``."""

    def place(step: int) -> int:
        return (most + (2**step >> 1)) >> step

    def word(step: int, index: int) -> int:
        return round_scaled_exp(-scale * 2**step * index, one)

    step = 0
    while place(step) >= entries and word(step, entries - 1):
        step += 1
    words = [one]
    while words[-1] and len(words) <= place(step):
        words.append(word(step, len(words)))
    return step, tuple(words)


def _round_half_up(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))
