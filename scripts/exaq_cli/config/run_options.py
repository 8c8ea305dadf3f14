"""How a unit is simulated: the options of engine, stalls, figures and waves."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from exaq_cli.errors import UserError
from exaq_cosim import SimulationError

R = TypeVar("R")

_FILE = click.Path(path_type=Path)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What the options say.

    Members
    -------
    engine
        ``"rtl"`` or ``"golden"``.
    stall, seed
        As of ``exaq_cosim.simulate``.
    report
        File for all figures; None: none.
    waves
        File for the waves; None: none.
    """

    engine: str
    stall: float
    seed: int
    report: Path | None
    waves: Path | None

    def check(self, **others: bool) -> None:
        """Refuse what the engine has no use for; ``others``: further options of cycles, and
        whether they are used.
        """
        if math.isnan(self.stall):
            raise UserError("stall must be at least 0 and below 1, not nan")
        if self.engine == "rtl":
            return
        used = {"waves": self.waves is not None, "stall": self.stall > 0, "seed": self.seed > 0}
        for option, given in (used | others).items():
            if given:
                raise UserError(f"--{option} needs --engine rtl: the golden model has no cycles")

    @contextmanager
    def waves_in(self, written: Mapping[Path, Path]) -> Iterator[Path | None]:
        """The file that waves are to go to, of those that are being written; None: there are none.

        Where the unit is at fault it stays, since it shows what went wrong.
        """
        if self.waves is None:
            yield None
            return
        trace = written[self.waves]
        try:
            yield trace
        except SimulationError:
            trace.replace(self.waves)
            raise

    def write_figures(self, written: Mapping[Path, Path], figures: Mapping[str, Any]) -> None:
        """Write them as JSON where that is wanted, into one of the files that are being written."""
        if self.report is not None:
            text = json.dumps(figures, indent=2) + "\n"
            written[self.report].write_text(text, encoding="utf-8")


def run_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a click command the options of ``RunOptions``, and what they say as ``run``."""

    @functools.wraps(command)
    def configured(
        *args: Any,
        engine: str,
        stall: float,
        seed: int,
        report: Path | None,
        waves: Path | None,
        **others: Any,
    ) -> R:
        run = RunOptions(engine=engine, stall=stall, seed=seed, report=report, waves=waves)
        return command(*args, run=run, **others)

    parts = (
        click.option(
            "--engine",
            type=click.Choice(["rtl", "golden"]),
            default="rtl",
            show_default=True,
            help="rtl: the emitted Verilog, compiled (the first time takes some seconds), cycle by "
            "cycle. golden: the NumPy model of the same bits.",
        ),
        click.option(
            "--stall",
            metavar="P",
            type=click.FloatRange(0, 1, max_open=True),
            default=0.0,
            show_default=True,
            help="Probability that each source, the sink, and the master of --load pause in a "
            "cycle.",
        ),
        click.option(
            "--seed",
            type=click.IntRange(0, 2**64 - 1),
            default=0,
            show_default=True,
            help="Of the pauses.",
        ),
        click.option(
            "--json", "report", metavar="FILE", type=_FILE, help="Write all figures as JSON."
        ),
        click.option(
            "--waves",
            metavar="FILE.vcd",
            type=_FILE,
            help="Write the waves of all signals: about 2 kB a cycle at 4 lanes, 9 kB at 32.",
        ),
    )
    decorated: Callable[..., R] = configured
    for part in reversed(parts):
        decorated = part(decorated)
    return decorated
