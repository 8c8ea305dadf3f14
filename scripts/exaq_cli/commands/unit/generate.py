"""``exaq generate``: the unit as Verilog, and its description as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from exaq import Exaq, Kernel, SoftmaxConfig
from exaq.attention import AttentionConfig
from exaq_cli.config.head_options import (
    head_options,
    refuse,
    resolve_attention,
    resolve_head,
)
from exaq_cli.config.options import config_options
from exaq_cli.config.partial_config import PartialConfig
from exaq_cli.config.target_options import target_options
from exaq_cli.errors import UserError, tool_errors, user_errors
from exaq_cli.files import replacing
from exaq_cli.output.describe import describe_kernel, describe_logits, describe_masks
from exaq_hdl.emit.companions.companion import (
    C_HEADER,
    FUSESOC_CORE,
    IP,
    REGISTER_RDL,
    Companion,
    Unit,
)
from exaq_hdl.emit.target import FPGA, Target

if TYPE_CHECKING:
    from exaq_hdl import Emitted


@dataclass(frozen=True, kw_only=True)
class _Unit:
    """A unit that was asked for, which can be made.

    Members
    -------
    emit : makes its Verilog; what it needs to be imported takes a second
    config : what it is made of, of a head its softmax
    companions : what is written beside its Verilog and description even if nobody asks for it
    summary : lines that tell what it is, from its manifest
    """

    emit: Callable[[], Emitted]
    config: SoftmaxConfig
    companions: tuple[Companion, ...] = ()
    summary: Callable[[Mapping[str, Any]], list[str]]


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What the command line says."""

    partial: PartialConfig
    head: Mapping[str, Any]
    top: str
    name: str
    target: Target
    companions: tuple[Companion, ...]


@click.command(name="generate")
@config_options
@head_options()
@target_options()
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
    "--unit",
    type=click.Choice(["softmax", "level-sums", "attention"]),
    default="softmax",
    show_default=True,
    help="What is made: the softmax unit; what takes the codes of one and values, and gives the "
    "outputs of an attention head; or a whole head.",
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
    help="Name of the top module; the others' names begin with it and two underscores.  "
    "[default: exaq_softmax, exaq_level_sums or exaq_attention]",
)
@click.option(
    "--rdl",
    is_flag=True,
    help="Describe the registers in SystemRDL too, in FILE.rdl; with contexts alone.",
)
@click.option(
    "--ip",
    is_flag=True,
    help="For vendors' tools and VHDL: names of buses in the Verilog, and beside it IP-XACT, in "
    "component.xml, a script that packages an IP in Vivado, and a component of VHDL, in FILE.vhd.",
)
@click.option(
    "--core",
    is_flag=True,
    help="Write a FuseSoC core too, FILE.core, and a bench that checks the unit, FILE_tb.v; with "
    "--top axi alone.",
)
def command(
    partial: PartialConfig,
    head: Mapping[str, Any],
    out: Path,
    unit: str,
    top: str,
    name: str | None,
    target: Target,
    rdl: bool,
    ip: bool,
    core: bool,
) -> None:
    """Write a unit as Verilog-2001 in one file, with a JSON file beside it.

    The same options give the same text every time. All files appear, or none.

    \b
    exaq generate -o softmax.v
    exaq generate --preset 3bit-x16 --max-row 2048 --sigma 1.7 -o softmax.v
    exaq generate --lanes 8 --logit-width 16 --logit-scale 0.001 --clip -6 -o softmax.v
    exaq generate --tables tables.json --tables-name layer3 -o softmax.v
    exaq generate --contexts 12 --rdl -o softmax.v
    exaq generate --ip -o ip/softmax.v
    exaq generate --lanes 8 --core -o softmax.v
    exaq generate --target asic --ram single-port --reset async -o softmax.v
    exaq generate --unit level-sums --head-size 32 --max-row 256 -o sums.v
    exaq generate --unit attention --head-size 32 --max-row 256 --causal -o head.v
    """
    name = f"exaq_{unit.replace('-', '_')}" if name is None else name
    wanted = {"--rdl": (rdl, (REGISTER_RDL,)), "--core": (core, (FUSESOC_CORE,)), "--ip": (ip, IP)}
    companions = tuple(each for given, files in wanted.values() if given for each in files)
    asked = _Asked(
        partial=partial, head=head, top=top, name=name, target=target, companions=companions
    )
    if target != FPGA and unit != "softmax":
        raise UserError(f"--target {target.kind} is for --unit softmax alone")
    for option in ("--rdl", "--core"):
        if wanted[option][0] and unit != "softmax":
            raise UserError(f"{option} is for --unit softmax alone")
    if ip and (top != "axi" or target != FPGA):
        raise UserError("--ip is for --top axi and --target fpga")
    made = _UNITS[unit](asked)
    if out.suffix != ".v":
        raise UserError(f"the Verilog file's name must end in .v, but is {out}")
    # Only here: it takes a second, and help or the refusals above need not wait for it.
    from exaq_hdl.emit.names import check_name

    try:
        check_name(name)
    except ValueError as error:
        raise UserError(str(error)) from error
    description = out.with_suffix(".json")
    companions = (*made.companions, *companions)
    beside = [(each, [out.with_name(name) for name in each.names(out.stem)]) for each in companions]
    outputs = (out, description, *(path for _, paths in beside for path in paths))
    with replacing(*outputs, inputs=partial.files) as (verilog, manifest, *rest):
        with tool_errors(), Console(stderr=True).status("Emitting Verilog ..."):
            emitted = made.emit()
            if ip:
                from exaq_hdl.emit.companions.ip.verilog_attributes import with_attributes

                emitted = with_attributes(emitted)
        _write(verilog, emitted.verilog)
        _write(manifest, json.dumps(emitted.manifest, indent=2) + "\n")
        its = Unit(config=made.config, emitted=emitted, stem=out.stem)
        texts = [text for each in companions for text in each.texts(its)]
        for path, text in zip(rest, texts, strict=True):
            _write(path, text)
    click.echo(f"Verilog        {out}, top module {name}")
    click.echo(f"Description    {description}")
    for each, paths in beside:
        for path in paths:
            click.echo(f"{each.title:15}{path}")
    for line in made.summary(emitted.manifest):
        click.echo(line)


