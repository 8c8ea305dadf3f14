"""Other architectures: encoder, decoder, sliding window, and a classifier's output softmax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

import exaq
from exaq import TableFile, reference
from exaq_eval.experiments.base import Experiment, Progress, figure, silent, table
from exaq_eval.experiments.plotting import COLOURS, panels
from exaq_eval.experiments.rows import rounded, scores
from exaq_eval.settings import LogitFormat, Setting, grid

if TYPE_CHECKING:
    from exaq_eval.tasks import Task

#: Models by name, and what is said of each.
MODELS = {
    "encoder": "all-MiniLM-L6-v2, embeddings of docstrings",
    "decoder": "small causal decoder over characters",
    "sliding window": "the same decoder, each query seeing the last {window} keys alone",
    "classifier": "convolutional network, the output softmax over {classes} classes",
}
#: The score of each kind of model, its name for people, and whether more is better.
SCORES = {
    "encoder": (("cosine_mean", "mean cosine of embeddings"), ("cosine_min", "least cosine")),
    "decoder": (("increase", "increase of the loss, nats"),),
    "classifier": (
        ("accuracy", "accuracy"),
        ("log_loss", "log loss, nats"),
        ("calibration_error", "calibration error"),
    ),
}
_PAPER, _SEARCHED = "paper_clip", "searched_clip"


@dataclass(frozen=True, kw_only=True)
class Architectures(Experiment):
    """Models of ``MODELS`` with tables for each layer, by every rule.

    Parameters
    ----------
    models
        Names of ``MODELS``.
    widths
        Bits of a code.
    texts, windows
        That encoder and decoder are measured on.
    calibrated
        Texts, or windows, that tables come from.
    window
        Keys that a query sees in the sliding window.
    classes, steps, measured
        Of the classifier: classes, training steps, inputs to measure.
    seed
        Of the classifier's training.
    """

    name: ClassVar[str] = "architectures"
    title: ClassVar[str] = "Other architectures"
    question: ClassVar[str] = (
        "Encoder, decoder, sliding-window attention and a classifier's output: which clip is best "
        "for each, and what do 2 and 3 bits cost?"
    )

    models: Sequence[str] = tuple(MODELS)
    widths: Sequence[int] = (2, 3)
    texts: int = 36
    windows: int = 64
    calibrated: int = 12
    window: int = 64
    classes: int = 32
    steps: int = 1500
    measured: int = 8192
    seed: int = 5

    @classmethod
    def quick(cls) -> Self:
        return cls(
            models=("classifier",), widths=(2,), classes=10, steps=60, measured=400, calibrated=2
        )

    def run(self, progress: Progress = silent) -> dict[str, Any]:
        """As of the base; exaq_eval.models.ModelError where a model is missing."""
        # First of all: its message names the extra where PyTorch is missing.
        import_module("exaq.torch")
        models = []
        for done, name in enumerate(self.models):

            def tell(steps: int, total: int, now: str, done: int = done, name: str = name) -> None:
                progress(done, len(self.models), f"{name}: {now} {steps}/{total}")

            if name == "classifier":
                found = self._classifier(tell)
            else:
                found = self._model(self.task(name), tell)
            models.append({"name": name, "what": self._what(name)} | found)
        progress(len(self.models), len(self.models), "")
        return rounded({"models": models})

    def task(self, name: str) -> Task:
        """What a model is measured by.

        Raises
        ------
        exaq_eval.models.ModelError
            The model is missing.
        """
        # Only here: the other experiments need no PyTorch.
        from exaq_eval.experiments.sliding import slide
        from exaq_eval.models import minilm, tiny_decoder
        from exaq_eval.tasks import task_of

        if name == "encoder":
            return task_of(minilm(), self.texts)
        task = task_of(tiny_decoder(), self.windows)
        return slide(task, self.window) if name == "sliding window" else task

    def _what(self, name: str) -> str:
        return MODELS[name].format(window=self.window, classes=self.classes)

    def _settings(self) -> list[Setting]:
        texts = {"layer": self.calibrated}
        return list(grid(bits=self.widths, per=("layer",), texts=texts))

    def _model(self, task: Task, tell: Progress) -> dict[str, Any]:
        from exaq_eval.evaluation import evaluate

        result = evaluate(task, self._settings(), LogitFormat(), progress=tell)
        settings = [
            {
                "name": setting["name"],
                "bits": setting["bits"],
                "task": setting["task"],
                "attention": setting.get("attention"),
            }
            for setting in result.report["settings"]
        ]
        return {
            "kind": task.kind,
            "settings": settings,
            "clips": _clips(result.tables, self.widths),
        }

    def _classifier(self, tell: Progress) -> dict[str, Any]:
        from exaq_eval.experiments.classifier import class_scores, classify

        def told(steps: int, total: int) -> None:
            tell(steps, total, "training")

        data = classify(self.classes, self.steps, self.measured, self.seed, told)
        formats = LogitFormat()
        exact = reference.softmax(data.logits)
        floor = 0.5 / 2**formats.prob_bits
        settings: list[dict[str, Any]] = []
        tables: dict[str, TableFile] = {}
        for setting in self._settings():
            given = exact
            if setting.bits:
                tables[setting.name] = exaq.calibrate(
                    [data.calibration],
                    bits=setting.bits,
                    logit_width=formats.logit_width,
                    logit_scale=formats.logit_scale,
                    exp_frac=formats.exp_frac,
                    rule=setting.rule,
                    minimise=setting.minimise or "mse",
                )
                config = tables[setting.name].config(prob_bits=formats.prob_bits)
                integers = exaq.logits_to_integers(data.logits, config)
                given = exaq.probabilities_to_float(exaq.softmax(integers, config), config)
            settings.append(
                {
                    "name": setting.name,
                    "bits": setting.bits,
                    "task": class_scores(given, data.labels, floor),
                    "attention": scores(exact, given, floor) if setting.bits else None,
                }
            )
        return {
            "kind": "classifier",
            "settings": settings,
            "clips": _clips(tables, self.widths),
            "files": list(data.files),
        }

    def body(self, result: dict[str, Any]) -> list[str]:
        models = result["models"]
        parts = [
            "; ".join(f"{model['name']}: {model['what']}" for model in models)
            + ". Tables for each layer, 16-bit logits; calibrated on data that the classifier and "
            "the decoders are not measured on (the encoder's calibration texts are among those "
            "measured). The best clip is the one of end-point tables with the least squared error "
            "of the softmax output; mean over layers, and range:",
            _clip_table(models),
        ]
        for model in models:
            parts += [f"**{model['name']}**", _score_table(model)]
        return [*parts, _conclusion(models)]

    def plot(self, result: dict[str, Any], path: Path) -> Path:
        models = result["models"]
        with panels(path, 1, len(models), width=3.4, height=3.0) as (line,):
            for axes, model in zip(line, models, strict=True):
                chosen = [each for each in model["settings"] if each["bits"]]
                names = [each["name"].replace(", per layer", "") for each in chosen]
                colours = [COLOURS[each["bits"] - 2] for each in chosen]
                axes.barh(names, [each["attention"]["kl"] for each in chosen], color=colours)
                axes.invert_yaxis()
                axes.set(
                    title=model["name"],
                    xlabel="divergence of the softmax, nats a row",
                    xscale="log",
                )
                axes.tick_params(axis="y", labelsize=7)
        return path


def _clips(tables: dict[str, TableFile], widths: Sequence[int]) -> list[dict[str, Any]]:
    """For each width the clip of the paper's rule and the best one, layer by layer."""
    found = []
    for bits in widths:
        # The one that minimised squared error comes first: see grid.
        searched = next(
            each
            for each in tables.values()
            if each.bits == bits and each.provenance.get("minimise") == "mse"
        )
        found.append(
            {
                "bits": bits,
                "sigma": [each.statistics["sigma"] for each in searched.sets],
                "paper": [each.statistics[_PAPER] for each in searched.sets],
                "best": [each.statistics[_SEARCHED] for each in searched.sets],
            }
        )
    return found


