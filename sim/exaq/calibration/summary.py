"""What the search needs to know of the rows: sums over bins that thresholds may cut."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exaq.calibration.objective import Bins, Floats, Moved, Objective
from exaq.calibration.source import Block

#: Rows of a summary's block.
_ROWS = 2048
#: Rows that the search looks at before it polishes on all of them.
SKETCH = 4096


@dataclass(frozen=True)
class Columns:
    """Rows as the thresholds see them, a column a border.

    Members
    -------
    counts
        (borders, rows): live elements whose distance reaches the border.
    masses
        (borders, rows): their exact probabilities' sum.
    elements
        (rows,): live elements.
    squares, entropies
        (rows,): sum p**2 and sum p ln p.
    partitions
        (rows,): sum of e**distance.
    values
        (borders, values, rows): sums over those elements of z - sum p z, for each value z;
        float32.
    whole_values
        (values, rows): the same over all live elements.
    """

    counts: NDArray[np.int32]
    masses: Floats
    values: NDArray[np.float32]
    elements: Floats
    squares: Floats
    entropies: Floats
    partitions: Floats
    whole_values: Floats

    def bins(self, cut: Sequence[int]) -> Bins:
        """The rows cut at the borders of these numbers, ascending."""
        counts = np.empty((len(cut) + 1, len(self.elements)))
        masses = np.empty_like(counts)
        values = np.empty((len(cut) + 1, *self.values.shape[1:]))
        for above, whole, reached in (
            (counts, self.elements, self.counts),
            (masses, 1.0, self.masses),
            (values, self.whole_values, self.values),
        ):
            above[0] = whole
            for k, border in enumerate(cut):
                above[k + 1] = reached[border]
            above[:-1] -= above[1:]
        return Bins(counts, np.maximum(masses, 0.0), self.squares, self.entropies, values)

    def moved(self, here: int, places: NDArray[np.int64]) -> Moved:
        """What moves up where a threshold goes from border ``here`` to each of ``places``."""
        return Moved(
            self.counts[places] - self.counts[here].astype(float),
            self.masses[places] - self.masses[here],
            self.values[places] - self.values[here].astype(float),
        )


@dataclass(frozen=True)
class Summary:
    """All rows of a part, exact at the borders.

    Members
    -------
    borders
        Thresholds that can be asked for: integer steps, ascending, the last 0.
    blocks
        The rows, in order.
    """

    borders: NDArray[np.int64]
    blocks: tuple[Columns, ...]

    @property
    def rows(self) -> int:
        """Rows with a live element."""
        return sum(len(block.elements) for block in self.blocks)

    @property
    def values(self) -> int:
        """How many values an element has."""
        return self.blocks[0].values.shape[1]

    def cut(self, thresholds: Sequence[int]) -> list[int]:
        """Numbers of the borders that serve these thresholds: the nearest ones."""
        wanted = np.array([max(int(t), int(self.borders[0])) for t in thresholds])
        right = np.searchsorted(self.borders, wanted).clip(1, len(self.borders) - 1)
        left_is_nearer = wanted - self.borders[right - 1] <= self.borders[right] - wanted
        return [int(border) for border in right - left_is_nearer]

    def error(self, objective: Objective, cut: Sequence[int], exponentials: Floats) -> float:
        """Mean over rows of the error with tables of these thresholds and exponentials.

        At least 0, which rounding of the sums could undercut.
        """
        total = sum(objective.total(b.bins(cut), exponentials) for b in self.blocks)
        return max(total / self.rows, 0.0)

    def sketch(self) -> Summary:
        """At most ``SKETCH`` of the rows in one block: drawn evenly, the same ones each time."""
        if len(self.blocks) == 1:
            return self
        most = min(SKETCH, self.rows)
        drawn = np.random.default_rng(0).choice(self.rows, most, replace=False)
        drawn.sort()
        pieces, first = [], 0
        for block in self.blocks:
            rows = len(block.elements)
            chosen = drawn[(drawn >= first) & (drawn < first + rows)] - first
            pieces.append([np.asarray(a)[..., chosen] for a in vars(block).values()])
            first += rows
        joined = [np.concatenate(arrays, axis=-1) for arrays in zip(*pieces, strict=True)]
        return Summary(self.borders, (Columns(*joined),))


class Builder:
    """Makes a ``Summary`` of blocks of rows.

    The columns take 12 bytes a border and row, and 4 more for each value of an element. Up to
    ``memory`` bytes of them stay in memory, the rest go to a temporary file that has no name; the
    figures are the same.
    """

    def __init__(self, borders: Sequence[int], memory: int) -> None:
        self._borders = np.unique(np.asarray(borders, dtype=np.int64))
        self._memory = memory
        self._waiting: list[tuple[Any, ...]] = []
        self._blocks: list[Columns] = []

    def add(self, block: Block) -> None:
        """Count the rows of ``block``."""
        for first in range(0, len(block.steps), _ROWS):
            part = slice(first, first + _ROWS)
            self._waiting.append(
                self._columns(
                    block.steps[part],
                    block.exponentials[part],
                    block.live[part],
                    block.values[:, part],
                )
            )
        while sum(len(columns[3]) for columns in self._waiting) >= _ROWS:
            self._flush()

    def finish(self) -> Summary:
        """The summary of all rows added."""
        while self._waiting:
            self._flush()
        return Summary(self._borders, tuple(self._blocks))

    def _columns(
        self,
        steps: NDArray[np.int32],
        exponentials: Floats,
        live: NDArray[np.bool_],
        values: NDArray[Any],
    ) -> tuple[Any, ...]:
        rows, width = len(steps), len(self._borders) + 1
        partition = exponentials.sum(-1, keepdims=True)
        p = exponentials / partition
        # An element of bin j reaches the borders 0 .. j - 1.
        place = np.searchsorted(self._borders, steps, side="right")
        place += np.arange(rows)[:, None] * width
        place = place[live]
        centred = [z - (p * z).sum(-1, keepdims=True) for z in values]
        reached = []
        for weights in (None, p[live], *(z[live] for z in centred)):
            held = np.bincount(place, weights, minlength=rows * width).reshape(rows, width)
            reached.append(held[:, ::-1].cumsum(-1)[:, ::-1].T)
        above = np.array(reached[2:]).reshape(len(values), width, rows)
        logs = np.log(p, out=np.zeros_like(p), where=p > 0)
        return (
            reached[0][1:].astype(np.int32),
            reached[1][1:],
            above[:, 1:].swapaxes(0, 1).astype(np.float32),
            reached[0][0].astype(np.float64),
            (p * p).sum(-1),
            (p * logs).sum(-1),
            partition[:, 0],
            above[:, 0],
        )

    def _flush(self) -> None:
        joined = [np.concatenate(a, axis=-1) for a in zip(*self._waiting, strict=True)]
        self._waiting = []
        if len(joined[3]) > _ROWS:
            self._waiting.append(tuple(a[..., _ROWS:] for a in joined))
        kept = [a[..., :_ROWS] for a in joined]
        kept[:3] = [self._store(a) if a.size else a for a in kept[:3]]
        self._blocks.append(Columns(*kept))

    def _store(self, array: NDArray[Any]) -> NDArray[Any]:
        if array.nbytes <= self._memory:
            self._memory -= array.nbytes
            return np.ascontiguousarray(array)
        with tempfile.TemporaryFile() as file:
            stored = np.memmap(file, array.dtype, "w+", shape=array.shape)
        stored[:] = array
        return stored
