"""``exaq simulate --unit attention``: q, k and v through the unit of attention heads."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import MofNCompleteColumn, TextColumn, TimeRemainingColumn

from exaq.attention import AttentionConfig, HeadScales, attend
from exaq.attention.head_operands import HeadOperands
from exaq_cli.config.head_options import resolve_attention
from exaq_cli.config.partial_config import PartialConfig
from exaq_cli.config.run_options import RunOptions
from exaq_cli.errors import UserError, tool_errors, user_errors
from exaq_cli.files import load_array, put_array, replacing
from exaq_cli.output.progress import counted
from exaq_cli.output.simulate_summary import print_head_summary
from exaq_cosim import HeadSimulation, SimulationError, compile_head, simulate_head

_CONSOLE = Console(stderr=True)


@dataclass(frozen=True, kw_only=True)
class _Given:
    """Integers of heads, and what they were made with.

    Members
    -------
    config
        The unit.
    unit
        How it is built, as ``compile_head`` takes it.
    q, k, v
        As ``simulate_head`` takes them.
    scales
        What they are worth, where the files hold floats; else None.
    """

    config: AttentionConfig
    unit: Mapping[str, Any]
    q: NDArray[Any]
    k: NDArray[Any]
    v: NDArray[Any]
    scales: HeadScales | None

    @classmethod
    def load(
        cls, partial: PartialConfig, head: Mapping[str, Any], arrays: tuple[Path, ...]
    ) -> _Given:
        """What files and command line say; UserError where they do not fit."""
        config, unit = resolve_attention(partial, head)
        q, k, v = (load_array(path, "integer", "float") for path in arrays)
        floats = {array.dtype.kind == "f" for array in (q, k, v)}
        if floats == {False}:
            return cls(config=config, unit=unit, q=q, k=k, v=v, scales=None)
        if floats != {True}:
            types = ", ".join(str(array.dtype) for array in (q, k, v))
            raise UserError(f"q, k and v must be all integers or all floats, not {types}")
        for option, given in (
            ("--logit-scale", "logit_scale" in partial.settings),
            ("--tables", partial.tables is not None),
        ):
            if given:
                raise UserError(f"{option} is for integers: the scales of floats follow from them")
        with user_errors():
            scales = HeadScales.of(q, k, v, keys=config.keys, value_width=config.value_width)
            integers = scales.integers(q, k, v)
            return cls(
                config=config.replace(logit_scale=scales.logit_scale),
                unit=unit,
                **integers._asdict(),
                scales=scales,
            )


def simulate_attention(
    partial: PartialConfig,
    head: Mapping[str, Any],
    run: RunOptions,
    arrays: tuple[Path, ...],
    out: Path,
    float_output: bool,
) -> int:
    """The command for heads: ``arrays`` are the files of q, k and v; the exit code."""
    outputs = [path for path in (out, run.report, run.waves) if path is not None]
    try:
        with replacing(*outputs, inputs=(*partial.files, *arrays)) as temporary:
            written = dict(zip(outputs, temporary, strict=True))
            given = _Given.load(partial, head, arrays)
            config = given.config
            with _CONSOLE.status("Golden model ..."), user_errors():
                operands = HeadOperands.of(given.q, given.k, given.v, config)
                begin = time.perf_counter()
                found = attend(given.q, given.k, given.v, config)
                seconds = time.perf_counter() - begin
            if run.engine == "golden":
                figures, faults = _golden_figures(operands, config, seconds), 0
            else:
                with run.waves_in(written) as trace:
                    result = _simulate(given, run, trace)
                mismatches = int(np.count_nonzero(result.outputs != found))
                found = result.outputs
                figures = {"engine": run.engine, **result.to_dict(), "mismatches": mismatches}
                faults = mismatches + figures["row_errors"]
            if given.scales is not None:
                figures["scales"] = _described(given.scales)
            if float_output:
                step = 1.0 if given.scales is None else given.scales.value
                found = found * (step / 2**config.output_frac)
            put_array(written[out], found)
            run.write_figures(written, figures | {"config": config.to_dict()})
    except SimulationError as error:
        click.echo(f"exaq: error: {error}", err=True)
        return 1
    print_head_summary(config, figures, outputs)
    return 1 if faults else 0


def _simulate(given: _Given, run: RunOptions, waves: Path | None) -> HeadSimulation:
    told = "Emitting and compiling the unit (once per configuration) ..."
    with _CONSOLE.status(told), tool_errors(), user_errors():
        compile_head(given.config, **given.unit, tracing=waves is not None)
    columns = (MofNCompleteColumn(), TextColumn("rows"), TimeRemainingColumn())
    with counted("Simulating", *columns, console=_CONSOLE) as progress:
        return simulate_head(
            given.q,
            given.k,
            given.v,
            given.config,
            **given.unit,
            stall=run.stall,
            seed=run.seed,
            waves=waves,
            progress=progress,
        )


def _golden_figures(
    operands: HeadOperands, config: AttentionConfig, seconds: float
) -> dict[str, Any]:
    keys = operands.keys_of_rows(config)
    return {
        "engine": "golden",
        "heads": len(keys),
        "loads": len(operands.loads),
        "rows": keys.size,
        "scores": int(keys.sum()),
        "seconds": seconds,
        "scores_per_second": keys.sum() / seconds,
    }


def _described(scales: HeadScales) -> dict[str, Any]:
    return {
        "query": scales.query,
        "key": scales.key.tolist(),
        "value": scales.value,
        "factor": scales.factor,
    }
