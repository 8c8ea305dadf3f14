"""Trees of adders."""

from amaranth.hdl import Value


def tree_depth(leaves: int) -> int:
    """Levels of a binary tree over ``leaves``."""
    return (leaves - 1).bit_length()


def ones(bits: Value) -> Value:
    """Number of ones, as a balanced tree of adders."""
    if len(bits) == 1:
        return bits
    middle = len(bits) // 2
    return ones(bits[:middle]) + ones(bits[middle:])
