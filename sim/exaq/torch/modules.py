"""What a model is made of: the layers that EXAQ serves, and those that it cannot reach."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import suppress
from types import CodeType
from typing import Any

from torch import nn
from transformers import PreTrainedModel

# Attributes in which attention layers of Transformers hold the number of their heads, and the size
# of one: layers with neither may take anything for heads.
_HEADS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "heads")
_HEAD_SIZES = ("head_dim", "head_size", "attention_head_size")
# What attention with a softmax of its own calls, whatever it is an attribute of.
_SOFTMAX = ("softmax", "scaled_dot_product_attention", "multi_head_attention_forward")


def attention_layers(model: nn.Module) -> list[nn.Module]:
    """The layers of ``model`` that call an attention implementation, in the order of its modules.

    Their places in the list are the numbers of layers in tables and recordings. An encoder with a
    decoder counts on from one to the other.

    Raises
    ------
    ValueError
        There is none.
    """
    found = [module for module in model.modules() if _calls_implementation(module)]
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no attention layer that an implementation can be set for"
        )
    return found


def unswitched_layers(model: nn.Module) -> list[nn.Module]:
    """The attention layers of ``model`` with a softmax of their own, in the order of its modules.

    No implementation can be set for them, so they keep their float softmax. They are told by their
    code: modules whose class is named after attention, and which call a softmax or PyTorch's own
    attention, but no attention implementation. The softmax of a router or a loss is no such.
    """
    return [module for module in model.modules() if _has_own_softmax(module)]


def outermost_models(model: nn.Module) -> list[PreTrainedModel]:
    """``model``, or the models of Transformers that it wraps, each the outermost one.

    Raises
    ------
    ValueError
        An attention layer is in none of them: no implementation can be set for it.
    """
    found = list(dict.fromkeys(_outermost(model)))
    inside = {module for outermost in found for module in outermost.modules()}
    for layer in attention_layers(model):
        if layer not in inside:
            raise ValueError(
                f"{type(model).__name__} holds {type(layer).__name__} outside any model of "
                f"Transformers, so that no implementation can be set for it"
            )
    return found


def head_count(layer: nn.Module) -> int | None:
    """Heads of the layer's queries, as it or its configuration says; None where neither does."""
    counts: list[Any] = [getattr(layer, name, None) for name in _HEADS]
    if any(hasattr(layer, name) for name in _HEAD_SIZES):
        # A number that differs between layers cannot be read from what they share.
        with suppress(RuntimeError):
            counts.append(getattr(getattr(layer, "config", None), "num_attention_heads", None))
    return next((count for count in counts if type(count) is int), None)


def _outermost(module: nn.Module) -> Iterator[PreTrainedModel]:
    if isinstance(module, PreTrainedModel):
        yield module
        return
    for child in module.children():
        yield from _outermost(child)


def _calls_implementation(module: nn.Module) -> bool:
    return "ALL_ATTENTION_FUNCTIONS" in _names(inspect.unwrap(type(module).forward))


def _has_own_softmax(module: nn.Module) -> bool:
    kind = type(module)
    name = kind.__name__.lower()
    if not ("attention" in name or "attn" in name) or _calls_implementation(module):
        return False
    methods = (getattr(kind, name) for name in dir(kind) if not hasattr(nn.Module, name))
    called = {
        name.lower()
        for method in (kind.forward, *methods)
        if callable(method)
        for name in _names(inspect.unwrap(method))
    }
    return any(softmax in name for name in called for softmax in _SOFTMAX)


def _names(function: Any) -> set[str]:
    """Names that a function's code refers to, those of the functions inside it too."""
    code = getattr(function, "__code__", None)
    names: set[str] = set()
    waiting = [code] if code is not None else []
    while waiting:
        code = waiting.pop()
        names.update(code.co_names)
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return names
