"""The linear layers of a model whose weights are made few bits, and those that stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

# Types whose weights float32 holds, so that a level times a scale is rounded no further.
_TYPES = (torch.float32, torch.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearLayer:
    """A linear layer of a model.

    Members
    -------
    name
        Its name in the model.
    module
        An ``nn.Linear``, or a ``Conv1D`` of Transformers, whose weight is stored transposed.
    """

    name: str
    module: nn.Module

    @property
    def parameter(self) -> nn.Parameter:
        """The weight as it is stored."""
        return self.module.get_parameter("weight")

    @property
    def matrix(self) -> Tensor:
        """A view of the weight (outputs, inputs), which can be changed in place."""
        weight = self.parameter.data
        return weight.T if isinstance(self.module, Conv1D) else weight

    @property
    def bias(self) -> Tensor | None:
        """The bias (outputs,), to be changed in place; None where there is none."""
        return None if self.module.bias is None else self.module.get_parameter("bias").data


def linear_layers(model: nn.Module, skip: Sequence[str] = ()) -> list[LinearLayer]:
    """The linear layers of ``model`` in the order of its modules, but for those that stay float.

    Float stay the output embeddings (``lm_head``), whatever shares its weight with a module that
    is no linear layer, and names that match one of the patterns ``skip``.

    Raises
    ------
    NotImplementedError
        One is of a class derived from ``nn.Linear`` or ``Conv1D``, which may compute otherwise, or
        its weights are of another type than float32 and float64.
    ValueError
        There is none, or a pattern matches nothing.
    """
    if isinstance(skip, str):
        raise TypeError(f"skip must be a sequence of patterns, not {skip!r}")
    names = {name: module for name, module in model.named_modules() if _is_linear(module)}
    for pattern in skip:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"skip: no linear layer matches {pattern!r}")
    shared = {
        id(parameter)
        for module in model.modules()
        if not _is_linear(module)
        for parameter in module.parameters(recurse=False)
    }
    output = getattr(model, "get_output_embeddings", lambda: None)()
    found = []
    for name, module in names.items():
        if module is output or id(module.weight) in shared:
            continue
        if any(fnmatchcase(name, pattern) for pattern in skip):
            continue
        if type(module) not in (nn.Linear, Conv1D):
            raise NotImplementedError(
                f"{name} is a {type(module).__name__}, which may compute otherwise than a linear "
                "layer; skip= leaves it in float"
            )
        if module.weight.dtype not in _TYPES:
            raise NotImplementedError(
                f"weights must be float32 or float64 to be made few bits, not "
                f"{module.weight.dtype} as those of {name}"
            )
        found.append(LinearLayer(name=name, module=module))
    if not found:
        raise ValueError(f"{type(model).__name__} has no linear layer to make few bits of")
    return found


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | Conv1D)
