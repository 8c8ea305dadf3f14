"""The scale of narrow logits: which step, as a power of two, changes the softmax least."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

import exaq.torch
from exaq_eval.measurement import compare
from exaq_eval.measures.attention import TINY, Comparison, rounded_softmax
from exaq_eval.progress import Progress, silent
from exaq_eval.settings import LogitFormat
from exaq_eval.tasks import Task

#: Steps that are tried: powers of two, which an engine multiplies by with a shift.
POWERS_OF_TWO = tuple(2.0**-k for k in range(-2, 13))


def best_scale(
    task: Task, texts: Sequence[Tensor], formats: LogitFormat, progress: Progress = silent
) -> float:
    """The step of ``POWERS_OF_TWO`` with the least divergence, of two equal ones the larger.

    Compared are the float softmax of the integer logits and that of the real ones, on the float
    model's logits of ``texts``: a step too coarse costs everywhere, one too fine saturates, and
    logits that saturate at the top make ties of the keys that matter.

    Parameters
    ----------
    task
        Gives the model.
    texts
        Texts to look at, such as those of calibration.
    formats
        Gives the width of a logit; its scale plays no part.
    progress
        Told of each text.
    """
    softmaxes = {
        str(scale): rounded_softmax(LogitFormat(logit_width=formats.logit_width, logit_scale=scale))
        for scale in POWERS_OF_TWO
    }
    layers = len(exaq.torch.attention_layers(task.model))
    comparison = Comparison(softmaxes, layers=layers, floor=TINY)
    compare(task, texts, [comparison], progress, "choosing a scale")
    return min(POWERS_OF_TWO, key=lambda scale: float(comparison.to_dict(str(scale))["kl"]))
