"""EXAQ as an attention implementation of Transformers, and the tables of each layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from exaq.config import SoftmaxConfig
from exaq.notices import ExaqWarning, warn_user
from exaq.table_file import TableFile
from exaq.torch.learned_tables import LearnedTables
from exaq.torch.modules import attention_layers, head_count, outermost_models, unswitched_layers
from exaq.torch.straight_through import check_gradient, softmax
from exaq.torch.tensor_masks import parted
from exaq.torch.tensor_softmax import check_integers
from exaq.torch.uncalibrated import Uncalibrated

#: The name to set: ``model.set_attn_implementation("exaq")``.
IMPLEMENTATION = "exaq"
#: The same attention, through whose softmax gradients flow.
TRAINING_IMPLEMENTATION = "exaq-train"

# The attribute of an attention layer that holds its ``Attached``.
_ATTACHED = "_exaq"

# Arguments that change nothing in attention, whatever they are; all others are refused.
_HARMLESS = frozenset(
    {
        # What a model returns, keeps, or divides its loss by.
        "num_items_in_batch",
        "output_attentions",
        "output_hidden_states",
        "output_router_logits",
        "return_dict",
        "use_cache",
        # Rotary embeddings and masks are made from them before attention is called.
        "cache_position",
        "position_ids",
        "token_type_ids",
        # Whether a kernel's gradient is the same each time.
        "deterministic",
    }
)


class PartialModelWarning(ExaqWarning):
    """Some attention layers of a model keep a float softmax of their own."""


@dataclass(frozen=True)
class Seen:
    """What a call of an attention layer computed.

    Members
    -------
    scores
        (batch, heads, queries, keys). Masked ones may be any.
    live
        Flags of the live ones; they broadcast to that shape.
    sink
        (batch, heads, queries, 1), or None.
    value
        (batch, heads, keys, head size), of each head of the queries.
    output
        (batch, queries, heads, head size), what the layer goes on with.
    """

    scores: Tensor
    live: Tensor
    sink: Tensor | None
    value: Tensor
    output: Tensor


@dataclass
class Attached:
    """What an attention layer goes by.

    Members
    -------
    tables
        What its tables are chosen from, or tables that learn; None: float softmax.
    number
        The layer's number in ``tables``.
    changes
        Further fields of the configuration.
    collect
        Called with what each call computed, at its end.
    """

    tables: SoftmaxConfig | TableFile | Uncalibrated | LearnedTables | None = None
    number: int = 0
    changes: dict[str, Any] = field(default_factory=dict)
    collect: Callable[[Seen], None] | None = None
    _chosen: dict[int, tuple[SoftmaxConfig, bool]] = field(default_factory=dict)

    def set(
        self,
        tables: SoftmaxConfig | TableFile | Uncalibrated | LearnedTables | None,
        number: int,
        changes: dict[str, Any],
    ) -> None:
        """Go by other tables from now on."""
        self.tables, self.number, self.changes, self._chosen = tables, number, changes, {}

    def config(self, scores: Tensor, live: Tensor) -> tuple[SoftmaxConfig, bool]:
        """The softmax unit for a call's scores, and whether head h uses its context h.

        Without contexts all heads use its ``tables``, which must not be None here.
        """
        assert self.tables is not None
        if isinstance(self.tables, Uncalibrated):
            return self.tables.of(scores, live, **self.changes), False
        heads = scores.shape[1]
        if isinstance(self.tables, LearnedTables):
            config, _, by_head = self.tables.unit(self.number, heads)
            return config, by_head
        if heads not in self._chosen:
            self._chosen[heads] = _choose(self.tables, self.number, heads, self.changes)
        return self._chosen[heads]


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
    s_aux: Tensor | None = None,
    sinks: Tensor | None = None,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    gradient: str | None = None,
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
        the scores, among which ``exaq.live_addends`` tells those that mask. None: all are live.
    scaling
        Factor of the scores. None: head size ** -0.5.
    dropout
        Share of probabilities to drop in training.
    softcap, position_bias
        Limit of the scores by tanh, and numbers to add to them, where the model has such. The
        numbers may mask, as those of ``attention_mask``.
    s_aux, sinks
        Two names for attention sinks: a logit that joins the maximum and the sum of its row and
        has no output. Shape (heads,), or one that broadcasts to (batch, heads, queries, 1).
    is_causal, sliding_window
        Which keys a query sees; the mask must say it too, since it alone decides.
    gradient
        As for ``exaq.torch.softmax``: "ste" lets gradients through, to tables that learn as well.
    others
        None, or of no effect on attention: what the model returns and keeps, and positions.

    Returns
    -------
    tuple
        Output (batch, queries, heads, head size), and probabilities (batch, heads, queries, keys).
        Rows without a live element give zeros with tables, and what "eager" gives without.

    Raises
    ------
    NotImplementedError
        The model hands over something else that may decide on the probabilities, such as the keys
        to choose, or leaves the mask to attention.
    TypeError, ValueError
        A mask is neither boolean nor floating-point, the shape of the sinks does not fit, or the
        tables have a sink too.
    """
    _refuse(module, {name for name, given in others.items() if given is not None} - _HARMLESS)
    if attention_mask is None:
        queries, keys = query.shape[2], key.shape[2]
        if is_causal and queries > 1:
            _refuse(module, {"is_causal without a mask"})
        if sliding_window is not None and sliding_window < keys:
            _refuse(module, {"sliding_window without a mask"})
    serves = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(serves, dim=1) if serves > 1 else x for x in (key, value))
    scores = query @ key.transpose(2, 3)
    scores *= query.shape[-1] ** -0.5 if scaling is None else scaling
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    attached: Attached = getattr(module, _ATTACHED, None) or Attached()
    served = attached.tables is not None
    masks = [
        _checked(mask, name)
        for name, mask in (("position_bias", position_bias), ("attention_mask", attention_mask))
        if mask is not None
    ]
    live = torch.ones((1, 1, 1, 1), dtype=torch.bool, device=scores.device)
    for mask in masks:
        if served or attached.collect is not None:
            flags, bias = parted(mask)
            live = live & flags
        if not served:
            scores = _with_mask(scores, mask)
        elif bias is not None:
            # The unit is told apart what is masked: only biases are left to add.
            scores = scores + bias
    sink = _sink(scores, s_aux if sinks is None else sinks)

    if not served:
        weights = _float_softmax(scores, sink).to(query.dtype)
    else:
        config, by_head = attached.config(scores, live)
        if sink is not None and config.sink is not None:
            raise ValueError(
                f"{type(module).__name__} has attention sinks of its own, and its tables have "
                f"the sink {config.sink}: give tables without a sink"
            )
        of_row = None if sink is None else sink.squeeze(-1)
        if gradient is not None and isinstance(attached.tables, LearnedTables):
            weights = attached.tables.softmax(attached.number, scores, live, of_row)
        else:
            heads = torch.arange(scores.shape[1], device=scores.device)[:, None]
            weights = softmax(
                scores,
                config,
                live,
                heads if by_head else None,
                sink=of_row,
                gradient=gradient,
            )
    weights = functional.dropout(weights, p=dropout, training=module.training)
    output = (weights @ value).transpose(1, 2).contiguous()
    if attached.collect is not None:
        attached.collect(Seen(scores, live, sink, value, output))
    return output, weights


