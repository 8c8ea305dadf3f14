"""The command ``exaq``: finds its subcommands and turns errors into one line."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple, NoReturn

import click

from exaq_cli.exit_codes import fail, run_program


class _Entry(NamedTuple):
    """A command: a module of exaq_cli.commands, its line of help, and the extras it needs."""

    module: str
    help: str
    extras: tuple[str, ...] = ()


# Each is the attribute ``command`` of its module, which is imported when it is called only: help
# and errors need not wait for a simulator's imports.
_COMMANDS = {
    "generate": _Entry(
        "unit.generate", "Write the unit as Verilog, with a JSON of its ports and tables.", ("rtl",)
    ),
    "simulate": _Entry(
        "unit.simulate", "Stream an array of logits through the unit's compiled Verilog.", ("sim",)
    ),
    "calibrate": _Entry("model.calibrate", "Make tables from a model's own attention logits."),
    "evaluate": _Entry(
        "model.evaluate", "Measure what softmax of few bits costs on a model.", ("eval",)
    ),
    "boards": _Entry(
        "board.list_boards",
        "List the boards: device, clock, pins, programmer, how far verified.",
    ),
    "build": _Entry("board.build", "Make a board's bitstream.", ("fpga",)),
    "program": _Entry("board.program", "Write a board's bitstream into it.", ("fpga",)),
    "stream": _Entry(
        "board.stream",
        "Stream an array of logits through a board, and check every bit.",
        ("board",),
    ),
    "board": _Entry(
        "board.virtual_board",
        "Run a virtual board: the whole design compiled, its UART a pseudo-terminal.",
        ("sim",),
    ),
    "demo-board": _Entry(
        "board.demo_board",
        "Stream real attention logits through a virtual board.",
        ("sim", "board"),
    ),
    "bench": _Entry("unit.bench", "Measure size, clock and cycles of a configuration.", ("fpga",)),
    "asic": _Entry(
        "unit.asic",
        "Map the unit to standard cells: area, speed, energy; its gates simulated.",
        ("asic",),
    ),
    "explore": _Entry(
        "unit.explore",
        "Find the unit to take for a device, among many.",
        ("fpga", "plot", "cluster"),
    ),
    "demo": _Entry(
        "unit.demo",
        "Run the unit on real attention logits and compare it with float softmax.",
        ("sim", "plot"),
    ),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        # Only here: NumPy comes with it, and help need not wait for that.
        from exaq import ExaqWarning
        from exaq.cache import CacheError, cache_folder

        # Matplotlib reads it once it is imported.
        with suppress(CacheError):
            os.environ.setdefault("MPLCONFIGDIR", str(cache_folder() / "matplotlib"))
        # Whatever the interpreter makes of warnings, those of the project are shown, not raised.
        warnings.simplefilter("default", ExaqWarning)
        module = importlib.import_module(f"exaq_cli.commands.{_COMMANDS[cmd_name].module}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in _COMMANDS.items()])


@click.group(cls=_Commands, invoke_without_command=True)
@click.version_option(package_name="exaq-softmax", message="exaq %(version)s")
@click.pass_context
def _exaq(ctx: click.Context) -> None:
    """A streaming EXAQ softmax unit: generate, simulate and measure it.

    exaq COMMAND --help describes a command and all its options.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line ``args`` (None: the process's own) and exit; see ``run_program``."""
    given = sys.argv[1:] if args is None else list(args)
    try:
        run_program(_exaq, "exaq", given)
    except ModuleNotFoundError as error:
        # Imported late: NumPy comes with it, and help need not wait for that.
        from exaq.extras import missing

        name = next((word for word in given if not word.startswith("-")), "")
        extras = _COMMANDS[name].extras if name in _COMMANDS else ()
        message = missing(f"exaq {name}", error.name, extras)
        if message is None:
            raise
        fail("exaq", message)


if __name__ == "__main__":
    main()
