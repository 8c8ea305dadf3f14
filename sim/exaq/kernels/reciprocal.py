"""The reciprocal of a row's sum: a mantissa and an exponent, exactly defined.

The twin of ``exaq_hdl.kernels.weighted.reciprocal``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Bits of a mantissa that one division gives: 2**e * 2**16 fits int64 for every sum of a row.
_DIGIT = 16


def exponent(total: NDArray[np.int64]) -> NDArray[np.int64]:
    """floor(log2) of integers from 1 to 2**53 - 1."""
    # A float64 holds them exactly.
    return np.frexp(total.astype(np.float64))[1].astype(np.int64) - 1


def reciprocal(total: NDArray[np.int64], bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Mantissa of ``bits`` bits and exponent e of the reciprocal of sums S from 1 to 2**46 - 1.

    With e = floor(log2 S), 2**e / S is in (1/2, 1], and the mantissa is floor(2**bits * 2**e / S),
    at most 2**bits - 1, which is what a power of two gets. So 1 / S is about mantissa *
    2**-(bits + e), and the mantissa's highest bit is 1.
    """
    shift = exponent(total)
    remainder = np.left_shift(np.int64(1), shift)
    mantissa = np.zeros_like(total)
    for place in range(bits, 0, -_DIGIT):
        digit = min(place, _DIGIT)
        digits, remainder = np.divmod(remainder << digit, total)
        mantissa = (mantissa << digit) + digits
    return np.minimum(mantissa, 2**bits - 1), shift