def _refuse(module: nn.Module, arguments: set[str]) -> None:
    if arguments:
        raise NotImplementedError(
            f"{type(module).__name__} hands attention {', '.join(sorted(arguments))}, "
            f'which the implementation "{IMPLEMENTATION}" does not support'
        )


def _checked(mask: Tensor, name: str) -> Tensor:
    if mask.dtype != torch.bool and not mask.is_floating_point():
        raise TypeError(f"{name} must be boolean or floating-point, not {mask.dtype}")
    return mask


def _with_mask(scores: Tensor, mask: Tensor) -> Tensor:
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores + mask


def _sink(scores: Tensor, given: Tensor | None) -> Tensor | None:
    """Sinks (batch, heads, queries, 1)."""
    if given is None:
        return None
    shape = (*scores.shape[:-1], 1)
    try:
        return (given[:, None, None] if given.ndim == 1 else given).expand(shape)
    except RuntimeError:
        raise ValueError(
            f"sinks of shape {tuple(given.shape)} do not fit scores of shape {tuple(scores.shape)}"
        ) from None


def _float_softmax(scores: Tensor, sink: Tensor | None) -> Tensor:
    least = torch.promote_types(scores.dtype, torch.float32)
    if sink is None:
        return functional.softmax(scores, dim=-1, dtype=least)
    return functional.softmax(torch.cat([scores, sink], dim=-1), dim=-1, dtype=least)[..., :-1]


