"""Scales of weights in few bits: those that clip nothing, or the best of some that clip."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from exaq.dint import WeightFormat
from exaq.torch.linears.level_rounding import nearest_levels

#: What clips are sought among: parts of the scale that clips nothing.
RATIOS = tuple(1 - k / 20 for k in range(12))
#: The same where many searches are made, one for each of other choices.
FEW_RATIOS = (1.0, 0.85, 0.7, 0.55)


def whole_scales(matrix: Tensor, format: WeightFormat, group_size: int) -> Tensor:
    """(outputs, groups) scales that clip nothing, as those of ``exaq.dint.scales``."""
    parts = _parts(matrix, group_size)
    least, most = parts.amin(dim=-1), parts.amax(dim=-1)
    straight = torch.maximum(most / format.highest, least / format.lowest)
    turned = torch.maximum(-least / format.highest, -most / format.lowest)
    found = torch.where(straight <= turned, straight, -turned)
    return found.masked_fill(found == 0, 1)


def clipped_scales(
    matrix: Tensor,
    format: WeightFormat,
    group_size: int,
    inputs: Tensor | None,
    ratios: Sequence[float] = RATIOS,
) -> Tensor:
    """(outputs, groups) the scale among ``ratios`` of that which clips nothing with least error.

    Parameters
    ----------
    matrix
        (outputs, inputs) weights.
    inputs
        (rows, inputs) what the layer is given. The error is then that of the layer's output on
        them where a row of weights has one scale, and with groups each weight's squared error
        times the mean square of its input. None: the squared error of the weights.
    """
    whole = whole_scales(matrix, format, group_size)
    one_each = whole.shape[1] == 1
    weigh = None if inputs is None else inputs.square().mean(dim=0)
    best, least = whole, torch.full_like(whole, torch.inf)
    for ratio in ratios:
        scales = whole * ratio
        error = rounded(matrix, scales, format, group_size).sub_(matrix)
        if inputs is not None and one_each:
            found = (error @ inputs.T).square_().sum(dim=-1, keepdim=True)
        else:
            squares = error.square_()
            squares = squares if weigh is None else squares.mul_(weigh)
            found = _parts(squares, group_size).sum(dim=-1)
        better = found < least
        least = torch.where(better, found, least)
        best = torch.where(better, scales, best)
    return best


def rounded(matrix: Tensor, scales: Tensor, format: WeightFormat, group_size: int) -> Tensor:
    """(outputs, inputs) what the weights become with these scales."""
    each = spread(scales, matrix.shape[1], group_size)
    return nearest_levels(matrix / each, format).mul_(each)


def spread(each: Tensor, row: int, group_size: int) -> Tensor:
    """A number for each group, (outputs, groups), as one for each weight, (outputs, row).

    Of rows of one group it stays a column, which broadcasts.
    """
    if each.shape[1] == 1:
        return each
    return each.repeat_interleave(group_size, dim=1)[:, :row]


def _parts(matrix: Tensor, group_size: int) -> Tensor:
    """(outputs, groups, group_size), the last group of a row filled up with zeros."""
    missing = -matrix.shape[1] % group_size
    filled = functional.pad(matrix, (0, missing)) if missing else matrix
    return filled.reshape(len(matrix), -1, group_size)
