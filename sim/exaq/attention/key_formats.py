"""Formats of a key's elements: codes, and the integers that they stand for in dot products.

>>> from exaq.attention import KEY_FORMATS
>>> KEY_FORMATS["dint4"].integers([7, 8, 15]).tolist()
[1, -14, -1]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.dint import DINT4, INT4
from exaq.rows import check_range, plain


@dataclass(frozen=True, kw_only=True)
class KeyFormat:
    """What an element of a key can be.

    Members
    -------
    name
        ``"dint4"``, ``"int4"`` or ``"int8"``.
    width
        Bits of an element.
    by_code
        The integer that each code of ``width`` bits stands for; None in it: there is no such code.
        None instead: elements are signed integers of ``width`` bits and stand for themselves.
    unit
        What an integer of 1 is, in the format's own steps: 1/2 for dINT4, else 1.
    """

    name: str
    width: int
    by_code: tuple[int | None, ...] | None
    unit: float

    @property
    def most(self) -> int:
        """The largest size of an integer."""
        if self.by_code is None:
            return 1 << self.width - 1
        return max(abs(each) for each in self.by_code if each is not None)

    def integers(self, elements: ArrayLike) -> NDArray[np.int16]:
        """What elements stand for, any shape.

        Raises
        ------
        TypeError
            They are no integers, or a ``numpy.ma`` array.
        ValueError
            One is out of range, or a code that the format does not have.
        """
        given = plain(elements, "elements of keys")
        if given.dtype.kind not in "iu":
            raise TypeError(f"elements of keys must be integers, not {given.dtype}")
        half = 1 << self.width - 1
        low, high = (-half, half - 1) if self.by_code is None else (0, 2 * half - 1)
        if given.size:
            least, most = int(given.min()), int(given.max())
            check_range(f"elements of {self.name} keys", least, most, low, high)
        if self.by_code is None:
            return given.astype(np.int16)
        for code, stands_for in enumerate(self.by_code):
            if stands_for is None and (given == code).any():
                raise ValueError(f"{self.name} has no code {code}")
        return np.array([each or 0 for each in self.by_code], np.int16)[given]


#: Formats of keys by name. Codes of dINT4 in half steps: 0 to 6 are 0 to 12; 7 is 1; 8 is -14; 9 to
#: 14 are -2 to -12; 15 is -1. Codes of INT4, -7 to 7, are those of two's complement.
KEY_FORMATS = {
    "dint4": KeyFormat(name="dint4", width=4, by_code=DINT4.halves, unit=0.5),
    "int4": KeyFormat(
        name="int4",
        width=4,
        by_code=tuple(None if half is None else half // 2 for half in INT4.halves),
        unit=1.0,
    ),
    "int8": KeyFormat(name="int8", width=8, by_code=None, unit=1.0),
}
