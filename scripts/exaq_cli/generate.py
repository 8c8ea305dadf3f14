"""``exaq generate``: the unit as Verilog, and its description as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from exaq import SoftmaxConfig
from exaq_cli.errors import UserError
from exaq_cli.files import replacing
from exaq_cli.options import config_options


@click.command(name="generate")
@config_options
@click.option(
    "-o",
    "--output",
    metavar="FILE.v",
    required=True,
    type=click.Path(path_type=Path),
    help="Verilog file to write. FILE.json beside it gets configuration, ports, tables, latency "
    "and versions.",
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
    help="Name of the top module; the others' names begin with it.",
)
def command(config: SoftmaxConfig, output: Path, top: str, name: str) -> None:
    """Write the softmax unit as Verilog-2001 in one file, with a JSON file beside it.

    The same options give the same text every time. Both files appear, or neither.

    \b
    exaq generate -o softmax.v
    exaq generate --preset 3bit-x16 --max-row 2048 --sigma 1.7 -o softmax.v
    exaq generate --lanes 8 --logit-width 16 --logit-scale 0.001 --clip -6 -o softmax.v
    """
    if output.suffix != ".v":
        raise UserError(f"the Verilog file's name must end in .v, but is {output}")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise UserError(f"{name!r} is no name for a Verilog module: letters, digits and _ make one")
    description = output.with_suffix(".json")
    with replacing(output, description) as (verilog, manifest):
        # Only here: it takes a second, and help or a refusal need not wait for it.
        from exaq_hdl import emit_verilog

        with Console(stderr=True).status("Emitting Verilog ..."):
            emitted = emit_verilog(config, top=top, name=name)
        verilog.write_text(emitted.verilog, encoding="utf-8", newline="\n")
        manifest.write_text(json.dumps(emitted.manifest, indent=2) + "\n", encoding="utf-8")
    click.echo(f"Verilog        {output}, top module {name}")
    click.echo(f"Description    {description}")
    for line in _summary(config, emitted.manifest):
        click.echo(line)


def _summary(config: SoftmaxConfig, manifest: dict[str, Any]) -> list[str]:
    clip = "free tables" if config.clip is None else f"clip {float(config.clip):.4g}"
    masking = "masking" if config.masking else "no masking"
    entries, cycles = len(manifest["tables"]["sum_rom"]), manifest["latency"]["cycles"]
    return [
        f"Configuration  {config.bits} bits, {clip}; {config.lanes} lanes, {masking}; "
        f"rows up to {config.max_row} elements",
        f"Logits         {config.logit_width}-bit integers in steps of "
        f"{float(config.logit_scale):.6g}",
        f"Probabilities  {config.prob_bits}-bit fractions",
        f"LUT_sum        {entries} entries of {config.group_sum_bits} bits, "
        f"{config.group} codes a lookup",
        f"Throughput     {config.lanes} elements a cycle, without a bubble from rows of "
        f"{config.full_rate_row} elements on",
        f"Latency        beats of the row + {cycles} cycles, from its last logit to its first "
        "probability",
    ]
