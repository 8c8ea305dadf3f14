"""A decoder trained for a while, with a float softmax or one of few bits, and its losses then."""

from __future__ import annotations

import copy as copying
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

import exaq.torch
from exaq import SoftmaxConfig, TableFile
from exaq_eval.models import character_decoder

#: Windows of an optimizer step.
BATCH = character_decoder.BATCH
# Steps that a point of a curve is the mean of.
_POINT = 10


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training has come to.

    Members
    -------
    losses
        Nats a token, the mean of each held-out window.
    curve
        Losses of training steps, each the mean of 10 steps.
    seconds
        How long it took.
    tables
        What the tables have become, where they learned.
    """

    losses: NDArray[np.float64]
    curve: list[float]
    seconds: float
    tables: TableFile | None

    def described(self) -> dict[str, Any]:
        """Plain values: ``seconds`` and ``curve``."""
        return {"seconds": self.seconds, "curve": self.curve}


def threads() -> int:
    """Threads that compute."""
    return torch.get_num_threads()


def copy(model: PreTrainedModel) -> PreTrainedModel:
    """A model of its own with the same weights, and without tables."""
    made = copying.deepcopy(model)
    exaq.torch.set_tables(made, None)
    return made


def anew(model: PreTrainedModel) -> PreTrainedModel:
    """A model of the same configuration with random weights, the same each time."""
    config = copying.deepcopy(model.config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return type(model)(config)


def losses(model: PreTrainedModel, windows: Tensor) -> NDArray[np.float64]:
    """Mean loss of each window (count, tokens + 1), in nats a token."""
    found = []
    with torch.inference_mode():
        for window in windows:
            logits = model(input_ids=window[None, :-1], use_cache=False).logits
            found.append(cross_entropy(logits[0].double(), window[1:]).item())
    return np.array(found)


def train(
    model: PreTrainedModel,
    text: Tensor,
    held_out: Tensor,
    *,
    steps: int,
    seed: int,
    rate: float | None,
    tables: TableFile | SoftmaxConfig | None = None,
    table_rate: float | None = None,
    prob_bits: int = 16,
    progress: Callable[[int, int, float], None] | None = None,
) -> Trained:
    """Train ``model``, which is changed, and measure it.

    Parameters
    ----------
    model
        A decoder.
    text
        Token numbers (tokens,) to train on.
    held_out
        Windows (count, tokens + 1) to measure on; a window of training has as many tokens.
    steps, seed, progress
        As for ``character_decoder.fit``.
    rate
        Learning rate of the weights; None: they do not learn.
    tables
        Of the softmax; None: it is float.
    table_rate
        Learning rate of the tables; None: they do not learn.
    prob_bits
        Width of a probability.
    """
    groups: list[dict[str, Any]] = []
    learned = None
    if rate is not None:
        groups.append({"params": [*model.parameters()], "lr": rate})
    else:
        model.requires_grad_(False)
    if tables is not None and table_rate is not None:
        learned = exaq.torch.learn_tables(model, tables, per="head", prob_bits=prob_bits)
        # Tables do not decay towards anything.
        groups.append({"params": [*learned.parameters()], "lr": table_rate, "weight_decay": 0.0})
    elif tables is not None:
        exaq.torch.set_tables(model, tables, gradient="ste", prob_bits=prob_bits)
    optimizer = torch.optim.AdamW(groups, betas=character_decoder.BETAS)
    curve: list[float] = []

    def told(done: int, total: int, loss: float) -> None:
        curve.append(loss)
        if progress is not None:
            progress(done, total, loss)

    began = time.perf_counter()
    character_decoder.fit(
        model,
        optimizer,
        steps,
        text=text,
        context=held_out.shape[1] - 1,
        seed=seed,
        progress=told,
    )
    seconds = time.perf_counter() - began
    final = None
    if learned is not None:
        # Measured as whoever takes the tables would: from a file of integers.
        final = TableFile.from_dict(learned.tables().to_dict())
        exaq.torch.set_tables(model, final, prob_bits=prob_bits)
    points = [float(np.mean(curve[k : k + _POINT])) for k in range(0, len(curve), _POINT)]
    return Trained(losses=losses(model, held_out), curve=points, seconds=seconds, tables=final)
