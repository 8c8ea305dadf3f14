"""Phases of a softmax: what EXAQ's faster accumulation saves, in units and in compiled loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self

from exaq_eval.progress import Progress, silent
from exaq_eval.reports.figures import rounded
from exaq_eval.studies.questions import phases_text
from exaq_eval.studies.study import Study, StudyError
from exaq_eval.studies.subjects.loop_phases import measure_loops
from exaq_eval.studies.subjects.unit_phases import Unit, measure_blocks, measure_unit

#: Equal lanes, and equal additions a cycle: an exact unit of 1 lane adds up as often as EXAQ of 4.
UNITS = (
    Unit("exact", 1),
    Unit("exact", 4),
    Unit("exaq", 4),
    Unit("exact", 16),
    Unit("exaq", 16),
)


@dataclass(frozen=True, kw_only=True)
class Phases(Study):
    """Cycles of each phase in simulated units, LUT4 of its blocks, its time in compiled loops.

    Parameters
    ----------
    units, rows
        What is simulated, with each of these rows alone.
    sized
        Units whose blocks are synthesised.
    lengths
        Of the rows on the processor.
    elements, times
        Of a block of rows there, and how often a loop runs over it in one measurement.
    repeats, rounds
        Measurements of a loop, of which the median counts, and such medians, of which the least
        counts.
    seed
        Of all rows.
    """

    name: ClassVar[str] = "phases"
    title: ClassVar[str] = "How long does each phase take?"
    question: ClassVar[str] = (
        "EXAQ's paper names an accumulation about four times as fast and, together with faster "
        "exponentials, a softmax accelerated by 36.9 %: how much of that do this project's units "
        "and loops on a processor show?"
    )

    units: Sequence[Unit] = UNITS
    rows: Sequence[int] = (128, 512, 1024)
    sized: Sequence[Unit] = UNITS
    lengths: Sequence[int] = (512, 2048)
    elements: int = 4096
    times: int = 25
    repeats: int = 9
    rounds: int = 150
    seed: int = 1

    @classmethod
    def quick(cls) -> Self:
        return cls(
            units=UNITS[:3], rows=(128,), sized=(), lengths=(512,), times=5, repeats=3, rounds=1
        )

    def run(self, progress: Progress = silent) -> dict[str, Any]:
        if self.units:
            # First of all: its message names the extra where Amaranth is missing.
            import_module("amaranth.sim")
        total = 1 + len(self.units) + len(self.sized)
        progress(0, total, "loops on the processor")
        try:
            loops = measure_loops(
                self.lengths,
                elements=self.elements,
                repeats=self.repeats,
                rounds=self.rounds,
                times=self.times,
                seed=self.seed,
            )
            cases = []
            for done, unit in enumerate(self.units, start=1):
                progress(done, total, f"{unit.softmax}, {unit.lanes} lanes: cycles")
                cases += measure_unit(unit, self.rows, self.seed)
            blocks = []
            for done, unit in enumerate(self.sized, start=1 + len(self.units)):
                progress(done, total, f"{unit.softmax}, {unit.lanes} lanes: blocks")
                blocks.append(measure_blocks(unit))
        except RuntimeError as error:
            # Also what a missing or failing tool raises.
            raise StudyError(str(error)) from error
        progress(total, total, "")
        return rounded({"seed": self.seed, "units": cases, "blocks": blocks, "loops": loops})

    def body(self, result: dict[str, Any]) -> list[str]:
        return phases_text.body(result)

    def plot(self, result: dict[str, Any], path: Path) -> Path:
        phases_text.draw(result, path)
        return path
