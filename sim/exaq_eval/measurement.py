"""Measures settings on a task: calibrates, runs the task, compares attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

import exaq
import exaq.torch
from exaq import TableFile
from exaq_eval.measures.attention import (
    TINY,
    Comparison,
    Sharpness,
    half_step,
    rounded_softmax,
    unit_softmax,
)
from exaq_eval.progress import Progress, silent
from exaq_eval.settings import LogitFormat, Setting
from exaq_eval.tasks import Task


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What a setting gave on a task.

    Members
    -------
    output
        The task's output of each text, one after the other.
    attention
        Figures of the setting's softmax beside float softmax, on the float model's logits; of the
        float setting those of float softmax of the rounded logits.
    sharpness
        Of the float setting: how sharp its attention is.
    tables
        The setting's tables, if it has some.
    """

    output: NDArray[Any]
    attention: dict[str, Any]
    sharpness: dict[str, Any] | None = None
    tables: TableFile | None = None


def measure(
    task: Task,
    settings: Sequence[Setting],
    logit_format: LogitFormat,
    given: Mapping[str, TableFile],
    progress: Progress = silent,
) -> list[Measurement]:
    """Measure ``settings`` on a task: a measurement of each, whichever others there are.

    What several settings need, the logits of the float model, is computed once. The parameters are
    those of ``evaluate``; any settings will do, and the task's model has float softmax again
    afterwards.
    """
    tables = _calibrate(task, settings, logit_format, progress)
    tables |= {setting.name: given[setting.name] for setting in settings if setting.name in given}
    outputs = _run(task, settings, tables, logit_format, progress)
    prob_bits, layers = logit_format.prob_bits, len(exaq.torch.attention_layers(task.model))
    units = Comparison(
        {name: unit_softmax(each, prob_bits) for name, each in tables.items()},
        layers=layers,
        floor=half_step(prob_bits),
    )
    comparisons, sharpness = [units], None
    if len(tables) < len(settings):
        rounding = Comparison({"rounded": rounded_softmax(logit_format)}, layers=layers, floor=TINY)
        comparisons, sharpness = [units, rounding], Sharpness()
    compare(task, task.attention_texts, comparisons, progress, sharpness=sharpness)
    return [
        Measurement(
            output=outputs[setting.name],
            attention=units.to_dict(setting.name),
            tables=tables[setting.name],
        )
        if setting.name in tables
        else Measurement(
            output=outputs[setting.name],
            attention=rounding.to_dict("rounded"),
            sharpness=None if sharpness is None else sharpness.to_dict(),
        )
        for setting in settings
    ]


def _calibrate(
    task: Task, settings: Sequence[Setting], logit_format: LogitFormat, progress: Progress
) -> dict[str, TableFile]:
    wanted = [setting for setting in settings if setting.texts]
    if not wanted:
        return {}
    most = max(setting.texts for setting in wanted)
    with exaq.torch.record(task.model) as recording:
        for done, text in enumerate(task.calibration[:most]):
            progress(done, most, "recording logits")
            task.run(text)
    progress(most, most, "recording logits")
    tables = {}
    for setting in wanted:

        def tell(done: int, total: int, name: str = setting.name) -> None:
            progress(done, total, f"calibrating {name}")

        options: dict[str, Any] = {"bits": setting.bits, "per": setting.per}
        if setting.minimise:
            options["minimise"], _, stage = setting.minimise.partition("-")
            options |= {"stage": stage} if stage else {}
        tables[setting.name] = exaq.calibrate(
            [calls[: setting.texts] for calls in recording.layers],
            rule=setting.rule,
            logit_width=logit_format.logit_width,
            logit_scale=logit_format.logit_scale,
            exp_frac=logit_format.exp_frac,
            progress=tell,
            **options,
        )
    return tables


def _run(
    task: Task,
    settings: Sequence[Setting],
    tables: dict[str, TableFile],
    logit_format: LogitFormat,
    progress: Progress,
) -> dict[str, NDArray[Any]]:
    """The task's output of each text with each setting, by the setting's name."""
    outputs = {}
    texts = list(task.texts)
    try:
        for setting in settings:
            exaq.torch.set_tables(
                task.model,
                tables.get(setting.name),
                **({"prob_bits": logit_format.prob_bits} if setting.name in tables else {}),
            )
            each = []
            for done, text in enumerate(texts):
                progress(done, len(texts), f"running {setting.name}")
                each.append(task.run(text))
            progress(len(texts), len(texts), f"running {setting.name}")
            outputs[setting.name] = np.concatenate(each)
    finally:
        exaq.torch.set_tables(task.model, None)
    return outputs


def compare(
    task: Task,
    texts: Sequence[Tensor],
    comparisons: Sequence[Comparison],
    progress: Progress = silent,
    now: str = "comparing attention",
    sharpness: Sharpness | None = None,
) -> None:
    """Add the logits that the model, as it is, has in ``texts`` to each of ``comparisons``."""
    for done, text in enumerate(texts):
        progress(done, len(texts), now)
        with exaq.torch.record(task.model) as recording:
            task.run(text)
        for layer, calls in enumerate(recording.layers):
            for logits in calls:
                if sharpness is not None:
                    sharpness.add(logits)
                for comparison in comparisons:
                    comparison.add(layer, logits)
    progress(len(texts), len(texts), now)
