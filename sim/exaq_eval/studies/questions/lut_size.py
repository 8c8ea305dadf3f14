"""Size of LUT_sum: what a larger table of sums costs and brings, in hardware and on a processor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from exaq import SoftmaxConfig
from exaq_eval.progress import Progress, silent
from exaq_eval.studies.panels import COLOURS, legend, panels
from exaq_eval.studies.questions import lut_size_text
from exaq_eval.studies.study import Study, StudyError
from exaq_eval.studies.subjects.lookup_speed import measure_lookups

#: Longest row of all units: a multiple of every number of lanes below.
ROW = 1020
BITS = 2


@dataclass(frozen=True)
class Unit:
    """A unit to build: codes of 2 bits, ``group`` of them to a lookup, on a device."""

    device: str
    lanes: int
    group: int

    @property
    def config(self) -> SoftmaxConfig:
        """Its configuration, default but for lanes, group and longest row."""
        return SoftmaxConfig(bits=BITS, lanes=self.lanes, group=self.group, max_row=ROW)

    @property
    def entries(self) -> int:
        """Entries of its LUT_sum."""
        return 2 ** (BITS * self.group)


#: About as many lanes for each size: those that make one group or two.
UNITS = tuple(
    Unit(device, lanes, group)
    for device in ("ice40-hx8k", "ecp5-85")
    for lanes, group in ((6, 3), (4, 4), (5, 5), (6, 6))
)


@dataclass(frozen=True, kw_only=True)
class LutSize(Study):
    """LUT_sum of 64, 256, 1024 and 4096 entries: FPGAs, and a loop on this processor.

    Parameters
    ----------
    units
        What is placed and routed.
    seeds
        Of place and route; figures are the median.
    lookups, repeat
        Of the loop on the processor; its figures are the least of ``repeat`` runs.
    """

    name: ClassVar[str] = "lut-size"
    title: ClassVar[str] = "How large should LUT_sum be?"
    question: ClassVar[str] = (
        "A larger table of sums adds up more codes with one lookup: what do 64, 256, 1024 and "
        "4096 entries cost and bring, in an FPGA and in a loop on a processor?"
    )

    units: Sequence[Unit] = UNITS
    seeds: Sequence[int] = (1, 2, 3)
    lookups: int = 2**20
    repeat: int = 15

    @classmethod
    def quick(cls) -> Self:
        return cls(units=(), lookups=2**12, repeat=2)

    def run(self, progress: Progress = silent) -> dict[str, Any]:
        # Emission, cycles, synthesis and the seeds of each unit, and the loops.
        total = len(self.units) * (3 + len(self.seeds)) + 1
        progress(0, total, "loops on the processor")
        processor = measure_lookups(self.lookups, self.repeat)
        reports = []
        for number, unit in enumerate(self.units):
            reports.append(self._build(unit, 1 + number * (3 + len(self.seeds)), total, progress))
        progress(total, total, "")
        return {"units": reports, "processor": processor}

    def _build(self, unit: Unit, done: int, total: int, progress: Progress) -> dict[str, Any]:
        # Only here: the other studies need neither Amaranth nor synthesis.
        from exaq_cosim import ToolError
        from exaq_fpga.boards.devices import DEVICES
        from exaq_fpga.flow.bench import measure, summary

        steps = iter(range(done, total))

        def step(now: str) -> None:
            what = f"{unit.device}, {unit.lanes} lanes, {unit.entries}: {now}"
            progress(next(steps), total, what)

        try:
            report = measure(unit.config, DEVICES[unit.device], seeds=self.seeds, step=step)
        except ToolError as error:
            raise StudyError(str(error)) from error
        figures = summary(report)
        return {
            "bits": BITS,
            "max_row": ROW,
            "device": unit.device,
            "title": DEVICES[unit.device].title,
            "lanes": unit.lanes,
            "group": unit.group,
            "entries": unit.entries,
            "lookups_per_beat": unit.config.groups,
            "lut4": report["size"]["lut4"],
            "ff": report["size"]["ff"],
            "bram": report["size"]["bram"],
            "mhz": report["mhz"],
            "elements_per_cycle": figures["full_rate"],
            "elements_per_second": figures["elements_per_second"],
            "latency_beats": report["cycles"][str(figures["row"])]["beats_to_first_out"],
            "design_sha256": report["design_sha256"],
            "versions": report["versions"],
        }

    def body(self, result: dict[str, Any]) -> list[str]:
        return lut_size_text.body(result)

    def plot(self, result: dict[str, Any], path: Path) -> Path:
        with panels(path, 1, 3) as ((cells, rams, right),):
            for colour, (label, units) in zip(
                COLOURS, lut_size_text.series(result["units"]), strict=False
            ):
                # Of equally many lanes: the fixed part is then the same.
                most = max(unit["lanes"] for unit in units)
                equal = [unit for unit in units if unit["lanes"] == most]
                for axes, key in ((cells, "lut4"), (rams, "bram")):
                    axes.plot(
                        [unit["entries"] for unit in equal],
                        [unit[key] for unit in equal],
                        "o-",
                        color=colour,
                        label=f"{label}, {most} lanes",
                    )
            for axes, label in ((cells, "LUT4 of the unit"), (rams, "block RAMs of the unit")):
                axes.set(xscale="log", xlabel="entries of LUT_sum", ylabel=label, ylim=(0, None))
                axes.set_xticks([64, 256, 1024, 4096], ["64", "256", "1024", "4096"])
                axes.minorticks_off()
            if result["units"]:
                legend(cells, loc="lower left")
            for colour, (label, key) in zip(
                COLOURS, (("NumPy", "numpy"), ("C", "compiled")), strict=False
            ):
                loops = result["processor"][key]
                if loops:
                    right.plot(
                        [loop["bytes"] / 1024 for loop in loops],
                        [loop["time_per_lookup"] for loop in loops],
                        "o-",
                        color=colour,
                        label=label,
                    )
            for name, size in result["processor"]["caches"].items():
                right.axvline(size / 1024, color="#9ca3af", linewidth=0.8, linestyle=":")
                right.annotate(
                    name,
                    (size / 1024, 0.97),
                    xycoords=("data", "axes fraction"),
                    fontsize=7.5,
                    ha="right",
                    va="top",
                    color="#6b7280",
                )
            right.set(
                xscale="log",
                yscale="log",
                xlabel="size of the table in KiB",
                ylabel="lookup / that of 64 entries",
            )
            legend(right)
        return path
