"""Which elements take part, where a mask is numbers: the rule of ``exaq.masks`` on tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from exaq.masks import GAP, MASKED, Doubt


def live_addends(addend: Tensor) -> Tensor:
    """Which elements take part, by the numbers that are added to their scores.

    As ``exaq.live_addends``: floating-point, shape (..., row), any device; booleans of that shape,
    True = live.
    """
    return find_live(addend)[0]


def parted(mask: Tensor) -> tuple[Tensor, Tensor | None]:
    """Flags of what a mask leaves live, and what it adds to their scores, if anything.

    Parameters
    ----------
    mask
        Shape (..., row): booleans, True = live, or floating-point numbers, of which
        ``live_addends`` tells those that mask.
    """
    if mask.dtype == torch.bool:
        return mask, None
    if mask.numel():
        # Most masks are nothing but zeros and what masks: then no row has a gap. Numbers are
        # compared several times as fast as flags are made.
        low = torch.le(mask, MASKED, out=torch.empty_like(mask))
        zero = torch.eq(mask, 0, out=torch.empty_like(mask))
        if zero.add_(low).amin() > 0:
            return low == 0, None
    live = live_addends(mask)
    return live, mask.masked_fill(~live, 0)


@torch.no_grad()
def find_live(numbers: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Doubt | None]:
    """What takes part, and what only a gap has masked; without gaps where there is a mask."""
    flags = ~(numbers <= MASKED)
    if mask is not None:
        return flags & mask, None
    if not numbers.numel():
        return flags, None
    highest = numbers.masked_fill(~flags, -torch.inf).amax(dim=-1, keepdim=True)
    lowest = numbers.masked_fill(~flags, torch.inf).amin(dim=-1, keepdim=True)
    # Only rows this far apart can have a gap. Those with NaN or +inf their readers will refuse.
    spread = (highest.double() - lowest.double()).squeeze(-1)
    wide = (spread > GAP) & (spread < torch.inf)
    if not wide.any():
        return flags, None
    rows, alive = numbers[wide].double(), flags[wide]
    ordered = torch.where(alive, rows, highest[wide].double()).sort(dim=-1).values
    gap = ordered.diff(dim=-1) > GAP
    # The highest gap's lower edge; -inf in a row without one.
    edge = torch.where(gap, ordered[:, :-1], -torch.inf).amax(dim=-1, keepdim=True)
    masked = alive & (rows <= edge)
    if not masked.any():
        return flags, None
    flags[wide] = alive & ~masked
    return flags, Doubt(int(masked.sum()), float(rows[masked].max()) + 0.0)
