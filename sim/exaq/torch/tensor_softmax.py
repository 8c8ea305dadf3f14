"""The golden model in PyTorch: the same bits as ``exaq.softmax``, rows of any length.

    >>> import torch
    >>> import exaq, exaq.torch
    >>> unit = exaq.SoftmaxConfig(bits=2, clip=-4.0)
    >>> exaq.torch.softmax(torch.tensor([1.0, 0.5, -3.0]), unit)
    tensor([0.4955, 0.4955, 0.0091])

Rows are computed in blocks that fit a cache, whatever heads they are of, so that beside scores and
probabilities little memory is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor

from exaq.config import SoftmaxConfig
from exaq.formats import probabilities_to_float
from exaq.kernels import Exaq
from exaq.masks import GAP, MASKED, Doubt
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
from exaq.torch.tensor_masks import find_live

Optional = TypeVar("Optional", Tensor, Tensor | None)

# Elements of a block: on the CPU what caches hold, elsewhere what memory bears.
_BLOCK, _BLOCK_ELSEWHERE = 2**18, 2**26
# Entries of all contexts' codes by distance at most; beyond, thresholds are searched instead.
_MOST_ENTRIES = 2**21
# Widest logits that float32 holds with all that is added to them, and what is: the distance of
# what is masked, which is above that of any two logits.
_WIDEST_SINGLE = 20
_MASKED_AWAY = 2**26
# Bits of an entry that are the code, below its exponential.
_CODE = 32


@torch.no_grad()
def softmax(
    scores: Tensor,
    tables: SoftmaxConfig | TableFile,
    mask: Tensor | None = None,
    contexts: Tensor | Sequence[int] | int | None = None,
    *,
    sink: Tensor | float | None = None,
) -> Tensor:
    """As ``exaq.torch.softmax`` without a gradient, whose parameters and errors these are."""
    config = config_of(tables, contexts)
    _check(scores, config, mask)
    kept = scores.dtype if scores.is_floating_point() else torch.get_default_dtype()
    if not isinstance(config.kernel, Exaq):
        return _by_golden_model(scores, mask, config, contexts, sink).to(kept)
    numbers = _contexts(config, contexts, scores)
    sinks = _sinks(sink, scores, config, numbers)
    result = torch.empty(scores.shape, dtype=kept, device=scores.device)
    if not scores.numel():
        return result
    coder = _coder(config, numbers is not None, scores.device)
    doubt = None
    rows, filled = (scores[None], result[None]) if scores.ndim == 1 else (scores, result)
    for block in _blocks(rows):
        steps, dead, unsure = _steps(_of_block(rows, block), _of_block(mask, block), config)
        doubt = doubt if unsure is None else unsure | doubt
        number, apart = _of_block(numbers, block), _of_block(sinks, block)
        coder.probabilities(steps, dead, number, apart, _of_block(filled, block))
    if doubt is not None:
        doubt.warn()
    return result


@dataclass(frozen=True)
class _Coder:
    """Tables of a configuration on a device; the last code, one more than the table has, is masked.

    Members
    -------
    reaches
        (contexts, K - 1): how far below the maximum an element may be to reach each threshold,
        ascending: the highest threshold first.
    exponentials
        (contexts, K + 1): by code, that of what is masked 0.
    far
        A distance from which on the code is 0.
    entries
        (contexts * (far + 2)): by distance up to ``far``, then for what is masked, the exponential
        times 2**32 and the code. None: there would be too many.
    exponential_bits
        Bits of the largest exponential.
    prob_bits
        Width of a probability.
    """

    reaches: Tensor
    exponentials: Tensor
    far: int
    entries: Tensor | None
    exponential_bits: int
    prob_bits: int

    @classmethod
    def of(cls, config: SoftmaxConfig, by_context: bool, device: torch.device) -> _Coder:
        """That of the contexts' tables, or of ``config.tables``."""
        each = config.context_tables if by_context else [config.tables]
        # No distance is as far as 2**logit_width: thresholds below are as good as that.
        most = 2**config.logit_width
        reaches = [[min(-threshold, most) for threshold in reversed(t.thresholds)] for t in each]
        far = max(max(reach) for reach in reaches) + 1
        coder = cls(
            reaches=torch.tensor(reaches, device=device),
            exponentials=torch.tensor([[*t.exp_rom, 0] for t in each], device=device),
            far=far,
            entries=None,
            exponential_bits=max(max(t.exp_rom) for t in each).bit_length(),
            prob_bits=config.prob_bits,
        )
        if len(each) * (far + 2) > _MOST_ENTRIES:
            return coder
        distances = torch.arange(far + 2, device=device).expand(len(each), -1).contiguous()
        entries = coder._search(distances, torch.arange(len(each), device=device)[:, None])
        return replace(coder, entries=entries.flatten())

    def probabilities(
        self,
        steps: Tensor,
        dead: Tensor | None,
        number: Tensor | None,
        sinks: Tensor | None,
        result: Tensor,
    ) -> None:
        """Fill ``result`` with the probabilities of a block.

        Parameters
        ----------
        steps
            Logits (..., row) as whole numbers in floating-point; overwritten.
        dead
            1 where an element is masked, else 0; broadcasts. None: none is.
        number
            The context of each row, (..., 1). None: the only one.
        sinks
            Sinks in steps, (..., 1), or None.
        result
            Shape of ``steps``.
        """
        if dead is not None:
            steps.sub_(dead, alpha=_MASKED_AWAY)
        peak = steps.amax(dim=-1, keepdim=True)
        if dead is not None:
            # A row without a live element is far below any maximum, and stays so.
            peak.clamp_(min=-_MASKED_AWAY / 2)
        if sinks is not None:
            peak = torch.maximum(peak, sinks)
        distances = torch.sub(peak, steps, out=steps).clamp_(max=self.far)
        if dead is not None:
            distances.add_(dead)
        entries = self._of(distances.long(), number)
        # Codes of a row add up to less than 2**32; where the exponentials do too, one sum has both.
        if self.exponential_bits + steps.shape[-1].bit_length() < 63 - _CODE:
            sums = entries.sum(dim=-1, keepdim=True) >> _CODE
        else:
            sums = (entries >> _CODE).sum(dim=-1, keepdim=True)
        if sinks is not None:
            apart = (peak - sinks).clamp_(max=self.far).long()
            sums += self._of(apart, number) >> _CODE
        codes = entries.bitwise_and_(2**_CODE - 1)

        exponentials = _of_row(self.exponentials, number, codes)
        quotients = (exponentials << self.prob_bits) + (sums >> 1)
        quotients //= sums.clamp_(min=1)
        quotients.clamp_(max=2**self.prob_bits - 1)
        exact = torch.float64 if result.dtype == torch.float64 else torch.float32
        each = (quotients.to(exact) * 2.0**-self.prob_bits).to(result.dtype)
        torch.gather(each, -1, codes, out=result)

    def _of(self, distances: Tensor, number: Tensor | None) -> Tensor:
        """Entries for distances, int64, at most ``far``, ``far + 1`` where masked; overwritten."""
        if self.entries is None:
            return self._search(distances, number)
        if number is not None:
            distances += number * (self.far + 2)
        return self.entries.expand(*distances.shape[:-1], -1).gather(-1, distances)

    def _search(self, distances: Tensor, number: Tensor | None) -> Tensor:
        reaches = _of_row(self.reaches, number, distances)
        levels = reaches.shape[-1] + 1
        reached = levels - 1 - torch.searchsorted(reaches.contiguous(), distances.contiguous())
        codes = torch.where(distances > self.far, levels, reached)
        exponentials = _of_row(self.exponentials, number, distances)
        return (exponentials.gather(-1, codes) << _CODE) + codes


