"""Kernels of one pass, to base 2: logarithms of what logits stand for, and running references.

Each logit becomes t, its binary logarithm as a fixed-point number. What an element adds to its row
is relative to the *reference*: the ceiled maximum of t so far, a whole number of octaves. When that
rises, everything before is only shifted, so nothing of a row has to wait for its maximum. The beat
is the block that shares a reference.
"""

from __future__ import annotations

import math
from abc import ABC
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from exaq.kernels.kernel import Kernel
from exaq.rows import Rows
from exaq.stream_format import StreamFormat

# log2(e), to more digits than any multiplier has.
_LOG2_E = Fraction("1.44269504088896340735992468100189213742664595415298593413544940693")


@dataclass(frozen=True, kw_only=True)
class Online(Kernel, ABC):
    """A kernel whose elements are powers of two, relative to references that rise along a row."""

    passes = 1
    #: Fraction bits of t.
    step_frac: ClassVar[int]

    def _settle(self, format: StreamFormat) -> None:
        if Fraction(format.logit_scale) * _LOG2_E > 1:
            raise ValueError(
                f"logit_scale must be at most ln 2, an octave a step, with the kernel {self.name}, "
                f"not {format.logit_scale}"
            )
        super()._settle(format)

    @property
    def reference_step(self) -> int:
        """Octaves that references are whole multiples of, a power of two."""
        return 1

    @property
    def step_bits(self) -> int:
        """Low bits of a reference, which are 0."""
        return self.reference_step.bit_length() - 1

    @property
    def aligned_bits(self) -> int:
        """Low bits that are 0 of the octave from which a unit counts t and references."""
        return self.step_bits

    @property
    def factor(self) -> tuple[int, int]:
        """Multiplier M and shift F that make t of a logit: t = floor(logit * M / 2**F + 1/2).

        M / 2**F is 2**step_frac * log2(e) * logit_scale to ``logit_width`` fraction bits, or its
        power of two where that is what it rounds to: then t needs no multiplication.
        """
        shift = self.format.logit_width
        exact = Fraction(self.format.logit_scale) * _LOG2_E * (1 << self.step_frac)
        multiplier = max(1, math.floor(exact * (1 << shift) + Fraction(1, 2)))
        even = (multiplier & -multiplier).bit_length() - 1
        return multiplier >> even, shift - even

    def steps(self, logit: int) -> int:
        """t of a logit."""
        return int(steps(np.array([logit], np.int64), self)[0])

    def ceiled(self, t: Any) -> Any:
        """The least reference that is not below t, in octaves."""
        places = self.step_frac + self.step_bits
        return -(-t >> places) << self.step_bits

    @property
    def reference_range(self) -> tuple[int, int]:
        """The references that rows can have, of the lowest logit and of the highest."""
        low, high = (self.ceiled(self.steps(logit)) for logit in self.format.logit_range)
        return low, high

    def octave_borders(self, octaves: tuple[int, ...]) -> tuple[int, ...]:
        """Distances from a row's maximum in logit steps, at most 0, that are so many octaves."""
        multiplier, shift = self.factor
        each = {-(octave << self.step_frac + shift) // multiplier for octave in octaves} | {0}
        span = 2**self.format.logit_width - 1
        return tuple(sorted(border for border in each if border >= -span))


def steps(logits: NDArray[Any], kernel: Online) -> NDArray[np.int64]:
    """t of each logit: its binary logarithm in steps of 2**-step_frac, rounded half up."""
    multiplier, shift = kernel.factor
    product = logits.astype(np.int64) * multiplier
    if shift <= 0:
        return product << -shift
    return (product + (1 << shift - 1)) >> shift


def beats_of(rows: Rows, kernel: Online) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """t of rows and what takes part, (rows, beats, lanes)."""
    lanes = kernel.format.lanes
    count, row = rows.logits.shape
    beats = -(-row // lanes)
    part = rows.taking_part
    live = np.zeros((count, beats * lanes), np.bool_)
    live[:, :row] = True if part is None else part
    t = np.zeros(live.shape, np.int64)
    t[:, :row] = steps(rows.logits, kernel)
    shape = count, beats, lanes
    return t.reshape(shape), live.reshape(shape)


def row_of(beats: NDArray[np.int64], rows: Rows) -> NDArray[np.int64]:
    """(rows, row) of what is (rows, beats, lanes)."""
    count, number, lanes = beats.shape
    return beats.reshape(count, number * lanes)[:, : rows.logits.shape[1]]


def running_references(
    t: NDArray[np.int64], live: NDArray[np.bool_], kernel: Online
) -> NDArray[np.int64]:
    """(rows, beats), the ceiled maximum of each beat and those before it."""
    least = kernel.reference_range[0]
    ceiled = np.max(kernel.ceiled(t), axis=-1, where=live, initial=least)
    return np.maximum.accumulate(ceiled, axis=-1)


def shifting_sums(weights: NDArray[np.int64], references: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum of each row's weights, (rows, beats, lanes), relative to its last reference: what is
    there is shifted down whenever that rises, and what then is below the last place cut off.
    """
    totals = weights.sum(axis=-1)
    rises = np.diff(references, axis=-1, prepend=references[:, :1])
    sums = np.zeros(len(weights), np.int64)
    for beat in range(totals.shape[1]):
        sums = (sums >> np.minimum(rises[:, beat], 62)) + totals[:, beat]
    return sums
