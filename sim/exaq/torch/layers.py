"""EXAQ as an attention implementation of Transformers, and the tables of each layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import eager_mask

from exaq.config import SoftmaxConfig
from exaq.table_file import TableFile
from exaq.torch.model import softmax

#: The name to set: ``model.set_attn_implementation("exaq")``.
IMPLEMENTATION = "exaq"

# The attribute of an attention layer that holds its ``Attached``.
_ATTACHED = "_exaq"


@dataclass
class Attached:
    """What an attention layer goes by.

    Members
    -------
    config
        The softmax unit; None: float softmax.
    by_head
        Whether head h uses context h of ``config``, rather than its ``tables``.
    collect
        Called with scores (batch, heads, queries, keys) and the flags of the live ones, which
        broadcast to that shape.
    """

    config: SoftmaxConfig | None = None
    by_head: bool = False
    collect: Callable[[Tensor, Tensor], None] | None = None


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    softcap: float | None = None,
    position_bias: Tensor | None = None,
    **others: Any,
) -> tuple[Tensor, Tensor]:
    """Attention with the softmax that ``set_tables`` gave to ``module``; else with a float one.

    Transformers calls it where the implementation is "exaq". The float softmax is that of its
    "eager" one, computed in float32 at least.

    Parameters
    ----------
    module
        The attention layer.
    query, key, value
        Shape (batch, heads, tokens, head size); keys and values may have fewer heads, each then
        serving as many consecutive heads of the query.
    attention_mask
        Broadcasts to (batch, heads, queries, keys): booleans, True = live, or numbers to add to
        the scores, the lowest of their type or -inf = masked. None: all are live.
    scaling
        Factor of the scores. None: head size ** -0.5.
    dropout
        Share of probabilities to drop in training.
    softcap, position_bias
        Limit of the scores by tanh, and numbers to add to them, where the model has such.

    Returns
    -------
    tuple
        Output (batch, queries, heads, head size), and probabilities (batch, heads, queries, keys).
        Rows without a live element give zeros with tables, and what "eager" gives without.

    Raises
    ------
    NotImplementedError
        The model adds a learned element to each row (attention sinks).
    """
    if others.get("s_aux") is not None:
        raise NotImplementedError("attention with learned sinks (s_aux) is not supported")
    serves = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(serves, dim=1) if serves > 1 else x for x in (key, value))
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if position_bias is not None:
        scores = scores + position_bias
    scores, live = _masked(scores, attention_mask)

    attached: Attached = getattr(module, _ATTACHED, None) or Attached()
    if attached.collect is not None:
        attached.collect(scores, live)
    if attached.config is None:
        least = torch.promote_types(scores.dtype, torch.float32)
        weights = functional.softmax(scores, dim=-1, dtype=least).to(query.dtype)
    else:
        heads = torch.arange(scores.shape[1], device=scores.device)[:, None]
        weights = softmax(scores, attached.config, live, heads if attached.by_head else None)
    weights = functional.dropout(weights, p=dropout, training=module.training)
    return (weights @ value).transpose(1, 2).contiguous(), weights


def _masked(scores: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Scores with the mask in them, and the flags of the live ones."""
    if mask is None:
        return scores, torch.ones((1, 1, 1, 1), dtype=torch.bool, device=scores.device)
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, torch.finfo(scores.dtype).min), mask
    return scores + mask, mask > torch.finfo(mask.dtype).min / 2


def attention_layers(model: nn.Module) -> list[nn.Module]:
    """The layers of ``model`` that call an attention implementation, in the order of its modules.

    Their places in the list are the numbers of layers in tables and recordings. An encoder with a
    decoder counts on from one to the other.
    """
    found = [module for module in model.modules() if _calls_implementation(module)]
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no attention layer that an implementation can be set for"
        )
    return found


def _calls_implementation(module: nn.Module) -> bool:
    forward = inspect.unwrap(type(module).forward)
    code = getattr(forward, "__code__", None)
    return code is not None and "ALL_ATTENTION_FUNCTIONS" in code.co_names


def attached(layer: nn.Module) -> Attached:
    """What ``layer`` goes by, to be changed in place."""
    if not hasattr(layer, _ATTACHED):
        setattr(layer, _ATTACHED, Attached())
    found: Attached = getattr(layer, _ATTACHED)
    return found


def set_tables(
    model: PreTrainedModel, tables: SoftmaxConfig | TableFile | None, **changes: Any
) -> None:
    """Let every attention layer of ``model`` use ``tables``; sets its implementation to "exaq".

    Parameters
    ----------
    model
        A model of Transformers; changed in place.
    tables
        None: float softmax. A configuration: its ``tables`` in each layer. A file: each layer and
        head gets the set that ``TableFile.of`` chooses, heads by contexts.
    changes
        Further fields of ``SoftmaxConfig``, such as ``prob_bits=12``.

    Raises
    ------
    ValueError
        The file has no set for a layer or head, or one for a layer or head that is not there.
        The model is unchanged then.
    """
    layers = attention_layers(model)
    chosen: list[tuple[SoftmaxConfig | None, bool]]
    if isinstance(tables, TableFile):
        heads = [_heads(layer) for layer in layers]
        _check_fit(tables, heads)
        chosen = [_of_layer(tables, k, count, changes) for k, count in enumerate(heads)]
    else:
        config = tables.replace(**changes) if tables is not None and changes else tables
        chosen = [(config, False)] * len(layers)
    model.set_attn_implementation(IMPLEMENTATION)
    for layer, (config, by_head) in zip(layers, chosen, strict=True):
        state = attached(layer)
        state.config, state.by_head = config, by_head


def _of_layer(
    tables: TableFile, layer: int, heads: int, changes: dict[str, Any]
) -> tuple[SoftmaxConfig, bool]:
    sets = [tables.of(layer, head) for head in range(heads)]
    if len(set(map(id, sets))) == 1:
        return tables.config(sets[0].name, **changes), False
    config = tables.config(sets[0].name, **changes)
    each = tuple(entry.tables for entry in sets)
    return config.replace(contexts=heads, context_tables=each), True


def _check_fit(tables: TableFile, heads: list[int]) -> None:
    for entry in tables.sets:
        if entry.layer is not None and entry.layer >= len(heads):
            raise ValueError(
                f"set {entry.name!r} is for layer {entry.layer}, "
                f"but the model has layers 0..{len(heads) - 1}"
            )
        most = max(heads) if entry.layer is None else heads[entry.layer]
        if entry.head is not None and entry.head >= most:
            raise ValueError(
                f"set {entry.name!r} is for head {entry.head}, "
                f"but the layer has heads 0..{most - 1}"
            )


def _heads(layer: nn.Module) -> int:
    config: Any = layer.config
    return int(config.num_attention_heads)


AttentionInterface.register(IMPLEMENTATION, attention)
# Numbers to add, as for "eager": a model may add its own to them before the layers see them.
AttentionMaskInterface.register(IMPLEMENTATION, eager_mask)
