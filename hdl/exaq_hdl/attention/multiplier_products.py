"""Products of multipliers, such as the DSP blocks of an FPGA."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Signal, signed

from exaq_hdl.attention.products import (
    Products,
    Term,
    integers_width,
    key_integers,
    looked_up,
    registered,
)
from exaq_hdl.parts.assembly import late


class SingleProducts(Products):
    """Products with signed integers, a multiplier for each."""

    latency = 1

    def product(self, m: Module, q: Any, element: Any, name: str) -> Term:
        return Term(registered(m, q * element.as_signed(), name, self.width))


class PairedProducts(Products):
    """Products of an element of q with the codes of two lanes at once, in one multiplier.

    The codes' integers i and j stand in one operand, i + j * 2**width. Its product with q has that
    of i in its low ``width`` bits, and above them that of j, less 1 where the low one is negative:
    its sign is the high one's carry. A last lane that has no other is alone in its multipliers.
    """

    latency = 2
    carries = True

    def of(self, m: Module, q: Sequence[Any], keys: Sequence[Sequence[Any]]) -> list[list[Term]]:
        held = [late(m, each, 1, f"q{k}") for k, each in enumerate(q)]
        found: list[list[Term]] = []
        for lane in range(0, len(keys) - 1, 2):
            pairs = enumerate(zip(keys[lane], keys[lane + 1], strict=True))
            both = [self._two(m, held[k], *pair, f"lane{lane}_{k}") for k, pair in pairs]
            found += [[terms[n] for terms in both] for n in (0, 1)]
        return found + super().of(m, held, keys[len(found) :])

    def product(self, m: Module, q: Any, element: Any, name: str) -> Term:
        integers = key_integers(self._config)
        operand = looked_up(m, element, integers, integers_width(integers), f"{name}_integer")
        return Term(self._multiplied(m, q, operand, name))

    def _two(self, m: Module, q: Any, first: Any, second: Any, name: str) -> tuple[Term, Term]:
        """The products of q with two elements."""
        integers = key_integers(self._config)
        bits, width = integers_width(integers), self.width
        low = looked_up(m, first, integers, bits, f"{name}_low")
        # j, and j - 1 above a negative i.
        choices = integers + [each - 1 for each in integers]
        high = looked_up(m, Cat(second, low[-1]), choices, bits, f"{name}_high")
        extended = Signal(signed(width), name=f"{name}_extended")
        m.d.comb += extended.eq(low)
        both = self._multiplied(m, q, Cat(extended, high).as_signed(), name)
        above = both[width : 2 * width].as_signed()
        return Term(both[:width].as_signed()), Term(above, both[width - 1])

    def _multiplied(self, m: Module, q: Any, operand: Any, name: str) -> Any:
        held = registered(m, operand, f"{name}_operand")
        return registered(m, held * q, f"{name}_product")
