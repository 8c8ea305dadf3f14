"""Other architectures: encoder, decoder, sliding window, and a classifier's output softmax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import exaq
from exaq import TableFile, Tables, reference
from exaq_eval.progress import Progress, silent
from exaq_eval.reports.figures import rounded
from exaq_eval.settings import LogitFormat, Setting, grid
from exaq_eval.studies.panels import COLOURS, panels
from exaq_eval.studies.questions import architectures_text
from exaq_eval.studies.study import Study, StudyError
from exaq_eval.studies.subjects.best_clips import best_clips, peaks
from exaq_eval.studies.subjects.random_rows import scores
from exaq_eval.studies.subjects.real_rows import RealRows, layer_rows

if TYPE_CHECKING:
    from exaq_eval.tasks import Task

#: Models by name, and what is said of each.
MODELS = {
    "encoder": "all-MiniLM-L6-v2, embeddings of docstrings",
    "decoder": "small causal decoder over characters",
    "sliding window": "the same decoder, each query seeing the last {window} keys alone",
    "classifier": "convolutional network, the output softmax over {classes} classes",
}
#: All probability to the largest logits: what a model loses that needs no more than which they are.
HARD = Setting(rule="file", bits=2, title="hard maximum")


@dataclass(frozen=True, kw_only=True)
class Architectures(Study):
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
    every
        Of the rows that the best clip is sought on, every so many.
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
    every: int = 16
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
        StudyError
            The model is missing.
        """
        # Only here: the other studies need no PyTorch.
        from exaq_eval.models import ModelError, minilm, tiny_decoder
        from exaq_eval.studies.subjects.sliding import slide
        from exaq_eval.tasks import task_of

        try:
            if name == "encoder":
                return task_of(minilm(), self.texts)
            task = task_of(tiny_decoder(), self.windows)
        except ModelError as error:
            raise StudyError(str(error)) from error
        return slide(task, self.window) if name == "sliding window" else task

    def _what(self, name: str) -> str:
        return MODELS[name].format(window=self.window, classes=self.classes)

    def _settings(self) -> list[Setting]:
        texts = {"layer": self.calibrated}
        rules = ("naive", "paper", "optimal")
        objectives = ("mse", "kl")
        return list(
            grid(rules=rules, bits=self.widths, per=("layer",), minimise=objectives, texts=texts)
        )

    def _model(self, task: Task, tell: Progress) -> dict[str, Any]:
        from exaq_eval.evaluation import evaluate

        formats = LogitFormat()
        result = evaluate(task, self._settings(), formats, progress=tell)
        settings = [_plain(setting) for setting in result.report["settings"]]
        layers, hard = self._beside(task, tell)
        return {
            "kind": task.kind,
            "settings": [*settings, hard],
            "clips": _clips(result.tables, layers, self.widths),
            "peaks": peaks(layers),
        }

    def _beside(self, task: Task, tell: Progress) -> tuple[list[RealRows], dict[str, Any]]:
        """Rows of each layer on texts of calibration, and the figures of the hard maximum."""
        import exaq.torch
        from exaq_eval.evaluation import evaluate

        exaq.torch.set_tables(task.model, None)
        with exaq.torch.record(task.model) as recording:
            for text in task.calibration[: self.calibrated]:
                task.run(text)
        layers = [layer_rows(calls, self.every) for calls in recording.layers]
        formats = LogitFormat()
        given = {HARD.name: hard_tables(formats)}
        float_and_hard = [Setting(rule="float"), HARD]
        result = evaluate(task, float_and_hard, formats, given=given, progress=tell)
        return layers, _plain(result.report["settings"][1])

    def _classifier(self, tell: Progress) -> dict[str, Any]:
        from exaq_eval.studies.subjects.classifier import class_scores, classify

        def told(steps: int, total: int) -> None:
            tell(steps, total, "training")

        data = classify(self.classes, self.steps, self.measured, self.seed, told)
        formats = LogitFormat()
        exact = reference.softmax(data.logits)
        floor = 0.5 / 2**formats.prob_bits
        settings: list[dict[str, Any]] = []
        tables = {HARD.name: hard_tables(formats)}
        for setting in [*self._settings(), HARD]:
            given = exact
            if setting.bits and setting.texts:
                tables[setting.name] = exaq.calibrate(
                    [data.calibration],
                    bits=setting.bits,
                    logit_width=formats.logit_width,
                    logit_scale=formats.logit_scale,
                    exp_frac=formats.exp_frac,
                    rule=setting.rule,
                    minimise=setting.minimise or "mse",
                )
            if setting.bits:
                config = tables[setting.name].config(prob_bits=formats.prob_bits)
                integers = exaq.logits_to_integers(data.logits, config)
                given = exaq.probabilities_to_float(exaq.softmax(integers, config), config)
            task = {"task": class_scores(given, data.labels, floor)}
            softmax = {"attention": scores(exact, given, floor) if setting.bits else None}
            settings.append(_plain(setting.to_dict() | task | softmax))
        layers = [layer_rows([data.calibration[None]], 1)]
        return {
            "kind": "classifier",
            "settings": settings,
            "clips": _clips(tables, layers, self.widths),
            "peaks": peaks(layers),
            "files": list(data.files),
        }

    def body(self, result: dict[str, Any]) -> list[str]:
        return architectures_text.body(result["models"])

    def plot(self, result: dict[str, Any], path: Path) -> Path:
        models = result["models"]
        with panels(path, 1, len(models), width=3.4, height=3.0) as (line,):
            for axes, model in zip(line, models, strict=True):
                chosen = [each for each in model["settings"] if each["attention"]]
                names = [architectures_text.name(each) for each in chosen]
                colours = [COLOURS[each["bits"] - 2] for each in chosen]
                axes.barh(names, [each["attention"]["kl"] for each in chosen], color=colours)
                axes.invert_yaxis()
                axes.set(
                    title=model["name"],
                    xlabel="divergence, nats a row",
                    xscale="log",
                )
                axes.tick_params(axis="y", labelsize=7)
        return path


def hard_tables(formats: LogitFormat) -> TableFile:
    """Tables that give all probability to the largest logits, in equal parts."""
    tables = Tables(thresholds=(0, 0, 0), exp_rom=(0, 0, 0, 1))
    return TableFile.of_config(formats.config(bits=2, tables=tables))


def _clips(
    tables: dict[str, TableFile], layers: Sequence[RealRows], widths: Sequence[int]
) -> list[dict[str, Any]]:
    """For each width the clip of the paper's rule and the best ones, layer by layer."""
    found = []
    for bits in widths:
        paper = next(
            each
            for each in tables.values()
            if each.bits == bits and each.provenance.get("rule") == "paper"
        )
        found.append(
            {
                "bits": bits,
                "sigma": [each.statistics["sigma"] for each in paper.sets],
                "paper": [each.statistics["paper_clip"] for each in paper.sets],
                "best": best_clips(layers, bits),
            }
        )
    return found


def _plain(setting: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a setting in a report of ``exaq_eval.evaluation``."""
    kept = {key: setting[key] for key in ("name", "rule", "bits", "minimise", "task")}
    return kept | {"attention": setting.get("attention")}
