"""Two codes of 4 bits in a byte, the first of them in the low half.

>>> from exaq import dint
>>> dint.pack([1, 15, 7]).tolist()
[241, 7]
>>> dint.unpack(dint.pack([1, 15, 7]), 3).tolist()
[1, 15, 7]
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.dint.weight_formats import checked_codes
from exaq.rows import plain
from exaq.scalars import integer


def pack(codes: ArrayLike) -> NDArray[np.uint8]:
    """Codes (..., row) as bytes (..., ceil(row / 2)); the high half after an odd row is 0.

    Raises
    ------
    TypeError
        Codes are no integers, or a ``numpy.ma`` array.
    ValueError
        A code is not in 0..15, or there is no axis.
    """
    given = checked_codes(codes).astype(np.uint8)
    if not given.ndim:
        raise ValueError("codes must have at least one axis, the row")
    even = np.concatenate([given, np.zeros((*given.shape[:-1], given.shape[-1] % 2), np.uint8)], -1)
    return even[..., ::2] | even[..., 1::2] << np.uint8(4)


def unpack(packed: ArrayLike, row: int) -> NDArray[np.uint8]:
    """Codes (..., row) of bytes (..., ceil(row / 2)).

    Raises
    ------
    TypeError
        The bytes are not uint8, or ``row`` is no integer.
    ValueError
        There are more or fewer bytes than such rows have, or the half that is none is not 0.
    """
    given = plain(packed, "packed codes")
    if given.dtype != np.uint8:
        raise TypeError(f"packed codes must be uint8, not {given.dtype}")
    row = integer("row", row, 0)
    if not given.ndim or given.shape[-1] != -(-row // 2):
        raise ValueError(
            f"packed codes of shape {given.shape} must have {-(-row // 2)} bytes "
            f"for rows of {row} codes"
        )
    codes = np.stack([given & np.uint8(15), given >> np.uint8(4)], -1)
    codes = codes.reshape(*given.shape[:-1], 2 * given.shape[-1])
    if codes[..., row:].any():
        raise ValueError("the high half of the last byte of an odd row must be 0")
    return codes[..., :row]
