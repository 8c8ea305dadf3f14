"""All heads of a model through the Verilog of one attention unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from textwrap import fill
from typing import Any, ClassVar, Self

import numpy as np

from exaq_eval.progress import Progress, silent
from exaq_eval.reports.figures import rounded, table
from exaq_eval.studies.panels import COLOURS, legend, panels
from exaq_eval.studies.questions.heads import runner
from exaq_eval.studies.study import Study, StudyError

# What a row of the table is: tables of each head or of all, and what computes.
_PER_HEAD, _ONE_TABLE, _UNIT = "a unit for each head", "the same tables in all", "one unit"


@dataclass(frozen=True, kw_only=True)
class HeadsUnit(Study):
    """A sentence encoder whose heads are computed by one compiled unit, one after the other.

    Parameters
    ----------
    texts
        Texts to choose from: those of ``max_row`` tokens at most are taken.
    calibrated
        Other texts, that scales and tables come from.
    keys, widths
        Format of keys, and bits of a code.
    max_row, lanes
        Of the unit.
    """

    name: ClassVar[str] = "heads-unit"
    title: ClassVar[str] = "All heads on one attention unit"
    question: ClassVar[str] = (
        "Do embeddings come out of the Verilog, and what does it cost that the constants of one "
        "unit serve all heads?"
    )

    texts: int = 48
    calibrated: int = 4
    keys: str = "dint4"
    widths: Sequence[int] = (2, 3)
    max_row: int = 128
    lanes: int = 4

    @classmethod
    def quick(cls) -> Self:
        return cls(calibrated=2, widths=(2,), max_row=100)

    def run(self, progress: Progress = silent) -> dict[str, Any]:
        # First of all: its message names the extra where PyTorch is missing.
        import_module("exaq.torch")
        from exaq.tool import ToolError
        from exaq_eval.studies.subjects.integer_heads import HeadSetting, IntegerHeads
        from exaq_eval.studies.subjects.one_unit import OneUnit
        from exaq_eval.studies.subjects.quantized_models import QuantizedModel

        total, done = 1 + 3 * len(self.widths), 0
        progress(done, total, "calibrating")
        subject = QuantizedModel("minilm", self.texts, self.calibrated)
        short = [text for text in subject.task.texts if len(text) <= self.max_row]
        task = replace(subject.task, texts=short)
        subject.exact(task)
        heads = IntegerHeads(model=task.model, run=runner(task.model), texts=subject.calibration)
        rows: list[dict[str, Any]] = []
        unit = None
        for bits in self.widths:
            for what, per in ((_PER_HEAD, "head"), (_ONE_TABLE, "all")):
                done += 1
                progress(done, total, f"{bits} bits, {what}")
                setting = HeadSetting(keys=self.keys, bits=bits, tables=per)
                with heads.using(setting):
                    rows.append({"bits": bits, "heads": what} | subject.scores(task))
            done += 1
            progress(done, total, f"{bits} bits, {_UNIT}")
            unit = OneUnit(heads, setting, max_row=self.max_row, lanes=self.lanes)
            compiled = _Compiled(unit.config)
            try:
                with unit.using(compiled):
                    scores = subject.scores(task)
            except ToolError as error:
                raise StudyError(str(error)) from error
            rows.append({"bits": bits, "heads": _UNIT} | scores | compiled.figures)
        assert unit is not None
        progress(total, total, "")
        return rounded(
            {
                "task": task.describe(),
                "calibration_texts": len(subject.calibration),
                "heads": len(unit.reach),
                "reach": [unit.reach[0], unit.reach[len(unit.reach) // 2]],
                "unit": {name: getattr(self, name) for name in ("keys", "max_row", "lanes")},
                "rows": rows,
            }
        )

    def body(self, result: dict[str, Any]) -> list[str]:
        unit, task = result["unit"], result["task"]
        least, median = result["reach"]
        cells = [
            (row["bits"], row["heads"], f"{row['cosine_mean']:.4f}", f"{row['cosine_min']:.4f}")
            for row in result["rows"]
        ]
        runs = [row for row in result["rows"] if row["heads"] == _UNIT]
        outputs = sum(row["outputs"] for row in runs)
        cycles = sum(row["cycles"] for row in runs)
        scores = sum(row["scores"] for row in runs)
        return [
            f"all-MiniLM-L6-v2 on {task['texts']} {task['what']}, those of at most "
            f"{unit['max_row']} tokens; scales and tables from {result['calibration_texts']} other "
            f"texts; {unit['keys']} keys. *One unit* is the emitted Verilog with {unit['lanes']} "
            f"lanes, compiled: every row of all {result['heads']} heads of the model goes through "
            "it, and what comes out goes on to the next layer.",
            f"Of its {outputs:,} outputs all are those of the golden model, bit by bit. They took "
            f"{cycles:,} cycles, {scores / cycles:.2f} scores a cycle.",
            table(("bits", "heads", "cosine mean", "min"), cells, left=2),
            "A unit's tables, and what a score of 1 is worth, are constants. So all heads share "
            "them: the same tables, calibrated on the logits of all heads together, and one scale "
            "of scores, with which no q of the calibration texts saturates. Scales of keys' "
            "channels stay with each head, folded into its q; scales of values are applied to the "
            f"outputs. In this common scale q reaches 127 in one head, {median} in the median one "
            f"and {least} in the smallest.",
            _conclusion(result),
        ]

    def plot(self, result: dict[str, Any], path: Path) -> Path:
        with panels(path) as ((axes,),):
            for colour, bits in zip(COLOURS, _widths(result), strict=False):
                rows = [row for row in result["rows"] if row["bits"] == bits]
                costs = [1 - row["cosine_mean"] for row in rows]
                axes.plot(range(len(rows)), costs, "o-", color=colour, label=f"{bits} bits")
                axes.set_xticks(range(len(rows)), [fill(row["heads"], 14) for row in rows])
            axes.set_ylim(bottom=0)
            axes.set_ylabel("1 - mean cosine")
            legend(axes)
        return path


class _Compiled:
    """What computes heads in the unit's Verilog, and sees that they are the golden model's."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self.figures = {"outputs": 0, "cycles": 0, "scores": 0}

    def __call__(self, integers: Any) -> Any:
        from exaq.attention import attend
        from exaq_cosim import simulate_head

        q, k, v = integers
        run = simulate_head(q, k, v, self._config)
        wrong = int(np.count_nonzero(run.outputs != attend(q, k, v, self._config)))
        if wrong or run.row_errors.any():
            raise StudyError(f"{wrong} outputs of the unit are not those of the golden model")
        found = {"outputs": run.outputs.size, "cycles": run.cycles, "scores": run.scores}
        for name, count in found.items():
            self.figures[name] += count
        return run.outputs


def _widths(result: dict[str, Any]) -> list[int]:
    return list(dict.fromkeys(row["bits"] for row in result["rows"]))


def _conclusion(result: dict[str, Any]) -> str:
    """What common tables add, and a common scale of scores."""
    costs = {(row["bits"], row["heads"]): 1 - row["cosine_mean"] for row in result["rows"]}
    parts = [
        f"{bits} bits cost {costs[bits, _PER_HEAD]:+.4f} with a unit for each head, the same "
        f"tables in all add {costs[bits, _ONE_TABLE] - costs[bits, _PER_HEAD]:+.4f}, and the "
        f"common scale {costs[bits, _UNIT] - costs[bits, _ONE_TABLE]:+.4f}"
        for bits in _widths(result)
    ]
    few = "On so few texts small differences, of either sign, can be chance."
    return f"In 1 - mean cosine, {'; '.join(parts)}. {few}"