def _softmax(asked: _Asked) -> _Unit:
    config = asked.partial.resolve()
    refuse(asked.head, "softmax")

    def emit() -> Emitted:
        from exaq_hdl import emit_verilog

        return emit_verilog(config, top=asked.top, name=asked.name, target=asked.target)

    has_registers = config.contexts > 0 and asked.top == "axi"
    if REGISTER_RDL in asked.companions and not has_registers:
        raise UserError("--rdl is for a unit with registers, which has --contexts and --top axi")
    if FUSESOC_CORE in asked.companions and asked.top != "axi":
        raise UserError("--core is for a unit with --top axi")
    if FUSESOC_CORE in asked.companions and asked.target.ram_model == "absent":
        raise UserError("--core is for a unit that can be simulated, without --ram-model absent")
    return _Unit(
        emit=emit,
        config=config,
        companions=(C_HEADER,) if has_registers else (),
        summary=lambda manifest: _summary(config, manifest),
    )


def _level_sums(asked: _Asked) -> _Unit:
    head = dict(asked.head)
    refuse(head.keys() & {"keys", "causal", "multipliers", "operands"}, "level-sums")
    per_beat = head.pop("outputs_per_beat", None)
    config = resolve_head(asked.partial, head, unit="level-sums")

    def emit() -> Emitted:
        from exaq_hdl.attention.level_sums import settle_outputs_per_beat
        from exaq_hdl.emit.attention_verilog import emit_level_sums

        with user_errors():
            settled = settle_outputs_per_beat(config, per_beat)
        return emit_level_sums(config, outputs_per_beat=settled, top=asked.top, name=asked.name)

    return _Unit(
        emit=emit,
        config=config.softmax,
        summary=lambda manifest: _level_sums_summary(config, manifest),
    )


def _attention(asked: _Asked) -> _Unit:
    config, options = resolve_attention(asked.partial, asked.head)

    def emit() -> Emitted:
        from exaq_hdl.attention.attention_head import check_operands
        from exaq_hdl.attention.level_sums import settle_outputs_per_beat
        from exaq_hdl.emit.attention_verilog import emit_attention

        with user_errors():
            settle_outputs_per_beat(config, options.get("outputs_per_beat"))
            check_operands(config, options.get("operands", "stored"))
        return emit_attention(config, top=asked.top, name=asked.name, **options)

    return _Unit(
        emit=emit,
        config=config.softmax,
        summary=lambda manifest: _attention_summary(config, manifest),
    )


# What each choice of --unit makes.
_UNITS: dict[str, Callable[[_Asked], _Unit]] = {
    "softmax": _softmax,
    "level-sums": _level_sums,
    "attention": _attention,
}


def _level_sums_summary(config: AttentionConfig, manifest: Mapping[str, Any]) -> list[str]:
    return [
        *_head_summary(config, manifest),
        f"Latency        {manifest['latency']['cycles']} cycles, from a row's last beat to its "
        "first output",
    ]


def _attention_summary(config: AttentionConfig, manifest: Mapping[str, Any]) -> list[str]:
    stored = manifest["operands"] == "stored"
    rows = "up to the row's own number" if config.causal else "all of the head"
    if not stored:
        rows = "those that come with the row"
    return [
        f"Scores         integers of {config.score_width} bits; q of 8 bits, {config.keys} keys, "
        f"{rows}; made by {manifest['multipliers']}",
        *_head_summary(config, manifest),
        f"Latency        twice the beats of a row's keys + {manifest['latency']['cycles']} cycles, "
        f"from a row of q{'' if stored else ' and its first keys'} to its first output",
    ]


def _head_summary(config: AttentionConfig, manifest: Mapping[str, Any]) -> list[str]:
    softmax, per_beat = config.softmax, manifest["outputs_per_beat"]
    return [
        f"Configuration  {softmax.bits}-bit codes; {config.lanes} lanes; rows up to "
        f"{softmax.max_row} keys",
        f"Values         {config.head_size} elements of {config.value_width} bits",
        f"Outputs        {config.head_size} elements of {config.output_width} bits, "
        f"{config.output_frac} of them fraction bits; {per_beat} a beat",
        f"Throughput     {config.lanes} keys a cycle, without a bubble from rows of "
        f"{manifest['full_rate_row']} keys on",
    ]


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
    arrays = [each for each in manifest["memories"] if each["place"] == "block"]
    sizes = ", ".join(f"{each['depth']} x {each['width']}" for each in arrays)
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
        *([f"Memories       {sizes} bits"] if manifest["target"]["kind"] == "asic" else []),
    ]
