"""Finds the output projection of each attention layer by what it is applied to.

Models name and nest it in many ways. But it is always a linear map of what attention returns, and
that tensor, once its heads are joined, is a view of the same memory.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D


class OutputProjections:
    """Watches the linear maps of ``model`` inside a ``with`` block.

    Raises ``ValueError`` at its end for a layer whose output no linear map took as it was.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._waiting: dict[int, tuple[int, Tensor, Callable[[Tensor], None]]] = {}
        self._hooks: list[Any] = []

    def follow(self, output: Tensor, layer: int, found: Callable[[Tensor], None]) -> None:
        """Call ``found`` with the weight (out, in) of the map that takes ``output``.

        ``output`` is (batch, queries, heads, head size), contiguous.
        """
        self._waiting[output.data_ptr()] = layer, output, found

    def __enter__(self) -> None:
        for module in self._model.modules():
            if isinstance(module, nn.Linear | Conv1D):
                self._hooks.append(module.register_forward_pre_hook(self._called))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for hook in self._hooks:
            hook.remove()
        if kind is None and self._waiting:
            layer = min(number for number, *_ in self._waiting.values())
            raise ValueError(
                f"layer {layer} of {type(self._model).__name__} shows no output projection: "
                f"minimise output instead of block"
            )

    def _called(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        given = inputs[0] if inputs else None
        if not isinstance(given, Tensor) or given.data_ptr() not in self._waiting:
            return
        _, output, _ = self._waiting[given.data_ptr()]
        if given.shape[-1] != output.shape[-2] * output.shape[-1]:
            return
        _, _, found = self._waiting.pop(given.data_ptr())
        weight = module.weight
        assert isinstance(weight, Tensor)
        found(weight.T if isinstance(module, Conv1D) else weight)
