"""Trees of adders."""

from amaranth.hdl import Mux, Value


def tree_depth(leaves: int) -> int:
    """Levels of a binary tree over ``leaves``."""
    return (leaves - 1).bit_length()


def ones(bits: Value) -> Value:
    """Number of ones, as a balanced tree of adders."""
    if len(bits) == 1:
        return bits
    middle = len(bits) // 2
    return ones(bits[:middle]) + ones(bits[middle:])


def less(a: Value, b: Value) -> Value:
    """a - b, which is not negative, in the width of a."""
    return (a - b)[: len(a)]


def half_up(value: Value, bits: int) -> Value:
    """value / 2 rounded half up, saturated at ``bits`` bits."""
    rounded = (value + 1)[1:]
    return Mux(rounded[bits:].any(), (1 << bits) - 1, rounded[:bits])
