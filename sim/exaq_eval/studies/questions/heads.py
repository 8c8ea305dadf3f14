"""Attention heads in integers: what their formats cost a model, one by one and together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self

from exaq_eval.progress import Progress, silent
from exaq_eval.reports.figures import rounded
from exaq_eval.studies.panels import COLOURS, legend, panels
from exaq_eval.studies.questions import heads_text
from exaq_eval.studies.study import Study, StudyError


@dataclass(frozen=True, kw_only=True)
class Heads(Study):
    """Models all of whose attention is that of the unit ``exaq.attention``.

    Parameters
    ----------
    subjects
        Names of built-in models or folders, the texts each is measured on, and those that its
        scales and tables come from.
    keys, widths
        Formats of keys, and bits of a code.
    probabilities
        Widths of the probabilities of INT8 heads that multiply values by them, to compare with.
    """

    name: ClassVar[str] = "heads"
    title: ClassVar[str] = "Attention heads in integers"
    question: ClassVar[str] = (
        "What does it cost a model if its attention is that of the attention unit: INT8 q, keys of "
        "4 or 8 bits, codes of few bits, values of 8 bits, and sums by level?"
    )

    subjects: Sequence[tuple[str, int, int]] = (("minilm", 48, 12), ("smollm2", 2, 1))
    keys: Sequence[str] = ("int8", "int4", "dint4")
    widths: Sequence[int] = (2, 3)
    probabilities: Sequence[int] = (16, 8)

    @classmethod
    def quick(cls) -> Self:
        return cls(
            subjects=(("minilm", 3, 2),), keys=("int8", "dint4"), widths=(2,), probabilities=(16,)
        )

    def run(self, progress: Progress = silent) -> dict[str, Any]:
        # First of all: its message names the extra where PyTorch is missing.
        import_module("exaq.torch")
        from exaq_eval.models import ModelError
        from exaq_eval.studies.subjects.integer_heads import HeadSetting, IntegerHeads
        from exaq_eval.studies.subjects.quantized_models import QuantizedModel

        bits: list[int | None] = [None, *self.widths]
        settings = [
            HeadSetting(keys="int8", probabilities=width) for width in self.probabilities
        ] + [HeadSetting(keys=keys, bits=width) for keys in self.keys for width in bits]
        total, done = len(self.subjects) * (1 + len(settings)), 0
        models = []
        for name, texts, calibrated in self.subjects:
            progress(done, total, f"{name}: calibrating")
            done += 1
            try:
                subject = QuantizedModel(name, texts, calibrated)
            except ModelError as error:
                raise StudyError(str(error)) from error
            task = subject.task
            exact = subject.scores()
            heads = IntegerHeads(
                model=task.model, run=runner(task.model), texts=subject.calibration
            )
            rows = []
            for setting in settings:
                row: dict[str, Any] = {"keys": setting.keys, "bits": setting.bits}
                if setting.probabilities is not None:
                    row["probabilities"] = setting.probabilities
                progress(done, total, f"{name}: {setting.keys} keys, {heads_text.softmax_of(row)}")
                done += 1
                with heads.using(setting):
                    rows.append(row | subject.scores())
            models.append(
                {
                    "name": task.name,
                    "kind": task.kind,
                    "task": task.describe(),
                    "calibration_texts": len(subject.calibration),
                    "float": exact,
                    "rows": rows,
                }
            )
        progress(total, total, "")
        return rounded({"models": models})

    def body(self, result: dict[str, Any]) -> list[str]:
        return heads_text.paragraphs(result)

    def plot(self, result: dict[str, Any], path: Path) -> Path:
        models = result["models"]
        with panels(path, 1, len(models)) as (line,):
            for axes, model in zip(line, models, strict=True):
                encodes = model["kind"] == "encoder"
                rows = heads_text.of_codes(model)
                names = list(dict.fromkeys(heads_text.softmax_of(row) for row in rows))
                kinds = dict.fromkeys(row["keys"] for row in rows)
                for colour, keys in zip(COLOURS, kinds, strict=False):
                    costs = [heads_text.cost(model, row) for row in rows if row["keys"] == keys]
                    axes.plot(range(len(names)), costs, "o-", color=colour, label=f"{keys} keys")
                axes.set_xticks(range(len(names)), names)
                axes.set_ylim(bottom=0)
                axes.set_ylabel("1 - mean cosine" if encodes else "rise of the loss, nats")
                axes.set_title(model["name"])
            legend(line[0])
        return path


def runner(model: Any) -> Any:
    import torch

    def run(text: Any) -> None:
        with torch.inference_mode():
            model(input_ids=text[None])

    return run
