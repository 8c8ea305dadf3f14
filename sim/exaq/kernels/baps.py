"""BAPS (arXiv 2602.02071): an 8-bit floating-point softmax in base 2, in one pass over the row.

Each logit becomes t, its binary logarithm in steps of 1/16, and its exponential 2**(t - reference)
an 8-bit floating-point code. The reference is the ceiled maximum of what has come so far of the
row, a whole number of octaves: when it rises, everything before is only shifted. So nothing of the
row has to wait for its maximum. The arithmetic is in ``exaq.kernels.baps_golden``.

From the paper are base 2, the ceiled running maximum, and HiF8 as the format of a code. What the
paper leaves open is ours: t as a fixed-point number, the table of mantissas, the format ``e5m3``,
the beat as the block that shares a reference, and everything that follows the sum.

    >>> import exaq
    >>> config = exaq.SoftmaxConfig(kernel="baps", output="codes", row_results="sum")
    >>> codes = exaq.quantize([[40, 10, -60, 25, 38, -7]], config)
    >>> config.kernel.values(codes).round(3).tolist()
    [[0.047, 0.007, 0.0, 0.02, 0.043, 0.002]]
    >>> exaq.row_results([[40, 10, -60, 25, 38, -7]], config).maximum.tolist()
    [8]
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exaq.kernels import baps_golden
from exaq.kernels.baps_golden import (
    CODE_BITS,
    MANTISSA_BITS,
    QUOTIENT_SHIFT,
    STEP_BITS,
    SUM_FRAC,
)
from exaq.kernels.online import Online
from exaq.row_results import WEIGHT_FRAC, RowResults
from exaq.rows import Rows
from exaq.scalars import choice, integer
from exaq.stream_format import StreamFormat

#: Formats of a code.
CODE_FORMATS = ("e5m3", "hif8")
#: What a probability is.
PROBABILITY_FORMATS = ("linear", "float")

#: Octaves that references can be multiples of.
REFERENCE_STEPS = (1, 2, 4, 8)

# What a kernel that is settled has in the place of None.
_DERIVED: Any = None


@dataclass(frozen=True, kw_only=True)
class Baps(Online):
    """Parameters of BAPS.

    Codes leave at once, relative to the reference of their beat, in a unit that gives codes; the
    row results are then the row's reference and its sum. A unit that gives probabilities keeps the
    codes until the sum is known.

    Parameters
    ----------
    code_format
        ``"e5m3"``, ours: five bits of exponent, three of mantissa, no sign; code (e, m) is
        (1 + m/8) * 2**(e - 31) and code 0 is 0, as are exponents e = 0. ``"hif8"``, the paper's:
        HiF8 (arXiv 2409.16626) of eight times the exponential, whose mantissa gets shorter away
        from 1, rounded half away from zero.
    reference_step
        Octaves that references are whole multiples of: 1, as in the paper, 2, 4 or 8. The more,
        the less logic follows the maximum and shifts the sum; ``e5m3`` loses as many octaves at
        its lower end and no accuracy, ``hif8`` loses mantissa. Default: 8 for ``e5m3``, 1 for
        ``hif8``.
    probability_format
        ``"linear"``: an unsigned fraction of ``prob_bits`` bits, of a quotient that is rounded half
        up for the mantissa and then cut off as far as the exponent shifts it. ``"float"``: a
        number of ``code_format``, with ``prob_bits`` 8: the probability itself as e5m3 or HiF8 has
        it, from the leading ten bits of the row's sum.
    """

    name = "baps"
    title = "BAPS"
    takes = frozenset({"codes", "row_results"})
    step_frac = STEP_BITS

    code_format: str = "e5m3"
    reference_step: int = _DERIVED
    probability_format: str = "linear"

    def __post_init__(self) -> None:
        choice("code_format", self.code_format, CODE_FORMATS)
        choice("probability_format", self.probability_format, PROBABILITY_FORMATS)
        if self.reference_step is not None:
            step = integer("reference_step", self.reference_step)
            if step not in REFERENCE_STEPS:
                legal = f"{', '.join(map(str, REFERENCE_STEPS[:-1]))} or {REFERENCE_STEPS[-1]}"
                raise ValueError(f"reference_step must be {legal}, not {step}")
            self._set("reference_step", step)

    def _settle(self, format: StreamFormat) -> None:
        self._set("reference_step", self._step)
        codes = format.output == "codes"
        if codes and format.row_results != "sum":
            raise ValueError(
                "row_results must be sum where the kernel baps gives codes, "
                f"not {format.row_results}"
            )
        if not codes and format.row_results != "none":
            raise ValueError(
                "row_results must be none where the kernel baps gives probabilities, "
                f"not {format.row_results}"
            )
        if self.probability_format == "float" and codes:
            raise ValueError("probability_format must be linear in a unit that gives codes")
        if self.probability_format == "float" and format.prob_bits != CODE_BITS:
            raise ValueError(
                f"prob_bits must be {CODE_BITS} with probability_format float, "
                f"not {format.prob_bits}"
            )
        super()._settle(format)

    def default_full_rate_row(self, format: StreamFormat) -> int:
        """64 beats, but not above ``max_row`` where that is legal; of codes the least."""
        least = self.least_full_rate_row(format)
        if format.output == "codes":
            return least
        return max(least, min(64 * format.lanes, format.max_row))

    def least_full_rate_row(self, format: StreamFormat) -> int:
        """A beat where codes leave; 16 beats for a row's eight divisions; with float probabilities
        as many as the sum takes to be shifted to its place, bit by bit, and looked up.
        """
        return format.lanes * self._least_beats(format)

    def least_full_rate(self, format: StreamFormat) -> str:
        """What that is, in words."""
        beats = self._least_beats(format)
        return "lanes" if beats == 1 else f"{beats} * lanes"

    def _least_beats(self, format: StreamFormat) -> int:
        if format.output == "codes":
            return 1
        if self.probability_format == "linear":
            return 2 * self.levels
        return self.normalising_shifts(format) + self.levels + 3

    def normalising_shifts(self, format: StreamFormat) -> int:
        """Places that the sum of a row with a live element may have to be shifted up by."""
        return self._step - 1 + format.max_row.bit_length()

    @property
    def _step(self) -> int:
        """``reference_step``, also before it is settled."""
        if self.reference_step is not None:
            return self.reference_step
        return 8 if self.code_format == "e5m3" else 1

    @property
    def bits(self) -> int:
        """Width of a code."""
        return CODE_BITS

    @property
    def levels(self) -> int:
        """Mantissas of a code, each of which costs a row a division."""
        return 1 << MANTISSA_BITS

    @property
    def reference_bits(self) -> int:
        """Width of a reference, signed."""
        low, high = self.reference_range
        return max((~low).bit_length(), high.bit_length()) + 1

    @property
    def sum_frac(self) -> int:
        """Fraction bits of a row's sum: 16 below the octave of the row's maximum."""
        return SUM_FRAC + self.reference_step - 1

    @property
    def sum_bits(self) -> int:
        """Width of a row's sum: ``max_row`` exponentials of at most 1 add up without overflow."""
        return self.sum_frac + self.format.max_row.bit_length()

    @property
    def quotient_octaves(self) -> int:
        """Octaves by which a probability is above the quotient that it comes from, for an element
        at its row's reference.
        """
        return self.sum_frac - MANTISSA_BITS - QUOTIENT_SHIFT

    @property
    def quotient_bits(self) -> int:
        """Width of a quotient, from which the linear probabilities of a row come."""
        return self.format.prob_bits + self.quotient_octaves

    @property
    def borders(self) -> tuple[int, ...]:
        """Where an element has another code than the next one; a few near and far ones."""
        far = (25, 26) if self.code_format == "hif8" else (29, 30)
        return self.octave_borders((1, 2, 3, 4, 8, 16, *far))

    @property
    def longest_flat_row(self) -> int:
        """As of every kernel: of linear probabilities, which are rounded down, half as long, and of
        floating-point ones the longest there is.
        """
        linear = self.probability_format == "linear"
        return self.format.longest_flat_row // 2 if linear else self.format.max_row

    def probability_values(self, integers: NDArray[Any]) -> NDArray[np.float64]:
        """The real probabilities that ``compute`` gave, NaN for eight bits that are no number."""
        if self.probability_format == "linear":
            return super().probability_values(integers)
        return baps_golden.float_values(self, 0)[integers]

    def values(self, codes: NDArray[Any]) -> NDArray[np.float64]:
        """The exponentials that codes stand for, relative to their beats' references."""
        return baps_golden.float_values(self, baps_golden.HIF8_LIFT)[codes]

    @property
    def beat_reference_bits(self) -> int:
        """Width of a beat's reference where codes leave."""
        return self.reference_bits if self.format.output == "codes" else 0

    def beat_references(self, rows: Rows) -> NDArray[np.int32]:
        """(rows, beats), what the codes of each beat are relative to, in octaves; 0 where a row has
        ended.
        """
        return baps_golden.references(rows, self)

    def quantize(self, rows: Rows) -> NDArray[np.uint8]:
        """Codes of rows, as ``exaq.quantize`` gives them: shape of ``rows.logits``."""
        return baps_golden.quantize(rows, self)

    def compute(self, rows: Rows) -> NDArray[np.unsignedinteger[Any]]:
        """Probabilities of rows, as ``exaq.softmax`` gives them: shape of ``rows.logits``."""
        return baps_golden.softmax(rows, self)

    @property
    def maximum_scale(self) -> float:
        """An octave."""
        return math.log(2)

    def part_weights(self, maxima: NDArray[Any], maximum: NDArray[Any]) -> NDArray[np.int64]:
        """Powers of two, below half of the last place 0."""
        below = np.minimum(maximum - maxima, WEIGHT_FRAC + 1)
        return np.int64(1) << WEIGHT_FRAC >> below.astype(np.int64)

    def results_of(self, rows: Rows) -> RowResults:
        """Reference and sum of rows, as ``exaq.row_results`` gives them."""
        return baps_golden.row_results(rows, self)
