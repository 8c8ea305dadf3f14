"""HiF8 (arXiv 2409.16626) in exact fractions, from the format's published table alone.

A byte is a sign, a prefix ("dot") that says how many digits D the exponent has, the exponent with a
sign of its own and an implied leading one, and what is left as mantissa:

    11 s ee m     D = 4, |exponent| 8 to 15, 1 bit of mantissa
    10 s e mm     D = 3, 4 to 7, 2 bits
    01 s mmm      D = 2, 2 and 3: one digit more, e, before the mantissa
    001 s mmm     D = 1, 1
    0001 mmm      D = 0, 0
    0000 mmm      a number 2**(m - 23) without a mantissa, and 0 for m = 0

What would be 1.5 * 2**15 is infinity.
"""

from __future__ import annotations

from bisect import bisect_left
from fractions import Fraction
from functools import cache

INFINITY = 0b0_11_0_111_1

# Prefix, digits of the exponent, bits of mantissa.
_FIELDS = (("11", 4, 1), ("10", 3, 2), ("01", 2, 3), ("001", 1, 3), ("0001", 0, 3))


def decoded(byte: int) -> Fraction:
    """The number of a byte without a sign that is not infinity."""
    digits = f"{byte:08b}"
    assert digits[0] == "0"
    assert byte != INFINITY
    rest = digits[1:]
    for prefix, count, bits in _FIELDS:
        if not rest.startswith(prefix):
            continue
        field, mantissa = rest[len(prefix) : -bits], int(rest[-bits:], 2)
        assert len(field) == count
        exponent = 0
        if field:
            exponent = int("1" + field[1:], 2) * (-1 if field[0] == "1" else 1)
        return (1 + Fraction(mantissa, 1 << bits)) * Fraction(2) ** exponent
    power = int(rest[-3:], 2)
    return Fraction(2) ** (power - 23) if power else Fraction(0)


#: Every number that is not negative, and its byte.
NUMBERS = {decoded(byte): byte for byte in range(128) if byte != INFINITY}
_ORDERED = sorted(NUMBERS)


@cache
def nearest(value: Fraction) -> Fraction:
    """The number nearest to ``value``, which is not negative; the larger of two."""
    place = bisect_left(_ORDERED, value)
    beside = _ORDERED[max(place - 1, 0) : place + 1]
    return min(beside, key=lambda number: (abs(number - value), -number))
