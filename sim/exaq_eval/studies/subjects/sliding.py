"""Sliding-window attention: a decoder whose queries see few keys."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch

from exaq_eval.tasks import Prediction, Task


def slide(task: Task, window: int) -> Prediction:
    """The task with each query seeing its last ``window`` keys, its own among them.

    The weights are those of the task's model, which was not trained with the window.

    Parameters
    ----------
    task
        Of a decoder.
    window
        Keys that a query sees.

    Raises
    ------
    TypeError
        The model is no decoder.
    """
    if not isinstance(task, Prediction):
        raise TypeError(f"a sliding window needs a decoder, not {type(task.model).__name__}")

    def narrow(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        place = torch.arange(kwargs["input_ids"].shape[-1])
        behind = place[:, None] - place
        seen = (behind >= 0) & (behind < window)
        # A mask of four axes is taken as it is; what it adds hides a key in every implementation.
        added = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
        return args, kwargs | {"attention_mask": added[None, None]}

    model = deepcopy(task.model).eval()
    model.register_forward_pre_hook(narrow, with_kwargs=True)
    return replace(task, name=f"{task.name}-window-{window}", model=model)
