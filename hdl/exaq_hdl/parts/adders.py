"""Adders that do more in each cell of a carry chain than add, made by one object.

A cell of a carry chain can gate what it adds, or make a difference of a sum, at no cost where the
device has a lookup table in front of the carry; but synthesis puts gates of their own before a
plain adder. So a component takes ``adders``, and whoever builds the design chooses what an adder
becomes: an expression that Amaranth's simulator knows, or, for Verilog, an instance of a module
that a flow can replace by such cells.

    >>> from amaranth.hdl import Module, Signal
    >>> from exaq_hdl.parts.adders import Adders, Gated
    >>> a, b, gate = Signal(8), Signal(8), Signal()
    >>> adders = Adders(gated_module="my_adders")
    >>> [total] = adders.gated(Module(), "both", [Gated(a, gate, b, gate)])
    >>> len(total)
    8
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from amaranth.hdl import Cat, Instance, Module, Signal, Value

# Adders of an instance. A chain needs a cell before each adder, and cells come in pairs.
_PACK = 2


class Gated(NamedTuple):
    """(a if x else 0) + (b if y else 0): the bits of two numbers of one width, and their gates."""

    a: Value
    x: Value
    b: Value
    y: Value


@dataclass(frozen=True, kw_only=True)
class Adders:
    """Makes adders in a module; each is combinational, and modulo 2**width.

    Parameters
    ----------
    gated_module, signed_module
        Verilog modules that they are instances of; see ``exaq_hdl/emit/adders.v`` for their
        ports. None: expressions.
    """

    gated_module: str | None = None
    signed_module: str | None = None

    def gated(self, m: Module, name: str, sums: Sequence[Gated]) -> list[Value]:
        """The results of ``sums``, all of one width."""
        width = _width(*(number for each in sums for number in (each.a, each.b)))
        if self.gated_module is None:
            return [
                ((a & x.replicate(width)) + (b & y.replicate(width)))[:width] for a, x, b, y in sums
            ]
        results: list[Value] = []
        for k in range(0, len(sums), _PACK):
            pack = sums[k : k + _PACK]
            found = Signal(len(pack) * width, name=f"{name}{k // _PACK}_sums")
            m.submodules[f"{name}{k // _PACK}"] = Instance(
                self.gated_module,
                ("p", "COUNT", len(pack)),
                ("p", "WIDTH", width),
                ("i", "a", Cat(each.a for each in pack)),
                ("i", "x", Cat(each.x for each in pack)),
                ("i", "b", Cat(each.b for each in pack)),
                ("i", "y", Cat(each.y for each in pack)),
                ("o", "sums", found),
            )
            results += [found.word_select(place, width) for place in range(len(pack))]
        return results

    def sum_or_difference(self, m: Module, name: str, a: Value, b: Value, subtract: Value) -> Value:
        """a - b if ``subtract`` else a + b: the bits of two numbers of one width."""
        width = _width(a, b)
        if self.signed_module is None:
            # The place below the lowest one makes the carry that a difference needs.
            wide = Cat(1, a) + Cat(subtract, b ^ subtract.replicate(width))
            return wide[1 : width + 1]
        result = Signal(width, name=f"{name}_result")
        m.submodules[name] = Instance(
            self.signed_module,
            ("p", "WIDTH", width),
            ("i", "a", a),
            ("i", "b", b),
            ("i", "subtract", subtract),
            ("o", "result", result),
        )
        return result


def _width(*numbers: Value) -> int:
    widths = {len(number) for number in numbers}
    if len(widths) != 1:
        listed = " and ".join(str(each) for each in sorted(widths))
        raise ValueError(f"an adder's operands have one width, not {listed} bits")
    return widths.pop()


#: Adders for Amaranth's simulator.
EXPRESSIONS = Adders()
