"""Gradients of a loss to thresholds and exponentials, of softmax rows that go by sets of tables.

An element with exponential w has the probability w / S in a row of sum S. Where dL/dp_i is g_i and
its mean over the row, weighted by p, is G, a change of w by delta changes the loss, linear in p, by
delta * (g - G) / (S + delta). Two things follow:

- dL/dE_k is the sum of (g - G) / S over the elements of code k.
- A threshold theta_k moves elements: one step up takes those at logit - max = theta_k from E_(k+1)
  down to E_k, one step down takes those just below up to E_(k+1). The derivative is what that
  changes for an element, times how many elements there are for a step. Both are estimated from a
  *window*, some steps to either side: the change is the mean of the two sides' means, since only
  both together tell how the loss curves, and far more elements lie below a threshold than above it.

All of it needs sums over elements of the same set of tables and the same distance to the maximum,
so it is made of histograms, at a cost that does not grow with the number of codes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from exaq.torch.code_statistics import TableTensors


@dataclass(frozen=True, kw_only=True)
class RowGradients:
    """What gradients to tables are made of.

    Members
    -------
    place
        Of each element (..., row), int64: set * (deepest + 2) + distance, with distance
        ``deepest + 1`` for the masked ones.
    deviation
        g - G of each element.
    sums
        S of each row, (..., 1).
    """

    place: Tensor
    deviation: Tensor
    sums: Tensor


def exponential_gradient(rows: RowGradients, tables: TableTensors) -> Tensor:
    """dL/dE_k, (sets, K), float64, in steps of the exponentials."""
    code_at = tables.code_at(rows.place.device)
    found = torch.zeros(tables.exponentials.shape, dtype=torch.float64, device=code_at.device)
    by_distance = _histogram(rows.place, rows.deviation / rows.sums, code_at)
    return found.scatter_add_(1, code_at, by_distance)


def threshold_gradient(rows: RowGradients, tables: TableTensors, window: int) -> Tensor:
    """dL/dtheta_k, (sets, K - 1), float64, per logit step.

    ``window``: steps to either side. Distance 0 is in none, since a maximum reaches every
    threshold that there can be. A side without elements leaves the mean to the other one.
    """
    device = rows.place.device
    code_at, rom = tables.code_at(device), tables.exponentials.to(device)
    thresholds = tables.thresholds.to(device)
    # Distances of both sides, nearest and farthest included.
    reached = -thresholds
    nearest, farthest = (reached - window + 1).clamp_(min=1), reached + window

    # Only elements in some window take part; they mostly are few.
    edges = torch.zeros((len(code_at), code_at.shape[1] + 1), dtype=torch.int64, device=device)
    last = edges.shape[1] - 1
    edges.scatter_add_(1, nearest.clamp(max=last), torch.ones_like(nearest))
    edges.scatter_add_(1, (farthest + 1).clamp(max=last), -torch.ones_like(nearest))
    near = edges.cumsum(dim=-1) > 0
    near[:, last] = False
    inside = near.take(rows.place).flatten().nonzero().squeeze(-1)
    place, deviation = rows.place.flatten()[inside], rows.deviation.flatten()[inside].double()
    sums = rows.sums.flatten()[inside // rows.place.shape[-1]].double()

    # By how much the exponential of each distance's code changes to the next code's.
    rises = torch.diff(rom, dim=-1)
    none = torch.zeros_like(rises[:, :1])
    up = torch.cat([rises, none], dim=-1).gather(1, code_at)
    down = -torch.cat([none, rises], dim=-1).gather(1, code_at)

    def change(delta: Tensor) -> Tensor:
        padded = functional.pad(delta, (0, 1))
        return _running(_histogram(place, deviation / (sums + padded.take(place)), code_at))

    counts = _running(_histogram(place, torch.ones_like(deviation), code_at))
    below, above = change(up), change(down)

    def between(running: Tensor, first: Tensor, end: Tensor) -> Tensor:
        """Sums over distances first ... end - 1, where they are."""
        most = running.shape[-1] - 1
        first, end = first.clamp(0, most), end.clamp(0, most)
        return running.gather(1, end) - running.gather(1, first)

    many = between(counts, nearest, reached + 1), between(counts, reached + 1, farthest + 1)
    means = torch.stack(
        [
            between(above, nearest, reached + 1) / many[0].clamp(min=1),
            between(below, reached + 1, farthest + 1) / many[1].clamp(min=1),
        ]
    )
    sides = torch.stack(many).clamp(max=1).sum(dim=0).clamp_(min=1)
    density = (many[0] + many[1]) / (farthest - nearest + 1)
    return -rises * means.sum(dim=0) / sides * density


def _histogram(place: Tensor, values: Tensor, code_at: Tensor) -> Tensor:
    """Sums of values by set and distance, (sets, deepest + 1), float64."""
    sets, places = code_at.shape[0], code_at.shape[1] + 1
    found = torch.bincount(place.flatten(), values.flatten(), sets * places)
    return found.double().view(sets, places)[:, :-1]


def _running(values: Tensor) -> Tensor:
    """Sums of the values before each place, and of all."""
    return functional.pad(values.cumsum(dim=-1), (1, 0))
