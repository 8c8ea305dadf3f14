"""Measures settings on a task: calibrates, runs the task, compares attention."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import exaq
import exaq.torch
from exaq import TableFile
from exaq_eval.measures.attention import (
    LONGEST,
    TINY,
    Comparison,
    Sharpness,
    Softmax,
    half_step,
    rounded_softmax,
    unit_softmax,
)
from exaq_eval.parts import NOWHERE, Part, Parts
from exaq_eval.progress import Progress, silent
from exaq_eval.recorded import Recorded
from exaq_eval.settings import LogitFormat, Setting
from exaq_eval.tasks import Task

#: Optimizer steps of the objective tuned, at least, and how often it sees a text.
TUNING_STEPS, TUNING_PASSES = 60, 3


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
    sums
        What the figures of the attention come from, as ``Part.keep_attention`` takes it.
    """

    output: NDArray[Any]
    attention: dict[str, Any]
    sums: dict[str, Any]
    sharpness: dict[str, Any] | None = None
    tables: TableFile | None = None


def measure(
    task: Task,
    settings: Sequence[Setting],
    logit_format: LogitFormat,
    given: Mapping[str, TableFile],
    progress: Progress = silent,
    parts: Parts | None = None,
) -> list[Measurement]:
    """Measure ``settings`` on a task: a measurement of each, whichever others there are.

    What several settings need, the logits of the float model, is computed once. The parameters are
    those of ``evaluate``; any settings will do, and the task's model has float softmax again
    afterwards. What ``parts`` holds is not computed again, and what is finished goes there.
    """
    of = {each.name: NOWHERE if parts is None else parts.of(each) for each in settings}
    tables = _calibrate(task, settings, logit_format, of, progress)
    tables |= {setting.name: given[setting.name] for setting in settings if setting.name in given}
    outputs = _run(task, settings, tables, logit_format, of, progress)
    compared = _compare(task, settings, tables, logit_format, of, progress)
    return [
        Measurement(
            output=outputs[setting.name],
            tables=tables.get(setting.name),
            **compared[setting.name],
        )
        for setting in settings
    ]


def is_whole(part: Part, setting: Setting, task: Task) -> bool:
    """Whether ``part`` holds all that ``measure`` would compute for a setting."""
    output = part.output()
    return (
        (part.tables() is not None or not setting.texts)
        and output is not None
        and len(output) == len(task.texts)
        and part.attention().get("texts") == len(task.attention_texts)
    )


def keep(part: Part, measured: Measurement, setting: Setting) -> None:
    """Let ``part`` hold what was measured elsewhere."""
    if measured.tables is not None and setting.texts:
        part.keep_tables(measured.tables)
    part.keep_output(measured.output)
    part.keep_attention(measured.sums)


def _calibrate(
    task: Task,
    settings: Sequence[Setting],
    logit_format: LogitFormat,
    parts: Mapping[str, Part],
    progress: Progress,
) -> dict[str, TableFile]:
    """Tables of the settings that are calibrated, by the setting's name."""
    kept = {setting.name: parts[setting.name].tables() for setting in settings if setting.texts}
    tables = {name: found for name, found in kept.items() if found is not None}
    wanted = [setting for setting in settings if setting.texts and setting.name not in tables]
    if not wanted:
        return tables
    by_logits = [setting for setting in wanted if not setting.by_model]
    with tempfile.TemporaryDirectory(prefix="exaq-") as folder:
        if by_logits:
            most = max(setting.texts for setting in by_logits)
            recorded = _record(task, most, Path(folder), progress)
        for setting in wanted:

            def tell(done: int, total: int, name: str = setting.name) -> None:
                progress(done, total, f"calibrating {name}")

            options = calibration_options(setting, logit_format)
            if setting.by_model:
                tuned = options["minimise"] == "tuned"
                if tuned:
                    options["minimise"] = task.tuned_from
                found = exaq.torch.calibrate(
                    task.model,
                    task.calibration[: start_texts(setting, task)],
                    run=lambda model, text: task.forward(text),
                    loss=task.loss if options["minimise"] == "loss" else None,
                    prob_bits=logit_format.prob_bits,
                    progress=tell,
                    **options,
                )
                if tuned:
                    found = exaq.torch.tune(
                        task.model,
                        found,
                        task.calibration[: setting.texts],
                        steps=tuning_steps(setting, task),
                        batch=task.tuning_batch,
                        per=options["per"],
                        run=lambda model, text: task.forward(text),
                        prob_bits=logit_format.prob_bits,
                        progress=tell,
                    )
                tables[setting.name] = found
            else:
                tables[setting.name] = exaq.calibrate(
                    recorded.layers(setting.texts), progress=tell, **options
                )
            parts[setting.name].keep_tables(tables[setting.name])
    return tables