def attached(layer: nn.Module) -> Attached:
    """What ``layer`` goes by, to be changed in place."""
    if not hasattr(layer, _ATTACHED):
        setattr(layer, _ATTACHED, Attached())
    found: Attached = getattr(layer, _ATTACHED)
    return found


def set_tables(
    model: nn.Module,
    tables: SoftmaxConfig | TableFile | Uncalibrated | None,
    *,
    gradient: str | None = None,
    **changes: Any,
) -> None:
    """Let every attention layer of ``model`` use ``tables``; sets its implementation to "exaq".

    Warns by ``PartialModelWarning`` of ``unswitched_layers``, which keep their float softmax.

    Parameters
    ----------
    model
        A model of Transformers, or a module with such inside; changed in place.
    tables
        None: float softmax. A configuration: its ``tables`` in each layer. A file: each layer and
        head gets the set that ``TableFile.of`` chooses, heads by contexts. A layer without any set,
        as one that did not run where they were calibrated, is refused when it runs.
        ``Uncalibrated``: each call has the paper's clip for its own logits.
    gradient
        None: no gradient flows through the softmax. "ste": straight through, as
        ``exaq.torch.softmax`` has it; the implementation is "exaq-train" then.
    changes
        Further fields of ``SoftmaxConfig``, such as ``prob_bits=12``.

    Raises
    ------
    ValueError
        The file has sets for some heads of a layer only, or one for a layer or head that is not
        there, or an attention layer is outside any model of Transformers. The model is unchanged
        then.
    """
    implementation = IMPLEMENTATION if check_gradient(gradient) is None else TRAINING_IMPLEMENTATION
    models, layers = outermost_models(model), attention_layers(model)
    if isinstance(tables, TableFile):
        heads = [head_count(layer) for layer in layers]
        check_fit(tables, heads)
        served = {entry.layer for entry in tables.sets}
        for number, count in enumerate(heads):
            if served & {number, None}:
                _choose(tables, number, count or 1, changes)
    elif isinstance(tables, Uncalibrated):
        check_integers(tables.config(clip=-1.0, **changes))
    elif tables is not None:
        check_integers(tables.replace(**changes))
    for each in models:
        each.set_attn_implementation(implementation)
    for number, layer in enumerate(layers):
        attached(layer).set(tables, number, changes)
    if tables is not None:
        warn_if_partial(model)


def warn_if_partial(model: nn.Module) -> None:
    """Warn of attention layers that no implementation can be set for, by class and number."""
    left = Counter(type(layer).__name__ for layer in unswitched_layers(model))
    if left:
        each = ", ".join(f"{count} {name}" for name, count in sorted(left.items()))
        warn_user(
            f"{type(model).__name__} keeps a float softmax in attention layers of its own: {each}",
            PartialModelWarning,
        )


def _choose(
    tables: SoftmaxConfig | TableFile, number: int, heads: int, changes: dict[str, Any]
) -> tuple[SoftmaxConfig, bool]:
    """A layer's configuration, and whether its contexts are the heads."""
    if isinstance(tables, SoftmaxConfig):
        return tables.replace(**changes), False
    sets = [tables.of(number, head) for head in range(heads)]
    config = tables.config(sets[0].name, **changes)
    if len(set(map(id, sets))) == 1:
        return config, False
    return tables.config_of(sets, **changes), True


def check_fit(tables: TableFile, heads: list[int | None]) -> None:
    """Refuse sets for what is not there; heads that are not known may be any."""
    known = [count for count in heads if count is not None]
    for entry in tables.sets:
        if entry.layer is not None and entry.layer >= len(heads):
            raise ValueError(
                f"set {entry.name!r} is for layer {entry.layer}, "
                f"but the model has layers 0..{len(heads) - 1}"
            )
        most = heads[entry.layer] if entry.layer is not None else max(known, default=None)
        if entry.layer is None and len(known) < len(heads):
            most = None
        if entry.head is not None and most is not None and entry.head >= most:
            raise ValueError(
                f"set {entry.name!r} is for head {entry.head}, "
                f"but the layer has heads 0..{most - 1}"
            )


AttentionInterface.register(IMPLEMENTATION, attention)
# Numbers to add, as for "eager": a model may add its own to them before the layers see them.
AttentionMaskInterface.register(IMPLEMENTATION, eager_mask)
