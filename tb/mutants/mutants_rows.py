"""Rows chosen for their sums: all of a small unit, those where a division is close of a large one.

segment.send(many_sums(writer))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, combinations
from math import comb

import numpy as np
from mutants_scenarios import Writer
from numpy.typing import NDArray
from rtl_rows import Row

from exaq import Exaq, Tables

Counts = NDArray[np.int64]

# A unit is small where its rows have no more sums than this, by how often each code occurs.
_ALL = 25_000
_DRAWN, _TIMES, _NEAREST = 100_000, 8, 16
# Elements of rows of few codes, at most.
_FEW = 32


def many_sums(writer: Writer) -> Iterator[Row]:
    """Rows with every number of elements of each code, or those at borders where they are too many.

    Of a unit with contexts, rows of each by its tables of reset. Nothing of units without divisions
    of exponentials by sums.
    """
    config = writer.config
    if not isinstance(config.kernel, Exaq) or config.output == "codes":
        return
    sets = config.context_tables if config.contexts else (config.tables,)
    for context, tables in enumerate(sets):
        chosen: list[Counts] = []
        if comb(config.max_row + config.levels, config.levels) <= _ALL:
            chosen = [*_all_counts(config.max_row, config.levels)]
        elif not config.sinks:
            for longest in sorted({min(config.max_row, 64), config.max_row}):
                chosen += _at_borders(writer, tables, longest)
        for counts in chosen:
            yield _row(writer, context, tables, counts)


def _all_counts(most: int, levels: int) -> Iterator[Counts]:
    """How many elements have each code, one at least the last, ``most`` in all: every way."""
    for bars in combinations(range(most + levels), levels):
        counts = np.diff([-1, *bars]) - 1
        if counts[-1]:
            yield counts


def _at_borders(writer: Writer, tables: Tables, longest: int) -> Iterator[Counts]:
    """Of random rows, and short ones of few codes, those whose remainder behind a step of a
    division, of an element that they have, lies nearest to 0 or to the sum.
    """
    config, rng = writer.config, writer.rng
    kept: dict[tuple[int, int], list[tuple[int, tuple[int, ...]]]] = {}
    drawn = (_drawn(rng, config.levels, longest) for _ in range(_TIMES))
    for counts in chain(_few_codes(config.levels, min(longest, _FEW)), drawn):
        sums = counts @ np.array(tables.exp_rom)
        for code, exponential in enumerate(tables.exp_rom):
            dividend = (exponential << config.prob_bits) + sums // 2
            for step in range(config.prob_bits):
                left = (dividend >> step) % sums
                far = np.where(counts[:, code] > 0, np.minimum(left, sums - left), sums)
                nearest = np.argpartition(far, _NEAREST)[:_NEAREST]
                found = [(int(far[each]), tuple(counts[each].tolist())) for each in nearest]
                before = kept.get((code, step), [])
                kept[code, step] = sorted({*before, *found})[:_NEAREST]
    for each in dict.fromkeys(counts for found in kept.values() for _, counts in found):
        yield np.array(each)


def _few_codes(levels: int, longest: int) -> Iterator[Counts]:
    """Every number of elements of two codes and the last one, ``longest`` at most, each array for
    two codes, shape (rows, levels).
    """
    numbers = np.indices((longest, longest, longest + 1)).reshape(3, -1).T
    numbers = numbers[(numbers[:, 2] > 0) & (numbers.sum(axis=1) <= longest)]
    for codes in combinations(range(levels - 1), 2):
        counts = np.zeros((len(numbers), levels), np.int64)
        counts[:, [*codes, -1]] = numbers
        yield counts


def _drawn(rng: np.random.Generator, levels: int, longest: int) -> Counts:
    """Random numbers of elements of each code, shape (_DRAWN, levels), one at least the last."""
    shares = rng.dirichlet(np.full(levels, 0.4), _DRAWN)
    elements = rng.integers(1, longest + 1, _DRAWN)
    counts = np.floor(shares * elements[:, None]).astype(np.int64)
    counts[:, -1] += elements - counts.sum(axis=1)
    counts[:, -1] = np.maximum(counts[:, -1], 1)
    counts[:, 0] -= np.maximum(counts.sum(axis=1) - elements, 0)
    return counts[(counts >= 0).all(axis=1)]


def _row(writer: Writer, context: int, tables: Tables, counts: Sequence[int] | Counts) -> Row:
    rows = writer.rows
    distances = np.array([tables.thresholds[0] - 1, *tables.thresholds])
    distances[-1] = 0
    logits = np.clip(rows.high + np.repeat(distances, counts), rows.low, None)
    rows.next = context
    return rows.row(logits, "chosen sum", window=(0, len(logits)))