def start_texts(setting: Setting, task: Task) -> int:
    """Texts that a setting's tables are calibrated on; those that are tuned then may be more."""
    if setting.minimise != "tuned" or setting.per is None:
        return setting.texts
    return min(setting.texts, task.calibration_counts[setting.per])


def tuning_steps(setting: Setting, task: Task) -> int:
    """Optimizer steps of the objective tuned."""
    return max(TUNING_STEPS, -(-TUNING_PASSES * setting.texts // task.tuning_batch))


def calibration_options(setting: Setting, logit_format: LogitFormat) -> dict[str, Any]:
    """Arguments of ``exaq.calibrate``, or of ``exaq.torch.calibrate``, for a setting."""
    options: dict[str, Any] = {"bits": setting.bits, "per": setting.per, "rule": setting.rule}
    if setting.minimise:
        options["minimise"], _, how = setting.minimise.partition("-")
        if setting.sequential:
            options["sequential"] = True
        elif how:
            options["stage"] = how
    return options | {
        "logit_width": logit_format.logit_width,
        "logit_scale": logit_format.logit_scale,
        "exp_frac": logit_format.exp_frac,
    }


def _record(task: Task, texts: int, folder: Path, progress: Progress) -> Recorded:
    """The logits of the model, as it is, in the first texts of calibration."""
    recorded = Recorded(len(exaq.torch.attention_layers(task.model)), folder)
    with exaq.torch.record(task.model, receive=recorded.add):
        for done, text in enumerate(task.calibration[:texts]):
            progress(done, texts, "recording logits")
            task.run(text)
            recorded.end_text()
    progress(texts, texts, "recording logits")
    return recorded


def _run(
    task: Task,
    settings: Sequence[Setting],
    tables: dict[str, TableFile],
    logit_format: LogitFormat,
    parts: Mapping[str, Part],
    progress: Progress,
) -> dict[str, NDArray[Any]]:
    """The task's output of each text with each setting, by the setting's name."""
    outputs = {}
    texts = list(task.texts)
    try:
        for setting in settings:
            part = parts[setting.name]
            kept = part.output()
            each = [] if kept is None else [row[None] for row in kept[: len(texts)]]
            if len(each) < len(texts):
                _set_softmax(task, setting, tables, logit_format)
                for done, text in enumerate(texts[len(each) :], len(each)):
                    progress(done, len(texts), f"running {setting.name}")
                    each.append(task.run(text))
                    part.keep_output(np.concatenate(each))
                progress(len(texts), len(texts), f"running {setting.name}")
            outputs[setting.name] = np.concatenate(each)
    finally:
        exaq.torch.set_tables(task.model, None)
    return outputs


def _set_softmax(
    task: Task, setting: Setting, tables: Mapping[str, TableFile], logit_format: LogitFormat
) -> None:
    """Let the task's model run with the softmax of a setting."""
    if setting.name in tables:
        exaq.torch.set_tables(task.model, tables[setting.name], prob_bits=logit_format.prob_bits)
    elif setting.rule == "dynamic":
        exaq.torch.set_tables(task.model, uncalibrated(setting, logit_format))
    else:
        exaq.torch.set_tables(task.model, None)


def uncalibrated(setting: Setting, logit_format: LogitFormat) -> exaq.torch.Uncalibrated:
    """The softmax of the rule dynamic."""
    if setting.bits is None:
        raise ValueError(f"the rule {setting.rule} needs a width")
    return exaq.torch.Uncalibrated(bits=setting.bits, changes=asdict(logit_format))


def _uncalibrated_softmax(setting: Setting, logit_format: LogitFormat) -> Softmax:
    """The golden model with the clip of each call's own logits."""
    unit = uncalibrated(setting, logit_format)

    def softmax(layer: int, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        live = np.isfinite(logits)
        config = unit.of(torch.from_numpy(logits), torch.from_numpy(live), max_row=LONGEST)
        integers = exaq.logits_to_integers(np.where(live, logits, 0), config)
        return exaq.probabilities_to_float(exaq.softmax(integers, config, live), config)

    return softmax


def _compare(
    task: Task,
    settings: Sequence[Setting],
    tables: dict[str, TableFile],
    logit_format: LogitFormat,
    parts: Mapping[str, Part],
    progress: Progress,
) -> dict[str, dict[str, Any]]:
    """Members of the settings' measurements that are about the attention, by the name."""
    layers = len(exaq.torch.attention_layers(task.model))
    prob_bits = logit_format.prob_bits
    softmaxes = {name: unit_softmax(each, prob_bits) for name, each in tables.items()} | {
        each.name: _uncalibrated_softmax(each, logit_format)
        for each in settings
        if each.rule == "dynamic"
    }
    units = Comparison(softmaxes, layers=layers, floor=half_step(prob_bits))
    floats = [setting.name for setting in settings if setting.rule == "float"]
    rounding = Comparison(
        dict.fromkeys(floats, rounded_softmax(logit_format)), layers=layers, floor=TINY
    )
    sharpness = Sharpness()
    sums = {setting.name: parts[setting.name].attention() for setting in settings}
    for name, kept in sums.items():
        if kept:
            (rounding if name in floats else units).resume(name, kept["figures"])
        if name in floats and kept:
            sharpness = Sharpness(**kept["sharpness"])

    texts = task.attention_texts
    for done, text in enumerate(texts):
        waiting = [name for name, kept in sums.items() if kept.get("texts", 0) <= done]
        if not waiting:
            continue
        progress(done, len(texts), "comparing attention")

        def take(layer: int, logits: NDArray[np.float32], waiting: list[str] = waiting) -> None:
            if served := [name for name in waiting if name not in floats]:
                units.add(layer, logits, served)
            if left := [name for name in waiting if name in floats]:
                sharpness.add(logits)
                rounding.add(layer, logits, left)

        with exaq.torch.record(task.model, receive=take):
            task.run(text)
        for name in waiting:
            if name in floats:
                figures = {"figures": rounding.state(name), "sharpness": sharpness.state()}
            else:
                figures = {"figures": units.state(name)}
            sums[name] = {"texts": done + 1} | figures
            parts[name].keep_attention(sums[name])
        progress(done + 1, len(texts), "comparing attention")
    return {
        name: {
            "attention": (rounding if name in floats else units).to_dict(name),
            "sharpness": sharpness.to_dict() if name in floats else None,
            "sums": kept,
        }
        for name, kept in sums.items()
    }


def compare(
    task: Task,
    texts: Sequence[Tensor],
    comparisons: Sequence[Comparison],
    progress: Progress = silent,
    now: str = "comparing attention",
) -> None:
    """Add the logits that the model, as it is, has in ``texts`` to each of ``comparisons``."""

    def take(layer: int, logits: NDArray[np.float32]) -> None:
        for comparison in comparisons:
            comparison.add(layer, logits)

    with exaq.torch.record(task.model, receive=take):
        for done, text in enumerate(texts):
            progress(done, len(texts), now)
            task.run(text)
    progress(len(texts), len(texts), now)
