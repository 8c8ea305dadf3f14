"""What the elements of a row are to its tables: distances, codes, and sums over them.

Rows go by one of several *sets* of tables. A set is thresholds and exponentials, in integers:

>>> import torch
>>> from exaq import SoftmaxConfig
>>> from exaq.torch.code_statistics import TableTensors
>>> tables = TableTensors.of(SoftmaxConfig(clip=-4.0), by_context=False, margin=0)
>>> tables.exponentials.shape, tables.code_at(torch.device("cpu")).shape
(torch.Size([1, 4]), torch.Size([1, 55]))
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from exaq.config import SoftmaxConfig
from exaq.torch.tensor_masks import find_live

# Widest logits whose differences float32 holds.
_WIDEST_SINGLE = 20


@dataclass(frozen=True, kw_only=True)
class TableTensors:
    """Integer tables of a configuration as tensors.

    Members
    -------
    thresholds, exponentials
        Shapes (sets, K - 1) and (sets, K), int64, on the CPU.
    deepest
        The largest distance, in logit steps below the row's maximum, that is told from larger
        ones: those share its place in ``code_at``.
    """

    thresholds: Tensor
    exponentials: Tensor
    deepest: int

    @classmethod
    def of(cls, config: SoftmaxConfig, *, by_context: bool, margin: int) -> TableTensors:
        """Those of each context, or ``config.tables`` alone.

        ``margin``: steps below the lowest threshold that are told apart.
        """
        each = config.context_tables if by_context else (config.tables,)
        low, high = config.logit_range
        lowest = min(tables.thresholds[0] for tables in each)
        far = [[max(value, low - high - 1) for value in tables.thresholds] for tables in each]
        return cls(
            thresholds=torch.tensor(far),
            exponentials=torch.tensor([tables.exp_rom for tables in each]),
            deepest=min(max(1 - lowest, 1) + margin, high - low),
        )

    def code_at(self, device: torch.device) -> Tensor:
        """The code of each distance 0 ... ``deepest``, shape (sets, deepest + 1), int64."""
        distances = torch.arange(self.deepest + 1, device=device).expand(len(self.thresholds), -1)
        # Thresholds are reached by -distance; the number of those reached is the code.
        reach = (-self.thresholds.to(device)).flip(-1).contiguous()
        return self.thresholds.shape[-1] - torch.searchsorted(reach, distances.contiguous())


def distances(
    scores: Tensor,
    config: SoftmaxConfig,
    mask: Tensor | None,
    contexts: Tensor | None,
    sink: Tensor | None,
    deepest: int,
) -> tuple[Tensor, Tensor | None]:
    """How far elements and sink lie below the maximum of their row, in logit steps.

    Parameters
    ----------
    scores, config, mask, contexts, sink
        As for ``exaq.torch.softmax``, which they have passed: scores and sink are real, contexts
        integers, both of these of the shape of ``scores`` without its last axis.
    deepest
        Larger distances become this one; masked elements get ``deepest + 1``.

    Returns
    -------
    tuple
        Distances, (..., row), int16 where that holds ``deepest + 1``, else int32; and those of the
        sinks, (..., 1), None where there are none.
    """
    live, _ = find_live(scores, mask)
    steps = _steps(scores, config).masked_fill_(~live, -torch.inf)
    peak = steps.amax(dim=-1, keepdim=True)
    sinks = None
    if sink is not None:
        sinks = _steps(sink, config).unsqueeze(-1)
    elif config.sinks:
        each = torch.tensor(config.sinks, dtype=steps.dtype, device=steps.device)
        sinks = (each[:1] if contexts is None else each[contexts.long()].unsqueeze(-1)).expand(
            peak.shape
        )
    if sinks is not None:
        peak = torch.maximum(peak, sinks)
    narrow = torch.int16 if deepest < 2**15 - 1 else torch.int32
    # What is masked is infinitely far; in rows of nothing else, the difference of infinities.
    far = torch.sub(peak, steps, out=steps).clamp_(max=deepest).masked_fill_(~live, deepest + 1)
    apart = None if sinks is None else (peak - sinks).clamp_(max=deepest).to(narrow)
    return far.to(narrow), apart


def _steps(real: Tensor, config: SoftmaxConfig) -> Tensor:
    """Real logits as the nearest whole steps, half to even, saturated; of a tensor of its own."""
    scale = float(config.logit_scale)
    exact = math.frexp(scale)[0] == 0.5 and config.logit_width <= _WIDEST_SINGLE
    # A power of two divides exactly; else the quotient is rounded once, as the unit's model does.
    if exact and real.dtype != torch.float64:
        steps = real.float() * (1 / scale)
    else:
        steps = real.double() / scale
    return steps.round_().clamp_(*config.live_range)