def _of_row(tables: Tensor, number: Tensor | None, rows: Tensor) -> Tensor:
    """The table (..., entries) of each of ``rows`` (..., row), by its context's number."""
    found = tables[0] if number is None else tables[number.squeeze(-1)]
    return found.expand(*rows.shape[:-1], -1)


# Models call it with the same few configurations all the time.
_coder = lru_cache(maxsize=1024)(_Coder.of)


def _blocks(scores: Tensor) -> Iterator[slice]:
    """Parts of the second last axis, so that their rows have a block's elements at most."""
    most = _BLOCK if scores.device.type == "cpu" else _BLOCK_ELSEWHERE
    rows = scores.shape[-2]
    step = max(1, most * rows // scores.numel())
    return (slice(first, first + step) for first in range(0, rows, step))


def _of_block(each: Optional, block: slice) -> Optional:
    """A block of what broadcasts to the scores: a single row, or a lone axis, is for all rows."""
    if each is None or each.ndim < 2 or each.shape[-2] == 1:
        return each
    return each[..., block, :]


def _by_golden_model(
    scores: Tensor,
    mask: Tensor | None,
    config: SoftmaxConfig,
    contexts: object,
    sink: object,
) -> Tensor:
    """Probabilities of a kernel that has no model in PyTorch: those of NumPy's, on the CPU."""
    if contexts is not None:
        check_contexts(config.format)
    if sink is not None:
        raise ValueError(f"the kernel {config.kernel.name} takes no sinks")
    steps, dead, doubt = _steps(scores, mask, config)
    if doubt is not None:
        doubt.warn()
    live = None if dead is None else (dead == 0).expand(scores.shape).cpu().numpy()
    rows = Rows.of(steps.to(torch.int32).cpu().numpy(), config.format, mask=live)
    given = probabilities_to_float(config.kernel.compute(rows), config)
    return torch.from_numpy(given).reshape(scores.shape).to(scores.device)


def config_of(tables: SoftmaxConfig | TableFile, contexts: object) -> SoftmaxConfig:
    """The configuration that ``tables`` stand for, where rows have ``contexts`` or None."""
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


def _check(scores: Tensor, config: SoftmaxConfig, mask: Tensor | None) -> None:
    """Refuse scores and masks of a wrong type, shape or range."""
    check_shape(tuple(scores.shape))
    if mask is not None:
        if mask.dtype != torch.bool:
            raise TypeError(f"mask must be boolean, not {mask.dtype}")
        try:
            mask.expand(scores.shape)
        except RuntimeError:
            raise mask_misfit(tuple(mask.shape), tuple(scores.shape)) from None
    if scores.dtype == torch.bool or scores.is_complex():
        raise TypeError(f"logits must be real numbers or integers, not {scores.dtype}")
    if not scores.is_floating_point() and scores.numel():
        check_logit_range(int(scores.min()), int(scores.max()), config.format)


def _steps(
    scores: Tensor, live: Tensor | None, config: SoftmaxConfig
) -> tuple[Tensor, Tensor | None, Doubt | None]:
    """Logits in steps as floating-point numbers, and what is masked among them.

    That is 1 or more where an element is masked, else 0, and broadcasts, or None; then what a gap
    alone has masked. Masked elements have any finite steps.
    """
    if not scores.is_floating_point():
        flags = None if live is None else ~live
        if (masked := config.format.masked_logit) is not None:
            own = scores == masked
            flags = own if flags is None else flags | own
        kept = _working(config)
        return scores.to(kept), None if flags is None else flags.to(kept), None
    doubt = None
    lowest, highest = map(float, scores.aminmax()) if scores.numel() else (0.0, 0.0)
    if live is None and highest - lowest > GAP:
        live, doubt = find_live(scores)
    if not highest < math.inf:
        live = find_live(
            scores, torch.ones_like(scores, dtype=torch.bool) if live is None else live
        )[0]
        wrong = live & ~torch.isfinite(scores)
        if wrong.any():
            raise ValueError(
                f"logits must be finite, not {scores[wrong][0].item()}; "
                f"use a mask to leave elements out"
            )
        scores, lowest = scores.masked_fill(~live, 0), 0.0
    steps = _rounded(scores, config)
    dead = None if live is None else (~live).to(steps.dtype)
    if lowest <= MASKED:
        low = torch.le(scores, MASKED, out=torch.empty_like(steps))
        dead = low if dead is None else torch.maximum(low, dead)
    return steps, dead, doubt


def _rounded(real: Tensor, config: SoftmaxConfig) -> Tensor:
    """Real logits in steps, whole numbers in a floating-point tensor of its own; none is NaN."""
    kept, scale = _working(config), float(config.logit_scale)
    # A power of two divides exactly; else the quotient is rounded once, as the golden model does.
    if kept == torch.float32 and real.dtype != torch.float64 and math.frexp(scale)[0] == 0.5:
        steps = real.to(kept) * (1 / scale)
    else:
        steps = real.double() / scale
    steps.round_().clamp_(*config.format.live_range)
    return steps.to(kept)


def _working(config: SoftmaxConfig) -> torch.dtype:
    """Floating-point numbers that hold every distance of two logits."""
    return torch.float32 if config.logit_width <= _WIDEST_SINGLE else torch.float64


def _sinks(
    sink: Tensor | float | None,
    scores: Tensor,
    config: SoftmaxConfig,
    contexts: Tensor | None,
) -> Tensor | None:
    """The sink of each row in logit steps, floating-point, shape (..., 1), or one for all."""
    kept = _working(config)
    if config.sinks:
        if sink is not None:
            raise own_sink(config.format)
        each = torch.tensor(config.sinks, dtype=kept, device=scores.device)
        return each[:1] if contexts is None else each[contexts]
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
        return given.to(kept)
    if not torch.isfinite(given).all():
        raise ValueError(f"sink must be finite, not {given[~torch.isfinite(given)][0].item()}")
    return _rounded(given, config)


def _contexts(
    config: SoftmaxConfig, contexts: Tensor | Sequence[int] | int | None, scores: Tensor
) -> Tensor | None:
    """The context of each row, int64, shape (..., 1); None: there are none."""
    if contexts is None:
        return None
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
    return of_row.unsqueeze(-1)
