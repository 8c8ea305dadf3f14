"""Lookups by multiplexers, for few words."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Mux, Value


def lookup(address: Value, words: Sequence[Any]) -> Any:
    """words[address] by a tree of multiplexers, constants or values; else undefined."""
    if len(words) == 1:
        return words[0]
    half = 1 << (len(address) - 1)
    if len(words) <= half:
        return lookup(address[:-1], words)
    low, high = words[:half], words[half:]
    return Mux(address[-1], lookup(address[:-1], high), lookup(address[:-1], low))
