"""Floating-point logits of 16 bits, compared as integers.

A *key* is the integer that orders numbers as their values do: the number's bits, those below the
sign inverted where it is negative, read as a signed integer. So ``key(a) < key(b)`` where a < b;
-0 is just below +0, and whoever compares takes either for 0.

Thresholds are integers in steps of 2**-24. That is the spacing of the smallest numbers of fp16, so
every difference of two of its numbers is such an integer. A row with the maximum ``max`` has the
border T for the threshold t: the smallest number at or above max + t * 2**-24, exactly. An element
reaches the threshold where its key is at least that of T.

    >>> from exaq.float_format import FLOAT_FORMATS
    >>> bf16 = FLOAT_FORMATS["bf16"]
    >>> borders = bf16.borders(bf16.keys([1.5]), (-(1 << 24),))
    >>> bf16.values(borders).tolist()
    [[0.5]]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.scalars import real

#: Fraction bits of a threshold: it is an integer in steps of 2**-FRACTION of a logit of 1.
FRACTION = 24
#: Width of a threshold, a signed integer.
THRESHOLD_WIDTH = 32
#: Numbers of at least 2**LARGE differ from their neighbours by at least a threshold's size, so a
#: border is the maximum itself.
LARGE = 16


@dataclass(frozen=True)
class FloatFormat:
    """A floating-point format: a sign, ``exponent`` bits, ``mantissa`` bits, as IEEE 754 has them.

    Denormal numbers are numbers like all others.
    """

    name: str
    exponent: int
    mantissa: int

    @property
    def infinity(self) -> int:
        """The key, and the bits, of +inf; those above are NaN."""
        return ((1 << self.exponent) - 1) << self.mantissa

    @property
    def lowest(self) -> int:
        """The key of -inf."""
        return ~self.infinity

    @property
    def bias(self) -> int:
        """What is added to a number's exponent."""
        return (1 << (self.exponent - 1)) - 1

    @property
    def least_threshold(self) -> int:
        """Thresholds that are not 0 are at or below it.

        max + t is then never so small that numbers with bits below 2**-FRACTION are next to it,
        unless max is such a number itself; see ``borders``.
        """
        smallest = 1 - self.bias - self.mantissa
        return -1 if smallest >= -FRACTION else -(1 << (self.mantissa + 1))

    def keys(self, numbers: ArrayLike) -> NDArray[np.int16]:
        """Keys of numbers that the format has, infinities and NaN among them.

        Raises
        ------
        TypeError
            They are not floating-point numbers.
        ValueError
            The format lacks one of them; the message names it.
        """
        given = np.asarray(numbers)
        if given.dtype.kind != "f" and given.dtype.name != "bfloat16":
            raise TypeError(f"logits must be floating-point numbers, not {given.dtype}")
        bits, odd = self._bits(given)
        if odd.any():
            raise ValueError(
                f"logits must be {self.name} numbers, not {given[odd].reshape(-1)[0]}; "
                "exaq.round_logits rounds"
            )
        return keys_of_bits(bits)

    def round(self, numbers: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """The nearest numbers of the format, half to even; finite ones stay finite."""
        largest = float(self.values(np.array([self.infinity - 1], np.int16))[0])
        limited = np.clip(numbers.astype(np.float64), -largest, largest)
        if self.mantissa == 10:
            # NumPy rounds a float64 to float16 at once, as it should be.
            return limited.astype(np.float16).astype(np.float32)
        # To odd first: float32 holds more than twice the bits, so nothing is rounded twice.
        near = limited.astype(np.float32)
        bits = near.view(np.uint32)
        inexact = near.astype(np.float64) != limited
        toward = np.where(np.abs(near) > np.abs(limited), bits - np.uint32(1), bits)
        sticky = np.where(inexact, toward | np.uint32(1), bits)
        half = np.uint32(0x7FFF) + ((sticky >> np.uint32(16)) & np.uint32(1))
        rounded = (sticky + half) & np.uint32(0xFFFF0000)
        whole: NDArray[np.float32] = np.where(np.isnan(limited), bits, rounded).view(np.float32)
        return whole

    def exact(self, name: str, value: Any) -> float:
        """``value``, called ``name`` in messages, as a finite number that the format has."""
        number = float(real(name, value))
        with np.errstate(over="ignore", under="ignore"):
            if float(self.round(np.array([number]))[0]) != number:
                raise ValueError(f"{name} must be a finite {self.name} number, not {number!r}")
        return number

    def values(self, keys: NDArray[np.int16]) -> NDArray[np.float32]:
        """Numbers of keys."""
        bits = bits_of_keys(keys)
        if self.mantissa == 10:
            return bits.view(np.float16).astype(np.float32)
        return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)

    def masked(self, keys: NDArray[np.int16]) -> NDArray[np.bool_]:
        """Which keys are of no finite number: -inf, +inf, NaN."""
        return (keys <= self.lowest) | (keys >= self.infinity)

    def bad(self, keys: NDArray[np.int16]) -> NDArray[np.bool_]:
        """Which keys put their row in error: +inf and NaN."""
        return (keys < self.lowest) | (keys >= self.infinity)

    def borders(self, maxima: NDArray[np.int16], thresholds: Sequence[int]) -> NDArray[np.int16]:
        """Keys of the smallest numbers that reach each threshold, (rows, thresholds).

        Parameters
        ----------
        maxima
            (rows,) keys of finite numbers; others give any border.
        thresholds
            Integers in steps of 2**-24, none above 0; see ``check_thresholds``.
        """
        most = self.values(maxima).astype(np.float64)
        with np.errstate(invalid="ignore"):
            large = ~(np.abs(most) < 2.0**LARGE)
            fixed = np.ceil(np.ldexp(np.where(large, 0, most), FRACTION)).astype(np.int64)
        totals = fixed[:, None] + np.asarray(thresholds, np.int64)
        found = self._at_or_above(totals)
        same = large[:, None] | (np.asarray(thresholds) == 0)
        borders = np.where(same, maxima[:, None], found)
        # Zero, of either sign, is reached by both.
        return np.where(borders == 0, -1, borders).astype(np.int16)

    def check_thresholds(self, thresholds: Sequence[int]) -> None:
        """Refuse thresholds that no unit for this format takes."""
        least = -(1 << (THRESHOLD_WIDTH - 1))
        for threshold in thresholds:
            if threshold < least or self.least_threshold < threshold < 0:
                raise ValueError(
                    f"thresholds of {self.name} logits must be 0 or from {least} to "
                    f"{self.least_threshold}, in steps of 2**-{FRACTION}, not {threshold}"
                )

    def _bits(self, given: NDArray[Any]) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
        """Bits of numbers, and which of them the format does not have."""
        with np.errstate(over="ignore"):
            single = given.astype(np.float32)
            half = single.astype(np.float16)
        if self.mantissa == 10:
            back = half.astype(given.dtype if given.dtype.kind == "f" else np.float32)
            bits = half.view(np.uint16)
        else:
            wide = single.view(np.uint32)
            # A NaN whose upper half is that of an infinity stays a NaN.
            quiet = np.isnan(single).astype(np.uint32) << np.uint32(22)
            bits = ((wide | quiet) >> np.uint32(16)).astype(np.uint16)
            back = (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return bits, ~((back == given) | np.isnan(given))

    def _at_or_above(self, totals: NDArray[np.int64]) -> NDArray[np.int16]:
        """Keys of the smallest numbers at or above ``totals`` * 2**-24, each below 2**41."""
        magnitude = np.abs(totals)
        # Place of the leading one; exact, since 41 bits fit a float64.
        leading = np.frexp(np.maximum(magnitude, 1).astype(np.float64))[1].astype(np.int64) - 1
        # Bits of the last place of the numbers that are as large, in steps of 2**-24.
        step = np.maximum(leading - self.mantissa, 1 - self.bias - self.mantissa + FRACTION)
        below = np.maximum(step, 0)
        kept = magnitude >> below
        cut = (magnitude & ((np.int64(1) << below) - 1)) != 0
        # Up is away from 0 for what is positive.
        kept += cut & (totals > 0)
        field = np.maximum(leading - FRACTION + self.bias, 1) - 1
        shifted = kept << np.maximum(-step, 0)
        # The leading one of a normal number adds 1 to the exponent's field, and so does a carry.
        bits = np.where(totals == 0, 0, (field << self.mantissa) + shifted)
        return np.where(totals < 0, ~bits, bits).astype(np.int16)


def keys_of_bits(bits: NDArray[np.uint16]) -> NDArray[np.int16]:
    """Keys of numbers that are given as bits."""
    signed = bits.view(np.int16)
    return np.where(signed < 0, signed ^ np.int16(0x7FFF), signed)


def bits_of_keys(keys: NDArray[np.int16]) -> NDArray[np.uint16]:
    """Bits of numbers that are given as keys."""
    return keys_of_bits(np.ascontiguousarray(keys, np.int16).view(np.uint16)).view(np.uint16)


#: The formats by name.
FLOAT_FORMATS = {
    each.name: each for each in (FloatFormat("bf16", 8, 7), FloatFormat("fp16", 5, 10))
}
