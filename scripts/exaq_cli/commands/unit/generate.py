"""``exaq generate``: the unit as Verilog, and its description as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from exaq import Exaq, Kernel, SoftmaxConfig
from exaq_cli.config.options import config_options
from exaq_cli.config.partial_config import PartialConfig
from exaq_cli.errors import UserError, tool_errors
from exaq_cli.files import replacing
from exaq_cli.output.describe import describe_kernel, describe_logits, describe_masks


@click.command(name="generate")
@config_options
@click.option(
    "-o",
    "--out",
    metavar="FILE.v",
    required=True,
    type=click.Path(path_type=Path),
    help="Verilog file to write. FILE.json beside it gets configuration, ports, tables, latency "
    "and versions; with contexts, FILE.h the registers for C.",
)
@click.option(
    "--top",
    type=click.Choice(["axi", "core"]),
    default="axi",
    show_default=True,
    help="Ports: AXI4-Stream, or the core's own valid/ready streams.",
)
@click.option(
    "--name",
    default="exaq_softmax",
    show_default=True,
    help="Name of the top module; the others' names begin with it and two underscores.",
)
def command(partial: PartialConfig, out: Path, top: str, name: str) -> None:
    """Write the softmax unit as Verilog-2001 in one file, with a JSON file beside it.

    The same options give the same text every time. All files appear, or none.

    \b
    exaq generate -o softmax.v
    exaq generate --preset 3bit-x16 --max-row 2048 --sigma 1.7 -o softmax.v
    exaq generate --lanes 8 --logit-width 16 --logit-scale 0.001 --clip -6 -o softmax.v
    exaq generate --tables tables.json --tables-name layer3 -o softmax.v
    exaq generate --contexts 12 -o softmax.v
    """
    config = partial.resolve()
    if out.suffix != ".v":
        raise UserError(f"the Verilog file's name must end in .v, but is {out}")
    # Only here: it takes a second, and help or the refusals above need not wait for it.
    from exaq_hdl import emit_verilog
    from exaq_hdl.emit.c_header import c_header
    from exaq_hdl.emit.names import check_name

    try:
        check_name(name)
    except ValueError as error:
        raise UserError(str(error)) from error
    description = out.with_suffix(".json")
    headers = [out.with_suffix(".h")] if config.contexts and top == "axi" else []
    outputs = (out, description, *headers)
    with replacing(*outputs, inputs=partial.files) as (verilog, manifest, *header):
        with tool_errors(), Console(stderr=True).status("Emitting Verilog ..."):
            emitted = emit_verilog(config, top=top, name=name)
        _write(verilog, emitted.verilog)
        _write(manifest, json.dumps(emitted.manifest, indent=2) + "\n")
        for path in header:
            _write(path, c_header(config, name))
    click.echo(f"Verilog        {out}, top module {name}")
    click.echo(f"Description    {description}")
    for path in headers:
        click.echo(f"C header       {path}")
    for line in _summary(config, emitted.manifest):
        click.echo(line)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _lut_sum(kernel: Kernel) -> list[str]:
    if not isinstance(kernel, Exaq):
        return []
    return [
        f"LUT_sum        {2 ** (kernel.bits * kernel.group)} entries of {kernel.group_sum_bits} "
        f"bits, {kernel.group} codes a lookup"
    ]


def _summary(config: SoftmaxConfig, manifest: Mapping[str, Any]) -> list[str]:
    counted, cycles = manifest["latency"]["counted_from"], manifest["latency"]["cycles"]
    latency = "beats of the row + " if counted == "beats of the row" else ""
    codes = config.output == "codes"
    results = {
        "none": [],
        "sum": ["Row results    maximum and sum of the exponentials"],
        "table": [
            "Row results    maximum, sum of the exponentials and the probability of each code, "
            f"{config.prob_bits}-bit fractions"
        ],
    }[config.row_results]
    if results:
        after = manifest["row_results"]["latency"]
        beats = "" if counted == "each beat" else "beats of the row + "
        results.append(f"               {beats}{after} cycles after its last logit")
    return [
        f"Configuration  {describe_kernel(config)}; {config.lanes} lanes, "
        f"{describe_masks(config)}; rows up to {config.max_row} elements",
        f"Logits         {describe_logits(config)}",
        f"Codes          {config.bits} bits each"
        if codes
        else f"Probabilities  {config.prob_bits}-bit fractions",
        *_lut_sum(config.kernel),
        f"Throughput     {config.lanes} elements a cycle, without a bubble from rows of "
        f"{config.full_rate_row} elements on",
        f"Latency        {latency}{cycles} cycles, from its last logit to its first "
        f"{'code' if codes else 'probability'}"
        if counted != "each beat"
        else f"Latency        {cycles} cycles, from a logit to its code",
        *results,
    ]
