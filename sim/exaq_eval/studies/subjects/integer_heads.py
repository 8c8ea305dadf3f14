"""A model whose attention heads compute in integers, as the attention unit does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import eager_mask

import exaq.torch
from exaq import TableFile, Tables, attention
from exaq.attention import AttentionConfig, HeadScales
from exaq.torch.tensor_masks import parted

#: The attention implementation whose heads are integers.
IMPLEMENTATION = "exaq-integer-heads"

# The attribute of an attention layer that holds its number and what it goes by.
_ATTACHED = "_exaq_integer_heads"
# Logits of the tables that are calibrated, apart from any head's scales.
_STEP = 2.0**-8

Array = NDArray[Any]


@dataclass(frozen=True)
class _Operands:
    """Of a call: q, k and v (heads, tokens, head size), and the factor of dot products."""

    q: Array
    k: Array
    v: Array
    factor: float


@dataclass(frozen=True, kw_only=True)
class HeadSetting:
    """Formats of all heads.

    Members
    -------
    keys, value_width, output_width
        As of ``AttentionConfig``.
    bits
        Width of a code; None: there are none.
    probabilities
        Of heads that multiply values by probabilities, their width. Where both are None, a float
        softmax of the integer dot products, and float outputs.
    tables
        ``"head"``: each head has its own; ``"all"``: all have the same.
    """

    keys: str
    bits: int | None = None
    probabilities: int | None = None
    value_width: int = 8
    output_width: int = 16
    tables: str = "head"


@dataclass
class IntegerHeads:
    """Heads of ``model`` as integers, with scales and tables from calibration.

    Parameters
    ----------
    model
        A model of Transformers in evaluation mode.
    run
        Runs it on a text.
    texts
        What scales and tables are calibrated on.
    """

    model: PreTrainedModel
    run: Callable[[Tensor], object]
    texts: Iterable[Tensor]
    _operands: dict[int, list[_Operands]] = field(default_factory=dict)
    _tables: dict[tuple[int, str], TableFile] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._layers = exaq.torch.attention_layers(self.model)
        texts = list(self.texts)
        with self.computed_by(_one_by_one(self._note)):
            for text in texts:
                self.run(text)
        with exaq.torch.record(self.model) as recording:
            for text in texts:
                self.run(text)
        self._logits = recording.layers

    @property
    def places(self) -> list[tuple[int, int]]:
        """Layer and head of each head."""
        return [(layer, k) for layer, of in self._operands.items() for k in range(len(of[0].q))]

    def tables(self, layer: int, head: int, setting: HeadSetting, logit_scale: float) -> Tables:
        """A head's tables, from the float model's logits, for logits in steps of ``logit_scale``.

        They were searched for in steps of 2**-8.
        """
        bits, per = setting.bits, setting.tables
        assert bits is not None
        if (bits, per) not in self._tables:
            self._tables[bits, per] = exaq.calibrate(
                self._logits, bits=bits, per=per, logit_width=16, logit_scale=_STEP
            )
        return of_steps(self._tables[bits, per].of(layer, head).tables, _STEP, logit_scale)

    @contextmanager
    def using(self, setting: HeadSetting) -> Iterator[None]:
        """Let the model's heads be integers within a ``with`` block."""
        heads: dict[tuple[int, int], tuple[HeadScales, AttentionConfig | None]] = {}

        def compute(layer: int, head: int, q: Array, k: Array, v: Array, live: Array) -> Array:
            scales, config = heads[layer, head]
            integers = scales.integers(q, k, v)
            if config is not None:
                found = attention.attend(*integers, config, live)
                return found * (scales.value / 2**config.output_frac)
            form = AttentionConfig(head_size=q.shape[-1], keys=setting.keys)
            logits = attention.scores(integers.q, integers.k, form) * scales.logit_scale
            weights = exaq.reference.softmax(logits, np.broadcast_to(live, logits.shape))
            return weights @ (integers.v * scales.value)

        for place in self.places:
            heads[place] = self._head(*place, setting)
        with self.computed_by(_one_by_one(compute)):
            yield

    def scales(self, layer: int, head: int, setting: HeadSetting) -> HeadScales:
        """Those with which no operand of a head saturates in the calibration texts."""
        operands = self._operands[layer]
        return HeadScales.of(
            *(
                np.concatenate([getattr(each, name)[head] for each in operands])
                for name in ("q", "k", "v")
            ),
            keys=setting.keys,
            value_width=setting.value_width,
            factor=operands[0].factor,
        )

    def _head(
        self, layer: int, head: int, setting: HeadSetting
    ) -> tuple[HeadScales, AttentionConfig | None]:
        """Scales, and the configuration of the unit."""
        scales = self.scales(layer, head, setting)
        softmax: dict[str, Any]
        if setting.bits is not None:
            tables = self.tables(layer, head, setting, scales.logit_scale)
            softmax = {"bits": setting.bits, "tables": tables}
        elif setting.probabilities is not None:
            softmax = {"kernel": "multiply", "prob_bits": setting.probabilities}
        else:
            return scales, None
        config = AttentionConfig(
            head_size=len(scales.key),
            keys=setting.keys,
            value_width=setting.value_width,
            output_width=setting.output_width,
            max_row=65536,
            lanes=1,
            logit_scale=scales.logit_scale,
            **softmax,
        )
        return scales, config

    def _note(self, layer: int, head: int, q: Array, k: Array, v: Array, live: Array) -> Array:
        """Keeps the operands of a head, and computes it in float."""
        if head == 0:
            self._operands.setdefault(layer, []).append(self._last)
        logits = (q @ k.T) * self._last.factor
        return exaq.reference.softmax(logits, np.broadcast_to(live, logits.shape)) @ v

    @contextmanager
    def computed_by(self, compute: Callable[..., Array]) -> Iterator[None]:
        """Let a function compute the model's heads within a ``with`` block.

        It is called with a layer's number, q, k and v of all its heads, (heads, tokens, size), and
        which keys are live, (heads or 1, tokens, tokens); it returns the heads' outputs.
        """

        def call(layer: int, q: Array, k: Array, v: Array, factor: float, live: Array) -> Array:
            self._last = _Operands(q, k, v, factor)
            return compute(layer, q, k, v, live)

        before = self.model.config._attn_implementation
        self.model.set_attn_implementation(IMPLEMENTATION)
        for number, layer in enumerate(self._layers):
            setattr(layer, _ATTACHED, (number, call))
        try:
            yield
        finally:
            self.model.set_attn_implementation(before)
            for layer in self._layers:
                delattr(layer, _ATTACHED)


