"""What stands before each linear layer, found while a model runs: where channel scales can fold.

Channels that a linear layer's input is divided by are folded into what made them where that is the
same model: into a norm whose output nothing reads but linear layers that share the scales, or into
the linear layer before, where its output passes to this one through products and through
attention's mixing of tokens alone. PyTorch tells every function that the model calls.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from exaq.torch.linears.linear_layers import LinearLayer

# Functions that keep channels apart and in order, where the last axis is channels again after them.
_SHAPES = frozenset({"contiguous", "flatten", "permute", "reshape", "transpose", "unflatten"}) | {
    "view"
}
# Functions that may give back their argument itself, unchanged.
_PERHAPS_SAME = _SHAPES | {"float", "to", "type_as"}
_PRODUCTS = frozenset({"mul", "__mul__", "__rmul__", "multiply"})
_MATRIX_PRODUCTS = frozenset({"matmul", "__matmul__", "bmm"})


@dataclass(frozen=True, kw_only=True, eq=False)
class SharedInput:
    """Linear layers that are given the same tensor, and so share channel scales.

    Members
    -------
    layers
        In the order in which they run.
    before
        What the scales fold into, a norm or a linear layer; None where they cannot be folded.
    """

    layers: tuple[LinearLayer, ...]
    before: nn.Module | LinearLayer | None

    @property
    def place(self) -> str:
        """Where the scales go: ``"norm"``, ``"linear"`` or ``"input"``."""
        if self.before is None:
            return "input"
        return "linear" if isinstance(self.before, LinearLayer) else "norm"


def shared_inputs(
    model: nn.Module, layers: Sequence[LinearLayer], run: Callable[[], Any]
) -> list[SharedInput]:
    """The inputs of ``layers`` in the order in which ``run()`` reaches them.

    Layers that it does not reach are in none.
    """
    with ExitStack() as stack:
        tracer = _Tracer()
        for layer in layers:
            _hook(stack, layer.module, tracer.enter, tracer.leave)
        linear = {layer.module for layer in layers}
        for module in model.modules():
            if module not in linear and _is_norm(module):
                _hook(stack, module, tracer.enter, tracer.leave)
        stack.enter_context(tracer)
        output = run()
    for tensor in _tensors(output):
        tracer.uses[id(tensor)].append("output")
    found: dict[int, list[LinearLayer]] = defaultdict(list)
    by_module = {layer.module: layer for layer in layers}
    for module, taken in tracer.inputs.items():
        if module in by_module:
            found[id(taken[0])].append(by_module[module])
    return [
        SharedInput(
            layers=tuple(group), before=_before(tracer, tracer.tensors[key], group, by_module)
        )
        for key, group in found.items()
    ]


def fold(shared: SharedInput, scales: Tensor) -> None:
    """Divide the channels of what is before by ``scales`` (inputs,), in place."""
    if isinstance(shared.before, LinearLayer):
        shared.before.matrix.div_(scales[:, None])
        bias = shared.before.bias
        if bias is not None:
            bias.div_(scales)
    elif shared.before is not None:
        for parameter in shared.before.parameters(recurse=False):
            parameter.data.div_(scales)


@dataclass
class _Made:
    """What a tensor came from: a module, or a function with its arguments."""

    module: nn.Module | None = None
    function: str = ""
    args: tuple[Any, ...] = ()


@dataclass
class _Tracer(TorchFunctionMode):
    """Notes of every tensor what made it and what reads it.

    Tensors are kept while it lives, so that their addresses stay theirs.
    """

    tensors: dict[int, Tensor] = field(default_factory=dict)
    made: dict[int, _Made] = field(default_factory=dict)
    uses: dict[int, list[Any]] = field(default_factory=lambda: defaultdict(list))
    inputs: dict[nn.Module, list[Tensor]] = field(default_factory=dict)
    outputs: dict[nn.Module, list[Tensor]] = field(default_factory=dict)
    depth: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        results = list(_tensors(result))
        if self.depth or not results:
            return result
        name = getattr(func, "__name__", str(func))
        given = list(_tensors((args, kwargs or {})))
        if name in _PERHAPS_SAME and args and result is args[0]:
            return result
        for tensor in given:
            self._keep(tensor)
            self.uses[id(tensor)].append(name)
        for tensor in results:
            self._keep(tensor)
            # A tensor changed in place is no longer what it was.
            changed = any(tensor is each for each in given)
            self.made[id(tensor)] = _Made(function="" if changed else name, args=args)
        return result

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Before a linear layer or a norm runs."""
        for tensor in _tensors((args, kwargs)):
            self._keep(tensor)
            if not self.depth:
                self.uses[id(tensor)].append(module)
            self.inputs.setdefault(module, []).append(tensor)
        self.depth += 1

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        """After it ran."""
        self.depth -= 1
        if self.depth or not isinstance(output, Tensor):
            return
        self._keep(output)
        self.made[id(output)] = _Made(module=module)
        self.outputs.setdefault(module, []).append(output)

    def _keep(self, tensor: Tensor) -> None:
        self.tensors[id(tensor)] = tensor

    def single(self, tensor: Tensor) -> bool:
        """Whether nothing but one call reads the tensor."""
        return len(self.uses[id(tensor)]) == 1

    def once(self, module: nn.Module) -> bool:
        """Whether the module ran once, on one tensor."""
        return len(self.inputs.get(module, ())) == 1 and len(self.outputs.get(module, ())) == 1


