"""The best exponentials for given thresholds: means of each bin, then the objective's optimum.

Real ones first, then integers near them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from exaq.calibration.objective import Floats, Objective
from exaq.calibration.summary import Summary

# Newton steps at most, and the relative gain below which they end.
_STEPS, _GAIN = 40, 1e-9
# Logarithm of the highest exponential beside the maximum's: room for bins of about equal means.
_HIGHEST = 0.5
# Scales that real exponentials are rounded at, and rounds of single steps after that.
_SCALES, _SWEEPS = 9, 4


def means(summary: Summary, cut: Sequence[int], scale: float) -> Floats:
    """Mean of e**distance over each bin's elements; of an empty bin, e**d at its upper border."""
    numbers = np.zeros(len(cut) + 1)
    sums = np.zeros(len(cut) + 1)
    for block in summary.blocks:
        bins = block.bins(cut)
        numbers += bins.counts.sum(1)
        sums += bins.masses @ block.partitions
    upper = np.append(summary.borders[list(cut)], 0) * scale
    return np.divide(sums, numbers, out=np.exp(upper), where=numbers > 0)


def optimum(
    summary: Summary,
    objective: Objective,
    cut: Sequence[int],
    start: Floats,
    *,
    floor: float,
    steps: int = _STEPS,
) -> tuple[float, Floats]:
    """Error and real exponentials that are least near ``start``, the last one 1.

    Damped Newton steps in the logarithms, where a common factor changes nothing: for the KL
    divergence, which is convex there, that is the global optimum for these thresholds. None falls
    below ``floor``. Never worse than ``start``, raised to the floor.
    """
    all_bins = [block.bins(cut) for block in summary.blocks]
    least = math.log(floor)
    point = np.maximum(np.log(np.maximum(start / start[-1], 1e-300)), least)
    point[-1] = 0.0
    damping = 1e-3

    def slope(at: Floats) -> tuple[float, Floats, Floats]:
        parts = [objective.slope(bins, np.exp(at)) for bins in all_bins]
        error = sum(part[0] for part in parts)
        gradient = np.sum([part[1] for part in parts], axis=0)
        curvature = np.sum([part[2] for part in parts], axis=0)
        return error, gradient[:-1], curvature[:-1, :-1]

    error, gradient, curvature = slope(point)
    for _ in range(steps):
        # An exponential at the floor that would fall on stays; so does that of an empty bin.
        diagonal = np.diag(curvature)
        bent = np.maximum(diagonal, 1e-12 * diagonal.max())
        free = (diagonal > 0) & ~((point[:-1] <= least) & (gradient > 0))
        step = np.zeros(len(gradient))
        step[free] = np.linalg.solve(
            (curvature + np.diag(damping * bent))[np.ix_(free, free)], -gradient[free]
        )
        tried = point.copy()
        tried[:-1] = (point[:-1] + step.clip(-2.0, 2.0)).clip(least, _HIGHEST)
        new = slope(tried)
        if new[0] < error:
            gain = error - new[0]
            point, (error, gradient, curvature) = tried, new
            damping = max(damping / 5, 1e-9)
            if gain <= _GAIN * error:
                break
        else:
            damping *= 10
            if damping > 1e6:
                break
    return error / summary.rows, np.exp(point)


def integers(
    summary: Summary,
    objective: Objective,
    cut: Sequence[int],
    exponentials: Floats,
    exp_frac: int,
) -> tuple[int, ...]:
    """Integer exponentials near real ones: rounded at several scales, then tuned.

    The largest becomes 2**exp_frac, or anything up to the largest integer that fits, which can
    halve what rounding costs the small ones, where that is better. Then each may move by single
    steps, as often as there are sweeps.
    """
    all_bins = [block.bins(cut) for block in summary.blocks]
    most = 2 ** (exp_frac + 1) - 1
    lowest = np.full(len(exponentials), objective.least)
    lowest[-1] = 1

    def total(values: Floats) -> float:
        return sum(objective.total(bins, values) for bins in all_bins)

    best: tuple[float, Floats] | None = None
    for top in np.rint(np.geomspace(2**exp_frac, most, _SCALES)):
        values = np.rint(exponentials * (top / exponentials.max())).clip(lowest, most)
        error = total(values)
        if best is None or error < best[0]:
            best = error, values
    assert best is not None
    error, values = best
    for _ in range(_SWEEPS):
        before = error
        for k in range(len(values)):
            for step in (-1, 1):
                tried = values.copy()
                tried[k] += step
                if lowest[k] <= tried[k] <= most and (new := total(tried)) < error:
                    error, values = new, tried
        if error >= before * (1 - 1e-6):
            break
    return tuple(int(v) for v in values)
