"""``exaq asic``: area, time and energy of the unit in standard cells, and its gates simulated."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from exaq import SoftmaxConfig
from exaq.extras import require
from exaq_asic.memory_table import TABLES
from exaq_cli.config.options import config_options
from exaq_cli.config.partial_config import PartialConfig
from exaq_cli.config.target_options import target_options
from exaq_cli.errors import UserError, tool_errors, user_errors
from exaq_cli.files import replacing
from exaq_cli.output.asic_summary import asic_summary
from exaq_hdl.emit.target import Target

if TYPE_CHECKING:
    from exaq_asic.flow import Options
    from exaq_asic.liberty import Library
    from exaq_asic.memory_table import Macro

# exaq_asic.librelane_files.FILES, which takes Amaranth's import.
LIBRELANE_FILES = (
    "config.json",
    "constraints.sdc",
    "pins.cfg",
    "src/exaq_softmax.v",
    "src/arrays.v",
)
_CONSOLE = Console(stderr=True)
_FILE = click.Path(path_type=Path)


@click.command(name="asic")
@click.option(
    "--liberty",
    "liberties",
    metavar="FILE",
    type=_FILE,
    multiple=True,
    required=True,
    help="Standard cells as Liberty, .lib or .lib.gz; may be given often. A file with the cells of "
    "one before it is another corner, for which the unit is not mapped anew.",
)
@click.option("--area", is_flag=True, help="Map for a small area.  [default: for speed]")
@click.option(
    "--mhz",
    type=float,
    default=500.0,
    show_default=True,
    help="Clock that gates are sized for; what is reached is measured.",
)
@click.option(
    "--adders",
    type=click.Choice(["kogge-stone", "sklansky"]),
    default="kogge-stone",
    show_default=True,
    help="Parallel prefixes of adders where it is for speed: the fastest, or of less area.",
)
@click.option(
    "--restructure",
    is_flag=True,
    help="Let ABC restructure logic before it maps for speed: for kernels that multiply or shift.",
)
@click.option("--clock-gate", is_flag=True, help="Clock gates for registers that share an enable.")
@click.option(
    "--array-ns",
    type=float,
    default=1.5,
    show_default=True,
    help="What a memory's array takes from the clock's edge to what is read.",
)
@click.option(
    "--wire-ff",
    type=float,
    default=3.0,
    show_default=True,
    help="Capacitance of the wire to each pin that a net drives, for energies.",
)
@click.option(
    "--memory-table",
    metavar="TABLE",
    type=_FILE,
    help="Memory macros that there are: words, bits, ports, um2, and pJ and ns of an access. "
    f"A TOML file, or a table that comes along: {', '.join(TABLES)}.",
)
@click.option(
    "--no-simulation",
    is_flag=True,
    help="Leave out the simulation of the gates, and with it their energy.",
)
@click.option(
    "--librelane",
    metavar="DIR",
    type=_FILE,
    help="Write a folder for LibreLane: configuration, constraints, pins, macros and Verilog; the "
    "clock is that of the first library's slowest path, and a margin for wires.",
)
@click.option("--json", "report", metavar="FILE", type=_FILE, help="Write all figures as JSON.")
@config_options
@target_options("ram", "ram_latency", "reset", kind="asic")
def command(
    partial: PartialConfig,
    liberties: tuple[Path, ...],
    area: bool,
    mhz: float,
    adders: str,
    restructure: bool,
    clock_gate: bool,
    array_ns: float,
    wire_ff: float,
    memory_table: Path | None,
    no_simulation: bool,
    librelane: Path | None,
    report: Path | None,
    target: Target,
) -> None:
    """Map the unit to standard cells, check its gates, and measure them.

    Printed are cell area by block, memories apart, the slowest path, and energy an element. The
    gates are simulated first: where they give other bits than the golden model, the exit code
    is 1. Memories' arrays stay apart, and nothing is placed. A report appears whole or not at all.

    \b
    exaq asic --liberty cells.lib.gz
    exaq asic --liberty typical.lib --liberty slow.lib --preset 2bit-x16 --clock-gate
    exaq asic --liberty cells.lib --area --memory-table macros.toml --json asic.json
    """
    config = partial.resolve()
    require("asic")
    inputs = [*liberties, memory_table, *partial.files]
    reports = [] if report is None else [report]
    layout = [] if librelane is None else [librelane / file for file in LIBRELANE_FILES]
    with replacing(*reports, *layout, inputs=inputs) as temporary:
        macros = () if memory_table is None else _macros(memory_table)
        options = _options(
            recipe={
                "goal": "area" if area else "speed",
                "mhz": mhz,
                "clock_gate": clock_gate,
                "adders": adders,
                "restructure": restructure,
            },
            array_ns=array_ns,
            wire_ff=wire_ff,
            macros=macros,
            simulation=not no_simulation,
            target=target,
        )
        libraries = [_library(path, options) for path in liberties]
        with _told() as step:
            found = _measure(config, libraries, options, step)
        if isinstance(found, str):
            click.echo(f"exaq: error: {found}", err=True)
            raise click.exceptions.Exit(1)
        for path in temporary[: len(reports)]:
            path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        if layout:
            _lay_out(config, target, macros, found, temporary[len(reports) :])
    for line in asic_summary(found):
        click.echo(line)
    if report is not None:
        click.echo(f"Figures        {report}")
    if librelane is not None:
        click.echo(f"LibreLane      {librelane}; nothing was laid out")


def _lay_out(
    config: SoftmaxConfig,
    target: Target,
    macros: Sequence[Macro],
    found: dict[str, Any],
    paths: Sequence[Path],
) -> None:
    from exaq_asic.librelane_files import librelane_files

    nanoseconds = found["corners"][0]["timing"]["nanoseconds"]
    with user_errors():
        files = librelane_files(config, nanoseconds=nanoseconds, target=target, macros=macros)
    for path, text in zip(paths, files.values(), strict=True):
        path.write_text(text, encoding="utf-8")


def _options(
    *,
    recipe: dict[str, Any],
    array_ns: float,
    wire_ff: float,
    macros: tuple[Macro, ...],
    simulation: bool,
    target: Target,
) -> Options:
    from exaq_asic.energy.meter import Conditions
    from exaq_asic.flow import Options
    from exaq_asic.mapping.recipe import Recipe

    with user_errors():
        return Options(
            recipe=Recipe(**recipe),
            array_nanoseconds=array_ns,
            conditions=Conditions(wire_femtofarads=wire_ff),
            macros=macros,
            simulation=simulation,
            target=target,
        )


def _macros(path: Path) -> tuple[Macro, ...]:
    from exaq_asic.memory_table import read_macros, table_path

    try:
        with user_errors():
            return tuple(read_macros(table_path(str(path)) if str(path) in TABLES else path))
    except OSError as error:
        tables = ", ".join(TABLES)
        raise UserError(
            f"cannot read {path}: {error.strerror}; tables that come along: {tables}"
        ) from error


def _library(path: Path, options: Options) -> Library:
    from exaq_asic.liberty import Library

    try:
        with user_errors():
            library = Library.read(path)
            options.recipe.check(library)
            return library
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _measure(
    config: SoftmaxConfig,
    libraries: list[Library],
    options: Options,
    step: Callable[[str], None],
) -> dict[str, Any] | str:
    """The report, or what is wrong with the gates."""
    from exaq_asic.flow import measure
    from exaq_asic.gates.gate_check import GateMismatchError
    from exaq_asic.liberty import LibertyError

    try:
        with tool_errors():
            return measure(config, libraries, options, step)
    except LibertyError as error:
        raise UserError(str(error)) from error
    except GateMismatchError as error:
        return str(error)


@contextmanager
def _told() -> Iterator[Callable[[str], None]]:
    """Lines on stderr: the seconds since the beginning, and what begins."""
    start = time.monotonic()
    with _CONSOLE.status("starting ...") as status:

        def step(name: str) -> None:
            status.update(f"{name} ...")
            _CONSOLE.print(f"{time.monotonic() - start:5.0f} s  {name}", highlight=False)

        yield step
