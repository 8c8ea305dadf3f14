"""``exaq simulate``: arrays through a unit, checked against the golden model."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import MofNCompleteColumn, TextColumn, TimeRemainingColumn

from exaq import SoftmaxConfig
from exaq.extras import require
from exaq_cli.commands.unit.simulate_head import simulate_attention
from exaq_cli.config.head_options import head_options, refuse
from exaq_cli.config.options import config_options
from exaq_cli.config.partial_config import PartialConfig
from exaq_cli.config.run_options import RunOptions, run_options
from exaq_cli.config.target_options import target_options
from exaq_cli.errors import UserError, tool_errors, user_errors
from exaq_cli.files import replacing
from exaq_cli.output.progress import counted
from exaq_cli.output.simulate_summary import print_summary
from exaq_cli.row_input import RowInput, row_options, window_options
from exaq_cli.row_output import check_outputs, output_options, write_rows
from exaq_cosim import (
    Simulation,
    SimulationError,
    compile_unit,
    golden,
    golden_references,
    golden_results,
    simulate,
)
from exaq_hdl.emit.target import FPGA, Target

_CONSOLE = Console(stderr=True)
_FILE = click.Path(path_type=Path)

# What a unit takes, in words.
_TAKES = {"softmax": "one array of logits", "attention": "three arrays, q, k and v"}
# Options of a softmax alone.
_OF_SOFTMAX = ("results", "lengths", "mask", "contexts_of", "windows", "load")


@click.command(name="simulate")
@click.argument(
    "arrays", metavar="LOGITS.npy | Q.npy K.npy V.npy", type=_FILE, nargs=-1, required=True
)
@output_options
@click.option(
    "--unit",
    type=click.Choice(["softmax", "attention"]),
    default="softmax",
    show_default=True,
    help="What is simulated: the softmax unit, or a whole attention head, which takes three "
    "arrays, and has none of the options for rows of logits but --causal.",
)
@row_options
@window_options
@click.option(
    "--load",
    is_flag=True,
    help="The contexts hold the paper's tables for sigma 2 after reset, and get those asked for "
    "over AXI4-Lite before the first row.",
)
@run_options
@config_options
@head_options("causal", "operands")
@target_options("target", "ram", "ram_latency", "reset")
def command(
    partial: PartialConfig,
    head: Mapping[str, Any],
    run: RunOptions,
    arrays: tuple[Path, ...],
    unit: str,
    out: Path,
    float_output: bool,
    target: Target,
    **others: Any,
) -> int:
    """Stream arrays through a unit: logits, of shape (..., row), or q, k and v of attention heads.

    Integers are taken as they are; floats are divided by --logit-scale, rounded and saturated, to
    integers or to numbers of --logit-format.
    The RTL's result is compared with the golden model bit by bit; the exit code is 1 where they
    differ or the unit breaks a rule of its interface.

    Of attention heads q has the shape (..., rows, head-size), k and v (..., keys, head-size), and
    leading axes broadcast. K holds elements of the format of --keys. Floats must be all three:
    their scales are those with which none saturates, and --logit-scale follows from them. Outputs
    are integers, with --float-output what they are worth.

    \b
    exaq simulate logits.npy -o probs.npy
    exaq simulate logits.npy -o probs.npy --preset 2bit-x16 --lengths lengths.npy --json run.json
    exaq simulate logits.npy -o probs.npy --no-masking --stall 0.3 --seed 7 --waves run.vcd
    exaq simulate logits.npy -o probs.npy --window --causal
    exaq simulate logits.npy -o probs.npy --tables heads.json --contexts-of heads.npy --load
    exaq simulate logits.npy -o codes.npy --output codes --results rows.npz
    exaq simulate logits.npy -o probs.npy --target asic --ram single-port
    exaq simulate --unit attention q.npy k.npy v.npy -o o.npy --head-size 32 --max-row 256 --causal
    """
    run.check(load=others["load"], target=target != FPGA)
    if run.engine == "rtl":
        require("sim")
    wanted = {"softmax": 1, "attention": 3}[unit]
    if len(arrays) != wanted:
        raise UserError(f"the unit {unit} takes {_TAKES[unit]}, not {len(arrays)}")
    if unit == "softmax":
        refuse(head, unit)
        return _softmax(partial, run, arrays[0], out, float_output, target=target, **others)
    if target != FPGA:
        raise UserError(f"--target {target.kind} is for --unit softmax alone")
    causal = others.pop("causal")
    refuse([name for name in _OF_SOFTMAX if others[name]], unit)
    settings = {**head, "causal": True} if causal else head
    return simulate_attention(partial, settings, run, arrays, out, float_output)


def _softmax(
    partial: PartialConfig,
    run: RunOptions,
    logits: Path,
    out: Path,
    float_output: bool,
    *,
    results: Path | None,
    lengths: Path | None,
    mask: Path | None,
    contexts_of: Path | None,
    windows: Path | None,
    causal: bool,
    load: bool,
    target: Target,
) -> int:
    config = partial.resolve()
    _check_contexts(config, contexts_of, load)
    check_outputs(config, results, float_output, remedy="give --row-results sum or table")
    inputs = (*partial.files, logits, lengths, mask, contexts_of, windows)
    outputs = [path for path in (out, results, run.report, run.waves) if path is not None]
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
            if run.engine == "golden":
                figures = _golden_figures(given, seconds)
                faults = 0
            else:
                expected, expected_of_rows = elements, of_rows
                expected_references = references
                with run.waves_in(written) as trace:
                    result = _simulate(given, config, load, run, trace, target)
                elements, of_rows = result.given, result.results
                references = result.references
                mismatches = {"mismatches": int(np.count_nonzero(elements != expected))}
                if of_rows is not None and expected_of_rows is not None:
                    mismatches["result_mismatches"] = of_rows.differing(expected_of_rows)
                if references is not None:
                    wrong = np.count_nonzero(references != expected_references)
                    mismatches["reference_mismatches"] = int(wrong)
                faults = sum(mismatches.values()) + int(np.count_nonzero(result.row_errors))
                figures = {"engine": run.engine, **result.to_dict(), **mismatches}
            floats = config if float_output else None
            write_rows(
                written, out, elements, results, of_rows, float_of=floats, references=references
            )
            run.write_figures(written, figures | {"config": config.to_dict()})
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
    run: RunOptions,
    waves: Path | None,
    target: Target,
) -> Simulation:
    unit = config.replace(clip=None) if load else config
    told = "Emitting and compiling the unit (once per configuration) ..."
    # Imported late: the golden model needs no Amaranth.
    from exaq_hdl import emit_verilog

    with _CONSOLE.status(told), tool_errors():
        text = None if target == FPGA else emit_verilog(unit, target=target).verilog
        compile_unit(unit, tracing=waves is not None, verilog=text)
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
            stall=run.stall,
            seed=run.seed,
            waves=waves,
            progress=progress,
            verilog=text,
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
