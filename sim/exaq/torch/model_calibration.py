"""Tables for a model as it runs: layer by layer, by the error of what attention makes of them.

``exaq.calibrate`` sees logits alone. Here is the model too, so that the error can be that of the
attention's output, or of its effect on the loss; that a layer can be calibrated on what the layers
before, already quantized, give it; and that no more logits are held than of a few layers.

    tables = exaq.torch.calibrate(model, batches, bits=2, minimise="output", sequential=True)
    exaq.torch.set_tables(model, tables)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import exaq.calibration
from exaq.scalars import choice, flag, integer
from exaq.table_file import TableFile
from exaq.torch.layers import Seen, attached, set_tables
from exaq.torch.modules import attention_layers
from exaq.torch.output_projections import OutputProjections
from exaq.torch.recording import recorded, watching

Objective = Literal["mse", "kl", "output", "block", "loss"]
#: What ``calibrate`` can make least.
OBJECTIVES: tuple[str, ...] = get_args(Objective)
# Bytes of logits and values that are held at a time, where layers may share a pass.
_HELD = 2**30

Run = Callable[[nn.Module, Any], Any]
Loss = Callable[[Any, Any], Tensor]


def calibrate(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    minimise: Objective = "output",
    sequential: bool = False,
    per: str = "head",
    run: Run | None = None,
    loss: Loss | None = None,
    components: int = 8,
    prob_bits: int = 16,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> TableFile:
    """Tables that suit ``model`` on ``batches``.

    The model runs in float, but for what ``sequential`` says, and has float softmax afterwards.

    Parameters
    ----------
    model
        A model of Transformers, or a module with such inside, in evaluation mode.
    batches
        What the model is calibrated on: its arguments by name, or token numbers (batch, tokens).
        They are run several times.
    minimise
        "mse", "kl": the error of the probabilities, as for ``exaq.calibrate``. "output": the
        squared error of the attention's output, (p' - p) V, of each head and query. "block": the
        same behind the layer's output projection, W_O (p' - p) V. "loss": the square of the
        change of the loss to first order, g (p' - p) V, g being the float model's gradient at the
        attention's output; averaged over rows, it is what the empirical Fisher information says,
        in units of the mean square of all gradients.
    sequential
        Calibrate each layer on the logits that it gets with the tables of the layers before.
    per
        "head" or "layer": what gets tables of its own.
    run
        Called with model and batch; returns the model's output. None: the batch is its arguments.
    loss
        Called with that output and the batch; returns the loss, a sum or a mean. None: for token
        numbers, the mean cross entropy of each next token. For "loss" alone.
    components
        Directions at random, orthonormal and the same each time, that the error of the output is
        measured along, scaled to the squared length's expectation; at most the head size.
    prob_bits
        Width of the probabilities that the layers before have, where ``sequential``.
    progress
        Called with (layers done, layers).
    options
        Further ones of ``exaq.calibrate``: ``bits``, ``logit_width``, ``logit_scale``,
        ``executor``, ...

    Returns
    -------
    TableFile
        As from ``exaq.calibrate``; ``statistics`` of a set have the error as ``values``.

    Raises
    ------
    TypeError, ValueError
        An option is not legal, or a layer shows no output projection.
    """
    choice("minimise", minimise, OBJECTIVES)
    choice("per", per, ("head", "layer"))
    sequential = flag("sequential", sequential)
    components = integer("components", components, 1)
    if loss is not None and minimise != "loss":
        raise ValueError(f"a loss is for the objective loss, not {minimise}")
    for name in ("masks", "values", "head_axis"):
        if name in options:
            raise TypeError(f"{name} comes from the model and cannot be given")
    given = list(batches)
    if not given:
        raise ValueError("there are no batches to calibrate on")
    run = run or run_batch
    layers = attention_layers(model)
    set_tables(model, None)
    gradients: list[list[Tensor]] = []
    if minimise == "loss":
        gradients = _scaled([_gradients(model, batch, run, loss or _loss) for batch in given])
    core = minimise if minimise in exaq.calibration.OBJECTIVES else "values"
    made: list[TableFile] = []
    try:
        at_once = 1 if sequential else len(layers)
        first = 0
        while first < len(layers):
            wanted = range(first, min(first + at_once, len(layers)))
            source = _Source(minimise, components, wanted, gradients)
            for number, batch in enumerate(given):
                source.see(model, batch, number, run)
                if number == 0 and not sequential:
                    # What one batch takes tells how many layers may be held.
                    keep = max(1, _HELD // max(1, source.bytes * len(given) // len(wanted)))
                    if keep < len(wanted):
                        at_once, wanted = keep, wanted[:keep]
                        source.keep(wanted)
            for layer in wanted:
                if progress is not None:
                    progress(layer, len(layers))
                held = source.held[layer]
                if not held.logits:
                    continue
                file = exaq.calibration.calibrate(
                    {layer: held.logits},
                    masks={layer: held.masks},
                    values={layer: held.values} if core == "values" else None,
                    minimise=core,
                    per=per,
                    **options,
                )
                made.append(file)
                if sequential:
                    attached(layers[layer]).set(file, layer, {"prob_bits": prob_bits})
                held.clear()
            first = wanted[-1] + 1
    finally:
        set_tables(model, None)
    if not made:
        raise ValueError("there are no logits to calibrate on: no layer ran")
    if progress is not None:
        progress(len(layers), len(layers))
    provenance = dict(made[0].provenance) | {
        "minimise": minimise,
        "sequential": sequential,
        "layers": [layer for file in made for layer in file.provenance["layers"]],
    }
    return replace(
        made[0], sets=tuple(each for file in made for each in file.sets), provenance=provenance
    )


@dataclass
class _Held:
    """Arrays of a layer's calls: logits (heads, rows, row), their masks, and values."""

    logits: list[NDArray[np.float32]] = field(default_factory=list)
    masks: list[NDArray[np.bool_]] = field(default_factory=list)
    values: list[NDArray[np.float32]] = field(default_factory=list)

    def clear(self) -> None:
        """Forget them."""
        self.logits, self.masks, self.values = [], [], []


class _SeenEnoughError(Exception):
    """All that was wanted of a run has been seen."""


class _Source:
    """Takes what the objective needs from the runs of a model.

    Members
    -------
    held
        By number of layer.
    """

    def __init__(
        self,
        minimise: str,
        components: int,
        layers: Sequence[int],
        gradients: Sequence[Sequence[Tensor]],
    ) -> None:
        self._minimise, self._components = minimise, components
        self._gradients = gradients
        self.held = {layer: _Held() for layer in layers}

    @property
    def bytes(self) -> int:
        """Bytes of all that is held."""
        return sum(
            array.nbytes
            for held in self.held.values()
            for arrays in (held.logits, held.masks, held.values)
            for array in arrays
        )

    def keep(self, layers: Sequence[int]) -> None:
        """Go on with these layers alone."""
        self.held = {layer: self.held[layer] for layer in layers}

    @torch.no_grad()
    def see(self, model: nn.Module, batch: Any, number: int, run: Run) -> None:
        """Run batch ``number``, as far as is needed."""
        waiting = set(self.held)
        projections = OutputProjections(model) if self._minimise == "block" else None

        def watcher(layer: int) -> Callable[[Seen, Tensor], None]:
            def watch(seen: Seen, kept: Tensor) -> None:
                def take(weight: Tensor | None) -> None:
                    self._take(layer, seen, kept, number, weight)
                    waiting.discard(layer)
                    if not waiting:
                        raise _SeenEnoughError

                if projections is None:
                    take(None)
                else:
                    projections.follow(seen.output, layer, take)

            return watch

        with (
            watching(model, {layer: watcher(layer) for layer in self.held}),
            suppress(_SeenEnoughError),
            projections or nullcontext(),
        ):
            run(model, batch)

    def _take(
        self, layer: int, seen: Seen, kept: Tensor, number: int, weight: Tensor | None
    ) -> None:
        held = self.held[layer]
        rows = recorded(seen)
        for text, wanted in enumerate(kept):
            logits = rows[text][:, wanted]
            held.logits.append(logits.cpu().numpy())
            held.masks.append(torch.isfinite(logits).cpu().numpy())
            values = self._values(layer, seen, text, wanted, number, weight)
            if values is not None:
                if seen.sink is not None:
                    values = torch.cat([values, torch.zeros_like(values[..., :1])], dim=-1)
                held.values.append(values.cpu().numpy())

    def _values(
        self,
        layer: int,
        seen: Seen,
        text: int,
        wanted: Tensor,
        number: int,
        weight: Tensor | None,
    ) -> Tensor | None:
        """Values (values, heads, 1 or rows, keys) of a text's keys, float32."""
        value = seen.value[text].float()
        if self._minimise == "loss":
            gradient = self._gradients[number][layer][text][wanted].transpose(0, 1)
            return (gradient @ value.transpose(1, 2))[None]
        if self._minimise not in ("output", "block"):
            return None
        heads, _, size = value.shape
        turned = torch.eye(size).expand(heads, -1, -1)
        if weight is not None:
            # ||W e|| = ||R e||, with R of the head's size.
            of_heads = weight.float().unflatten(1, (heads, size)).transpose(0, 1)
            turned = torch.linalg.qr(of_heads.cpu(), mode="r").R
        along = _directions(size, self._components) @ turned
        return torch.einsum("hcd,hnd->chn", along.to(value.device), value)[:, :, None]


def _directions(size: int, count: int) -> Tensor:
    """``count`` orthonormal directions at random, (count, size), times (size / count)**0.5."""
    count = min(count, size)
    if count == size:
        return torch.eye(size)
    drawn = np.random.default_rng(0).standard_normal((size, count))
    directions, _ = np.linalg.qr(drawn)
    return torch.from_numpy(directions.T * (size / count) ** 0.5).float()


def _gradients(model: nn.Module, batch: Any, run: Run, loss: Loss) -> list[Tensor]:
    """The loss's gradient at each attention layer's output (batch, queries, heads, head size)."""
    outputs: dict[int, Tensor] = {}

    def watcher(layer: int) -> Callable[[Seen, Tensor], None]:
        def watch(seen: Seen, kept: Tensor) -> None:
            outputs[layer] = seen.output

        return watch

    layers = len(attention_layers(model))
    with torch.enable_grad(), watching(model, {n: watcher(n) for n in range(layers)}):
        found = loss(run(model, batch), batch)
        gradients = torch.autograd.grad(found, list(outputs.values()))
    by_layer = dict(zip(outputs, gradients, strict=True))
    return [by_layer.get(layer, torch.empty(0)).float() for layer in range(layers)]


def _scaled(gradients: list[list[Tensor]]) -> list[list[Tensor]]:
    """Gradients over the root of their mean square."""
    each = [gradient for batch in gradients for gradient in batch]
    count = sum(gradient.numel() for gradient in each)
    square = sum(float(gradient.double().square().sum()) for gradient in each) / count
    factor = square**-0.5 if square > 0 else 1.0
    return [[gradient * factor for gradient in batch] for batch in gradients]


def run_batch(model: nn.Module, batch: Any) -> Any:
    """What the model gives for token numbers, or for its arguments by name."""
    if isinstance(batch, Tensor):
        return model(input_ids=batch)
    return model(**batch)


def _loss(output: Any, batch: Any) -> Tensor:
    """Mean cross entropy of each next token, in nats."""
    if not isinstance(batch, Tensor):
        raise TypeError("the objective loss needs a loss where batches are no token numbers")
    return nn.functional.cross_entropy(
        output.logits[:, :-1].flatten(0, 1).float(), batch[:, 1:].flatten()
    )
