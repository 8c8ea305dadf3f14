"""The unit's softmax with a gradient: its bits forward, straight through the quantizer back.

>>> import exaq, torch
>>> from exaq.torch.straight_through import softmax
>>> scores = torch.tensor([0.0, -1.0, -2.0], requires_grad=True)
>>> softmax(scores, exaq.SoftmaxConfig(clip=-4.0), gradient="ste")[0].backward()
>>> bool(scores.grad[0] > 0), bool(scores.grad[1] < 0)
(True, True)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from exaq.config import SoftmaxConfig
from exaq.kernels import Exaq
from exaq.table_file import TableFile
from exaq.torch import tensor_softmax
from exaq.torch.learned_softmax import learned_softmax

#: How a gradient flows: not at all, or straight through.
GRADIENTS = (None, "ste")


def check_gradient(gradient: str | None) -> str | None:
    """``gradient``, which must be one of ``GRADIENTS``."""
    if gradient not in GRADIENTS:
        raise ValueError(f"gradient must be None or 'ste', not {gradient!r}")
    return gradient


def softmax(
    scores: Tensor,
    tables: SoftmaxConfig | TableFile,
    mask: Tensor | None = None,
    contexts: Tensor | Sequence[int] | int | None = None,
    *,
    sink: Tensor | float | None = None,
    gradient: str | None = None,
) -> Tensor:
    """Probabilities of each row as the unit gives them, as real numbers.

    Bit for bit those of ``exaq.softmax`` on the same integer logits, over 2**prob_bits.

    Parameters
    ----------
    scores
        Shape (..., row), any device. Floating-point: real logits, made integers as by
        ``exaq.logits_to_integers``, to the nearest step, half to even, saturating. A mask that is
        in them, as -inf or as a finite number, counts: ``exaq.live_scores`` has the rule.
        Integers: logits in steps, taken as they are.
    tables
        A configuration of integer logits, of which ``max_row``, ``masking`` and ``window`` play no
        part; of another kernel than EXAQ ``max_row`` does, and there are no sinks. Or a file of
        tables, then its ``config()``. Integers that are ``mask_value`` are
        masked.
    mask
        Booleans that broadcast to the shape of ``scores``, True = live. None: all are live, but
        for what the scores themselves say.
    contexts
        The context whose tables a row goes by, integers that broadcast to the shape without its
        last axis; needs a configuration with contexts. None: ``config.tables``, but a file of
        several sets must not leave them open.
    sink
        A sink's score for each row, of the kind of ``scores``, which broadcasts to their shape
        without its last axis: it takes part in the row's maximum and sum, and has no output. None:
        that of the configuration, and of the row's context, if there is one.
    gradient
        None: none flows. "ste": straight through the quantizer, to floating-point ``scores`` and
        to ``sink``. Where dL/dp_i is g_i, score j gets p_j * (g_j - sum_i g_i p_i), which is the
        gradient of a softmax whose values are the quantized p; a sink gets the same with g = 0.
        So masked elements get 0, and rows without a live one do.

    Returns
    -------
    Tensor
        Shape of ``scores``; their type where it is a floating-point one, else the default type.
        Exact in float32 and float64; float16 and bfloat16 are rounded once, at the end. Masked
        elements are 0, so are rows without a live one.

    Raises
    ------
    TypeError
        A type is not the one above, or a gradient is to flow to integers.
    ValueError
        A live score or a sink is NaN or infinite, an integer is out of range, a shape does not
        fit, the configuration has a sink too, or its kernel takes none; a row is longer than
        ``max_row`` of another kernel than EXAQ; ``gradient`` is another word.

    Warns
    -----
    MaskWarning
        A gap alone masks scores for which there is no mask.
    """
    if check_gradient(gradient) is None:
        return tensor_softmax.softmax(scores, tables, mask, contexts, sink=sink)
    if not scores.is_floating_point():
        raise TypeError(f"a gradient needs floating-point scores, not {scores.dtype}")
    if not torch.is_grad_enabled():
        return tensor_softmax.softmax(scores, tables, mask, contexts, sink=sink)
    config = tensor_softmax.config_of(tables, contexts)
    # The sink's probability is no output, so that its gradient needs more than these.
    if isinstance(sink, Tensor) and sink.requires_grad and isinstance(config.kernel, Exaq):
        numbers = None if contexts is None else torch.as_tensor(contexts, device=scores.device)
        return learned_softmax(scores, config, mask, numbers, sink)
    apply: Callable[..., Tensor] = _StraightThrough.apply
    return apply(scores, config, mask, contexts, sink)


class _StraightThrough(torch.autograd.Function):
    """What flows back to scores depends on the probabilities alone, which whoever uses these keeps
    anyway: it costs no memory.
    """

    @staticmethod
    def forward(
        ctx: Any,
        scores: Tensor,
        config: SoftmaxConfig,
        mask: Tensor | None,
        contexts: Tensor | Sequence[int] | int | None,
        sink: Tensor | float | None,
    ) -> Tensor:
        found = tensor_softmax.softmax(scores, config, mask, contexts, sink=sink)
        ctx.save_for_backward(found)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (found,), (given,) = ctx.saved_tensors, gradients
        kept = torch.promote_types(given.dtype, torch.float32)
        flow = given.to(kept) * found
        flow = flow.sub_(flow.sum(dim=-1, keepdim=True) * found)
        return flow.to(given.dtype), None, None, None, None
