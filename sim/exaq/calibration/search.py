"""The search for thresholds: along clips, from several starts, then each threshold on its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from exaq.calibration import exponentials
from exaq.calibration.objective import Floats, Objective
from exaq.calibration.summary import Summary
from exaq.tables import Tables

# Clips of the first search, and rounds that halve the distance between them.
_CLIPS, _ROUNDS = 64, 5
# Starts: clips, and exponents that space the thresholds unevenly below the maximum.
_START_CLIPS, _SPACINGS = 12, (0.6, 0.8, 1.0, 1.3, 1.7)
# Starts that are followed to their end.
_FOLLOWED = 4
# Places, in borders, that a threshold tries on either side of where it is.
_MOVES = np.array([1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610])
_SWEEPS, _GAIN = 60, 1e-6
# What float64 sums over rows may be off by, relative and absolute.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Search:
    """The search on one part's rows for one objective.

    Members
    -------
    summary, sketch
        All rows, and those that starts are chosen by.
    objective
        What is to be least.
    bits, logit_scale, exp_frac
        Format of codes, logits and exponentials.
    """

    summary: Summary
    sketch: Summary
    objective: Objective
    bits: int
    logit_scale: float | Fraction
    exp_frac: int

    @property
    def scale(self) -> float:
        """Real value of one logit step."""
        return float(self.logit_scale)

    def error(self, tables: Tables) -> float:
        """Mean error over all rows with ``tables``, their thresholds at borders."""
        cut = self.summary.cut(tables.thresholds)
        return self.summary.error(self.objective, cut, np.array(tables.exp_rom, float))

    def end_points(self, clip: float) -> Tables:
        """The end-point tables of a clip, each threshold moved to the nearest border."""
        tables = Tables.from_clip(
            clip, bits=self.bits, logit_scale=self.logit_scale, exp_frac=self.exp_frac
        )
        return self._tables(self.summary.cut(tables.thresholds), tables.exp_rom)

    def clip(self, starts: Sequence[float]) -> tuple[float, Tables, float]:
        """The best clip with end-point levels, its tables and their error on all rows.

        A grid of clips and ``starts``, then finer and finer round the best: nowhere worse than
        the starts' end-point tables.
        """
        lowest = float(self.summary.borders[0]) * self.scale
        far = min(*starts, 1.2 * lowest)
        near = max(far / 2, -self.scale * (2**self.bits - 1) / 2)
        known = {clip: self.error(self.end_points(clip)) for clip in starts}
        for clip in -np.geomspace(-near, -far, _CLIPS):
            known[float(clip)] = self._sketched(float(clip))
        ratio = (far / near) ** (1 / (_CLIPS - 1))
        # What the sketch finds best is judged on all rows.
        best = min((c for c in known if c not in starts), key=lambda c: (known[c], c))
        for _ in range(_ROUNDS):
            ratio = math.sqrt(ratio)
            around = {clip: self._sketched(clip) for clip in (best * ratio, best / ratio)}
            known |= around
            best = min((best, *around), key=lambda c: (known[c], c))
        found = [(clip, self.end_points(clip)) for clip in (*starts, best)]
        tables, error = self._first_best([tables for _, tables in found])
        return next(clip for clip, made in found if made == tables), tables, error

    def exponentials(self, tables: Tables) -> tuple[Tables, float]:
        """The same thresholds with better exponentials: never worse on all rows."""
        cut = self.summary.cut(tables.thresholds)
        start = exponentials.means(self.summary, cut, self.scale)
        found = [tables]
        given = np.maximum(np.array(tables.exp_rom, float), 0.5)
        for real in (start, given):
            _, real = self._optimum(self.summary, cut, real)
            found.append(self._integers(cut, real))
        return self._first_best(found)

    def thresholds(self, tables: Tables) -> tuple[Tables, float]:
        """Free thresholds and exponentials: never worse on all rows than ``tables``."""
        given = self.summary.cut(tables.thresholds), np.array(tables.exp_rom, float)
        starts = [(given[0], np.maximum(given[1], 0.5) / max(given[1].max(), 1.0)), *self._starts()]
        ends = [self._descend(self.sketch, cut, real) for cut, real in starts]
        ends.sort(key=lambda end: end[0])
        _, cut, real = ends[0]
        if self.summary is not self.sketch:
            _, cut, real = self._descend(self.summary, cut, real)
        return self._first_best([tables, self._integers(cut, real)])

    def _sketched(self, clip: float) -> float:
        tables = self.end_points(clip)
        cut = self.sketch.cut(tables.thresholds)
        return self.sketch.error(self.objective, cut, np.array(tables.exp_rom, float))

    def _starts(self) -> list[tuple[list[int], Floats]]:
        """The best of unevenly spaced thresholds, and those that Lloyd's rule finds for e**d."""
        k = np.arange(2**self.bits - 1)
        lowest = float(self.summary.borders[0]) * self.scale
        tried: dict[tuple[int, ...], tuple[float, Floats]] = {}
        for clip in -np.geomspace(min(1.0, -lowest / 2), -lowest, _START_CLIPS):
            for spacing in _SPACINGS:
                real = clip * (1 - (k + 0.5) / len(k)) ** spacing
                self._try(tried, self.sketch.cut(list(np.rint(real / self.scale))))
        found = sorted(tried, key=lambda cut: tried[cut][0])[: _FOLLOWED - 1]
        lloyd = tuple(self._lloyd())
        if lloyd not in found:
            self._try(tried, list(lloyd))
            found.append(lloyd)
        return [(list(cut), tried[cut][1]) for cut in found]

    def _try(self, tried: dict[tuple[int, ...], tuple[float, Floats]], cut: list[int]) -> None:
        if tuple(cut) not in tried:
            start = exponentials.means(self.sketch, cut, self.scale)
            tried[tuple(cut)] = self._optimum(self.sketch, cut, start, steps=4)

    def _lloyd(self) -> list[int]:
        """Thresholds in the middle between the means of e**d, each row weighted by 1 / S**2."""
        (rows,) = self.sketch.blocks
        weight = rows.counts @ rows.partitions**-2.0
        value = rows.masses @ (1 / rows.partitions)
        whole_weight = [float(rows.elements @ rows.partitions**-2.0)]
        whole_value = [float((1 / rows.partitions).sum())]
        share = np.linspace(0, 1, 2**self.bits + 1)[1:-1]
        cut = self.sketch.cut(list(np.rint(np.log(share) / self.scale)))
        for _ in range(50):
            w = -np.diff(np.concatenate((whole_weight, weight[cut], [0.0])))
            v = -np.diff(np.concatenate((whole_value, value[cut], [0.0])))
            upper = np.exp(np.append(self.sketch.borders[cut], 0) * self.scale)
            mean = np.maximum.accumulate(np.divide(v, w, out=upper, where=w > 0))
            middle = np.maximum((mean[1:] + mean[:-1]) / 2, 1e-300)
            new = self.sketch.cut(list(np.minimum(np.rint(np.log(middle) / self.scale), 0)))
            if new == cut:
                break
            cut = new
        return cut

    def _descend(
        self, summary: Summary, cut: Sequence[int], real: Floats
    ) -> tuple[float, list[int], Floats]:
        """Thresholds one after the other, exponentials in between, until neither gains."""
        places = list(cut)
        error, real = self._optimum(summary, places, real)
        for _ in range(_SWEEPS):
            before = error
            for k in range(len(places)):
                places[k] = self._best_place(summary, places, real, k)
            error, real = self._optimum(summary, places, real, steps=6)
            if before - error <= _GAIN * before:
                break
        return error, places, real

    def _best_place(self, summary: Summary, cut: list[int], real: Floats, k: int) -> int:
        low = cut[k - 1] if k else 0
        high = cut[k + 1] if k + 1 < len(cut) else len(summary.borders) - 1
        here = cut[k]
        near = np.concatenate(([here], here - _MOVES, here + _MOVES))
        places = near[(near >= low) & (near <= high)]
        errors = np.zeros(len(places))
        for block in summary.blocks:
            moved = block.moved(here, places)
            errors += self.objective.shifted(block.bins(cut), real, k, moved)
        return int(places[int(errors.argmin())])

    def _optimum(
        self, summary: Summary, cut: Sequence[int], start: Floats, steps: int = 40
    ) -> tuple[float, Floats]:
        floor = 2.0 ** -(self.exp_frac + (1 if self.objective.least else 4))
        return exponentials.optimum(summary, self.objective, cut, start, floor=floor, steps=steps)

    def _integers(self, cut: Sequence[int], real: Floats) -> Tables:
        found = exponentials.integers(self.summary, self.objective, cut, real, self.exp_frac)
        return self._tables(cut, found)

    def _first_best(self, found: Sequence[Tables]) -> tuple[Tables, float]:
        """The best tables and their error; of equals, up to rounding of the sums, the first."""
        best, least = found[0], self.error(found[0])
        for tables in found[1:]:
            error = self.error(tables)
            if error < least * (1 - _ROUNDING) - _ROUNDING:
                best, least = tables, error
        return best, least

    def _tables(self, cut: Sequence[int], exp_rom: Sequence[int]) -> Tables:
        thresholds = tuple(int(self.summary.borders[border]) for border in cut)
        return Tables(thresholds=thresholds, exp_rom=tuple(exp_rom))
