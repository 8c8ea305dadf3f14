"""Rows for golden models of two passes, and constants that no library computes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import numpy as np

import exaq

#: ln(2) to within 2**-200: the series of -ln(1 - 1/2).
LN2 = Fraction(sum(2**256 // (k << k) for k in range(1, 201)), 2**256)

Row = Callable[[Sequence[int], exaq.SoftmaxConfig], list[int]]


def exp_minus(x: Fraction) -> Fraction:
    """e**-x to within 2**-100 for x from 0 to 300: Taylor's series of a small part, squared."""
    halvings = 16
    part = x / 2**halvings
    term = total = Fraction(1)
    for k in range(1, 40):
        term = _cut(term * part / k)
        total += term
    for _ in range(halvings):
        total = _cut(total * total)
    return 1 / total


def _cut(value: Fraction) -> Fraction:
    return Fraction(int(value * 2**640), 2**640)


def every_row(width: int, length: int) -> list[tuple[int, ...]]:
    """Every row of so many logits of ``width`` bits."""
    return list(itertools.product(range(-(2 ** (width - 1)), 2 ** (width - 1)), repeat=length))


def compare(config: exaq.SoftmaxConfig, rows: Sequence[Sequence[int]], of_row: Row) -> None:
    """Rows of one length, without masks, against an oracle of one row."""
    found = exaq.softmax(np.array(rows), config)
    for row, probabilities in zip(rows, found.tolist(), strict=True):
        assert probabilities == of_row(row, config), (row, config)


def masked_rows(
    config: exaq.SoftmaxConfig, seed: int, count: int
) -> Iterator[tuple[list[int], list[bool]]]:
    """Rows and masks of any length: flat, near the maximum, anywhere; some without a live one."""
    rng = random.Random(seed)
    low, high = config.logit_range
    for _ in range(count):
        length = rng.choice([1, 2, rng.randint(1, config.max_row), config.max_row])
        reach = rng.choice([0, 3, (high - low) // 4, high - low])
        top = rng.randint(low + reach, high)
        row = [top - rng.randint(0, reach) for _ in range(length)]
        live = rng.choice([0.0, 0.1, 0.5, 1.0, 1.0])
        yield row, [rng.random() < live for _ in range(length)]


def compare_masked(config: exaq.SoftmaxConfig, seed: int, count: int, of_row: Row) -> None:
    """Rows with masks: the live elements are a row of their own, the others give 0."""
    for row, mask in masked_rows(config, seed, count):
        found = exaq.softmax(row, config, np.array(mask)).tolist()
        live = [x for x, part in zip(row, mask, strict=True) if part]
        expected = iter(of_row(live, config) if live else [])
        assert found == [next(expected) if part else 0 for part in mask], (row, mask, config)