def _one_by_one(compute: Callable[..., Array]) -> Callable[..., Array]:
    """What computes a layer's heads, of what computes one."""

    def layer(number: int, q: Array, k: Array, v: Array, live: Array) -> Array:
        return np.stack(
            [
                compute(number, head, q[head], k[head], v[head], live[min(head, len(live) - 1)])
                for head in range(len(q))
            ]
        )

    return layer


def of_steps(tables: Tables, step: float, other: float) -> Tables:
    """``tables``, whose thresholds are in logits of ``step``, for logits of the step ``other``.

    A distance reaches a threshold just where the real one of the given tables is reached.
    """
    thresholds = tuple(math.ceil(each * step / other) for each in tables.thresholds)
    return Tables(thresholds=thresholds, exp_rom=tables.exp_rom)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[Tensor, None]:
    """What Transformers calls; one text at a time, whose heads are computed one after the other."""
    number, call = getattr(module, _ATTACHED)
    serves = query.shape[1] // key.shape[1]
    (q,), (k,), (v,) = (
        each.repeat_interleave(times, dim=1).double().numpy()
        for each, times in ((query, 1), (key, serves), (value, serves))
    )
    live = np.ones((1, q.shape[1], k.shape[1]), np.bool_)
    if attention_mask is not None:
        flags, bias = parted(attention_mask)
        if bias is not None:
            raise NotImplementedError(f"{type(module).__name__} adds to its scores")
        live = live & flags.numpy()[0]
    factor = q.shape[-1] ** -0.5 if scaling is None else scaling
    found = torch.from_numpy(call(number, q, k, v, factor, live)).to(value.dtype)
    return found.transpose(0, 1).contiguous()[None], None


AttentionInterface.register(IMPLEMENTATION, _attention)
AttentionMaskInterface.register(IMPLEMENTATION, eager_mask)
