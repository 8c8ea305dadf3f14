"""A dimension's level sums, each times its exponential, added up."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from exaq.scalars import integer
from exaq_hdl.parts.arithmetic import tree_depth
from exaq_hdl.parts.component import Component


class LevelProducts(Component):
    """sum of E_k * L_k, modulo 2**width: what a dimension is worth before it is divided.

    The exponentials are constants, so their products are sums and differences of shifted level
    sums, one for each digit of an exponential that is not 0, where digits are 1, 0 and -1 and as
    few as can be. All of them are joined in one tree, a register behind each of its levels: next
    to each other are those of like shifts, so that an adder is little wider than a level sum. This
    takes less logic than a multiplier of any kind but a device's own, and is faster than those.

    Latency ``latency`` cycles; throughput 1 dimension per cycle. Free running.

    Parameters
    ----------
    exponentials
        E_k of each level, not negative, one of them above 0.
    level_width
        Width of a level sum, signed.
    width
        Width of a total.

    Members
    -------
    sums : level sums L_k, in
    total : out, a register
    """

    def __init__(self, exponentials: Sequence[int], *, level_width: int, width: int):
        self.exponentials = tuple(integer("an exponential", each, 0) for each in exponentials)
        if not any(self.exponentials):
            raise ValueError("exponentials must not all be 0")
        self.width = width = integer("width", width, 1)
        self._digits = [
            (digit, level)
            for level, exponential in enumerate(self.exponentials)
            for digit in signed_digits(exponential)
        ]
        self._digits.sort(key=lambda each: each[0].shift)
        self.latency = tree_depth(len(self._digits)) + 1
        levels = len(self.exponentials)
        super().__init__(
            {
                "sums": In(data.ArrayLayout(signed(level_width), levels)),
                "total": Out(width),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        nodes = [
            _Node(self.sums[level], digit.shift, digit.negative) for digit, level in self._digits
        ]
        depth = 0
        while len(nodes) > 1:
            pairs = [nodes[k : k + 2] for k in range(0, len(nodes), 2)]
            nodes = []
            for k, pair in enumerate(pairs):
                node = pair[0] if len(pair) == 1 else _joined(*pair, root=len(pairs) == 1)
                value = node.value[: max(self.width - node.shift, 1)].as_signed()
                register = Signal.like(value, name=f"level{depth}_node{k}", reset_less=True)
                m.d.sync += register.eq(value)
                nodes.append(node._replace(value=register))
            depth += 1
        [(value, shift, negative)] = nodes
        whole = value << shift
        m.d.sync += self.total.eq(-whole if negative else whole)
        return m


class Digit(NamedTuple):
    """2**shift, or the negative of that."""

    shift: int
    negative: bool


def signed_digits(number: int) -> list[Digit]:
    """Digits whose sum is ``number``, not negative: as few as can be, the lowest one first."""
    digits = []
    shift = 0
    while number:
        if number & 1:
            # Of two ones in a row the lower one is -1, and 1 is carried: no digits are neighbours.
            negative = number & 3 == 3
            digits.append(Digit(shift, negative))
            number += 1 if negative else -1
        number >>= 1
        shift += 1
    return digits


class _Node(NamedTuple):
    """A signed value, shifted left, to be added or taken off."""

    value: Value
    shift: int
    negative: bool


def _joined(low: _Node, high: _Node, *, root: bool) -> _Node:
    """Both as one with the sign of ``low``, whose bits below those of ``high`` stay as they are.

    At the root the sign is to be that of an addend, where either has it.
    """
    apart = high.shift - low.shift
    bits = low.value
    if root and low.negative and not high.negative:
        return _Node((high.value << apart) - bits, low.shift, False)
    below = Cat(bits, bits[-1].replicate(apart))[:apart]
    above = bits >> apart if apart < len(bits) else bits[-1:].as_signed()
    rest = above - high.value if low.negative != high.negative else above + high.value
    return _Node(Cat(below, rest).as_signed(), low.shift, low.negative)