def _clip_table(models: list[dict[str, Any]]) -> str:
    return table(
        ("model", "bits", "sigma", "paper's C", "best C"),
        (
            (
                model["name"],
                clips["bits"],
                *(_spread(clips[name]) for name in ("sigma", "paper", "best")),
            )
            for model in models
            for clips in model["clips"]
        ),
    )


def _spread(values: list[float]) -> str:
    mean = f"{np.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.2f} to {max(values):.2f})"


def _score_table(model: dict[str, Any]) -> str:
    shown = SCORES[model["kind"]]
    rows = []
    for setting in model["settings"]:
        attention = setting["attention"]
        figures = [figure(attention[key]) for key in ("kl", "top1")] if attention else ["", ""]
        rows.append(
            (
                setting["name"].replace(", per layer", ""),
                *(_score(key, setting["task"][key]) for key, _ in shown),
                *figures,
            )
        )
    header = ("softmax", *(label for _, label in shown), "divergence, nats a row", "top-1 kept")
    return table(header, rows)


def _score(key: str, value: float) -> str:
    return f"{value:.4f}" if key.startswith(("cosine", "accuracy")) else f"{value:.3f}"


def _conclusion(models: list[dict[str, Any]]) -> str:
    said = []
    for model in models:
        key, label = SCORES[model["kind"]][0]
        cells = []
        for bits in sorted({each["bits"] for each in model["settings"] if each["bits"]}):
            chosen = [each for each in model["settings"] if each["bits"] == bits]
            better: Callable[..., Any] = min if key == "increase" else max
            best = better(chosen, key=lambda each: each["task"][key])
            paper = next(each for each in chosen if "paper" in each["name"])
            cells.append(
                f"{_score(key, paper['task'][key])} with the paper's clip and "
                f"{_score(key, best['task'][key])} at best at {bits} bits ({best['name']})"
            )
        said.append(f"{model['name'].capitalize()}, {label}: {'; '.join(cells)}.")
    return " ".join(said)
