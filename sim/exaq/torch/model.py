"""The golden model in PyTorch: the same bits as ``exaq.softmax``, rows of any length."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from exaq.config import SoftmaxConfig
from exaq.table_file import TableFile

# Above every distance and every threshold.
_FAR = 2**30


@torch.no_grad()
def softmax(
    scores: Tensor,
    tables: SoftmaxConfig | TableFile,
    mask: Tensor | None = None,
    contexts: Tensor | Sequence[int] | int | None = None,
) -> Tensor:
    """Probabilities of each row as the unit gives them, as real numbers.

    Bit for bit those of ``exaq.softmax`` on the same integer logits, over 2**prob_bits.

    Parameters
    ----------
    scores
        Shape (..., row), any device. Floating-point: real logits, made integers as by
        ``exaq.logits_to_integers``, to the nearest step, half to even, saturating. Elements at
        -inf, or as low as half of what their type holds, as additive masks make them, count as
        masked. Integers: logits in steps, taken as they are.
    tables
        A configuration, of which ``max_row`` plays no part; or a file of tables, then its
        ``config()``.
    mask
        Booleans that broadcast to the shape of ``scores``, True = live. None: all are live.
    contexts
        The context whose tables a row goes by, integers that broadcast to the shape without its
        last axis; needs a configuration with contexts. None: ``config.tables``, but a file of
        several sets must not leave them open.

    Returns
    -------
    Tensor
        Shape of ``scores``; their type where it is a floating-point one, else the default type.
        Exact in float32 and float64; float16 and bfloat16 are rounded once, at the end. Masked
        elements are 0, so are rows without a live one. No gradient flows.

    Raises
    ------
    TypeError
        A type is not the one above.
    ValueError
        A live score is NaN or infinite, an integer is out of range, or a shape does not fit.
    """
    config = _config(tables, contexts)
    logits, live = _logits(scores, config, mask)
    thresholds, rom = _tables(config, contexts, scores)
    low, _ = config.logit_range
    peak = logits.masked_fill(~live, low).amax(dim=-1, keepdim=True)
    distance = (peak - logits).masked_fill_(~live, _FAR)

    # An element that reaches k thresholds has E_k = E_0 + (E_1 - E_0) + ..., so sums and
    # probabilities are made of one addend for each threshold reached, and one for being live.
    flags = [live, *(distance <= -threshold for threshold in thresholds.unbind(dim=-1))]
    hits = torch.stack([_count(flag) for flag in flags], dim=-1)
    sums = (hits * _rises(rom)).sum(dim=-1, keepdim=True)
    quotients = _divide(rom, sums.clamp(min=1), config.prob_bits)

    kept = torch.float64 if scores.dtype == torch.float64 else torch.float32
    steps = (_rises(quotients).to(kept) * 2.0**-config.prob_bits).split(1, dim=-1)
    result = torch.zeros(scores.shape, dtype=kept, device=scores.device)
    for flag, step in zip(flags, steps, strict=True):
        result.addcmul_(flag.to(kept), step)
    return result.to(scores.dtype if scores.is_floating_point() else torch.get_default_dtype())


def _config(tables: SoftmaxConfig | TableFile, contexts: object) -> SoftmaxConfig:
    if isinstance(tables, TableFile):
        if len(tables.sets) > 1 and contexts is None:
            raise ValueError(
                f"a file of {len(tables.sets)} sets of tables needs contexts; "
                f"or choose a set by its config(name)"
            )
        return tables.config(contexts=None if contexts is None else len(tables.sets))
    if not isinstance(tables, SoftmaxConfig):
        raise TypeError(f"tables must be a SoftmaxConfig or a TableFile, not {tables!r}")
    return tables


def _logits(scores: Tensor, config: SoftmaxConfig, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Integer logits, int32, and a flag for each that is live; masked ones have any value."""
    if scores.ndim == 0:
        raise ValueError("logits must have at least one axis, the row")
    if scores.shape[-1] == 0:
        raise ValueError("a row must have at least 1 element")
    live = torch.ones((), dtype=torch.bool, device=scores.device)
    if mask is not None:
        live = mask
        if mask.dtype != torch.bool:
            raise TypeError(f"mask must be boolean, not {mask.dtype}")
    try:
        live = live.expand(scores.shape)
    except RuntimeError:
        raise ValueError(
            f"mask of shape {tuple(live.shape)} does not fit the shape {tuple(scores.shape)}"
        ) from None
    low, high = config.logit_range
    if scores.is_floating_point():
        live = live & ~(scores <= torch.finfo(scores.dtype).min / 2)
        wrong = live & ~torch.isfinite(scores)
        if wrong.any():
            raise ValueError(
                f"logits must be finite, not {scores[wrong][0].item()}; "
                f"use a mask to leave elements out"
            )
        steps = (scores.double() / float(config.logit_scale)).round_().clamp_(low, high)
        return steps.masked_fill_(~live, low).to(torch.int32), live
    if scores.dtype == torch.bool or scores.is_complex():
        raise TypeError(f"logits must be real numbers or integers, not {scores.dtype}")
    if scores.numel():
        for extreme in (int(scores.min()), int(scores.max())):
            if not low <= extreme <= high:
                raise ValueError(
                    f"logits of {config.logit_width} bits must be in {low}..{high}, not {extreme}"
                )
    return scores.to(torch.int32), live


def _tables(
    config: SoftmaxConfig, contexts: Tensor | Sequence[int] | int | None, scores: Tensor
) -> tuple[Tensor, Tensor]:
    """Thresholds (..., 1, K - 1), int32, and ExpRom (..., K), int64, of each row or of all."""
    each = [config.tables] if contexts is None else config.context_tables
    thresholds = torch.tensor(
        [[max(threshold, -_FAR + 1) for threshold in tables.thresholds] for tables in each],
        dtype=torch.int32,
        device=scores.device,
    )
    rom = torch.tensor([tables.exp_rom for tables in each], device=scores.device)
    if contexts is None:
        return thresholds[0], rom[0]
    numbers = torch.as_tensor(contexts, device=scores.device)
    if numbers.is_floating_point() or numbers.is_complex() or numbers.dtype == torch.bool:
        raise TypeError(f"contexts must be integers, not {numbers.dtype}")
    if not config.contexts:
        raise ValueError("a configuration without contexts takes no contexts")
    try:
        of_row = numbers.expand(scores.shape[:-1]).long()
    except RuntimeError:
        raise ValueError(
            f"contexts of shape {tuple(numbers.shape)} do not fit "
            f"logits of shape {tuple(scores.shape)}"
        ) from None
    if numbers.numel():
        for extreme in (int(numbers.min()), int(numbers.max())):
            if not 0 <= extreme < config.contexts:
                raise ValueError(f"contexts must be in 0..{config.contexts - 1}, not {extreme}")
    return thresholds[of_row].unsqueeze(-2), rom[of_row]


def _count(flags: Tensor) -> Tensor:
    """Number of flags set in each row."""
    return flags.view(torch.uint8).sum(dim=-1, dtype=torch.int64)  # of bool it is slower by far


def _rises(values: Tensor) -> Tensor:
    """The first of each row's values, and how much each other one is above the one before."""
    return torch.diff(values, prepend=torch.zeros_like(values[..., :1]), dim=-1)


def _divide(rom: Tensor, sums: Tensor, prob_bits: int) -> Tensor:
    """floor((E * 2**prob_bits + floor(S / 2)) / S), saturated at 2**prob_bits - 1."""
    numerators = (rom << prob_bits) + (sums >> 1)
    return (numerators // sums).clamp(max=2**prob_bits - 1)
