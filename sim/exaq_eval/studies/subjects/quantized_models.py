"""Models whose linear layers have few bits: texts to calibrate on, texts to measure, figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import exaq
import exaq.torch
from exaq.torch import QuantizedLinears, quantize_linears
from exaq_eval.models import EvaluationModel, from_folder
from exaq_eval.reports.figures import rounded
from exaq_eval.settings import LogitFormat
from exaq_eval.tasks import BUILT_IN, Task, task_of

#: Texts of an encoder that are for calibration; it is measured on others.
HELD_BACK = 12


@dataclass(frozen=True, kw_only=True)
class WeightSetting:
    """How the weights of a model's linear layers are rounded."""

    weights: str
    scaling: str = "none"
    group_size: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "weights": self.weights,
            "scaling": self.scaling,
            "group_size": self.group_size,
        }


class QuantizedModel:
    """A model that is measured with weights of few bits, against itself in float.

    Parameters
    ----------
    name
        A built-in model's, or the folder of one.
    texts
        Texts, or windows of text, that it is measured on; an encoder's are behind those that are
        held back for calibration.
    calibrated
        Texts, or windows of other files, to calibrate on.
    tokens
        Length of a decoder's windows; None: the model's own.
    """

    def __init__(self, name: str, texts: int, calibrated: int, tokens: int | None = None) -> None:
        found = BUILT_IN[name]() if name in BUILT_IN else from_folder(name)
        self.found: EvaluationModel = found
        self.encodes = self.found.kind == "encoder"
        if tokens is not None and not self.encodes:
            self.found = found.with_windows(tokens)
        self.task = self._task(texts)
        self.calibration = self._calibration(calibrated)
        self._exact: dict[int, NDArray[np.float64]] = {}

    def _task(self, texts: int) -> Task:
        if not self.encodes:
            return task_of(self.found, texts)
        task = task_of(self.found, HELD_BACK + texts)
        return replace(task, texts=task.texts[HELD_BACK:])

    def _calibration(self, count: int) -> list[Tensor]:
        if self.encodes:
            return list(self.task.calibration[: min(count, HELD_BACK)])
        return list(self.found.windows(count, calibration=True)[:, :-1].unbind())

    def of_length(self, tokens: int) -> Task:
        """The task with as many tokens in windows of another length."""
        length = self.found.max_tokens
        count = max(1, len(self.task.texts) * length // tokens)
        windows = self.found.with_windows(tokens).windows(count)
        return replace(self.task, texts=windows.unbind())

    def longer(self, tokens: int) -> list[Tensor]:
        """As many tokens to calibrate on, in windows of ``tokens``; a decoder's."""
        count = max(1, sum(map(len, self.calibration)) // tokens)
        windows = self.found.with_windows(tokens).windows(count, calibration=True)
        return list(windows[:, :-1].unbind())

    def quantize(
        self,
        setting: WeightSetting,
        calibration: Sequence[Tensor] | None = None,
        length: int | None = None,
    ) -> QuantizedLinears:
        """The model with its linear layers rounded, until they are restored.

        ``calibration`` are other texts than its own, ``length`` what they are cut to.
        """
        texts = None
        if setting.scaling != "none":
            texts = self.calibration if calibration is None else calibration
        return quantize_linears(
            self.task.model,
            setting.weights,
            scaling=setting.scaling,
            group_size=setting.group_size,
            calibration=texts,
            calibration_length=length,
        )

    def exact(self, task: Task) -> NDArray[np.float64]:
        """The outputs of the float model, which must be one when first asked; then kept."""
        if id(task) not in self._exact:
            self._exact[id(task)] = task.outputs()
        return self._exact[id(task)]

    def scores(self, task: Task | None = None) -> dict[str, float]:
        """Figures of the model as it is against the float one, to be asked for first."""
        task = self.task if task is None else task
        found = task.scores(self.exact(task), task.outputs(), len(task.texts))
        figures: dict[str, float] = rounded(found)
        return figures

    def describe(self, made: QuantizedLinears) -> dict[str, Any]:
        """What the layers are, and where the channel scales of ``made`` went."""
        model = self.task.model
        codes = sum(each.codes.size for each in made.weights.values())
        return {
            "name": self.task.name,
            "kind": self.task.kind,
            "task": self.task.describe(),
            "weights": sum(weight.numel() for weight in model.parameters()),
            "layers": len(made.weights),
            "quantized": codes,
            "calibration_texts": len(self.calibration),
            "calibration_tokens": sum(map(len, self.calibration)),
            "places": dict(sorted(Counter(made.places.values()).items())),
        }

    def tables(self, bits: Sequence[int], texts: int) -> dict[int, exaq.TableFile]:
        """Tables of a softmax for the logits that the model as it is has in calibration texts."""
        form = LogitFormat()
        with exaq.torch.record(self.task.model) as recording:
            for text in self.calibration[:texts]:
                with torch.inference_mode():
                    self.task.model(input_ids=text[None])
        return {
            width: exaq.calibrate(
                recording.layers,
                bits=width,
                per="head",
                stage="clip",
                logit_width=form.logit_width,
                logit_scale=form.logit_scale,
                exp_frac=form.exp_frac,
            )
            for width in bits
        }
