"""Products of gates and adders, without multipliers.

Each is a sum of rows, a row being q, shifted, or nothing, as a bit of the key's element says. The
gates of both rows of an adder fit into its own logic cells on ECP5.
"""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Mux

from exaq.attention import AttentionConfig
from exaq.attention.attention_config import QUERY_WIDTH
from exaq_hdl.attention.products import (
    Products,
    Term,
    above,
    key_integers,
    looked_up,
    registered,
)
from exaq_hdl.parts.arithmetic import tree_depth
from exaq_hdl.parts.assembly import late


def _gated(value: Any, bit: Any) -> Any:
    return Mux(bit, value, 0)


def _rows(q: Any, bits: Any, highest: bool) -> Any:
    """The rows of two bits added up; if these are the highest, the upper one's is negative."""
    low, high = _gated(q, bits[0]), _gated(q, bits[1])
    return low - (high << 1) if highest else above(low, high, 1)


def integer_product_latency(width: int) -> int:
    """Cycles that ``integer_product`` takes with an element of ``width`` bits, a power of two."""
    return tree_depth(width)


def integer_product(m: Module, factor: Any, element: Any, name: str) -> Any:
    """A signed ``factor`` times an ``element``'s bits in two's complement.

    A row for each bit, the highest one's negative; rows are added two by two, the sums of these
    likewise, and so on.
    """
    bits = range(0, len(element), 2)
    parts = [
        registered(m, _rows(factor, element[k : k + 2], k == bits[-1]), f"{name}_bits{k}")
        for k in bits
    ]
    places = 2
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=True)
        sums = [above(low, high, places) for low, high in pairs]
        places *= 2
        parts = [
            registered(m, each, f"{name}_{places}_bits{k}", len(factor) + places)
            for k, each in enumerate(sums)
        ]
    return parts[0]


class IntegerProducts(Products):
    """Products with integers in two's complement."""

    def __init__(self, config: AttentionConfig):
        super().__init__(config)
        self.latency = integer_product_latency(config.key_format.width)

    def product(self, m: Module, q: Any, element: Any, name: str) -> Term:
        return Term(integer_product(m, q, element, name)[: self.width].as_signed())


class SizeProducts(Products):
    """Products with codes of a sign and a size in half steps, where an odd size is 1.

    The size has a row for each bit; those of 1 and 2 are never there together and share one. A
    negative code's product is the complement of its size's and lacks 1: that is its carry.
    """

    latency = 3
    carries = True

    def of(self, m: Module, q: Sequence[Any], keys: Sequence[Sequence[Any]]) -> list[list[Term]]:
        # Registers between codes and rows, or synthesis decodes the code for each bit of a row.
        return super().of(m, [late(m, each, 1, f"q{k}") for k, each in enumerate(q)], keys)

    def product(self, m: Module, q: Any, element: Any, name: str) -> Term:
        integers, width = key_integers(self._config), self.width
        sizes = [abs(each) for each in integers]
        bits = max(sizes).bit_length() + 1
        size = registered(m, looked_up(m, element, sizes, bits, f"{name}_decoded"), f"{name}_size")
        negative = looked_up(m, element, [-(each < 0) for each in integers], 1, f"{name}_negative")
        halves = Mux(size[0], q, _gated(q << 1, size[1]))
        steps = above(_gated(q, size[2]), _gated(q, size[3]), 1)
        low = registered(m, halves, f"{name}_halves", QUERY_WIDTH + 1)
        high = registered(m, steps, f"{name}_steps", QUERY_WIDTH + 2)
        product = registered(m, above(low, high, 2), f"{name}_product", width)
        sign = late(m, negative[0], self.latency, f"{name}_sign")
        return Term((product ^ sign.replicate(width))[:width].as_signed(), sign)
