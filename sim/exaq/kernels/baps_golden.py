"""The golden model of BAPS: codes, references, sums and probabilities in integers.

An element's t has a floor a and a fraction b/16. Its exponential relative to a reference r, which
is an integer of at least t, is 2**(t - r), and that is MANTISSAS[b]/8 * 2**(a - r): the fraction
alone chooses the mantissa, and the reference the exponent alone. The unit keeps it as a code of
``e5m3``, whatever leaves; ``hif8`` first rounds it to what that format has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from exaq.kernels.online import beats_of, row_of, running_references, shifting_sums
from exaq.row_results import RowResults
from exaq.rows import Rows
from exaq.stream_format import element_type

if TYPE_CHECKING:
    from exaq.kernels.baps import Baps

#: Fraction bits of t.
STEP_BITS = 4
#: Fraction bits of a row's sum where references are whole octaves.
SUM_FRAC = 16
#: Bits of a code, and of the fraction of an exponential's mantissa.
CODE_BITS, MANTISSA_BITS = 8, 3
#: Mantissas: 2**(b/16) in eighths, rounded, for each fraction b/16 of t.
MANTISSAS = (8, 8, 9, 9, 10, 10, 10, 11, 11, 12, 12, 13, 13, 14, 15, 15)
#: Exponent of 1 in ``e5m3``, the largest.
TOP = 31
#: How far above the exponential is what HiF8 has of it, in octaves: it is the best around 1.
HIF8_LIFT = 3
#: Places by which mantissas are shifted up to be divided by a sum.
QUOTIENT_SHIFT = 11
# Least exponent of HiF8, and the number of mantissa bits up to each size of the exponent.
_HIF8_LEAST = -22
_HIF8_SIZES = ((3, 3), (7, 2), (15, 1))


def exponential_codes(t: NDArray[np.int64], references: NDArray[Any], kernel: Baps) -> Any:
    """Codes of 2**(t - reference) in ``e5m3``, by the kernel's format: int64, the shape of t."""
    mantissas = np.array(MANTISSAS, np.int64)[t & (1 << STEP_BITS) - 1]
    exponents = TOP - references + (t >> STEP_BITS)
    if kernel.code_format == "hif8":
        lift = TOP - HIF8_LIFT
        exponents, mantissas = _hif8_rounded(exponents - lift, mantissas)
        exponents = exponents + lift
    codes = (exponents << MANTISSA_BITS) | (mantissas & (1 << MANTISSA_BITS) - 1)
    return np.where((exponents >= 1) & (mantissas > 0), codes, 0)


