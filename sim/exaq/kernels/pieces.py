"""2**-f of a fraction f by linear pieces that meet the curve at their ends."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from exaq.kernels.powers import round_exp2


def linear_pieces(count: int, bits: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """2**-f where each of ``count`` pieces begins, and how much it falls, in units of 2**-bits.

    1 is saturated at 2**bits - 1. The number of pieces is a power of two.
    """
    most = (1 << bits) - 1
    ends = [min(round_exp2(Fraction(-k, count), bits), most) for k in range(count + 1)]
    falls = [above - below for above, below in pairwise(ends)]
    return tuple(ends[:-1]), tuple(falls)


def by_pieces(
    pieces: tuple[tuple[int, ...], tuple[int, ...]], f: NDArray[np.int64], frac: int
) -> NDArray[np.int64]:
    """2**-f of f in units of 2**-frac: what its piece begins with, less its part of the fall,
    which is rounded down.
    """
    starts, falls = (np.array(values, np.int64) for values in pieces)
    rest = frac - (len(starts).bit_length() - 1)
    piece = f >> rest
    found: NDArray[np.int64] = starts[piece] - ((falls[piece] * (f & ((1 << rest) - 1))) >> rest)
    return found
