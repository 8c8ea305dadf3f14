"""``exaq simulate``: an array of logits through the unit, checked against the golden model."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import MofNCompleteColumn, TextColumn, TimeRemainingColumn

from exaq import SoftmaxConfig
from exaq.extras import require
from exaq_cli.config.options import config_options
from exaq_cli.config.partial_config import PartialConfig
from exaq_cli.errors import UserError, user_errors
from exaq_cli.files import replacing
from exaq_cli.output.progress import counted
from exaq_cli.output.simulate_summary import print_summary
from exaq_cli.row_input import RowInput, row_options, window_options
from exaq_cli.row_output import check_outputs, output_options, write_rows
from exaq_cosim import (
    Simulation,
    SimulationError,
    ToolError,
    compile_unit,
    golden,
    golden_references,
    golden_results,
    simulate,
)

_CONSOLE = Console(stderr=True)
_FILE = click.Path(path_type=Path)


@click.command(name="simulate")
@output_options
@click.option(
    "--engine",
    type=click.Choice(["rtl", "golden"]),
    default="rtl",
    show_default=True,
    help="rtl: the emitted Verilog, compiled (the first time takes some seconds), cycle by cycle. "
    "golden: the NumPy model of the same bits.",
)
@row_options
@window_options
@click.option(
    "--load",
    is_flag=True,
    help="The contexts hold the paper's tables for sigma 2 after reset, and get those asked for "
    "over AXI4-Lite before the first row.",
)
@click.option(
    "--stall",
    metavar="P",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Probability that the source, the sink, and the master of --load pause in a cycle.",
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
    partial: PartialConfig,
    logits: Path,
    out: Path,
    float_output: bool,
    results: Path | None,
    engine: str,
    lengths: Path | None,
    mask: Path | None,
    contexts_of: Path | None,
    windows: Path | None,
    causal: bool,
    load: bool,
    stall: float,
    seed: int,
    report: Path | None,
    waves: Path | None,
) -> int:
    """Stream an array of logits, of shape (..., row), through the unit.

    Integers are taken as they are; floats are divided by --logit-scale, rounded and saturated, to
    integers or to numbers of --logit-format.
    The RTL's result is compared with the golden model bit by bit; the exit code is 1 where they
    differ or the unit breaks a rule of its interface.

    \b
    exaq simulate logits.npy -o probs.npy
    exaq simulate logits.npy -o probs.npy --preset 2bit-x16 --lengths lengths.npy --json run.json
    exaq simulate logits.npy -o probs.npy --no-masking --stall 0.3 --seed 7 --waves run.vcd
    exaq simulate logits.npy -o probs.npy --window --causal
    exaq simulate logits.npy -o probs.npy --tables heads.json --contexts-of heads.npy --load
    exaq simulate logits.npy -o codes.npy --output codes --results rows.npz
    """
    config = partial.resolve()
    if engine == "golden":
        for option, used in (
            ("--waves", waves is not None),
            ("--stall", stall > 0),
            ("--seed", seed > 0),
            ("--load", load),
        ):
            if used:
                raise UserError(f"{option} needs --engine rtl: the golden model has no cycles")
    else:
        require("sim")
    _check_contexts(config, contexts_of, load)
    check_outputs(config, results, float_output, remedy="give --row-results sum or table")
    if math.isnan(stall):
        raise UserError("stall must be at least 0 and below 1, not nan")
    inputs = (*partial.files, logits, lengths, mask, contexts_of, windows)
    outputs = [path for path in (out, results, report, waves) if path is not None]
    try:
        with replacing(*outputs, inputs=inputs) as temporary:
            written = dict(zip(outputs, temporary, strict=True))
            given = RowInput.load(
                logits, lengths, mask, contexts_of, windows, causal=causal
            ).rounded(config)
            with _CONSOLE.status("Golden model ..."), user_errors():
                begin = time.perf_counter()
                rows: Any = {
                    "mask": given.mask,
                    "lengths": given.lengths,
                    "contexts": given.contexts,
                    "window": given.window,
                }
                elements = golden(given.logits, config, **rows)
                of_rows = None
                if config.row_results != "none":
                    of_rows = golden_results(given.logits, config, **rows)
                references = None
                if config.kernel.beat_reference_bits:
                    others = {name: value for name, value in rows.items() if name != "contexts"}
                    references = golden_references(given.logits, config, **others)
                seconds = time.perf_counter() - begin
            if engine == "golden":
                figures = _golden_figures(given, seconds)
                faults = 0
            else:
                expected, expected_of_rows = elements, of_rows
                expected_references = references
                trace = None if waves is None else written[waves]
                try:
                    result = _simulate(given, config, load, stall, seed, trace)
                except SimulationError:
                    # The waves show what went wrong: they alone stay.
                    if trace is not None and waves is not None:
                        trace.replace(waves)
                    raise
                elements, of_rows = result.given, result.results
                references = result.references
                mismatches = {"mismatches": int(np.count_nonzero(elements != expected))}
                if of_rows is not None and expected_of_rows is not None:
                    mismatches["result_mismatches"] = of_rows.differing(expected_of_rows)
                if references is not None:
                    wrong = np.count_nonzero(references != expected_references)
                    mismatches["reference_mismatches"] = int(wrong)
                faults = sum(mismatches.values()) + int(np.count_nonzero(result.row_errors))
                figures = {"engine": engine, **result.to_dict(), **mismatches}
            floats = config if float_output else None
            write_rows(
                written, out, elements, results, of_rows, float_of=floats, references=references
            )
            if report is not None:
                document = figures | {"config": config.to_dict()}
                written[report].write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except SimulationError as error:
        click.echo(f"exaq: error: {error}", err=True)
        return 1
    print_summary(config, figures, outputs)
    return 1 if faults else 0


def _check_contexts(config: SoftmaxConfig, contexts_of: Path | None, load: bool) -> None:
    for option, used in (("--contexts-of", contexts_of is not None), ("--load", load)):
        if used and not config.contexts:
            raise UserError(
                f"{option} needs a unit with contexts: give --contexts, or --tables with "
                "several sets"
            )
    if config.contexts and contexts_of is None and len(set(config.context_tables)) > 1:
        raise UserError(
            f"the {config.contexts} contexts hold different tables: give --contexts-of, the "
            "context of each row"
        )


def _simulate(
    given: RowInput,
    config: SoftmaxConfig,
    load: bool,
    stall: float,
    seed: int,
    waves: Path | None,
) -> Simulation:
    unit = config.replace(clip=None) if load else config
    try:
        with _CONSOLE.status("Emitting and compiling the unit (once per configuration) ..."):
            compile_unit(unit, tracing=waves is not None)
    except ToolError as error:
        raise UserError(str(error)) from error
    columns = (MofNCompleteColumn(), TextColumn("rows"), TimeRemainingColumn())
    with counted("Simulating", *columns, console=_CONSOLE) as progress:
        return simulate(
            given.logits,
            unit,
            mask=given.mask,
            lengths=given.lengths,
            contexts=given.contexts,
            window=given.window,
            loads=list(enumerate(config.context_tables)) if load else [],
            stall=stall,
            seed=seed,
            waves=waves,
            progress=progress,
        )


def _golden_figures(given: RowInput, seconds: float) -> dict[str, Any]:
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
