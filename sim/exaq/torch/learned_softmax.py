"""The softmax of tables that learn: the unit's bits forward, gradients of scores and tables back.

What flows back takes the probabilities for p_j = w_j / S, with w_j the exponential of element j's
code and S the sum of the row's. The scores and the sink get it straight through the quantizer, as
from a softmax whose values are p; thresholds and exponentials as ``table_gradients`` has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from exaq.config import SoftmaxConfig
from exaq.torch import tensor_softmax
from exaq.torch.code_statistics import TableTensors, distances
from exaq.torch.table_gradients import RowGradients, exponential_gradient, threshold_gradient


def learned_softmax(
    scores: Tensor,
    config: SoftmaxConfig,
    mask: Tensor | None,
    contexts: Tensor | None,
    sink: Tensor | None,
    learned: tuple[Tensor, Tensor, int] | None = None,
) -> Tensor:
    """Probabilities as of ``exaq.torch.softmax``, with gradients to scores, sink and tables.

    Parameters
    ----------
    scores, config, mask, contexts, sink
        As for ``exaq.torch.softmax``; scores are real, and of the kernel EXAQ.
    learned
        None, or what gradients of the tables go to, of which the values do not matter: thresholds
        (sets, K - 1) in logit steps, exponentials (sets, K) in steps of theirs, a set for each
        context or just one; and half the window of thresholds, in logit steps, at least 1.
    """
    if not scores.is_floating_point():
        raise TypeError(f"a gradient needs floating-point scores, not {scores.dtype}")
    if sink is not None:
        sink = sink.expand(scores.shape[:-1])
    thresholds, exponentials, window = learned or (None, None, 1)
    apply: Callable[..., Tensor] = _Learned.apply
    return apply(scores, sink, thresholds, exponentials, config, mask, contexts, window)


class _Learned(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        scores: Tensor,
        sink: Tensor | None,
        thresholds: Tensor | None,
        exponentials: Tensor | None,
        config: SoftmaxConfig,
        mask: Tensor | None,
        contexts: Tensor | None,
        window: int,
    ) -> Tensor:
        tables = TableTensors.of(config, by_context=contexts is not None, margin=window)
        found = tensor_softmax.softmax(scores, config, mask, contexts, sink=sink)
        if contexts is not None:
            contexts = contexts.expand(scores.shape[:-1])
        # All that is kept for the way back: two bytes for a score.
        distance, apart = distances(scores, config, mask, contexts, sink, tables.deepest)
        ctx.save_for_backward(distance, apart, contexts, thresholds, exponentials)
        ctx.tables, ctx.window = tables, window
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        distance, apart, contexts, thresholds, exponentials = ctx.saved_tensors
        tables: TableTensors = ctx.tables
        (given,) = gradients
        kept = torch.promote_types(given.dtype, torch.float32)
        gradient = given.to(kept)
        # Places in tables by set and distance, of which each set's last is that of the masked. A
        # sink is an element more, whose probability nothing depends on.
        code_at = tables.code_at(distance.device)
        places = code_at.shape[1] + 1
        place = distance.long()
        if apart is not None:
            place = torch.cat([place, apart.long()], dim=-1)
            gradient = functional.pad(gradient, (0, 1))
        if contexts is not None:
            place += contexts.long().unsqueeze(-1) * places
        rom = tables.exponentials.to(distance.device, kept)
        weights = functional.pad(rom.gather(1, code_at), (0, 1)).take(place)
        sums = weights.sum(dim=-1, keepdim=True).clamp_(min=1)
        deviation = gradient - (gradient * weights).sum(dim=-1, keepdim=True) / sums
        rows = RowGradients(place=place, deviation=deviation, sums=sums)

        found: dict[str, Tensor] = {}
        if ctx.needs_input_grad[2]:
            found["thresholds"] = threshold_gradient(rows, tables, ctx.window).to(thresholds)
        if ctx.needs_input_grad[3]:
            found["exponentials"] = exponential_gradient(rows, tables).to(exponentials)
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
            flow = (weights.mul_(deviation) / sums).to(given.dtype)
            found["scores"] = flow[..., : distance.shape[-1]]
            if ctx.needs_input_grad[1]:
                found["sink"] = flow[..., -1]
        return (*map(found.get, ("scores", "sink", "thresholds", "exponentials")), *(None,) * 4)
