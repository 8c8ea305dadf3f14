"""Softermax (arXiv 2103.09301): exponentials to base 2 and their sum in one pass over the row.

From the paper are base 2, the four linear pieces of a fraction's power, the running maximum that is
rounded up to an integer so that whatever it changes is only shifted, and one division a row. The
paper trains the network again for base 2; here log2(e) is part of the factor that makes t of a
logit, so that a unit gives the softmax to base e of any network. The widths are ours, and so is all
that is said of rounding. With P = prob_bits and B = exp_bits the kernel defines

    t = floor(logit * M / 2^F + 1/2), the binary logarithm in steps of 1/256; see ``Online.factor``
    r = the ceiled maximum of t/256 over the elements of the row up to those of the same beat
    E = floor(2^-f / 2^(r - a)) with t/256 = a - f, a an integer and f in [0, 1), where 2^-f has B
        fraction bits, is made of four linear pieces and at most 1 - 2^-B
    c = the least multiple of 4 that is not below r
    S = sum of E * 2^(3 - c + r); whenever c rises by k, S becomes floor(S / 2^k)
    e = floor(log2 S) - (B - 1), R = min(floor(2^(P + 2) * 2^(e + B - 1) / S), 2^(P + 2) - 1)
    p = min(round half up(E * floor(R / 2^(e - 3 + m - r)) / 2^(B + 1)), 2^P - 1), with the row's
        last c as m

The sum's reference rises by fours, with three more bits of the sum, so that the shift in its loop
is a choice of few words.

    >>> import exaq
    >>> config = exaq.SoftmaxConfig(kernel="softermax", lanes=4)
    >>> exaq.softmax([[0, 0, -16, -128]], config).tolist()
    [[27657, 27657, 10212, 9]]
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exaq.kernels.online import Online, beats_of, row_of, running_references, shifting_sums
from exaq.kernels.pieces import by_pieces, linear_pieces
from exaq.kernels.reciprocal import reciprocal
from exaq.rows import Rows
from exaq.scalars import integer
from exaq.stream_format import StreamFormat, element_type

#: Linear pieces of an octave.
PIECES = 4
#: The sum's reference is a multiple of 2**SUM_STEP_BITS octaves.
SUM_STEP_BITS = 2
#: Bits of a sum below the last one of an exponential that has its reference.
SUM_LIFT = 2**SUM_STEP_BITS - 1

# Legal range, both ends included.
_EXP_BITS = (8, 24)
# Elements of a block of rows, few enough for the cache.
_BLOCK = 2**17


@dataclass(frozen=True, kw_only=True)
class Softermax(Online):
    """Parameters of Softermax, and its golden model.

    Parameters
    ----------
    exp_bits
        Fraction bits of an exponential, 8 to 24; 1 is saturated at 2**exp_bits - 1. The paper has
        15 of them and an integer bit, which is 1 in no other number.
    """

    name = "softermax"
    title = "Softermax"
    # With fewer bits the steps of t show beside the error of the pieces; with more they do not.
    step_frac = 8

    exp_bits: int = 16

    def __post_init__(self) -> None:
        self._set("exp_bits", integer("exp_bits", self.exp_bits, *_EXP_BITS))

    def least_full_rate_row(self, format: StreamFormat) -> int:
        """Beats that the divider takes for a row: one for each place that a sum may have to be
        shifted and for each bit of the reciprocal.
        """
        return format.lanes * self._division_beats(format)

    def least_full_rate(self, format: StreamFormat) -> str:
        """What that is, in words."""
        return f"{self._division_beats(format)} * lanes"

    def _division_beats(self, format: StreamFormat) -> int:
        return self._widest_sum(format) - self.exp_bits + format.prob_bits + 2 + 1

    def _widest_sum(self, format: StreamFormat) -> int:
        most = (2**self.exp_bits - 1) << SUM_LIFT
        return (format.max_row * most).bit_length()

    @property
    def aligned_bits(self) -> int:
        """A reference of a sum has that many low bits, as it is counted."""
        return SUM_STEP_BITS

    @property
    def sum_bits(self) -> int:
        """Width of a row's sum, which holds that of ``max_row`` greatest exponentials."""
        return self._widest_sum(self.format)

    @property
    def least_sum(self) -> int:
        """The exponential of the row's maximum is not below 1/2."""
        return 1 << (self.exp_bits - 1)

    @property
    def reciprocal_bits(self) -> int:
        """Width of the mantissa of a row's reciprocal."""
        return self.format.prob_bits + 2

    @cached_property
    def pieces(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """2^-f where each linear piece begins, and how much it falls."""
        return linear_pieces(PIECES, self.exp_bits)

    @property
    def borders(self) -> tuple[int, ...]:
        """A few near and far octaves, and where the exponential becomes 0."""
        return self.octave_borders((1, 2, 3, 4, 8, self.exp_bits - 1, self.exp_bits))

    @property
    def longest_flat_row(self) -> int:
        """As of every kernel: half as long, since the reciprocal is rounded down to half a step of
        a probability.
        """
        return self.format.longest_flat_row // 2

    def exponentials(
        self, t: NDArray[np.int64], references: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """E of each t, relative to references that are not below t, in octaves."""
        octave = -(-t >> self.step_frac)
        f = (octave << self.step_frac) - t
        value = by_pieces(self.pieces, f, self.step_frac)
        return value >> np.minimum(references - octave, 63)

    def compute(self, rows: Rows) -> NDArray[np.unsignedinteger[Any]]:
        """Probabilities of rows; 0 in elements that take no part."""
        t, live = beats_of(rows, self)
        found = np.empty_like(t)
        height = max(1, _BLOCK // rows.logits.shape[1])
        for start in range(0, len(t), height):
            block = slice(start, start + height)
            found[block] = self._compute(t[block], live[block])
        return row_of(found, rows).astype(element_type(self.format.prob_bits, signed=False))

    def _compute(self, t: NDArray[np.int64], live: NDArray[np.bool_]) -> NDArray[np.int64]:
        references = running_references(t, live, self)
        # What takes no part can be above the reference.
        low = np.where(live, t, references[..., None] << self.step_frac)
        found = np.where(live, self.exponentials(low, references[..., None]), 0)
        coarse = -(-references >> SUM_STEP_BITS) << SUM_STEP_BITS
        weights = found << (SUM_LIFT - (coarse - references))[..., None]
        sums = np.maximum(shifting_sums(weights, coarse), self.least_sum)
        mantissa, exponent = reciprocal(sums, self.reciprocal_bits)
        places = (exponent - (self.exp_bits - 1) - SUM_LIFT)[:, None] + coarse[:, -1:] - references
        # Negative in a row without a live element alone.
        factor = mantissa[:, None] >> np.clip(places, 0, 63)
        product = found * factor[..., None]
        rounded = ((product >> self.exp_bits) + 1) >> 1
        return np.minimum(rounded, 2**self.format.prob_bits - 1)
