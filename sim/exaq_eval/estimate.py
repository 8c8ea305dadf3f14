"""How long an evaluation will take, from one pass of one text and what follows from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import exaq
import exaq.torch
from exaq import TableFile
from exaq_eval.measurement import calibration_options, start_texts, tuning_steps
from exaq_eval.measures.attention import Comparison, half_step, unit_softmax
from exaq_eval.parts import NOWHERE, Parts
from exaq_eval.settings import LogitFormat, Setting
from exaq_eval.tasks import Task

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What there is to do, and for how long.

    Members
    -------
    recorded, run, compared
        Texts to record logits of, to run with all settings together, and to compare attention on.
    calibrated
        Settings to calibrate.
    seconds
        For all of it, in one process; about.
    """

    recorded: int
    calibrated: int
    run: int
    compared: int
    seconds: float


def estimate(
    task: Task, settings: Sequence[Setting], logit_format: LogitFormat, parts: Parts | None = None
) -> Estimate:
    """Run one text of middle length, and time softmaxes and calibrations on its first layer.

    The parameters are those of ``exaq_eval.evaluation.evaluate``; the model has a float softmax.
    """
    of = {each.name: NOWHERE if parts is None else parts.of(each) for each in settings}
    text = sorted(task.texts, key=len)[len(task.texts) // 2]
    first: list[Floats] = []

    def take(layer: int, logits: Floats) -> None:
        if not first:
            first.append(logits)

    with exaq.torch.record(task.model, receive=take):
        passing = _seconds(lambda: task.run(text))
    (logits,) = first
    layers = len(exaq.torch.attention_layers(task.model))

    seconds, recorded, calibrated, run, compared = 0.0, 0, 0, 0, 0
    softmaxes: dict[int | None, tuple[float, float]] = {}
    calibrations: dict[tuple[str, str | None], float] = {}
    for setting in settings:
        part = of[setting.name]
        if setting.bits not in softmaxes:
            softmaxes[setting.bits] = _softmax_seconds(logits, setting.bits, logit_format)
        serving, comparing = (layers * each for each in softmaxes[setting.bits])
        output = part.output()
        left = task.texts[0 if output is None else len(output) :]
        run += len(left)
        seconds += passing * _share(left, text, 1) + serving * _share(left, text, 2)
        left = task.attention_texts[part.attention().get("texts", 0) :]
        compared = max(compared, len(left))
        seconds += comparing * _share(left, text, 2)
        if setting.texts and part.tables() is None:
            calibrated += 1
            if setting.by_model:
                # A pass for each layer, half of which is needed, or one for some layers.
                passes = layers / 2 if setting.sequential else 2
                share = _share(task.calibration[: start_texts(setting, task)], text, 1)
                seconds += passes * passing * share
                if setting.minimise == "tuned":
                    # Of a step the way back takes about twice as long as the way there.
                    passes = 3 * tuning_steps(setting, task) * task.tuning_batch / setting.texts
                    share = _share(task.calibration[: setting.texts], text, 1)
                    seconds += passes * passing * share
            else:
                recorded = max(recorded, setting.texts)
            kind = setting.rule, setting.minimise
            if kind not in calibrations:
                alike = [each for each in settings if (each.rule, each.minimise) == kind]
                calibrations[kind] = _calibration_seconds(logits, alike, logit_format)
            share = _share(task.calibration[: start_texts(setting, task)], text, 2)
            seconds += layers * calibrations[kind] * share * 2 ** (setting.bits or 0)
    seconds += passing * _share(task.calibration[:recorded], text, 1)
    longest = task.attention_texts[len(task.attention_texts) - compared :]
    seconds += passing * _share(longest, text, 1)
    return Estimate(
        recorded=recorded, calibrated=calibrated, run=run, compared=compared, seconds=seconds
    )


def _share(texts: Sequence[Tensor], of: Tensor, power: int) -> float:
    """How many times as long as ``of`` the texts are together, each to the ``power``."""
    return float(sum((len(text) / len(of)) ** power for text in texts))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _softmax_seconds(
    logits: Floats, bits: int | None, logit_format: LogitFormat
) -> tuple[float, float]:
    """Of a softmax in the model, and of its comparison with a float one; None: float."""
    if bits is None:
        return 0.0, 0.0
    config = logit_format.config(bits=bits)
    scores, live = torch.from_numpy(logits), torch.from_numpy(np.isfinite(logits))
    softmax = unit_softmax(TableFile.of_config(config), logit_format.prob_bits)
    comparison = Comparison({"": softmax}, layers=1, floor=half_step(logit_format.prob_bits))
    return (
        _seconds(lambda: exaq.torch.softmax(scores, config, live)),
        _seconds(lambda: comparison.add(0, logits)),
    )


def _calibration_seconds(
    logits: Floats, alike: Sequence[Setting], logit_format: LogitFormat
) -> float:
    """Of the tables of a layer on one text for each code, by the rule of settings that are alike.

    The narrowest of them stands for all, and it is tried once whether it is per layer or head: many
    small sets take about as long as few large ones, and trying each would take too long. The time
    grows about as the number of codes does.
    """
    narrowest = min(alike, key=lambda setting: setting.bits or 0)
    options = calibration_options(narrowest, logit_format)
    if narrowest.by_model:
        # Other sums of the same rows take about as long.
        options["minimise"] = "mse"
        options.pop("sequential", None)
    whole = _seconds(lambda: exaq.calibrate([logits], **(options | {"per": "layer"})))
    return whole / 2 ** (narrowest.bits or 0)
