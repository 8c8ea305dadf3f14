"""Evaluates a model with softmaxes of few bits: checks it, measures settings, makes the report."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import exaq.torch
from exaq import TableFile
from exaq.scalars import plain_real
from exaq.torch.modules import head_count
from exaq_eval.estimate import Estimate, estimate
from exaq_eval.measurement import Measurement, measure
from exaq_eval.models import ModelError, unswitched
from exaq_eval.parts import Parts
from exaq_eval.progress import Progress, silent
from exaq_eval.remote import Remote
from exaq_eval.reports.figures import rounded
from exaq_eval.reports.report import FORMAT, VERSION
from exaq_eval.settings import LogitFormat, Setting
from exaq_eval.tasks import Task
from exaq_eval.versions import versions


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What an evaluation found.

    Members
    -------
    report
        Every figure, plain JSON values.
    tables
        Tables of each setting that has some, by the setting's name.
    """

    report: dict[str, Any]
    tables: dict[str, TableFile]


def evaluate(
    task: Task,
    settings: Sequence[Setting],
    logit_format: LogitFormat,
    *,
    given: dict[str, TableFile] | None = None,
    progress: Progress = silent,
    remote: Remote | None = None,
    parts: Parts | None = None,
    foresee: Callable[[Estimate], None] | None = None,
) -> Evaluation:
    """Measure ``settings`` on a task.

    Tables are calibrated on the logits of the float model, on the task's first calibration texts.
    Then the model runs its task with each setting, and each setting's softmax is compared with
    float softmax on the logits that the float model has in the task's texts.

    Parameters
    ----------
    task
        A model and what it is measured by; the model has float softmax again afterwards.
    settings
        Begins with the float one, against which the others are measured.
    logit_format
        Format of logits, tables and probabilities.
    given
        Tables of the settings with the rule ``"file"``, by name; of the same format.
    progress
        Told of every step.
    remote
        Measures the settings elsewhere, at the same time, to the same report. None: all runs here.
    parts
        What is finished already, which is not measured again; what gets finished goes there. It
        changes no figure.
    foresee
        Told at the beginning what there is to do and about how long it takes.

    Raises
    ------
    ModelError
        The float model's output is not finite, no attention layer runs that EXAQ can serve, or
        ``given`` tables lack one that runs.
    WorkerError
        A worker cannot load the task, or has another one.
    """
    given = given or {}
    progress(0, 1, "trying the model")
    _check_runs(task, list(given.values()))
    if foresee is not None:
        foresee(estimate(task, settings, logit_format, parts))
    progress(1, 1, "trying the model")
    if remote is None:
        measured = measure(task, settings, logit_format, given, progress, parts)
    else:
        measured = remote.measure(task, settings, logit_format, given, progress, parts)
    exact = measured[0]
    report = {
        "format": FORMAT,
        "version": VERSION,
        "model": _model_figures(task),
        "task": task.describe(),
        "logits": asdict(logit_format)
        | {"logit_scale": plain_real(logit_format.logit_scale)}
        | {"rounding_alone": exact.attention},
        "float_attention": exact.sharpness,
        "settings": [
            setting.to_dict()
            | {"task": task.scores(exact.output, each.output, setting.texts)}
            | _table_figures(setting, each)
            for setting, each in zip(settings, measured, strict=True)
        ],
        "versions": versions(),
    }
    tables = {
        setting.name: each.tables
        for setting, each in zip(settings, measured, strict=True)
        if each.tables is not None
    }
    return Evaluation(report=rounded(report), tables=tables)


def _check_runs(task: Task, given: Sequence[TableFile]) -> None:
    """Refuse a model that cannot be evaluated, and tables that lack a layer or head which runs.

    The shortest text shows it, before anything is measured.
    """
    exaq.torch.set_tables(task.model, None)
    heads: dict[int, int] = {}

    def take(layer: int, logits: NDArray[np.float32]) -> None:
        heads.setdefault(layer, len(logits))

    with exaq.torch.record(task.model, receive=take):
        output = task.run(min(task.texts, key=len))
    if not np.isfinite(output).all():
        raise ModelError(f"the output of {task.name} is not finite, with float softmax")
    if not heads:
        raise ModelError(f"no attention layer of {task.name} runs that EXAQ can serve")
    for tables in given:
        for layer, count in sorted(heads.items()):
            for head in range(count):
                try:
                    tables.of(layer, head)
                except ValueError as error:
                    raise ModelError(str(error)) from None


def _table_figures(setting: Setting, measured: Measurement) -> dict[str, Any]:
    """Figures of a softmax that is not float, and its tables, where it has some."""
    if setting.rule == "float":
        return {}
    if measured.tables is None:
        return {"attention": measured.attention}
    return {
        "attention": measured.attention,
        "tables": {
            "sha256": hashlib.sha256(measured.tables.to_json().encode()).hexdigest(),
            "sets": len(measured.tables.sets),
            "provenance": dict(measured.tables.provenance),
        },
    }


def _model_figures(task: Task) -> dict[str, Any]:
    layers = exaq.torch.attention_layers(task.model)
    left = unswitched(task.model)
    return {
        "name": task.name,
        "kind": task.kind,
        "class": type(task.model).__name__,
        "weights": sum(weight.numel() for weight in task.model.parameters()),
        "layers": len(layers),
        "heads": head_count(layers[0]),
        **({"float_layers": left} if left else {}),
        "sha256": task.identity["weights"],
    }
