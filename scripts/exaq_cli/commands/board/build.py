"""``exaq build``: a board's bitstream."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from exaq.extras import require
from exaq_cli.config.board_unit import resolve_unit, unit_option
from exaq_cli.config.head_options import head_options
from exaq_cli.config.link_options import AddressType, link_by_udp
from exaq_cli.config.options import config_options
from exaq_cli.config.partial_config import PartialConfig
from exaq_cli.errors import UserError, tool_errors, user_errors
from exaq_cli.output.describe import describe_unit
from exaq_fpga.boards import BOARDS, BoardSpec

if TYPE_CHECKING:
    from exaq_fpga.flow.bitstreams.build import Built
    from exaq_fpga.flow.bitstreams.prepared import Prepared

_CONSOLE = Console(stderr=True)
_MHZ = 1_000_000


def _clock(ctx: click.Context, parameter: click.Parameter, value: float | None) -> int | None:
    if value is None:
        return None
    if not math.isfinite(value) or value <= 0:
        raise click.BadParameter(f"must be above 0, not {value:g}")
    return round(value * _MHZ)


@click.command(name="build")
@click.argument("board", type=click.Choice(list(BOARDS)), metavar="BOARD")
@click.option(
    "-o",
    "--out",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the build, kept whole.  [default: build/BOARD]",
)
@click.option(
    "--clock",
    metavar="MHZ",
    type=float,
    callback=_clock,
    help="Clock of the unit, from the board's PLL.  [default: the board's, see exaq boards; of an "
    "attention head half of it]",
)
@click.option(
    "--baud",
    type=click.IntRange(min=1),
    help="Baud rate of the serial port.  [default: the board's, see exaq boards]",
)
@click.option(
    "--udp",
    metavar="ADDRESS",
    type=AddressType(),
    help="Link by UDP at this IPv4 address, through the board's Ethernet socket, instead of by the "
    "serial port.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Of place and route: another one gives another critical path.",
)
@click.option("--no-dsp", is_flag=True, help="Build multipliers of LUTs.")
@click.option(
    "--prove",
    is_flag=True,
    help="Simulate what was built on real and random rows and compare with the golden model: on "
    "iCE40 the bitstream itself (needs fpga-icestorm), elsewhere the netlist after synthesis.",
)
@unit_option
@config_options
@head_options("operands")
def command(
    partial: PartialConfig,
    head: Mapping[str, Any],
    board: str,
    unit: str,
    out: Path | None,
    clock: int | None,
    baud: int | None,
    udp: IPv4Address | None,
    seed: int,
    no_dsp: bool,
    prove: bool,
) -> None:
    """Make BOARD's bitstream: a unit behind the board's serial port, or its Ethernet socket.

    Options of the configuration change the board's own, unless there is a preset. exaq boards
    lists the boards. The tools are those of the machine where they are new enough, else those
    that pip installs. A design that does not fit, or whose timing does not close for the clock, is
    refused, and no bitstream is left.

    \b
    exaq build icebreaker
    exaq build icebreaker --lanes 8 --max-row 512
    exaq build ulx3s-85f --preset 2bit-x32 --clock 75 --prove
    exaq build ulx3s-85f --unit attention --head-size 32 --max-row 256
    exaq build colorlight-5a75b --udp 192.168.1.50 --prove
    """
    if prove:
        require("sim", "board")
        if unit == "attention":
            raise UserError(
                "--prove is for the softmax unit; exaq board --virtual runs the design of an "
                "attention head, and exaq stream checks what comes of it"
            )
    from exaq_fpga.flow.bitstreams.prepared import prepare, settle_rates, usual_clock

    spec = BOARDS[board]
    config, made_of = resolve_unit(unit, partial, head, spec)
    folder = Path("build") / board if out is None else out
    with user_errors():
        link = spec.link.with_baud(baud) if udp is None else link_by_udp(spec, udp, baud)
        clock = usual_clock(spec, config) if clock is None else clock
        settle_rates(spec, clock, link)
    with _steps() as step:
        step("emitting the design")
        with tool_errors():
            prepared = prepare(
                spec, config, clock=clock, link=link, seed=seed, dsp=not no_dsp, head=made_of
            )
        built = _build(prepared, folder, step)
        report = _prove(prepared, built, folder, step) if prove else built.report
    for line in _summary(prepared, built, report):
        click.echo(line)
    if prove and not _holds(report):
        for fault in report["proof"]["faults"]:
            click.echo(f"exaq: fault: {fault}", err=True)
        click.get_current_context().exit(1)


def _holds(report: dict[str, Any]) -> bool:
    return not report["proof"]["mismatches"] and not report["proof"]["faults"]


def _build(prepared: Prepared, folder: Path, step: Callable[[str], None]) -> Built:
    from exaq_cosim import ToolError
    from exaq_fpga.flow.bitstreams.build import BuildError, build

    try:
        return build(prepared, folder, step=step)
    except BuildError as error:
        if error.details:
            click.echo("Critical path:", err=True)
        for line in error.details:
            click.echo(f"  {line}", err=True)
        raise UserError(str(error)) from error
    except ToolError as error:
        raise UserError(f"{error}; the tools' logs are in {folder}") from error


def _prove(
    prepared: Prepared, built: Built, folder: Path, step: Callable[[str], None]
) -> dict[str, Any]:
    from exaq_cosim import ToolError
    from exaq_fpga.flow.bitstreams.build import write_report
    from exaq_fpga.prove import prove

    step("simulating what was built")
    try:
        proof = prove(prepared, folder, progress=step)
    except ToolError as error:
        raise UserError(f"{error}; the bitstream is built, but not proven") from error
    report = built.report | {"proof": asdict(proof)}
    write_report(report, folder)
    return report


def _summary(prepared: Prepared, built: Built, report: dict[str, Any]) -> Iterator[str]:
    from exaq_fpga.boards.board_reports import proof, size

    spec = prepared.spec
    yield f"Bitstream      {built.bitstream}"
    yield f"Board          {spec.title}, {spec.device}: {size(report)}"
    yield f"Configuration  {describe_unit(prepared.config)}"
    yield f"Clock          {prepared.clock / _MHZ:.6g} MHz; timing closes for {report['mhz']} MHz"
    yield f"{prepared.link.kind:15}{prepared.link.describe()}"
    yield f"Verified       {proof(report)}"
    yield f"Report         {built.bitstream.parent / 'report.json'}"
    yield f"Next           exaq program {spec.name}" + _where(spec, built.bitstream.parent)


def _where(spec: BoardSpec, folder: Path) -> str:
    return "" if folder == Path("build") / spec.name else f" -o {folder}"


@contextmanager
def _steps() -> Iterator[Callable[[str], None]]:
    """Yields the function that tells the next step: on a terminal, as it runs."""
    start = time.monotonic()
    hint = " (tools that pip installed prepare themselves at their first run, about a minute)"
    with _CONSOLE.status("starting ...") as status:

        def step(name: str) -> None:
            _CONSOLE.print(f"{time.monotonic() - start:5.0f} s  {name}", highlight=False)
            status.update(name + (hint if "yowasp" in name else ""))

        yield step
