"""Evaluates a model with softmaxes of few bits: calibrates, runs its task, compares attention."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import exaq
import exaq.torch
from exaq import TableFile
from exaq.scalars import plain_real
from exaq.torch.modules import head_count
from exaq_eval.measures.attention import (
    TINY,
    Comparison,
    Sharpness,
    half_step,
    rounded_softmax,
    unit_softmax,
)
from exaq_eval.models import ModelError, unswitched
from exaq_eval.progress import Progress, silent
from exaq_eval.reports.figures import rounded
from exaq_eval.reports.report import FORMAT, VERSION
from exaq_eval.settings import LogitFormat, Setting
from exaq_eval.tasks import Task


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

    Raises
    ------
    ModelError
        The float model's output is not finite, no attention layer runs that EXAQ can serve, or
        ``given`` tables lack one that runs.
    """
    _check_runs(task, list((given or {}).values()))
    tables = _calibrate(task, settings, logit_format, progress) | (given or {})
    outputs = _run(task, settings, tables, logit_format, progress)
    prob_bits, layers = logit_format.prob_bits, len(exaq.torch.attention_layers(task.model))
    units = Comparison(
        {name: unit_softmax(each, prob_bits) for name, each in tables.items()},
        layers=layers,
        floor=half_step(prob_bits),
    )
    rounding = Comparison({"rounded": rounded_softmax(logit_format)}, layers=layers, floor=TINY)
    sharpness = Sharpness()
    compare(task, task.attention_texts, (units, rounding), progress, sharpness=sharpness)
    exact = outputs[settings[0].name]
    report = {
        "format": FORMAT,
        "version": VERSION,
        "model": _model_figures(task),
        "task": task.describe(),
        "logits": asdict(logit_format)
        | {"logit_scale": plain_real(logit_format.logit_scale)}
        | {"rounding_alone": rounding.to_dict("rounded")},
        "float_attention": sharpness.to_dict(),
        "settings": [
            setting.to_dict()
            | {"task": task.scores(exact, outputs[setting.name], setting.texts)}
            | (
                {
                    "attention": units.to_dict(setting.name),
                    "tables": {
                        "sha256": _sha256(tables[setting.name].to_json().encode()),
                        "sets": len(tables[setting.name].sets),
                        "provenance": dict(tables[setting.name].provenance),
                    },
                }
                if setting.name in tables
                else {}
            )
            for setting in settings
        ],
        "versions": _versions(),
    }
    return Evaluation(report=rounded(report), tables=tables)


def _check_runs(task: Task, given: Sequence[TableFile]) -> None:
    """Refuse a model that cannot be evaluated, and tables that lack a layer or head which runs.

    The shortest text shows it, before anything is measured.
    """
    exaq.torch.set_tables(task.model, None)
    with exaq.torch.record(task.model) as recording:
        output = task.run(min(task.texts, key=len))
    if not np.isfinite(output).all():
        raise ModelError(f"the output of {task.name} is not finite, with float softmax")
    if not any(recording.layers):
        raise ModelError(f"no attention layer of {task.name} runs that EXAQ can serve")
    heads = {layer: len(calls[0]) for layer, calls in enumerate(recording.layers) if calls}
    for tables in given:
        for layer, count in heads.items():
            for head in range(count):
                try:
                    tables.of(layer, head)
                except ValueError as error:
                    raise ModelError(str(error)) from None


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


def _model_figures(task: Task) -> dict[str, Any]:
    weights = task.model.state_dict()
    layers = exaq.torch.attention_layers(task.model)
    left = unswitched(task.model)
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(
            weights[name].cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        )
    return {
        "name": task.name,
        "kind": task.kind,
        "class": type(task.model).__name__,
        "weights": sum(weight.numel() for weight in task.model.parameters()),
        "layers": len(layers),
        "heads": head_count(layers[0]),
        **({"float_layers": left} if left else {}),
        "sha256": digest.hexdigest(),
    }


def _versions() -> dict[str, str]:
    names = {"exaq": "exaq-softmax", "numpy": "numpy", "torch": "torch"}
    names["transformers"] = "transformers"
    return {"python": platform.python_version()} | {
        name: metadata.version(package) for name, package in names.items()
    }


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
