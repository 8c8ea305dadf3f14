"""The golden model in PyTorch: the same bits as ``exaq.softmax``, rows of any length."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from exaq.config import SoftmaxConfig
from exaq.formats import probabilities_to_float
from exaq.kernels import Exaq
from exaq.rows import (
    Rows,
    check_contexts,
    check_logit_range,
    check_range,
    check_shape,
    mask_misfit,
    own_sink,
    rows_misfit,
)
from exaq.table_file import TableFile
from exaq.torch.tensor_masks import live_scores

# Above every distance and every threshold.
_FAR = 2**30


@torch.no_grad()
def softmax(
    scores: Tensor,
    tables: SoftmaxConfig | TableFile,
    mask: Tensor | None = None,
    contexts: Tensor | Sequence[int] | int | None = None,
    *,
    sink: Tensor | float | None = None,
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
        A live score or a sink is NaN or infinite, an integer is out of range, a shape does not
        fit, the configuration has a sink too, or its kernel takes none; a row is longer than
        ``max_row`` of another kernel than EXAQ.

    Warns
    -----
    MaskWarning
        A gap alone masks scores for which there is no mask.
    """
    config = _config(tables, contexts)
    logits, live = _logits(scores, config, mask)
    if not isinstance(config.kernel, Exaq):
        return _by_golden_model(logits, live, config, scores, contexts, sink)
    thresholds, rom = _tables(config, contexts, scores)
    low, _ = config.logit_range
    peak = logits.masked_fill(~live, low).amax(dim=-1, keepdim=True)
    sinks = _sinks(sink, scores, config, contexts)
    if sinks is not None:
        peak = torch.maximum(peak, sinks)
    distance = (peak - logits).masked_fill_(~live, _FAR)

    # An element that reaches k thresholds has E_k = E_0 + (E_1 - E_0) + ..., so sums and
    # probabilities are made of one addend for each threshold reached, and one for being live.
    reaches = (-thresholds).unbind(dim=-1)
    flags = [live, *(distance <= reach for reach in reaches)]
    hits = torch.stack([_count(flag) for flag in flags], dim=-1)
    if sinks is not None:
        apart = peak - sinks
        hits += torch.cat([torch.ones_like(apart), *(apart <= reach for reach in reaches)], dim=-1)
    sums = (hits * _rises(rom)).sum(dim=-1, keepdim=True)
    quotients = _divide(rom, sums.clamp(min=1), config.prob_bits)

    kept = torch.float64 if scores.dtype == torch.float64 else torch.float32
    steps = (_rises(quotients).to(kept) * 2.0**-config.prob_bits).split(1, dim=-1)
    result = torch.zeros(scores.shape, dtype=kept, device=scores.device)
    for flag, step in zip(flags, steps, strict=True):
        result.addcmul_(flag.to(kept), step)
    return result.to(scores.dtype if scores.is_floating_point() else torch.get_default_dtype())


def _by_golden_model(
    logits: Tensor,
    live: Tensor,
    config: SoftmaxConfig,
    scores: Tensor,
    contexts: object,
    sink: object,
) -> Tensor:
    """Probabilities of a kernel that has no model in PyTorch: those of NumPy's, on the CPU."""
    if contexts is not None:
        check_contexts(config.format)
    if sink is not None:
        raise ValueError(f"the kernel {config.kernel.name} takes no sinks")
    rows = Rows.of(
        logits.cpu().numpy(), config.format, mask=live.expand(logits.shape).cpu().numpy()
    )
    given = probabilities_to_float(config.kernel.compute(rows), config)
    result = torch.from_numpy(given).reshape(scores.shape).to(scores.device)
    kept = scores.dtype if scores.is_floating_point() else torch.get_default_dtype()
    return result.to(kept)


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
    return check_integers(tables)


def check_integers(config: SoftmaxConfig) -> SoftmaxConfig:
    """``config``, whose logits must be integers."""
    if config.format.float_format is not None:
        raise ValueError(
            f"exaq.torch computes with integer logits: logit_format must be integer, "
            f"not {config.logit_format}"
        )
    return config


def _logits(scores: Tensor, config: SoftmaxConfig, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Integer logits, int32, and a flag for each that is live; masked ones have any value."""
    check_shape(tuple(scores.shape))
    live = None
    if mask is not None:
        if mask.dtype != torch.bool:
            raise TypeError(f"mask must be boolean, not {mask.dtype}")
        try:
            live = mask.expand(scores.shape)
        except RuntimeError:
            raise mask_misfit(tuple(mask.shape), tuple(scores.shape)) from None
    if scores.is_floating_point():
        live = live_scores(scores, live)
        wrong = live & ~torch.isfinite(scores)
        if wrong.any():
            raise ValueError(
                f"logits must be finite, not {scores[wrong][0].item()}; "
                f"use a mask to leave elements out"
            )
        return _steps(scores.masked_fill(~live, 0), config), live
    if live is None:
        live = torch.ones((), dtype=torch.bool, device=scores.device).expand(scores.shape)
    if scores.dtype == torch.bool or scores.is_complex():
        raise TypeError(f"logits must be real numbers or integers, not {scores.dtype}")
    if scores.numel():
        check_logit_range(int(scores.min()), int(scores.max()), config.format)
    if config.format.masked_logit is not None:
        live = live & (scores != config.format.masked_logit)
    return scores.to(torch.int32), live


def _sinks(
    sink: Tensor | float | None,
    scores: Tensor,
    config: SoftmaxConfig,
    contexts: Tensor | Sequence[int] | int | None,
) -> Tensor | None:
    """The sink of each row in logit steps, int32, shape (..., 1), or one for all."""
    if config.sinks:
        if sink is not None:
            raise own_sink(config.format)
        each = torch.tensor(config.sinks, dtype=torch.int32, device=scores.device)
        if contexts is None:
            return each[0]
        return (
            each[torch.as_tensor(contexts, device=scores.device).long()]
            .expand(scores.shape[:-1])
            .unsqueeze(-1)
        )
    if sink is None:
        return None
    given = torch.as_tensor(sink, device=scores.device)
    if given.is_floating_point() != scores.is_floating_point():
        raise TypeError(f"sink must be of the logits' kind, {scores.dtype}, not {given.dtype}")
    try:
        given = given.expand(scores.shape[:-1]).unsqueeze(-1)
    except RuntimeError:
        raise rows_misfit("sink", tuple(given.shape), tuple(scores.shape)) from None
    if not given.is_floating_point():
        if given.numel():
            check_range("sink", int(given.min()), int(given.max()), *config.format.live_range)
        return given.to(torch.int32)
    if not torch.isfinite(given).all():
        raise ValueError(f"sink must be finite, not {given[~torch.isfinite(given)][0].item()}")
    return _steps(given, config)


def _steps(real: Tensor, config: SoftmaxConfig) -> Tensor:
    """Finite real logits in steps, int32."""
    steps = (real.double() / float(config.logit_scale)).round_()
    return steps.clamp_(*config.format.live_range).to(torch.int32)


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
    check_contexts(config.format)
    try:
        of_row = numbers.expand(scores.shape[:-1]).long()
    except RuntimeError:
        raise rows_misfit("contexts", tuple(numbers.shape), tuple(scores.shape)) from None
    if numbers.numel():
        check_range("contexts", int(numbers.min()), int(numbers.max()), 0, config.contexts - 1)
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
