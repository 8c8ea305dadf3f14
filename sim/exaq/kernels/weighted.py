"""Kernels of two passes: each element has a weight, and a row is divided by the sum of its weights.

A whole family of softmax units has this one form. In the first pass each live element of a row gets
two integers from its distance, how far it is below the row's maximum: a *weight* and a *stored*
word. The weights of a row are added up exactly. From the sum something is made once a row, its *row
item*: a reciprocal, an entry of a table, a shift. In the second pass each stored word and the row
item give the probability.

A kernel of that form says what these four are, on NumPy arrays of int64:

    weigh(distance) -> stored, weight
    finish(total) -> row item: an array for each of its fields
    emit(stored, row) -> probability

and declares their widths. ``Weighted.compute`` does what is common to all. The hardware is
``exaq_hdl.kernels.weighted``, which has the same three names. ``exaq.kernels.multiply`` is a
kernel of this kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exaq.kernels.kernel import Kernel
from exaq.rows import Rows
from exaq.stream_format import StreamFormat, element_type

#: An array of int64.
Integers = NDArray[np.int64]

#: Elements of a block of rows, few enough for the cache.
_BLOCK = 2**17

#: ``borders`` names at most so many at each end, and as many between.
_BORDERS = 5

# Widest logit whose distances are all weighed beforehand.
_TABLE_BITS = 16


@dataclass(frozen=True, kw_only=True)
class Weighted(Kernel, ABC):
    """A kernel that weighs elements by their distance and divides by the sum of weights.

    Everything but ``finish_period`` may be asked of a settled kernel alone. The weight of distance
    0 is at least 1, so that a row with a live element has a sum of at least 1.
    """

    @property
    @abstractmethod
    def stored_bits(self) -> int:
        """Width of a stored word, at least 1."""

    @property
    @abstractmethod
    def weight_bits(self) -> int:
        """Width of a weight, at least 1."""

    @property
    @abstractmethod
    def row_fields(self) -> Mapping[str, int]:
        """The fields of a row item, each with its width, at least 1."""

    @property
    def zero(self) -> int | None:
        """A stored word that gives the probability 0 in every row, for what takes no part.

        None: there is none; the unit then stores a further bit for each element.
        """
        return None

    @abstractmethod
    def weigh(self, distance: Integers) -> tuple[Integers, Integers]:
        """Stored word and weight of each distance, 0 .. 2**logit_width - 1."""

    @abstractmethod
    def finish(self, total: Integers) -> dict[str, Integers]:
        """The row item of each sum, by field; sums are at least 1."""

    @abstractmethod
    def emit(self, stored: Integers, row: Mapping[str, Integers]) -> Integers:
        """The probability of each stored word, 0 .. 2**prob_bits - 1.

        ``stored`` is (rows, elements) and the fields of ``row`` are (rows, 1).
        """

    @abstractmethod
    def finish_period(self, format: StreamFormat) -> int:
        """Cycles in which the unit can make a row item, and so the least beats of a row at full
        rate; of a kernel that was not settled too.
        """

    @property
    def sum_bits(self) -> int:
        """Width of a row's sum, which holds that of ``max_row`` greatest weights."""
        return self.widest_sum(self.format, self.weight_bits)

    @staticmethod
    def widest_sum(format: StreamFormat, weight_bits: int) -> int:
        """Width of the sum of as many weights of ``weight_bits`` as the longest row has."""
        return (format.max_row * (2**weight_bits - 1)).bit_length()

    @property
    def least_sum(self) -> int:
        """A lower bound of the sums of rows with a live element: the weight of the maximum."""
        return int(self.weigh(np.zeros(1, np.int64))[1][0])

    def least_full_rate_row(self, format: StreamFormat) -> int:
        """Beats that the finisher takes for a row, at least two; see ``Kernel``."""
        return max(2, self.finish_period(format)) * format.lanes

    def least_full_rate(self, format: StreamFormat) -> str:
        return f"{self.least_full_rate_row(format) // format.lanes} * lanes"

    @cached_property
    def _by_distance(self) -> tuple[Integers, Integers]:
        """Stored word and weight of every distance from 0 on."""
        bits = min(self.format.logit_width, _TABLE_BITS)
        return self.weigh(np.arange(2**bits, dtype=np.int64))

    @cached_property
    def _borders(self) -> tuple[int, ...]:
        stored, weight = self._by_distance
        # A change from distance d to d + 1: d is the last one that reaches the better result.
        reached = np.flatnonzero((np.diff(stored) != 0) | (np.diff(weight) != 0))
        if len(reached) > 3 * _BORDERS:
            between = np.linspace(0, len(reached) - 1, _BORDERS + 2).astype(np.int64)
            places = {*range(_BORDERS), *between.tolist()}
            places |= {*range(len(reached) - _BORDERS, len(reached))}
            reached = reached[sorted(places)]
        return tuple(sorted({0, *(-int(distance) for distance in reached)}))

    @property
    def borders(self) -> tuple[int, ...]:
        """Distances, at most 0, just below which the stored word or the weight is another: all of
        them, or the first, the last and some between where there are many.
        """
        return self._borders

    @property
    def longest_flat_row(self) -> int:
        """Longest row, in elements and at most ``max_row``, that gives anything but zeros if all
        its logits are equal: the longer, the smaller their probabilities.
        """
        stored, weight = self.weigh(np.zeros(1, np.int64))

        def gives(elements: int) -> bool:
            row = self.finish(weight * elements)
            return bool(self.emit(stored, row)[0] > 0)

        short, long = 0, self.format.max_row + 1
        while long - short > 1:
            middle = (short + long) // 2
            short, long = (middle, long) if gives(middle) else (short, middle)
        return short

    def compute(self, rows: Rows) -> NDArray[np.unsignedinteger[Any]]:
        """Probabilities of rows; 0 in elements that take no part, which weigh nothing."""
        result = np.zeros(rows.logits.shape, element_type(self.format.prob_bits, signed=False))
        live = rows.taking_part
        if live is None:
            live = np.broadcast_to(np.True_, rows.logits.shape)
        height = max(1, _BLOCK // rows.logits.shape[1])
        for start in range(0, len(result), height):
            block = slice(start, start + height)
            result[block] = self._compute(rows.logits[block].astype(np.int64), live[block])
        return result

    def _compute(self, logits: Integers, live: NDArray[np.bool_]) -> Integers:
        lowest = self.format.logit_range[0]
        maxima = np.max(logits, axis=-1, where=live, initial=lowest)
        distance = np.where(live, maxima[:, None] - logits, 0)
        if self.format.logit_width <= _TABLE_BITS:
            stored, weight = (values[distance] for values in self._by_distance)
        else:
            stored, weight = self.weigh(distance)
        total = np.sum(weight, axis=-1, where=live, dtype=np.int64)
        row = self.finish(np.maximum(total, 1))
        found = self.emit(stored, {name: values[:, None] for name, values in row.items()})
        return np.where(live, found, 0)
