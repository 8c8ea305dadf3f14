"""Size of LUT_sum: what a larger table of sums costs and brings, in hardware and on a processor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from exaq import SoftmaxConfig
from exaq_eval.experiments.base import Experiment, Progress, figure, silent, table
from exaq_eval.experiments.lookup_speed import measure_lookups
from exaq_eval.experiments.plotting import COLOURS, legend, panels

#: Longest row of all units: a multiple of every number of lanes below.
_ROW = 1020
_BITS = 2


@dataclass(frozen=True)
class Unit:
    """A unit to build: codes of 2 bits, ``group`` of them to a lookup, on a device."""

    device: str
    lanes: int
    group: int

    @property
    def config(self) -> SoftmaxConfig:
        """Its configuration, default but for lanes, group and longest row."""
        return SoftmaxConfig(bits=_BITS, lanes=self.lanes, group=self.group, max_row=_ROW)

    @property
    def entries(self) -> int:
        """Entries of its LUT_sum."""
        return 2 ** (_BITS * self.group)


#: 60 lanes hold a whole number of groups of 3, 4, 5 and 6: equal work a beat. They do not fit an
#: iCE40, which has as many lanes as make one group or two.
UNITS = (
    *(Unit("ice40-hx8k", lanes, group) for lanes, group in ((6, 3), (4, 4), (5, 5), (6, 6))),
    *(Unit("ecp5-85", lanes, group) for lanes, group in ((6, 3), (4, 4), (5, 5), (6, 6))),
    *(Unit("ecp5-85", 60, group) for group in (3, 4, 5, 6)),
)


@dataclass(frozen=True, kw_only=True)
class LutSize(Experiment):
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
        """As of the base; exaq_cosim.ToolError where a tool is missing or fails."""
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
        # Only here: the other experiments need neither Amaranth nor synthesis.
        from exaq_fpga.bench import measure, summary
        from exaq_fpga.devices import DEVICES

        step = iter(range(done, total))
        report = measure(
            unit.config,
            DEVICES[unit.device],
            seeds=self.seeds,
            step=lambda now: progress(
                next(step), total, f"{unit.device}, {unit.lanes} lanes, {unit.entries}: {now}"
            ),
        )
        figures = summary(report)
        return {
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
            "verilog_sha256": report["verilog_sha256"],
            "versions": report["versions"],
        }

    def body(self, result: dict[str, Any]) -> list[str]:
        units = result["units"]
        parts = [f(units) for f in (_units_method, _units_table, _units_conclusion) if units]
        return [*parts, *_processor_parts(result["processor"])]

    def plot(self, result: dict[str, Any], path: Path) -> Path:
        with panels(path, 1, 2, width=4.2, height=3.0) as ((left, right),):
            for colour, (label, units) in zip(COLOURS, _series(result["units"]), strict=False):
                left.plot(
                    [unit["entries"] for unit in units],
                    [unit["lut4"] / unit["lanes"] for unit in units],
                    "o-",
                    color=colour,
                    label=label,
                )
            left.set(
                xscale="log", xlabel="entries of LUT_sum", ylabel="LUT4 a lane", ylim=(0, None)
            )
            left.set_xticks([64, 256, 1024, 4096], ["64", "256", "1024", "4096"])
            left.minorticks_off()
            if result["units"]:
                legend(left)
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
                xlabel="size of the table in KiB",
                ylabel="time of a lookup / that of 64 entries",
                ylim=(0, None),
            )
            legend(right)
        return path


def _series(units: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Units of one device that differ in LUT_sum alone, or in lanes for want of equal ones."""
    wide = {
        f"{unit['title'].split()[0]}, {'60' if unit['lanes'] == 60 else '4 to 6'} lanes"
        for unit in units
    }
    return [
        (
            label,
            [
                unit
                for unit in units
                if label.startswith(unit["title"].split()[0])
                and (unit["lanes"] == 60) == label.endswith(", 60 lanes")
            ],
        )
        for label in sorted(wide)
    ]


def _units_method(units: list[dict[str, Any]]) -> str:
    versions = sorted({text for unit in units for text in unit["versions"].values()})
    seeds = len(units[0]["mhz"]["seeds"])
    return (
        f"Codes of {_BITS} bits, 3, 4, 5 and 6 of them to a lookup; int8 logits, rows of up to "
        f"{_ROW} elements. 60 lanes are a whole number of groups of each, so that a beat is equal "
        "work; with few lanes, no number of them suits all four, and figures are to be read a "
        f"lane. Placed and routed as `exaq bench` does it, Fmax the median over {seeds} seeds "
        f"({', '.join(versions)})."
    )


