"""Trees of adders and such, and sums and differences that stay in their width."""

from collections.abc import Callable, Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value


def tree_depth(leaves: int) -> int:
    """Levels of a binary tree over ``leaves``."""
    return (leaves - 1).bit_length()


def ones(bits: Value) -> Value:
    """Number of ones, as a balanced tree of adders."""
    if len(bits) == 1:
        return bits
    middle = len(bits) // 2
    return ones(bits[:middle]) + ones(bits[middle:])


def registered_tree(
    m: Module, values: Sequence[Value], join: Callable[[Any, Any], Any], name: str
) -> Value:
    """All of ``values`` joined two by two, a register behind each level: ``tree_depth`` cycles.

    ``name`` is what the registers of a level are called.
    """
    for level in range(tree_depth(len(values))):
        pairs = [values[k : k + 2] for k in range(0, len(values), 2)]
        joined = [join(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
        values = []
        for k, value in enumerate(joined):
            node = Signal.like(value, name=f"level{level}_{name}{k}", reset_less=True)
            m.d.sync += node.eq(value)
            values.append(node)
    return values[0]


def less(a: Value, b: Value) -> Value:
    """a - b, which is not negative, in the width of a."""
    return (a - b)[: len(a)]


def half_up(value: Value, bits: int) -> Value:
    """value / 2 rounded half up, saturated at ``bits`` bits."""
    rounded = (value + 1)[1:]
    return Mux(rounded[bits:].any(), (1 << bits) - 1, rounded[:bits])


def gated_sum(a: Value, x: Value, b: Value, y: Value) -> Value:
    """(a if x else 0) + (b if y else 0): the bits of two numbers of one width, in that width.

    A cell of an FPGA's carry chain can gate what it adds; ``exaq_fpga`` folds these gates into it.
    """
    width = len(a)
    if len(b) != width:
        raise ValueError(f"numbers have one width, not {width} and {len(b)} bits")
    return ((a & x.replicate(width)) + (b & y.replicate(width)))[:width]


def sum_or_difference(a: Value, b: Value, subtract: Value) -> Value:
    """a - b if ``subtract`` else a + b: the bits of two numbers of one width, in that width."""
    width = len(a)
    if len(b) != width:
        raise ValueError(f"numbers have one width, not {width} and {len(b)} bits")
    # The place below the lowest one makes the carry that a difference needs.
    wide = Cat(1, a) + Cat(subtract, b ^ subtract.replicate(width))
    return wide[1 : width + 1]
