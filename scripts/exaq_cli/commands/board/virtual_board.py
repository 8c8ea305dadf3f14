"""``exaq board``: a virtual board to try host programs on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from exaq.attention import AttentionConfig
from exaq.extras import require
from exaq_cli.config.board_unit import resolve_unit, unit_option
from exaq_cli.config.head_options import head_options
from exaq_cli.config.link_options import AddressType, check_faults, fault_options, link_by_udp
from exaq_cli.config.options import config_options
from exaq_cli.config.partial_config import PartialConfig
from exaq_cli.errors import UserError, tool_errors, user_errors
from exaq_cli.files import replacing
from exaq_cli.output.describe import describe_unit
from exaq_cosim import ToolError
from exaq_fpga.boards import BOARDS, BoardLink
from exaq_fpga.link.protocol import UnitConfig
from exaq_fpga.virtual.virtual_board import Faults, RunStatistics, VirtualBoard

if TYPE_CHECKING:
    from exaq_fpga.flow.bitstreams.prepared import Prepared

_CONSOLE = Console(stderr=True)
_FILE = click.Path(path_type=Path)
_MHZ = 1_000_000
# Where the system keeps terminals: what a symbolic link of ours points to.
_DEVICES = "/dev"


def _chosen(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str:
    if value is None:
        raise UserError(
            "this command runs a virtual board, compiled for this machine: name one with --virtual "
            f"({', '.join(BOARDS)}); a real one needs no command, exaq stream --port talks to it"
        )
    return value


@click.command(name="board")
@click.option(
    "--virtual",
    "board",
    metavar="BOARD",
    type=click.Choice(list(BOARDS)),
    callback=_chosen,
    help="The board to run, one of those that exaq boards lists.",
)
@click.option(
    "--baud",
    type=click.IntRange(1),
    help="Baud rate of its serial port: the slower, the more cycles to simulate. A pseudo-terminal "
    "takes any rate of the host.  [default: a quarter of its clock]",
)
@click.option(
    "--udp",
    metavar="ADDRESS",
    type=AddressType(),
    help="Link by UDP, the board being at this IPv4 address of a network of its own, instead of by "
    "the serial port. Hosts reach it through a port of 127.0.0.1.",
)
@fault_options
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Of the faults, which come on both lines.",
)
@click.option(
    "--link",
    metavar="PATH",
    type=_FILE,
    help="Symbolic link to the pseudo-terminal, for a port of a fixed name; it goes in the end.",
)
@click.option(
    "--waves",
    metavar="FILE.vcd",
    type=_FILE,
    help="Write the waves of all signals: about 20 times slower, and a MB for each 1000 cycles.",
)
@click.option(
    "--for",
    "seconds",
    metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    help="End after so long.  [default: at Ctrl-C]",
)
@unit_option
@config_options
@head_options("operands")
def command(
    partial: PartialConfig,
    head: Mapping[str, Any],
    board: str,
    unit: str,
    baud: int | None,
    udp: IPv4Address | None,
    faults: Faults,
    seed: int,
    link: Path | None,
    waves: Path | None,
    seconds: float | None,
) -> None:
    """Run a virtual board: its whole design, compiled, with a pseudo-terminal as serial port, or
    a UDP socket as Ethernet.

    The design is the one that exaq build gives to synthesis. exaq stream, and any host program,
    talks to it as to a real board; several may come one after the other. Time passes on the board
    only while there is something to do. Faults can be put on the line, to see how it
    recovers. Options of the configuration change the board's own, unless there is a preset.

    \b
    exaq board --virtual icebreaker --link board
    exaq stream logits.npy --port board -o probs.npy       (in another terminal)
    exaq board --virtual ulx3s-85f --noise 0.0001 --garbage 0.001
    exaq board --virtual ulx3s-85f --unit attention --head-size 32 --max-row 256
    exaq board --virtual colorlight-5a75b --udp 192.168.1.50
    """
    require("sim")
    check_faults(faults, udp)
    if udp is not None and link is not None:
        raise UserError("--link is for the pseudo-terminal, not for --udp")
    config, made_of = resolve_unit(unit, partial, head, BOARDS[board])
    outputs = [] if waves is None else [waves]
    with replacing(*outputs) as temporary:
        prepared = prepare_virtual(board, config, baud, made_of, udp=udp)
        program = compile_virtual(prepared, tracing=waves is not None)
        running = VirtualBoard(
            program, faults=faults, seed=seed, waves=temporary[0] if temporary else None
        )
        try:
            with running:
                with _linked(link, running.port), suppress(KeyboardInterrupt):
                    _introduce(prepared, running.port if link is None else str(link))
                    running.wait(seconds)
                click.echo()
                statistics = running.stop()
        except ToolError as error:
            raise UserError(str(error)) from error
    for line in _summary(prepared, statistics):
        click.echo(line)
    for path in outputs:
        click.echo(f"Written       {path}")


def prepare_virtual(
    board: str,
    config: UnitConfig,
    baud: int | None = None,
    head: Mapping[str, Any] | None = None,
    *,
    udp: IPv4Address | None = None,
) -> Prepared:
    """The design of ``board``, one of BOARDS, its serial port as fast as is good for simulation.

    ``udp``: its address, where it is linked by UDP. ``head`` as of ``prepare``. A rate that its
    clock cannot make is a UserError, and so is what the link cannot carry.
    """
    from exaq_fpga.flow.bitstreams.prepared import prepare, settle_rates, usual_clock
    from exaq_fpga.virtual.design import DIVISOR

    spec = BOARDS[board]
    clock = usual_clock(spec, config)
    with user_errors():
        if udp is None:
            link: BoardLink = spec.link.with_baud(clock // DIVISOR if baud is None else baud)
        else:
            link = link_by_udp(spec, udp, baud)
        settle_rates(spec, clock, link)
    with tool_errors(), _CONSOLE.status("Emitting the design ..."):
        return prepare(spec, config, clock=clock, link=link, head=head)


def compile_virtual(prepared: Prepared, *, tracing: bool = False) -> Path:
    """The program of the virtual board; a tool that is missing or fails is a UserError."""
    from exaq_fpga.virtual.design import compile_design

    try:
        with _CONSOLE.status("Compiling the design (once per configuration) ..."):
            return compile_design(prepared, tracing=tracing)
    except ToolError as error:
        raise UserError(str(error)) from error


def describe(prepared: Prepared) -> Iterator[str]:
    """What a virtual board is, in lines."""
    spec, link = prepared.spec, prepared.link
    yield f"Board         {spec.title}, {spec.device}, virtual"
    yield f"Configuration {describe_unit(prepared.config)}"
    yield f"Clock         {prepared.clock / _MHZ:.6g} MHz; {link.on_clock(prepared.clock)}"


def _introduce(prepared: Prepared, port: str) -> None:
    for line in describe(prepared):
        click.echo(line)
    click.echo(f"Port          {port}")
    attention = isinstance(prepared.config, AttentionConfig)
    files = "--unit attention Q.npy K.npy V.npy" if attention else "LOGITS.npy"
    out = "O.npy" if attention else "PROBS.npy"
    click.echo(
        f"Next          exaq stream {files} --port {shlex.quote(port)} -o {out}\n"
        "              in another terminal; Ctrl-C here ends the board"
    )


def _summary(prepared: Prepared, statistics: RunStatistics) -> Iterator[str]:
    """What a virtual board did, in lines."""
    seconds = statistics.cycles / prepared.clock
    yield (
        f"Simulated     {statistics.cycles:,} cycles, {seconds:.3f} s of the board's time; "
        f"{statistics.cycles_per_second / 1e6:.2f} M cycles a second"
    )
    yield (
        f"{prepared.link.kind:14}{statistics.octets_in:,} octets to the board, "
        f"{statistics.octets_out:,} from it"
    )
    if statistics.octets_out:
        yield f"Line busy     {statistics.busy:.1%} of the time in which the board had work"
    injected = [f"{count:,} {name}" for name, count in statistics.faults.items() if count]
    if injected:
        yield f"Faults        {', '.join(injected)}"


@contextmanager
def _linked(link: Path | None, port: str) -> Iterator[None]:
    """``link`` points to ``port``; one that a killed board left behind is replaced."""
    if link is None:
        yield
        return
    try:
        if link.is_symlink() and link.readlink().is_relative_to(_DEVICES):
            link.unlink()
        link.symlink_to(port)
    except FileExistsError:
        raise UserError(f"cannot make the link {link}: there is a file of that name") from None
    except OSError as error:
        raise UserError(f"cannot make the link {link}: {error.strerror}") from error
    try:
        yield
    finally:
        link.unlink(missing_ok=True)
