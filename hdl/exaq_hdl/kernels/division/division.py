"""What a kernel has divided: how many quotients of each row, and how wide everything is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import ShapeLike
from amaranth.lib import data

from exaq_hdl.shell.streams import with_fields


@dataclass(frozen=True, kw_only=True)
class Division:
    """Quotients floor((E_k * 2**quotient_bits + floor(S / 2)) / S), k = 0 ... 2**bits - 1, of a row
    whose sum is S, saturated at 2**quotient_bits - 1.

    A row's sum travels as its complement ~S, which spares an inverter for every bit.

    Members
    -------
    bits : 2**bits quotients a row
    quotient_bits : width of a quotient
    exp_bits : width of a dividend E_k
    sum_bits : width of S, at least 1 where a quotient is of use
    full_rate_beats : cycles that the divisions of a row may take
    row : fields that come with a sum
    summary : fields that go with a row's first quotient: of ``row``, and ``sum``, that is S
    """

    bits: int
    quotient_bits: int
    exp_bits: int
    sum_bits: int
    full_rate_beats: int
    row: Mapping[str, Any]
    summary: Mapping[str, Any]

    @property
    def levels(self) -> int:
        """Quotients of a row."""
        return 1 << self.bits

    @property
    def complement(self) -> ShapeLike:
        """``complement``, ~S, with the fields of ``row``; see ``with_fields``."""
        return with_fields("complement", self.sum_bits, self.row)

    @property
    def quotient(self) -> data.StructLayout:
        """A quotient, rounded and saturated, with the ``summary`` of its row."""
        return data.StructLayout({"probability": self.quotient_bits} | dict(self.summary))

    @property
    def word(self) -> data.StructLayout:
        """The quotient of a level in a row; the ``summary`` comes with level 0."""
        word = {"level": self.bits, "probability": self.quotient_bits}
        return data.StructLayout(word | dict(self.summary))

    @property
    def remainder_bits(self) -> int:
        """Width of a remainder: below S, or with E = S below 1.25 * S, as long as it is looked
        at.
        """
        most = (1 << self.exp_bits) - 1
        return max(self.sum_bits, (most + most // 4 + 1).bit_length())
