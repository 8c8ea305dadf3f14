"""Counters that need next to no logic.

A carry chain costs a place or two beyond its bits to get in and out of; most of the unit's
counters are small, or count in an order that nobody sees.
"""

from amaranth.hdl import Cat, Mux, Value, ValueLike

# Taps of a maximum-length Fibonacci shift register, by width: the bits (from 1) whose parity
# is shifted in. Standard table (P. Alfke, Xilinx XAPP 052); a test walks every sequence.
_TAPS = {
    2: (2, 1),
    3: (3, 2),
    4: (4, 3),
    5: (5, 3),
    6: (6, 5),
    7: (7, 6),
    8: (8, 6, 5, 4),
    9: (9, 5),
    10: (10, 7),
    11: (11, 9),
    12: (12, 6, 4, 1),
    13: (13, 4, 3, 1),
    14: (14, 5, 3, 1),
    15: (15, 14),
    16: (16, 15, 13, 4),
    17: (17, 14),
}

#: Where every shift-register counter starts.
LFSR_START = 1
#: States of the largest one.
LFSR_STATES = (1 << max(_TAPS)) - 1


def lfsr_width(states: int) -> int:
    """Width of the smallest shift register with at least ``states`` states."""
    return max(states.bit_length(), min(_TAPS))


def lfsr_next(value: Value) -> Value:
    """The state after ``value``, an Amaranth value; 2**width - 1 states, never 0."""
    parity: ValueLike = 0
    for tap in _TAPS[len(value)]:
        parity = value[tap - 1] ^ parity
    return Cat(parity, value[:-1])


def lfsr_state(width: int, steps: int) -> int:
    """The state ``steps`` after the start."""
    state = LFSR_START
    for _ in range(steps):
        parity = sum(state >> (tap - 1) for tap in _TAPS[width]) & 1
        state = (state << 1 | parity) & ((1 << width) - 1)
    return state


def increment(value: Value) -> Value:
    """``value + 1`` modulo 2**len(value), a gate or two a bit: for a few bits."""
    return Cat(value[k] ^ value[:k].all() if k else ~value[0] for k in range(len(value)))


def wrapped_increment(value: Value, count: int) -> Value:
    """``value + 1``, or 0 after ``count - 1``."""
    return Mux(value == count - 1, 0, value + 1)
