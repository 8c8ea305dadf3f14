"""``exaq simulate``: an array of logits through the unit, checked against the golden model."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import exaq
from exaq import SoftmaxConfig
from exaq_cli.errors import UserError, user_errors
from exaq_cli.files import load_array, replacing
from exaq_cli.options import config_options
from exaq_cosim import (
    Simulation,
    SimulationError,
    ToolError,
    compile_unit,
    golden,
    simulate,
)

_CONSOLE = Console(stderr=True)
# What the summary calls a spread, where the figures hold it, and what it counts.
_SPREADS = (
    ("Row", "row_cycles", "first logit in to last probability out"),
    ("Latency", "latency", "last logit in to first probability out, less the row's beats"),
    ("Row interval", "row_interval", "end of a row to end of the next"),
)
_FILE = click.Path(path_type=Path)


@click.command(name="simulate")
@click.argument("logits", metavar="LOGITS.npy", type=_FILE)
@click.option(
    "-o",
    "--output",
    metavar="PROBS.npy",
    required=True,
    type=_FILE,
    help="Array of probabilities to write: unsigned integers in units of 2**-prob_bits, in the "
    "shape of the logits.",
)
@click.option("--float-output", is_flag=True, help="Write float64 values in 0..1 instead.")
@click.option(
    "--engine",
    type=click.Choice(["rtl", "golden"]),
    default="rtl",
    show_default=True,
    help="rtl: the emitted Verilog, compiled (the first time takes some seconds), cycle by cycle. "
    "golden: the NumPy model of the same bits.",
)
@click.option(
    "--lengths",
    metavar="FILE.npy",
    type=_FILE,
    help="Elements of each row, 1 to row: integers in the logits' shape without its last axis.",
)
@click.option(
    "--mask",
    metavar="FILE.npy",
    type=_FILE,
    help="Elements that take part: booleans, True = live, that broadcast to the logits' shape.",
)
@click.option(
    "--stall",
    metavar="P",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Probability that the source, and the sink, pause in a cycle.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    default=0,
    show_default=True,
    help="Of the pauses.",
)
@click.option("--json", "report", metavar="FILE", type=_FILE, help="Write all figures as JSON.")
@click.option(
    "--waves",
    metavar="FILE.vcd",
    type=_FILE,
    help="Write the waves of all signals: about 2 kB a cycle at 4 lanes, 9 kB at 32.",
)
@config_options
def command(
    config: SoftmaxConfig,
    logits: Path,
    output: Path,
    float_output: bool,
    engine: str,
    lengths: Path | None,
    mask: Path | None,
    stall: float,
    seed: int,
    report: Path | None,
    waves: Path | None,
) -> int:
    """Stream an array of logits, of shape (..., row), through the unit.

    Integers are taken as they are; floats are divided by --logit-scale, rounded and saturated.
    The RTL's result is compared with the golden model bit by bit; the exit code is 1 where they
    differ or the unit breaks a rule of its interface.

    \b
    exaq simulate logits.npy -o probs.npy
    exaq simulate logits.npy -o probs.npy --preset 2bit-x16 --lengths lengths.npy --json run.json
    exaq simulate logits.npy -o probs.npy --no-masking --stall 0.3 --seed 7 --waves run.vcd
    """
    if engine == "golden":
        for option, used in (("--waves", waves is not None), ("--stall", stall > 0)):
            if used:
                raise UserError(f"{option} needs --engine rtl: the golden model has no cycles")
    if math.isnan(stall):
        raise UserError("stall must be at least 0 and below 1, not nan")
    outputs = [path for path in (output, report, waves) if path is not None]
    try:
        with replacing(*outputs) as temporary:
            written = dict(zip(outputs, temporary, strict=True))
            given = _Input.load(logits, lengths, mask, config)
            with _CONSOLE.status("Golden model ..."), user_errors():
                begin = time.perf_counter()
                probabilities = golden(given.logits, config, mask=given.mask, lengths=given.lengths)
                seconds = time.perf_counter() - begin
            if engine == "golden":
                figures = _golden_figures(given, seconds)
                faults = 0
            else:
                expected = probabilities
                trace = None if waves is None else written[waves]
                try:
                    result = _simulate(given, config, stall, seed, trace)
                except SimulationError:
                    # The waves show what went wrong: they alone stay.
                    if trace is not None and waves is not None:
                        trace.replace(waves)
                    raise
                probabilities = result.probabilities
                mismatches = int(np.count_nonzero(probabilities != expected))
                faults = mismatches + int(np.count_nonzero(result.row_errors))
                figures = {"engine": engine, **result.to_dict(), "mismatches": mismatches}
            if float_output:
                probabilities = exaq.probabilities_to_float(probabilities, config)
            with written[output].open("wb") as file:
                np.save(file, probabilities, allow_pickle=False)
            if report is not None:
                document = figures | {"config": config.to_dict()}
                written[report].write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except SimulationError as error:
        click.echo(f"exaq: error: {error}", err=True)
        return 1
    _print(config, figures, outputs)
    return 1 if faults else 0


@dataclass(frozen=True)
class _Input:
    logits: NDArray[Any]
    lengths: NDArray[Any] | None
    mask: NDArray[Any] | None

    @classmethod
    def load(
        cls, logits: Path, lengths: Path | None, mask: Path | None, config: SoftmaxConfig
    ) -> _Input:
        array = load_array(logits, "integer", "float")
        rows = array.shape[:-1]
        given = cls(
            logits=array,
            lengths=None if lengths is None else load_array(lengths, "integer", fits=rows),
            mask=None if mask is None else load_array(mask, "boolean", fits=array.shape),
        )
        if array.dtype.kind != "f":
            return given
        with user_errors():
            return replace(given, logits=exaq.logits_to_integers(array, config))


def _simulate(
    given: _Input,
    config: SoftmaxConfig,
    stall: float,
    seed: int,
    waves: Path | None,
) -> Simulation:
    try:
        with _CONSOLE.status("Emitting and compiling the unit (once per configuration) ..."):
            compile_unit(config, tracing=waves is not None)
    except ToolError as error:
        raise UserError(str(error)) from error
    columns = (
        TextColumn("Simulating"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeRemainingColumn(),
    )
    quiet = not _CONSOLE.is_terminal
    with Progress(*columns, console=_CONSOLE, transient=True, disable=quiet) as progress:
        task = progress.add_task("", total=None)
        return simulate(
            given.logits,
            config,
            mask=given.mask,
            lengths=given.lengths,
            stall=stall,
            seed=seed,
            waves=waves,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )


def _golden_figures(given: _Input, seconds: float) -> dict[str, Any]:
    rows, row = given.logits.shape[:-1], given.logits.shape[-1]
    lengths = np.broadcast_to(row if given.lengths is None else given.lengths, rows)
    elements = int(lengths.sum())
    return {
        "engine": "golden",
        "rows": lengths.size,
        "elements": elements,
        "seconds": seconds,
        "elements_per_second": elements / seconds,
    }


def _spread(cycles: dict[str, float]) -> str:
    low, middle, high = cycles["min"], cycles["median"], cycles["max"]
    return f"{low}" if low == high else f"{low} / {middle:g} / {high}"


def _print(config: SoftmaxConfig, figures: dict[str, Any], written: list[Path]) -> None:
    clip = "free tables" if config.clip is None else f"clip {float(config.clip):.4g}"
    lines = {
        "Configuration": f"{config.bits} bits, {clip}, {config.lanes} lanes",
        "Rows": f"{figures['rows']:,}",
        "Elements": f"{figures['elements']:,}",
    }
    if figures["engine"] == "rtl":
        lines |= {
            "Cycles": f"{figures['cycles']:,}",
            "Cycles per row": f"{figures['cycles_per_row']:.2f}",
            "Elements per cycle": f"{figures['elements_per_cycle']:.3f}",
        }
        for name, key, what in _SPREADS:
            if figures[key] is not None:
                lines[name] = f"{_spread(figures[key])} cycles, {what}"
        lines |= {
            "Row errors": f"{figures['row_errors']:,}",
            "Mismatches": f"{figures['mismatches']:,} against the golden model",
            "Stall": f"{figures['stall']:g} on either side, seed {figures['seed']}",
        }
    speed = figures["elements_per_second"] / 1e6
    lines["Speed here"] = f"{speed:.1f} M elements/s ({figures['seconds']:.2f} s)"
    lines["Written"] = ", ".join(str(path) for path in written)
    for name, text in lines.items():
        click.echo(f"{name:<20}{text}")
