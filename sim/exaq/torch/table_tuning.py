"""Tables tuned by gradient, so that a model with them gives what it gives in float.

Calibration chooses the tables of each head for itself. What all of them together do to the model's
output no layer sees; but it has a gradient, and few parameters: some thresholds and exponentials a
head, which a few dozen steps on calibration texts move to where the output is nearest.

    tables = exaq.torch.calibrate(model, batches, bits=2, minimise="block")
    tables = exaq.torch.tune(model, tables, batches)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from exaq.scalars import integer, real
from exaq.table_file import TableFile
from exaq.torch.layers import set_tables
from exaq.torch.learned_tables import WINDOW
from exaq.torch.model_calibration import Run, run_batch
from exaq.torch.training import learn_tables

#: How far an output is from that of the float model, a number with a gradient.
Distance = Callable[[Any, Any], Tensor]

# Steps over which the learning rate rises, and Adam's means: of the gradient, over ten steps.
_WARM_UP, _BETAS = 5, (0.9, 0.99)


def tune(
    model: nn.Module,
    tables: TableFile,
    batches: Iterable[Any],
    *,
    steps: int = 60,
    batch: int = 1,
    rate: float = 0.02,
    window: float = WINDOW,
    per: str = "head",
    run: Run | None = None,
    distance: Distance | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    **changes: Any,
) -> TableFile:
    """Tables with which ``model`` is nearer to itself in float than with ``tables``.

    Weights stay as they are. Afterwards the model has float softmax and its parameters ask for
    gradients as before.

    Parameters
    ----------
    model
        A model of Transformers, or a module with such inside, in evaluation mode.
    tables
        What to begin with; its bits are kept.
    batches
        What the model is tuned on, as for ``exaq.torch.calibrate``; each as often as any other,
        in an order at random. Held-out text is for measuring.
    steps, batch
        Steps of the optimizer, Adam, and batches of a step.
    rate
        Learning rate of thresholds, in real logit units, and of logarithms of exponentials; it
        falls to 0 along a cosine.
    window, per
        As for ``learn_tables``.
    run
        As for ``exaq.torch.calibrate``.
    distance
        Called with the model's output and that in float. None: of outputs with ``logits`` the
        divergence of the next token's distribution, mean of all tokens, nats; else of the
        ``last_hidden_state`` the squared error relative to that in float, by elements and of the
        mean over tokens.
    seed
        Of the order.
    progress
        Called with (steps done, steps).
    changes
        Further fields of ``SoftmaxConfig``, such as ``prob_bits=12``.

    Returns
    -------
    TableFile
        The tuned tables, or ``tables`` where the sum of distances over all batches is no less with
        the tuned ones. ``provenance`` says how they were tuned.

    Raises
    ------
    TypeError, ValueError
        Something is not legal, or does not fit the model; or there are no batches.
    """
    steps, batch = integer("steps", steps, 1), integer("batch", batch, 1)
    if float(real("rate", rate)) <= 0:
        raise ValueError(f"rate must be above 0, not {rate!r}")
    given = list(batches)
    if not given:
        raise ValueError("there are no batches to tune on")
    run, measure = run or run_batch, distance or output_distance
    asking = [each for each in model.parameters() if each.requires_grad]
    set_tables(model, None)
    with torch.no_grad():
        targets = [run(model, each) if distance else _kept(run(model, each)) for each in given]
    try:
        model.requires_grad_(False)
        learned = learn_tables(model, tables, per=per, window=window, **changes)
        optimizer = torch.optim.Adam(learned.parameters(), lr=rate, betas=_BETAS)
        generator = torch.Generator().manual_seed(seed)
        order: list[int] = []
        for step in range(steps):
            if progress is not None:
                progress(step, steps)
            while len(order) < batch:
                order += torch.randperm(len(given), generator=generator).tolist()
            chosen, order = order[:batch], order[batch:]
            for group in optimizer.param_groups:
                warm = min(1.0, (step + 1) / _WARM_UP)
                group["lr"] = rate * warm * (1 + math.cos(math.pi * step / steps)) / 2
            optimizer.zero_grad()
            for place in chosen:
                with torch.enable_grad():
                    found = measure(run(model, given[place]), targets[place])
                    (found / batch).backward()
            optimizer.step()
        tuned = learned.tables()
        # As whoever takes the file would have it.
        ends = [
            _total(model, each, given, targets, run, measure, changes) for each in (tables, tuned)
        ]
    finally:
        set_tables(model, None)
        for each in asking:
            each.requires_grad_(True)
    if progress is not None:
        progress(steps, steps)
    if ends[1] >= ends[0]:
        return tables
    how = {"steps": steps, "batch": batch, "rate": float(rate), "seed": seed}
    return replace(tuned, provenance=dict(tuned.provenance) | {"tuned": how})


def output_distance(output: Any, target: Any) -> Tensor:
    """How far a model's output is from that in float; see ``tune``."""
    if (logits := getattr(output, "logits", None)) is not None:
        exact = target.logits.float().log_softmax(dim=-1)
        each = functional.kl_div(
            logits.float().log_softmax(dim=-1), exact, log_target=True, reduction="none"
        )
        return each.sum(dim=-1).mean()
    states = getattr(output, "last_hidden_state", None)
    if states is None:
        raise TypeError(
            f"{type(output).__name__} has neither logits nor last_hidden_state: give a distance"
        )
    found, wanted = states.float(), target.last_hidden_state.float()
    pairs = ((found, wanted), (found.mean(dim=-2), wanted.mean(dim=-2)))
    return torch.stack([(a - b).square().sum() / b.square().sum() for a, b in pairs]).sum()


def _total(
    model: nn.Module,
    tables: TableFile,
    batches: Sequence[Any],
    targets: Sequence[Any],
    run: Run,
    measure: Distance,
    changes: dict[str, Any],
) -> float:
    set_tables(model, tables, **changes)
    with torch.no_grad():
        return sum(
            float(measure(run(model, each), target))
            for each, target in zip(batches, targets, strict=True)
        )


def _kept(output: Any) -> Any:
    """What ``output_distance`` needs of an output in float."""
    for name in ("logits", "last_hidden_state"):
        if (tensor := getattr(output, name, None)) is not None:
            return SimpleNamespace(**{name: tensor})
    return output