def _hif8_rounded(
    exponents: NDArray[np.int64], mantissas: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """mantissa/8 * 2**exponent, mantissas 8 to 15, as the nearest number of HiF8, half away from
    zero, in the same form; mantissa 0 for 0.
    """
    size = np.abs(exponents)
    kept = np.zeros_like(exponents)
    for most, bits in reversed(_HIF8_SIZES):
        kept = np.where(size <= most, bits, kept)
    lost = MANTISSA_BITS - kept
    rounded = (mantissas + ((1 << lost) >> 1)) >> lost << lost
    carry = rounded >> MANTISSA_BITS + 1
    # What is between half of the least number and that becomes that, and what is below it 0.
    half = exponents == _HIF8_LEAST - 1
    zero = exponents < _HIF8_LEAST - 1
    exponents = np.where(half, _HIF8_LEAST, exponents + carry)
    rounded = np.where(half, 1 << MANTISSA_BITS, rounded >> carry)
    return exponents, np.where(zero, 0, rounded)


def hif8_codes(codes: NDArray[np.int64], lift: int) -> NDArray[np.int64]:
    """HiF8's bits (arXiv 2409.16626) of 2**lift times what codes of ``e5m3`` stand for, which HiF8
    has: a prefix that says how long the exponent is, its sign, its digits but for the leading one,
    and the mantissa.
    """
    exponent = (codes >> MANTISSA_BITS) - TOP + lift
    mantissa = codes & (1 << MANTISSA_BITS) - 1
    size, sign = np.abs(exponent), (exponent < 0).astype(np.int64)
    # Prefix 0000: a mantissa alone, whose numbers are the powers of two from 2**-22 on.
    found = np.where(codes == 0, 0, exponent - _HIF8_LEAST + 1)
    for least, prefix, digits, bits in (
        (8, 0b11, 3, 1),
        (4, 0b10, 2, 2),
        (2, 0b01, 1, 3),
        (1, 0b001, 0, 3),
        (0, 0b0001, None, 3),
    ):
        most = max(2 * least - 1, 0)
        field = prefix if digits is None else (prefix << 1 | sign) << digits | (size - least)
        word = field << bits | mantissa >> MANTISSA_BITS - bits
        found = np.where((codes != 0) & (least <= size) & (size <= most), word, found)
    return found


def float_values(kernel: Baps, lift: int) -> NDArray[np.float64]:
    """(256,) the number that each eight bits of the kernel's format stand for, NaN where none does.
    Eight bits of HiF8 are of 2**``lift`` times the number.
    """
    codes = np.arange(1 << CODE_BITS)
    every = np.where(codes >> MANTISSA_BITS == 0, 0, codes)
    exact = np.ldexp(8.0 + (codes & 7), (codes >> MANTISSA_BITS) - TOP - MANTISSA_BITS) * (
        every > 0
    )
    found = np.full(1 << CODE_BITS, np.nan)
    legal = (every <= TOP << MANTISSA_BITS) & ((every > 0) | (codes == 0))
    if kernel.code_format == "hif8":
        unit = TOP - lift
        exponent, mantissa = _hif8_rounded((codes >> MANTISSA_BITS) - unit, 8 + (codes & 7))
        same = (exponent + unit == codes >> MANTISSA_BITS) & (mantissa == 8 + (codes & 7))
        legal &= same | (codes == 0)
        found[hif8_codes(every, lift)[legal]] = exact[legal]
        return found
    found[codes[legal]] = exact[legal]
    return found


def _weights(codes: NDArray[np.int64], kernel: Baps) -> NDArray[np.int64]:
    """What codes of ``e5m3`` add to a sum: their exponentials rounded down to ``sum_frac`` bits."""
    mantissas = (8 + (codes & 7)) << kernel.sum_frac - MANTISSA_BITS
    return np.where(codes > 0, mantissas >> TOP - (codes >> MANTISSA_BITS), 0)


def _coded(rows: Rows, kernel: Baps) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Codes of ``e5m3``, (rows, beats, lanes), 0 where nothing takes part, and references."""
    t, live = beats_of(rows, kernel)
    references = running_references(t, live, kernel)
    codes = exponential_codes(t, references[..., None], kernel)
    return np.where(live, codes, 0), references


def _sums(
    codes: NDArray[np.int64], references: NDArray[np.int64], kernel: Baps
) -> NDArray[np.int64]:
    """Sum of each row relative to its last reference."""
    return shifting_sums(_weights(codes, kernel), references)


def references(rows: Rows, kernel: Baps) -> NDArray[np.int32]:
    """(rows, beats), the reference of each beat of a row; 0 behind its end."""
    lanes = kernel.format.lanes
    found = running_references(*beats_of(rows, kernel), kernel)
    within = np.arange(found.shape[1]) < -(-rows.lengths[:, None] // lanes)
    return np.where(within, found, 0).astype(np.int32)


def quantize(rows: Rows, kernel: Baps) -> NDArray[np.uint8]:
    """Code of each element, in the kernel's format."""
    codes = row_of(_coded(rows, kernel)[0], rows)
    if kernel.code_format == "hif8":
        codes = hif8_codes(codes, HIF8_LIFT)
    return codes.astype(np.uint8)


def row_results(rows: Rows, kernel: Baps) -> RowResults:
    """The last reference of each row, and the sum relative to it."""
    codes, found = _coded(rows, kernel)
    return RowResults(maximum=found[:, -1].astype(np.int32), sum=_sums(codes, found, kernel))


def quotients(sums: NDArray[np.int64], kernel: Baps) -> NDArray[np.int64]:
    """(rows, 8), 2**11 * mantissa / sum for each mantissa of a code: that is below 1, since the
    exponential of the row's maximum is more than a reference's step below 1 by no octave.

    In units of 2**-quotient_bits, rounded half up; of a sum of 0, as if it were 1.
    """
    mantissas = np.arange(8, 16, dtype=np.int64) << QUOTIENT_SHIFT
    divisors = np.maximum(sums, 1)[:, None]
    found = ((mantissas << kernel.quotient_bits) + (divisors >> 1)) // divisors
    return np.minimum(found, 2**kernel.quotient_bits - 1)


def float_words(sums: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(rows, 8), mantissa / sum for each mantissa of a code, as codes of ``e5m3`` without the
    exponent that all share, rounded half up; and that exponent, floor(log2 sum), (rows,).

    Of a sum its leading ``SUM_DIGITS`` bits count; of a sum of 0, as if it were 1.
    """
    sums = np.maximum(sums, 1)
    place = np.frexp(sums.astype(np.float64))[1].astype(np.int64) - 1
    leading = (sums << SUM_DIGITS - 1) >> place
    return FLOAT_WORDS[leading - (1 << SUM_DIGITS - 1)], place


def _float_word(mantissa: int, leading: int) -> int:
    """mantissa/8 over leading/2**(SUM_DIGITS - 1), from 1/2 to 2, to four significant bits: three
    of them as they are in a code, in front of them a 1 where it is below 1.
    """
    numerator, denominator = mantissa << SUM_DIGITS - 1, leading << MANTISSA_BITS
    below = numerator < denominator
    scaled = numerator << MANTISSA_BITS + below
    rounded = (2 * scaled + denominator) // (2 * denominator)
    if below and rounded == 1 << MANTISSA_BITS + 1:
        return 0
    return below << MANTISSA_BITS | rounded - (1 << MANTISSA_BITS)


#: Leading bits of a sum that count for a probability of eight bits.
SUM_DIGITS = 10
#: (512, 8): by the leading bits of a sum without the first, and by the mantissa.
FLOAT_WORDS = np.array(
    [
        [_float_word(mantissa, leading) for mantissa in range(8, 16)]
        for leading in range(1 << SUM_DIGITS - 1, 1 << SUM_DIGITS)
    ],
    np.int64,
)


def softmax(rows: Rows, kernel: Baps) -> NDArray[np.unsignedinteger[Any]]:
    """Probability of each element: the quotient of its mantissa, shifted by its exponent."""
    codes, found = _coded(rows, kernel)
    sums = _sums(codes, found, kernel)
    # Octaves that the element is below its row's reference.
    below = TOP - (codes >> MANTISSA_BITS) + (found[:, -1:] - found)[..., None]
    mantissa = codes & 7
    number = np.arange(len(codes))[:, None, None]
    if kernel.probability_format == "float":
        words, place = float_words(sums)
        word = words[number, mantissa]
        exponent = TOP + kernel.sum_frac - place[:, None, None] - below - (word >> MANTISSA_BITS)
        given = exponent << MANTISSA_BITS | word & 7
        given = np.where((codes > 0) & (exponent >= 1), given, 0)
        if kernel.code_format == "hif8":
            exponent, mantissas = _hif8_rounded((given >> MANTISSA_BITS) - TOP, 8 + (given & 7))
            exponent = exponent + TOP
            rounded = (exponent << MANTISSA_BITS) | (mantissas & 7)
            legal = (given > 0) & (mantissas > 0) & (exponent >= 1)
            given = hif8_codes(np.where(legal, rounded, 0), 0)
    else:
        each = quotients(sums, kernel)
        top = 2**kernel.format.prob_bits - 1
        given = np.minimum(each[number, mantissa] >> np.minimum(below, 62), top)
        given = np.where(codes > 0, given, 0)
    return row_of(given, rows).astype(element_type(kernel.format.prob_bits, signed=False))
