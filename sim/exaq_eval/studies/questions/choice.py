"""What to choose: what each width of a code costs a model, beside what it costs in LUT4."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import exaq
from exaq import TableFile, Tables
from exaq_eval.progress import Progress, silent
from exaq_eval.reports.figures import rounded, table
from exaq_eval.reports.sizes import COLUMNS, lut4
from exaq_eval.settings import LogitFormat
from exaq_eval.studies.panels import COLOURS, panels
from exaq_eval.studies.study import Study, StudyError

if TYPE_CHECKING:
    pass

#: IndexSoftmax among the rows, and its width.
INDEX, INDEX_BITS = "IndexSoftmax", 5
#: What is said of the units whose sizes are shown. A test holds it to the presets.
_SIZES = (
    "LUT4 is what Yosys and nextpnr take for the preset of that many bits and lanes, such as "
    "`2bit-x4`, from the reports of [the bench](performance.md); a dash stands for a unit that was "
    "not measured. LUT4 is not the whole cost: from 3 bits on a row's probabilities are in a block "
    "RAM for each lane, at 2 bits in registers or in LUT4. "
    "The presets are not built for the logits and the tables of this measurement. "
    "Their logits have 8 bits in steps of 1/16, and they hold one set of tables, which is fixed. "
    "Logits of 16 bits take more LUT4, and so does a set of tables for each head, which software "
    "loads; the bench has both, as `4bit-x4-int16` and `2bit-x4-c12`. The unit of "
    f"{INDEX} is the preset `index-5bit-x4`, and narrower than its neighbours: its probabilities "
    "and its exponentials have 8 bits and a row has 512 elements at most, where the other presets "
    "have probabilities of 16 bits, exponentials of 14 and rows of 1024 elements. So its LUT4 does "
    "not say that these tables cost less than others of 5 bits."
)


@dataclass(frozen=True, kw_only=True)
class Choice(Study):
    """A built-in model at each width, with the best step for each head, and IndexSoftmax.

    Parameters
    ----------
    widths
        Bits of a code.
    texts
        Texts, or windows of text, that a model runs, by its name.
    calibrated
        Texts that tables are calibrated on, of those that there are for it.
    """

    name: ClassVar[str] = "choice"
    title: ClassVar[str] = "What to choose"
    question: ClassVar[str] = "What does each bit of a code bring a model, and what does it cost?"

    widths: Sequence[int] = (2, 3, 4, 5, 6)
    texts: Sequence[tuple[str, int]] = (("minilm", 20),)
    calibrated: int = 4

    @classmethod
    def quick(cls) -> Self:
        return cls(widths=(2, 5), texts=(("minilm", 2),), calibrated=1)

    def run(self, progress: Progress = silent) -> dict[str, Any]:
        # First of all: its message names the extra where PyTorch is missing.
        import_module("exaq.torch")
        total = len(self.texts) * (len(self.widths) + 2)
        models = []
        for done, (name, texts) in enumerate(self.texts):
            models.append(self._model(name, texts, done * (len(self.widths) + 2), total, progress))
        progress(total, total, "")
        return {"models": models}

    def _model(
        self, name: str, texts: int, done: int, total: int, progress: Progress
    ) -> dict[str, Any]:
        from exaq.torch import record, set_tables
        from exaq_eval import tasks
        from exaq_eval.models import ModelError

        try:
            task = tasks.load(name, texts)
        except ModelError as error:
            raise StudyError(str(error)) from error
        progress(done, total, f"{name}: recording logits")
        with record(task.model) as recording:
            for text in task.calibration[: self.calibrated]:
                task.run(text)
        logit_format = LogitFormat()
        shared: dict[str, Any] = {
            "logit_width": logit_format.logit_width,
            "logit_scale": logit_format.logit_scale,
            "exp_frac": logit_format.exp_frac,
        }
        given = {INDEX: index_tables(logit_format)}
        for number, bits in enumerate(self.widths):
            progress(done + 1 + number, total, f"{name}: calibrating {bits} bits")
            given[f"{bits} bits"] = exaq.calibrate(
                recording.layers, bits=bits, per="head", stage="clip", **shared
            )
        progress(done + 1 + len(self.widths), total, f"{name}: running")
        try:
            exact = task.outputs()
            outputs = {}
            for softmax, tables in given.items():
                set_tables(task.model, tables, prob_bits=logit_format.prob_bits)
                outputs[softmax] = task.outputs()
        finally:
            set_tables(task.model, None)
        return {
            "name": name,
            "kind": task.kind,
            "task": task.describe(),
            "calibration_texts": self.calibrated,
            "rows": [
                {"softmax": softmax, "bits": given[softmax].bits}
                | rounded(task.scores(exact, output, 0))
                for softmax, output in outputs.items()
            ],
        }

    def joined(self, result: dict[str, Any], reports: Path) -> dict[str, Any]:
        """With ``sizes``: LUT4 of the units of each softmax, from the reports of ``exaq bench``."""
        names = {row["softmax"]: _unit(row) for model in result["models"] for row in model["rows"]}
        return result | {"sizes": {name: lut4(reports, unit) for name, unit in names.items()}}

    def body(self, result: dict[str, Any]) -> list[str]:
        models, sizes = result["models"], result.get("sizes")
        heads = ["softmax", *(head for model in models for head in _heads(model))]
        if sizes is not None:
            heads += [f"LUT4: {title}" for title, _, _ in COLUMNS]
        rows = [
            [
                softmax,
                *(cell for model in models for cell in _cells(model, softmax)),
                *("-" if size is None else str(size) for size in (sizes or {}).get(softmax, ())),
            ]
            for softmax in _order(models)
        ]
        measured = " and ".join(
            f"{model['name']} on {model['task']['texts']} {model['task']['what']}"
            for model in models
        )
        texts = models[0]["calibration_texts"]
        words = [
            f"Measured on {measured}. Logits have 16 bits in steps of 1/256 and probabilities have "
            "16 bits, so that only the codes count. Each head has the levels of a clip of its own, "
            f"which has the least squared error on {texts} texts of calibration; the sections "
            "above have thresholds and exponentials that are free, which can come nearer with as "
            f"many bits. {INDEX} (arXiv 2511.21513) has {INDEX_BITS} bits and the tables of that "
            "paper, without any calibration.",
            table(heads, rows),
        ]
        if sizes is not None:
            words.append(_SIZES)
        return words

    def plot(self, result: dict[str, Any], path: Path) -> Path:
        with panels(path, 1, len(result["models"])) as (line,):
            for axes, model in zip(line, result["models"], strict=True):
                rows = [row for row in model["rows"] if row["softmax"] != INDEX]
                index = [row for row in model["rows"] if row["softmax"] == INDEX]
                label, loss = _loss(model)
                for kind, mark, colour in ((rows, "o-", COLOURS[0]), (index, "x", COLOURS[1])):
                    axes.plot([r["bits"] for r in kind], [*map(loss, kind)], mark, color=colour)
                axes.set_yscale("symlog", linthresh=1e-4)
                axes.set_xlabel(f"bits of a code (x: {INDEX})")
                axes.set_ylabel(label)
                axes.set_title(model["name"])
        return path


def index_tables(logit_format: LogitFormat) -> TableFile:
    """The tables of IndexSoftmax for all heads."""
    made = Tables.index_softmax(logit_scale=logit_format.logit_scale, bits=INDEX_BITS)
    return TableFile.of_config(logit_format.config(bits=INDEX_BITS, tables=made))


def _unit(row: dict[str, Any]) -> str:
    """The preset's name of a row's units, but for the lanes."""
    code = f"{row['bits']}bit"
    return f"index-{code}" if row["softmax"] == INDEX else code


def _order(models: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Every softmax of the rows, by width, IndexSoftmax behind its own."""
    found = {row["softmax"]: row["bits"] for model in models for row in model["rows"]}
    yield from sorted(found, key=lambda softmax: (found[softmax], softmax == INDEX))


def _heads(model: dict[str, Any]) -> list[str]:
    if model["kind"] == "encoder":
        return [f"{model['name']}: cosine, mean", "worst"]
    return [f"{model['name']}: loss, nats"]


def _cells(model: dict[str, Any], softmax: str) -> list[str]:
    (row,) = (row for row in model["rows"] if row["softmax"] == softmax)
    if model["kind"] == "encoder":
        return [f"{row['cosine_mean']:.4f}", f"{row['cosine_min']:.4f}"]
    return [f"{row['increase']:+.4f}"]


def _loss(model: dict[str, Any]) -> tuple[str, Any]:
    if model["kind"] == "encoder":
        return "1 - mean cosine", lambda row: 1 - row["cosine_mean"]
    return "rise of the loss, nats", lambda row: row["increase"]
