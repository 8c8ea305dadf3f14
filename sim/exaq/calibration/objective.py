"""The error of the softmax output, from what a row's bins hold: how many elements and what share.

A row's thresholds cut its live elements into K bins. Bin k holds n_k elements whose exact
probabilities add up to m_k, and gives each the probability q_k = E_k / S, S = sum n_k E_k. Then

    MSE:  sum (p - q)**2 = sum p**2 - 2 sum m_k q_k + sum n_k q_k**2     (a row's squared error)
    KL:   sum p ln(p/q)  = sum p ln p - sum m_k ln q_k                   (nats)

exactly, at a cost of K figures a row. Both are means over rows. An objective is a few functions of
arrays whose last axis is the rows; both depend on the ratios of the E_k only.
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
    """

    counts: Floats
    masses: Floats
    squares: Floats
    entropies: Floats


class Objective(Protocol):
    """A sum over rows of errors of the softmax output."""

    #: Least exponential that is legal where it matters: 0 makes the KL divergence infinite.
    least: int

    def total(self, bins: Bins, exponentials: Floats) -> float:
        """Sum over rows of the error with K ``exponentials``, to any common scale."""

    def slope(self, bins: Bins, exponentials: Floats) -> tuple[float, Floats, Floats]:
        """Error, gradient (K,) and a curvature (K, K) not below 0, both in ln E_k."""

    def shifted(
        self, bins: Bins, exponentials: Floats, k: int, counts: Floats, masses: Floats
    ) -> Floats:
        """Errors with threshold k elsewhere: (candidates,).

        ``counts`` and ``masses``, (candidates, rows), is what threshold k's new places move from
        bin k to bin k + 1, negative where they move it down.
        """


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

    def shifted(
        self, bins: Bins, exponentials: Floats, k: int, counts: Floats, masses: Floats
    ) -> Floats:
        rise = exponentials[k + 1] - exponentials[k]
        rise_squared = exponentials[k + 1] ** 2 - exponentials[k] ** 2
        total = exponentials @ bins.counts + rise * counts
        product = exponentials @ bins.masses + rise * masses
        square = exponentials**2 @ bins.counts + rise_squared * counts
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

    def shifted(
        self, bins: Bins, exponentials: Floats, k: int, counts: Floats, masses: Floats
    ) -> Floats:
        rise = exponentials[k + 1] - exponentials[k]
        logs = np.log(np.maximum(exponentials, 1e-300))
        total = np.log(exponentials @ bins.counts + rise * counts).sum(-1)
        wanted = logs @ bins.masses.sum(1) + (logs[k + 1] - logs[k]) * masses.sum(-1)
        return bins.entropies.sum() + total - wanted


OBJECTIVES: dict[str, Objective] = {"mse": MeanSquare(), "kl": Divergence()}
