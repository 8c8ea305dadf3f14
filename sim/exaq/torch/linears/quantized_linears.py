"""A model whose linear layers compute with weights of 4 bits and activations of 8."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

import torch
from torch import Tensor, nn

from exaq import dint
from exaq.dint import QuantizedWeights
from exaq.dint.weight_formats import format_of
from exaq.scalars import choice, integer
from exaq.torch.linears.channel_scales import channel_scales
from exaq.torch.linears.data_flow import SharedInput, fold, shared_inputs
from exaq.torch.linears.layer_inputs import LayerInputs, Text, checked_texts, run
from exaq.torch.linears.level_rounding import rounded_rows
from exaq.torch.linears.linear_layers import LinearLayer, linear_layers
from exaq.torch.linears.scale_search import FEW_RATIOS, clipped_scales, rounded, whole_scales

#: How scales are found.
SCALINGS = ("none", "clip", "aqas", "aqas+clip")
# Inputs of a layer that searches look at, at least where there are as many.
_INPUTS = 128
# How far a model with folded scales may be from itself, relative to its largest output.
_SAME = 1e-3
# The layers of all models that are quantized now.
_QUANTIZED: WeakSet[nn.Module] = WeakSet()


@dataclass(kw_only=True)
class QuantizedLinears:
    """What ``quantize_linears`` made of a model's linear layers, and the way back.

    Used by ``with``, it restores the model at the end of the block.

    Members
    -------
    weights
        Codes and scales of each layer, by its name; scales are numbers of the weights' type.
    input_scales
        Scales of AQAS that a layer divides its input by as it runs, (inputs,), by its name: those
        that could not be folded into what is before it.
    places
        Where the scales of AQAS of each layer are: ``"norm"``, ``"linear"`` or ``"input"``, and
        ``"unseen"`` for a layer that did not run on the calibration texts, and has none.
    alphas
        Their alpha; None where no scaling was best.
    activations
        ``"int8"``, or None for float inputs.
    """

    weights: dict[str, QuantizedWeights] = field(default_factory=dict)
    input_scales: dict[str, Tensor] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    alphas: dict[str, float | None] = field(default_factory=dict)
    activations: str | None = "int8"
    _originals: list[tuple[Tensor, Tensor]] = field(default_factory=list, repr=False)
    _hooks: list[Any] = field(default_factory=list, repr=False)
    _modules: list[nn.Module] = field(default_factory=list, repr=False)

    def restore(self) -> None:
        """Give the model back its weights, bit for bit; again it does nothing."""
        for hook in self._hooks:
            hook.remove()
        with torch.no_grad():
            for tensor, original in self._originals:
                tensor.copy_(original)
        _QUANTIZED.difference_update(self._modules)
        self._hooks.clear()
        self._originals.clear()
        self._modules.clear()

    def bits(self) -> float:
        """Bits that a weight of these layers takes on average: its code, and its part of a scale
        of 32 bits.
        """
        codes = sum(each.codes.size for each in self.weights.values())
        scales = sum(each.scales.size for each in self.weights.values())
        return 4 + 32 * scales / codes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.restore()


@torch.no_grad()
def quantize_linears(
    model: nn.Module,
    weights: str = "dint4",
    activations: str | None = "int8",
    *,
    scaling: str = "none",
    group_size: int | None = None,
    calibration: Sequence[Text] | None = None,
    calibration_length: int | None = None,
    skip: Sequence[str] = (),
) -> QuantizedLinears:
    """Round the weights of a model's linear layers to 4 bits, and their inputs to 8 as it runs.

    The model computes in floating point what integers would give: the weights become level times
    scale, each input integer times scale, so that a layer's output is that of ``exaq.dint.dot``
    times the scales, but for the rounding of a floating-point sum. Embeddings, the output
    embeddings (``lm_head``), biases, norms and attention stay as they are, and so does whatever
    shares its weight with an embedding.

    Parameters
    ----------
    model
        A model of Transformers, or any module; its linear layers are ``nn.Linear`` or the
        ``Conv1D`` of GPT-2, in float32 or float64. Changed in place, until ``restore``.
    weights
        ``"dint4"``, ``"int4"`` or ``"fp4"``: a format of ``exaq.dint``.
    activations
        ``"int8"``: inputs are rounded token by token, as by ``exaq.dint.activations``. None: they
        stay float.
    scaling
        ``"none"``: scales that clip nothing. ``"clip"``: each row's, or group's, is the best of
        those that clip some. Best is the squared error of the weights, or with calibration texts
        that of the layer's output. ``"aqas"``: the channels of a layer's input are divided, and
        its weights multiplied, by the scales of activation-quantization-aware scaling. These fold
        into the norm or the linear layer before, where that leaves the model the same; else the
        layer divides its input as it runs. Layers that share an input share them.
        ``"aqas+clip"``: both.
    group_size
        Inputs of a layer that share a scale in each row of its weights; the last group is shorter
        where it does not divide the row. None: the row has one.
    calibration
        Texts that the model runs: token numbers, (tokens,) or (texts, tokens) each, or mappings of
        its arguments. AQAS needs some.
    calibration_length
        Cut texts into pieces of so many tokens, as long as those that the model is for
        (sequence-length-aware calibration). A shorter last piece is left out, unless the text is
        shorter as a whole.
    skip
        Patterns, as of ``fnmatch``, of the names of layers that stay float.

    Returns
    -------
    QuantizedLinears
        Codes, scales, where those of AQAS are, and ``restore``.

    Raises
    ------
    TypeError, ValueError
        An argument is not one of those above, the model has no linear layer, or a weight is not
        finite; AQAS lacks texts, or ``"none"`` is given some.
    NotImplementedError
        A linear layer is of a derived class, or its weights have another type.
    RuntimeError
        The layers are quantized already, or folded scales changed what the model gives. The model
        is as it was then.
    """
    format = format_of(weights)
    choice("scaling", scaling, SCALINGS)
    if activations not in ("int8", None):
        raise ValueError(f"activations must be 'int8' or None, not {activations!r}")
    if group_size is not None:
        group_size = integer("group_size", group_size, 1)
    layers = linear_layers(model, skip)
    _check(layers)
    if calibration is None:
        if "aqas" in scaling:
            raise ValueError(f"scaling {scaling!r} needs calibration texts")
        if calibration_length is not None:
            raise ValueError("calibration_length needs calibration texts")
        texts: list[Text] = []
    elif scaling == "none":
        raise ValueError("scaling 'none' takes no calibration texts")
    else:
        texts = checked_texts(calibration, calibration_length)

    rounding = _Rounding(format=format, group_size=group_size, clip="clip" in scaling)
    made = QuantizedLinears(activations=activations)
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        seen: dict[LinearLayer, Tensor] = {}
        if texts:
            shared = shared_inputs(model, layers, lambda: run(model, texts[0]))
            inputs = _record(model, shared, texts)
            divided = [torch.ones(())] * len(shared)
            if "aqas" in scaling:
                before = _result(run(model, texts[0]))
                divided = _scale_channels(made, shared, inputs, rounding)
                names = [layer.name for layer in layers]
                made.places |= {name: "unseen" for name in names if name not in made.places}
                _check_same(model, before, _result(run(model, texts[0])))
            for group, kept, scales in zip(shared, inputs, divided, strict=True):
                seen |= dict.fromkeys(group.layers, kept.rows / scales)
        for layer in layers:
            _quantize(made, layer, rounding, seen.get(layer))
        if activations is not None:
            made._hooks += [layer.module.register_forward_pre_hook(_round) for layer in layers]
        made._modules += [layer.module for layer in layers]
        _QUANTIZED.update(made._modules)
    except BaseException:
        made.restore()
        raise
    finally:
        for module in training:
            module.training = True
    return made


@dataclass(frozen=True, kw_only=True)
class _Rounding:
    """How weights are rounded."""

    format: dint.WeightFormat
    group_size: int | None
    clip: bool

    def size(self, matrix: Tensor) -> int:
        """Weights of a group, in rows of this matrix."""
        row = matrix.shape[1]
        return row if self.group_size is None else min(self.group_size, row)

    def scales(self, matrix: Tensor, inputs: Tensor | None) -> Tensor:
        """The scales (outputs, groups) of a matrix."""
        if not self.clip:
            return whole_scales(matrix, self.format, self.size(matrix))
        return clipped_scales(matrix, self.format, self.size(matrix), inputs)

    def rough(self, matrix: Tensor) -> Tensor:
        """The matrix rounded, with clips sought among few ratios."""
        size = self.size(matrix)
        if self.clip:
            scales = clipped_scales(matrix, self.format, size, None, FEW_RATIOS)
        else:
            scales = whole_scales(matrix, self.format, size)
        return rounded(matrix, scales, self.format, size)


def _scale_channels(
    made: QuantizedLinears,
    shared: Sequence[SharedInput],
    inputs: Sequence[LayerInputs],
    rounding: _Rounding,
) -> list[Tensor]:
    """Put the best channel scales into the model; what each input is divided by then."""
    found = [torch.ones(())] * len(shared)
    # The last first: what scales fold into is then not yet scaled itself.
    for place in reversed(range(len(shared))):
        group, kept = shared[place], inputs[place]
        found[place], alpha = channel_scales(
            [layer.matrix for layer in group.layers],
            kept.rows,
            kept.largest,
            rounding.rough,
            round_inputs=made.activations is not None,
        )
        _scale(made, group, found[place], alpha)
    return found


def _check(layers: Sequence[LinearLayer]) -> None:
    for layer in layers:
        if layer.module in _QUANTIZED:
            raise RuntimeError(
                f"{layer.name} is quantized already: restore the model before it is again"
            )
        wrong = ~layer.matrix.isfinite()
        if wrong.any():
            raise ValueError(
                f"weights must be finite, not {layer.matrix[wrong][0].item()} as in {layer.name}"
            )
    shared = Counter(id(layer.parameter) for layer in layers)
    for layer in layers:
        if shared[id(layer.parameter)] > 1:
            raise NotImplementedError(
                f"{layer.name} shares its weight with another linear layer; "
                "skip= leaves it in float"
            )


def _record(
    model: nn.Module, shared: Sequence[SharedInput], texts: Sequence[Text]
) -> list[LayerInputs]:
    """What each of the inputs is on the texts, read at the first of its layers."""
    found = [LayerInputs(_INPUTS) for _ in shared]
    hooks = [
        group.layers[0].module.register_forward_pre_hook(
            lambda module, args, kept=kept: kept.add(args[0])
        )
        for group, kept in zip(shared, found, strict=True)
    ]
    try:
        for text in texts:
            run(model, text)
    finally:
        for hook in hooks:
            hook.remove()
    for group, kept in zip(shared, found, strict=True):
        if not kept.largest.isfinite().all():
            raise ValueError(f"the input of {group.layers[0].name} is not finite on these texts")
    return found


def _scale(made: QuantizedLinears, group: SharedInput, scales: Tensor, alpha: float | None) -> None:
    """Multiply weights by ``scales``, and divide what is before, or the input, by them."""
    names = [layer.name for layer in group.layers]
    made.alphas |= dict.fromkeys(names, alpha)
    made.places |= dict.fromkeys(names, group.place)
    if alpha is None:
        return
    for layer in group.layers:
        _keep(made, layer.parameter.data)
        layer.matrix.mul_(scales)
    if group.before is None:
        divide = _Divide(scales)
        made.input_scales |= dict.fromkeys(names, scales)
        made._hooks += [layer.module.register_forward_pre_hook(divide) for layer in group.layers]
        return
    module = group.before.module if isinstance(group.before, LinearLayer) else group.before
    for parameter in module.parameters(recurse=False):
        _keep(made, parameter.data)
    fold(group, scales)


def _keep(made: QuantizedLinears, tensor: Tensor) -> None:
    """Keep what ``tensor`` was before anything changed it."""
    if not any(tensor.data_ptr() == kept.data_ptr() for kept, _ in made._originals):
        made._originals.append((tensor, tensor.clone()))


def _quantize(
    made: QuantizedLinears, layer: LinearLayer, rounding: _Rounding, inputs: Tensor | None
) -> None:
    matrix = layer.matrix
    quantized = dint.quantize(
        matrix.cpu().numpy(),
        rounding.format,
        group_size=rounding.size(matrix),
        scales=rounding.scales(matrix, inputs).cpu().numpy(),
    )
    _keep(made, layer.parameter.data)
    # float64 holds a level times a scale of float32 exactly, so this rounds once at most.
    matrix.copy_(torch.from_numpy(quantized.dequantize()))
    made.weights[layer.name] = quantized


class _Divide:
    """Divides a layer's input by scales before it runs."""

    def __init__(self, scales: Tensor) -> None:
        self._scales = scales

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (args[0] / self._scales, *args[1:])


def _round(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Rounds a layer's input to integers times a scale for each token, before it runs."""
    integers, scales = rounded_rows(args[0])
    return (integers.mul_(scales), *args[1:])


def _result(output: Any) -> Tensor:
    """The first tensor of a model's output: logits, or the last layer's states."""
    if isinstance(output, Tensor):
        return output
    first: Tensor = output[0] if not isinstance(output, dict) else next(iter(output.values()))
    return first


def _check_same(model: nn.Module, before: Tensor, after: Tensor) -> None:
    difference = float((after - before).abs().max() / before.abs().max())
    if not difference <= _SAME:
        raise RuntimeError(
            f"folded scales change the output of {type(model).__name__}, by {difference:.2g} of "
            "its largest number: it computes otherwise than its layers say"
        )
