"""Floating-point numbers of 16 bits from their definition, as exact integers; no key, no NumPy.

A number is held as ``value * 2**unit``, an integer: the smallest number of the format is 1.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from exaq import SoftmaxConfig

#: Bits of exponent and mantissa.
SHAPES = {"bf16": (8, 7), "fp16": (5, 10)}
#: Steps of a threshold in 1.
STEPS = 2**24


class Float(NamedTuple):
    """A number: ``units`` of the format's smallest, or None where it is not finite."""

    units: int | None
    nan: bool = False
    negative: bool = False

    @property
    def bad(self) -> bool:
        """NaN or +inf."""
        return self.units is None and (self.nan or not self.negative)


@cache
def decoded(name: str) -> tuple[Float, ...]:
    """What each of the 65536 words means."""
    exponent_bits, mantissa_bits = SHAPES[name]
    found = []
    for word in range(65536):
        negative = word >= 32768
        exponent, mantissa = divmod(word % 32768, 2**mantissa_bits)
        if exponent == 2**exponent_bits - 1:
            found.append(Float(None, mantissa != 0, negative))
            continue
        units = mantissa if exponent == 0 else (2**mantissa_bits + mantissa) << (exponent - 1)
        found.append(Float(-units if negative else units, negative=negative))
    return tuple(found)


def unit(name: str) -> int:
    """2**unit(name) units are 1."""
    exponent_bits, mantissa_bits = SHAPES[name]
    return 2 ** (exponent_bits - 1) - 2 + mantissa_bits


@cache
def ladder(name: str) -> tuple[list[int], list[int]]:
    """All finite numbers in ascending order, in units, and their words; -0 before +0."""
    finite = [
        (each.units, not each.negative, word)
        for word, each in enumerate(decoded(name))
        if each.units is not None
    ]
    finite.sort()
    return [units for units, _, _ in finite], [word for _, _, word in finite]


def reaches(name: str, word: int, maximum: int, threshold: int) -> bool:
    """Whether a number is at least the maximum and so many steps of 2**-24."""
    return first_reached(name, maximum, threshold) <= _places(name)[word]


@cache
def _places(name: str) -> dict[int, int]:
    return {word: place for place, word in enumerate(ladder(name)[1])}


def first_reached(name: str, maximum: int, threshold: int) -> int:
    """Place in ``ladder`` of the first number at or above maximum + threshold * 2**-24."""
    most = decoded(name)[maximum].units
    assert most is not None
    # All in units and steps at once, so that both are integers.
    values = ladder(name)[0]
    target = most * STEPS + threshold * 2 ** unit(name)
    return bisect_left(values, -(-target // STEPS))


def codes(
    words: Sequence[int],
    live: Sequence[bool] | None,
    config: SoftmaxConfig,
    sink: int | None = None,
) -> tuple[list[int | None], bool]:
    """The code of each element, None where it does not take part; and whether the row is wrong."""
    name = config.logit_format
    meant = [decoded(name)[word] for word in words]
    wanted = [True] * len(words) if live is None else [bool(flag) for flag in live]
    wrong = any(flag and each.bad for flag, each in zip(wanted, meant, strict=True))
    part = [flag and each.units is not None for flag, each in zip(wanted, meant, strict=True)]
    present = [word for word, takes_part in zip(words, part, strict=True) if takes_part]
    present += [] if sink is None else [sink]
    if not present:
        return [None] * len(words), wrong
    maximum = max(present, key=lambda word: decoded(name)[word].units or 0)
    borders = [first_reached(name, maximum, each) for each in config.tables.thresholds]
    places = _places(name)
    return [
        sum(border <= places[word] for border in borders) if takes_part else None
        for word, takes_part in zip(words, part, strict=True)
    ], wrong


def softmax_row(
    words: Sequence[int], live: Sequence[bool] | None, config: SoftmaxConfig
) -> tuple[list[int], bool]:
    """Probabilities of a row of words, and whether the row is wrong."""
    found, wrong = codes(words, live, config)
    levels = [0 if code is None else config.tables.exp_rom[code] for code in found]
    total = max(sum(levels), 1)
    top = (1 << config.prob_bits) - 1
    return [min(((e << config.prob_bits) + total // 2) // total, top) for e in levels], wrong
