"""Levels nearest to numbers, on tensors and fast: the rule of ``exaq.dint`` for searches."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from exaq.dint import WeightFormat

# No level lies farther from 0 than this many steps, and all borders are multiples of one quarter.
_FARTHEST = 8


def nearest_levels(steps: Tensor, format: WeightFormat) -> Tensor:
    """The level that each number in steps is rounded to, in steps: as ``format.encode`` does it.

    Any shape and device, float32 or float64, numbers only: none is NaN.
    """
    # floor(4u) + ceil(4u) tells every quarter apart, and the inside of what is between two.
    quarters = steps * 4
    places = quarters.floor().add_(quarters.ceil_())
    most = 8 * _FARTHEST
    places = places.clamp_(-most, most).add_(most).to(torch.int32)
    table = _table(format, steps.dtype).to(steps.device)
    return table.index_select(0, places.reshape(-1)).view(steps.shape)


@cache
def _table(format: WeightFormat, dtype: torch.dtype) -> Tensor:
    """The level of every place that ``nearest_levels`` looks up."""
    places = np.arange(-8 * _FARTHEST, 8 * _FARTHEST + 1)
    return torch.from_numpy(format.values(format.encode(places / 8))).to(dtype)


def rounded_rows(values: Tensor) -> tuple[Tensor, Tensor]:
    """Activations (..., row) as integers from -127 to 127, and the scale of each row, (..., 1).

    As ``exaq.dint.activations`` in the tensor's own type: the largest size over 127, 1 for a row
    of zeros, rounded half to even. Rows that are not finite become NaN.
    """
    scales = values.abs().amax(dim=-1, keepdim=True) / 127
    scales = scales.masked_fill(scales == 0, 1)
    return (values / scales).round_().clamp_(-127, 127), scales
