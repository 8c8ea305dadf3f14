"""Codes from thresholds that were reached."""

from typing import Any

from amaranth.hdl import Cat, Mux, Value


def count(reached: Any) -> Value:
    """Number of ones in a thermometer of 2**n - 1 bits: a binary search, a multiplexer a bit."""
    middle = len(reached) // 2
    if not middle:
        return reached[0]
    below, above = count(reached[:middle]), count(reached[middle + 1 :])
    return Cat(Mux(reached[middle], above, below), reached[middle])