def _units_table(units: list[dict[str, Any]]) -> str:
    return table(
        (
            "device",
            "entries",
            "lanes",
            "lookups a beat",
            "LUT4",
            "LUT4 a lane",
            "block RAM",
            "MHz",
            "elements a cycle",
            "M elements/s",
            "M elements/s a lane",
        ),
        (
            (
                unit["title"],
                unit["entries"],
                unit["lanes"],
                unit["lookups_per_beat"],
                unit["lut4"],
                f"{unit['lut4'] / unit['lanes']:.0f}",
                unit["bram"],
                f"{unit['mhz']['median']:.0f}",
                figure(unit["elements_per_cycle"]),
                f"{unit['elements_per_second'] / 1e6:.0f}",
                f"{unit['elements_per_second'] / unit['lanes'] / 1e6:.0f}",
            )
            for unit in units
        ),
    )


def _units_conclusion(units: list[dict[str, Any]]) -> str:
    """What the units say, series by series; every number is computed from them."""
    said = []
    for label, series in _series(units):
        series = sorted(series, key=lambda unit: unit["entries"])
        cells = [unit["lut4"] / unit["lanes"] for unit in series]
        rams = [unit["bram"] / unit["lanes"] for unit in series]
        clocks = [unit["mhz"]["median"] for unit in series]
        said.append(
            f"{label}: from {series[0]['entries']} to {series[-1]['entries']} entries, LUT4 a lane "
            f"{cells[0]:.0f} to {cells[-1]:.0f}, block RAM a lane {figure(rams[0])} to "
            f"{figure(rams[-1])}, and {min(clocks):.0f} to {max(clocks):.0f} MHz over all four"
        )
    return (
        "; ".join(said) + ". LUT_sum is looked up in a pipeline beside the longest path, so its "
        "size does not set the clock, and each beat takes its lanes whatever the table: a larger "
        "LUT_sum saves adders alone, and pays for them in block RAM."
    )


def _processor_parts(processor: dict[str, Any]) -> list[str]:
    kinds = [("NumPy", processor["numpy"])]
    if processor["compiled"]:
        kinds.append(("C", processor["compiled"]))
    caches = ", ".join(f"{name} {_size(size)}" for name, size in processor["caches"].items())
    return [
        f"On a processor{f' (data caches: {caches})' if caches else ''}, the same lookups: "
        f"{processor['lookups']} random addresses that lie in memory one after the other, entries "
        f"of 4 bytes, one thread, best of {processor['repeat']} runs that took turns. Time of a "
        "lookup over that of 64 entries, and codes of 2 bits added up in a given time over that of "
        "one code a lookup; packing codes into addresses is not counted. The last tables are "
        "larger than any LUT_sum of the unit, to show where the caches end:",
        table(
            (
                "codes a lookup",
                "entries",
                "size",
                *(f"{kind}: {what}" for kind, _ in kinds for what in ("time", "codes in a time")),
            ),
            (
                (
                    loops[0]["group"],
                    loops[0]["entries"],
                    _size(loops[0]["bytes"]),
                    *(
                        f"{loop[key]:.2f}"
                        for loop in loops
                        for key in ("time_per_lookup", "elements_per_time")
                    ),
                )
                for loops in zip(*(each for _, each in kinds), strict=True)
            ),
            left=0,
        ),
        " ".join(_processor_conclusion(kind, loops) for kind, loops in kinds),
    ]


def _processor_conclusion(kind: str, loops: list[dict[str, Any]]) -> str:
    best = max(loops, key=lambda loop: loop["elements_per_time"])
    four = next(loop for loop in loops if loop["group"] == 4)
    return (
        f"{kind}: four codes a lookup (256 entries) are {four['elements_per_time']:.1f} times as "
        f"fast as one, {best['group']} codes ({best['entries']} entries) the fastest with "
        f"{best['elements_per_time']:.1f} times; with {loops[-1]['entries']} entries a lookup "
        f"takes {loops[-1]['time_per_lookup']:.0f} times as long as with 64."
    )


def _size(count: int) -> str:
    for unit, size in (("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:g} {unit}"
    return f"{count} B"
