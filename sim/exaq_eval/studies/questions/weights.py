"""Weights of 4 bits: what dINT4, clips and AQAS cost and bring, alone and with EXAQ's softmax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from exaq_eval.progress import Progress, silent
from exaq_eval.settings import LogitFormat
from exaq_eval.studies.panels import COLOURS, legend, panels
from exaq_eval.studies.questions.weights_text import SCALINGS, paragraphs
from exaq_eval.studies.study import Study, StudyError

if TYPE_CHECKING:
    from exaq_eval.studies.subjects.quantized_models import QuantizedModel

#: What is measured with one scale for each row of weights.
FORMATS = ("int4", "dint4", "fp4")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model, and how much of it is measured.

    Members
    -------
    name
        A built-in model's, or a folder.
    texts, calibrated, tokens
        As for ``QuantizedModel``.
    scalings
        Those that dINT4 gets; the other formats get the first and the last of them.
    groups
        Weights of a group, of further rows of dINT4.
    lengths, tasks
        Of a decoder: lengths of calibration sequences, and of the windows that it is measured on.
    recorded
        Calibration texts that softmax tables come from.
    """

    name: str
    texts: int
    calibrated: int
    tokens: int | None = None
    scalings: Sequence[str] = SCALINGS
    groups: Sequence[int] = (128, 64)
    lengths: Sequence[int] = ()
    tasks: Sequence[int] = ()
    recorded: int = 4


@dataclass(frozen=True, kw_only=True)
class Weights(Study):
    """Models with linear layers of 4-bit weights and 8-bit activations.

    Parameters
    ----------
    subjects
        The models.
    widths
        Bits of softmax codes; none: softmax stays float.
    """

    name: ClassVar[str] = "weights"
    title: ClassVar[str] = "Weights of 4 bits"
    question: ClassVar[str] = (
        "What do linear layers of 4-bit weights and 8-bit activations cost a model, what do dINT4, "
        "clips, AQAS and SLAC (arXiv 2311.05161) bring, and does EXAQ's softmax cost more beside "
        "them?"
    )

    subjects: Sequence[Subject] = (
        Subject(name="minilm", texts=48, calibrated=12),
        Subject(
            name="smollm2",
            texts=4,
            calibrated=4,
            tokens=512,
            groups=(64,),
            lengths=(32, 512, 2048),
            tasks=(128, 512, 2048),
            recorded=1,
        ),
    )
    widths: Sequence[int] = (2, 3, 4)

    @classmethod
    def quick(cls) -> Self:
        return cls(
            subjects=(Subject(name="minilm", texts=3, calibrated=2, groups=(128,), recorded=1),),
            widths=(2,),
        )

    def run(self, progress: Progress = silent) -> dict[str, Any]:
        # First of all: its message names the extra where PyTorch is missing.
        import_module("exaq.torch")
        steps = [_steps(subject, self.widths) for subject in self.subjects]
        done, total = 0, sum(steps)
        found = []
        for subject, count in zip(self.subjects, steps, strict=True):
            found.append(_measure(subject, self.widths, _Counter(progress, done, total)))
            done += count
        progress(total, total, "")
        return {"models": found}

    def body(self, result: dict[str, Any]) -> list[str]:
        return paragraphs(result)

    def plot(self, result: dict[str, Any], path: Path) -> Path:
        models = result["models"]
        with panels(path, 1, len(models)) as (line,):
            for axes, model in zip(line, models, strict=True):
                encodes = model["kind"] == "encoder"
                rows = [row for row in model["rows"] if row["group_size"] is None]
                for colour, weights in zip(COLOURS, FORMATS, strict=False):
                    chosen = [row for row in rows if row["weights"] == weights]
                    places = [SCALINGS.index(row["scaling"]) for row in chosen]
                    losses = [
                        1 - row["cosine_mean"] if encodes else row["increase"] for row in chosen
                    ]
                    axes.plot(places, losses, "o-", color=colour, label=weights)
                axes.set_xticks(range(len(SCALINGS)), SCALINGS)
                axes.set_ylim(bottom=0)
                axes.set_ylabel("1 - mean cosine" if encodes else "rise of the loss, nats")
                axes.set_title(model["name"])
            legend(line[0])
        return path


