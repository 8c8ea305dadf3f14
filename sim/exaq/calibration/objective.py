"""The error of the softmax output, from what a row's bins hold: how many elements and what share.

A row's thresholds cut its live elements into K bins. Bin k holds n_k elements whose exact
probabilities add up to m_k, and gives each the probability q_k = E_k / S, S = sum n_k E_k. Then

    MSE:     sum (p - q)**2 = sum p**2 - 2 sum m_k q_k + sum n_k q_k**2  (a row's squared error)
    KL:      sum p ln(p/q)  = sum p ln p - sum m_k ln q_k                (nats)
    values:  (sum (q - p) z)**2 = (sum b_k q_k)**2,   b_k = sum over the bin of z - sum p z

exactly, at a cost of K figures a row; z is a value that each element has, and there may be several
of them, whose squared errors add up. All are means over rows. An objective is a few functions of
arrays whose last axis is the rows; all depend on the ratios of the E_k only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bins:
    """Rows cut into K bins.

    Members
    -------
    counts, masses
        (K, rows): n_k and m_k.
    squares, entropies
        (rows,): sum p**2 and sum p ln p of each row.
    values
        (K, values, rows): b_k of each value; none where elements have no values.
    """

    counts: Floats
    masses: Floats
    squares: Floats
    entropies: Floats
    values: Floats


@dataclass(frozen=True)
class Moved:
    """What a threshold's new places move from its lower bin to its upper one.

    Members
    -------
    counts, masses
        (candidates, rows), negative where elements move down.
    values
        (candidates, values, rows).
    """

    counts: Floats
    masses: Floats
    values: Floats


class Objective(Protocol):
    """A sum over rows of errors of the softmax output."""

    #: Least exponential that is legal where it matters: 0 makes the KL divergence infinite.
    least: int

    def total(self, bins: Bins, exponentials: Floats) -> float:
        """Sum over rows of the error with K ``exponentials``, to any common scale."""

    def slope(self, bins: Bins, exponentials: Floats) -> tuple[float, Floats, Floats]:
        """Error, gradient (K,) and a curvature (K, K) not below 0, both in ln E_k."""

    def shifted(self, bins: Bins, exponentials: Floats, k: int, moved: Moved) -> Floats:
        """Errors with threshold k elsewhere, (candidates,): ``moved`` from bin k to bin k + 1."""


class MeanSquare:
    """Squared error of the probabilities."""

    least = 0

    def total(self, bins: Bins, exponentials: Floats) -> float:
        q = exponentials[:, None] / (exponentials @ bins.counts)
        return float((bins.squares + (q * (bins.counts * q - 2 * bins.masses)).sum(0)).sum())

    def slope(self, bins: Bins, exponentials: Floats) -> tuple[float, Floats, Floats]:
        q = exponentials[:, None] / (exponentials @ bins.counts)
        share = bins.counts * q
        pull = (share - bins.masses) * q
        bend = share * q
        error = float((bins.squares + (pull - bins.masses * q).sum(0)).sum())
        gradient = 2 * (pull.sum(1) - (share * pull.sum(0)).sum(1))
        # Gauss-Newton: the part of the curvature that is a sum of squares.
        mixed = bend @ share.T
        curvature = np.diag(bend.sum(1)) - mixed - mixed.T + (share * bend.sum(0)) @ share.T
        return error, gradient, 2 * curvature

    def shifted(self, bins: Bins, exponentials: Floats, k: int, moved: Moved) -> Floats:
        rise = exponentials[k + 1] - exponentials[k]
        rise_squared = exponentials[k + 1] ** 2 - exponentials[k] ** 2
        total = exponentials @ bins.counts + rise * moved.counts
        product = exponentials @ bins.masses + rise * moved.masses
        square = exponentials**2 @ bins.counts + rise_squared * moved.counts
        return ((square / total - 2 * product) / total).sum(-1) + bins.squares.sum()


class Divergence:
    """Kullback-Leibler divergence from the exact softmax. Convex in ln E_k."""

    least = 1

    def total(self, bins: Bins, exponentials: Floats) -> float:
        wanted = bins.masses.sum(1)
        if (wanted[exponentials <= 0] > 0).any():
            return float("inf")
        logs = np.log(np.maximum(exponentials, 1e-300))
        total = np.log(exponentials @ bins.counts)
        return float((bins.entropies + total).sum() - logs @ wanted)

    def slope(self, bins: Bins, exponentials: Floats) -> tuple[float, Floats, Floats]:
        share = bins.counts * (exponentials[:, None] / (exponentials @ bins.counts))
        gradient = (share - bins.masses).sum(1)
        curvature = np.diag(share.sum(1)) - share @ share.T
        return self.total(bins, exponentials), gradient, curvature

    def shifted(self, bins: Bins, exponentials: Floats, k: int, moved: Moved) -> Floats:
        rise = exponentials[k + 1] - exponentials[k]
        logs = np.log(np.maximum(exponentials, 1e-300))
        total = np.log(exponentials @ bins.counts + rise * moved.counts).sum(-1)
        wanted = logs @ bins.masses.sum(1) + (logs[k + 1] - logs[k]) * moved.masses.sum(-1)
        return bins.entropies.sum() + total - wanted


class Values:
    """Squared error of sums of values that the probabilities weigh, as attention makes them."""

    least = 0

    def total(self, bins: Bins, exponentials: Floats) -> float:
        missed = np.tensordot(exponentials, bins.values, 1) / (exponentials @ bins.counts)
        return float((missed * missed).sum())

    def slope(self, bins: Bins, exponentials: Floats) -> tuple[float, Floats, Floats]:
        q = exponentials[:, None] / (exponentials @ bins.counts)
        each = q[:, None] * bins.values
        missed = each.sum(0)
        steep = (each - (q * bins.counts)[:, None] * missed).reshape(len(q), -1)
        # Gauss-Newton, as above.
        return float((missed * missed).sum()), 2 * (steep @ missed.ravel()), 2 * (steep @ steep.T)

    def shifted(self, bins: Bins, exponentials: Floats, k: int, moved: Moved) -> Floats:
        rise = exponentials[k + 1] - exponentials[k]
        total = exponentials @ bins.counts + rise * moved.counts
        missed = np.tensordot(exponentials, bins.values, 1) + rise * moved.values
        missed /= total[:, None]
        return np.einsum("cvr,cvr->c", missed, missed)


OBJECTIVES: dict[str, Objective] = {
    "mse": MeanSquare(),
    "kl": Divergence(),
    "values": Values(),
}