def _before(
    tracer: _Tracer,
    taken: Tensor,
    group: Sequence[LinearLayer],
    layers: dict[nn.Module, LinearLayer],
) -> nn.Module | LinearLayer | None:
    """What the channels of ``taken``, which ``group`` reads, can be divided in."""
    readers = tracer.uses[id(taken)]
    wanted = {layer.module for layer in group}
    if not all(map(tracer.once, wanted)) or not all(reader in wanted for reader in readers):
        return None
    source = _source(tracer, taken)
    if source is None:
        return None
    made = tracer.made.get(id(source), _Made())
    if made.module is not None:
        if made.module in layers:
            return _scalable(tracer, source, taken, layers)
        return made.module if _divides(tracer, made.module, taken) else None
    if made.function in _PRODUCTS:
        for factor in made.args:
            if isinstance(factor, Tensor) and factor.shape == source.shape:
                found = _scalable(tracer, factor, taken, layers)
                if found is not None:
                    return found
    values = None
    if made.function in _MATRIX_PRODUCTS and len(made.args) > 1:
        values = made.args[1]
    if made.function == "scaled_dot_product_attention" and len(made.args) > 2:
        values = made.args[2]
    return None if values is None else _scalable(tracer, values, taken, layers)


def _scalable(
    tracer: _Tracer, tensor: Tensor, taken: Tensor, layers: dict[nn.Module, LinearLayer]
) -> LinearLayer | None:
    """The linear layer whose output ``tensor`` is, channel by channel, where only this reads it."""
    if not tracer.single(tensor):
        return None
    source = _source(tracer, tensor)
    if source is None:
        return None
    module = tracer.made.get(id(source), _Made()).module
    if module not in layers or module is None or not tracer.once(module):
        return None
    same = source.shape[-1] == taken.shape[-1]
    return layers[module] if same else None


def _source(tracer: _Tracer, tensor: Tensor) -> Tensor | None:
    """What ``tensor`` is but for its shape; None where something else reads what is between."""
    while True:
        made = tracer.made.get(id(tensor), _Made())
        # A cache that was empty puts nothing before them.
        joined = made.function == "cat"
        parts = [part for part in _tensors(made.args[:1]) if part.numel() or not joined]
        if not (joined or made.function in _SHAPES) or len(parts) != 1:
            return tensor
        (tensor,) = parts
        if not tracer.single(tensor):
            return None


def _divides(tracer: _Tracer, norm: nn.Module, taken: Tensor) -> bool:
    """Whether a norm's output is divided where its parameters are: some add 1 to their weight."""
    if not tracer.once(norm):
        return False
    parameters = dict(norm.named_parameters(recurse=False))
    if not set(parameters) <= {"weight", "bias"} or "weight" not in parameters:
        return False
    if any(each.shape != taken.shape[-1:] for each in parameters.values()):
        return False
    (given,), (before,) = tracer.inputs[norm], tracer.outputs[norm]
    scales = torch.linspace(0.5, 2, taken.shape[-1], dtype=before.dtype, device=before.device)
    divided = {name: each.detach() / scales for name, each in parameters.items()}
    with torch.no_grad():
        after = torch.func.functional_call(norm, divided, (given,))
    return torch.allclose(after * scales, before, rtol=1e-4, atol=1e-5)


def _is_norm(module: nn.Module) -> bool:
    return "norm" in type(module).__name__.lower() and not any(True for _ in module.children())


def _hook(stack: ExitStack, module: nn.Module, enter: Any, leave: Any) -> None:
    stack.callback(module.register_forward_pre_hook(enter, with_kwargs=True).remove)
    stack.callback(module.register_forward_hook(leave).remove)


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in nested arguments or results."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)