class _Counter:
    """Tells one more step each time."""

    def __init__(self, progress: Progress, done: int, total: int) -> None:
        self._progress, self._done, self._total = progress, done, total

    def __call__(self, now: str) -> None:
        self._progress(self._done, self._total, now)
        self._done += 1


def _steps(subject: Subject, widths: Sequence[int]) -> int:
    return 1 + len(_settings(subject)) + len(subject.lengths) + 2 * bool(widths)


def _settings(subject: Subject) -> list[tuple[str, str, int | None]]:
    ends = (subject.scalings[0], subject.scalings[-1])
    found: list[tuple[str, str, int | None]] = []
    for weights in FORMATS:
        scalings = subject.scalings if weights == "dint4" else ends
        found += [(weights, scaling, None) for scaling in scalings]
    return [*found, *(("dint4", end, size) for size, end in product(subject.groups, ends))]


def _measure(subject: Subject, widths: Sequence[int], tell: _Counter) -> dict[str, Any]:
    model = _load(subject, tell)
    return (
        _by_setting(model, subject, tell)
        | {"lengths": _by_length(model, subject, tell)}
        | {"recorded_texts": subject.recorded}
        | {"softmax": _by_softmax(model, subject, widths, tell) if widths else []}
    )


def _load(subject: Subject, tell: _Counter) -> QuantizedModel:
    from exaq_eval.models import ModelError
    from exaq_eval.studies.subjects.quantized_models import QuantizedModel

    tell(f"{subject.name}: float")
    try:
        return QuantizedModel(subject.name, subject.texts, subject.calibrated, subject.tokens)
    except ModelError as error:
        raise StudyError(str(error)) from error


def _by_setting(model: QuantizedModel, subject: Subject, tell: _Counter) -> dict[str, Any]:
    """What the model is, its figures in float, and those of each setting."""
    from exaq_eval.studies.subjects.quantized_models import WeightSetting

    exact, rows = model.scores(), []
    described: dict[str, Any] = {}
    for weights, scaling, size in _settings(subject):
        setting = WeightSetting(weights=weights, scaling=scaling, group_size=size)
        tell(f"{subject.name}: {weights}, {scaling}")
        with model.quantize(setting) as made:
            rows.append(setting.to_dict() | {"bits": round(made.bits(), 3)} | model.scores())
            if made.places or not described:
                described = model.describe(made)
    return described | {"float": exact, "rows": rows}


def _by_length(model: QuantizedModel, subject: Subject, tell: _Counter) -> list[dict[str, Any]]:
    """dINT4 with AQAS, calibrated on sequences of each length, on tasks of each length."""
    from exaq_eval.studies.subjects.quantized_models import WeightSetting

    if not subject.lengths:
        return []
    tasks = {tokens: model.of_length(tokens) for tokens in subject.tasks}
    for task in tasks.values():
        model.exact(task)  # Of the float model, so before anything is rounded.
    texts = model.longer(max(subject.lengths))
    found = []
    for length in subject.lengths:
        tell(f"{subject.name}: calibrated on {length} tokens")
        with model.quantize(WeightSetting(weights="dint4", scaling="aqas"), texts, length):
            for tokens, task in tasks.items():
                pair = {"calibration_length": length, "task_length": tokens}
                found.append(pair | model.scores(task))
    return found


def _by_softmax(
    model: QuantizedModel, subject: Subject, widths: Sequence[int], tell: _Counter
) -> list[dict[str, Any]]:
    """Softmax of few bits with float weights, and with dINT4 at its best scaling."""
    from exaq.torch import set_tables
    from exaq_eval.studies.subjects.quantized_models import WeightSetting

    prob_bits = LogitFormat().prob_bits
    model.exact(model.task)
    found = []
    for weights in ("float", "dint4"):
        tell(f"{subject.name}: softmax with {weights} weights")
        made = None
        if weights != "float":
            made = model.quantize(WeightSetting(weights=weights, scaling=subject.scalings[-1]))
        try:
            for bits, tables in model.tables(widths, subject.recorded).items():
                set_tables(model.task.model, tables, prob_bits=prob_bits)
                try:
                    found.append({"weights": weights, "softmax_bits": bits} | model.scores())
                finally:
                    set_tables(model.task.model, None)
        finally:
            if made is not None:
                made.restore()
    return found
