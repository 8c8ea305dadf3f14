"""The command ``exaq``: finds its subcommands and turns errors into one line."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import click

from exaq_cli.errors import BreakdownError, UserError, plain_warnings

# Each is the attribute ``command`` of the module exaq_cli.NAME, imported when it is called only:
# help and errors need not wait for a simulator's imports. In a module's name, - becomes _.
_COMMANDS = {
    "generate": "Write the unit as Verilog, with a JSON of its ports and tables.",
    "simulate": "Stream an array of logits through the unit's compiled Verilog.",
    "calibrate": "Make tables from a model's own attention logits.",
    "evaluate": "Measure what softmax of few bits costs on a model.",
    "boards": "List the boards: device, clock, pins, programmer, how far verified.",
    "build": "Make a board's bitstream.",
    "program": "Write a board's bitstream into it.",
    "stream": "Stream an array of logits through a board, and check every bit.",
    "board": "Run a virtual board: the whole design compiled, its UART a pseudo-terminal.",
    "demo-board": "Stream real attention logits through a virtual board.",
    "bench": "Measure size, clock and cycles of a configuration.",
    "demo": "Run the unit on real attention logits and compare it with float softmax.",
}
# The extras that hold all that a command needs; the others need none.
_EXTRAS = {
    "generate": ("rtl",),
    "simulate": ("sim",),
    "evaluate": ("eval",),
    "build": ("fpga",),
    "program": ("fpga",),
    "stream": ("board",),
    "board": ("sim",),
    "demo-board": ("sim", "board"),
    "bench": ("fpga",),
    "demo": ("sim", "plot"),
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
        module = importlib.import_module(f"exaq_cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


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
    """Run the command line ``args`` (None: the process's own) and exit.

    Exit codes: 0, done; 1, done and found wanting, or the reader of the output went away;
    2, the user's error, with one line ``exaq: error: ...`` on stderr; 3, something else failed on
    the way, with such a line; 130, interrupted.
    """
    given = sys.argv[1:] if args is None else list(args)
    name = next((word for word in given if not word.startswith("-")), "")
    try:
        with plain_warnings():
            code = _exaq.main(given, prog_name="exaq", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except BrokenPipeError:
        # The interpreter would flush stdout once more at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except click.ClickException as error:
        _fail(error.format_message())
    except UserError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        # Imported late: NumPy comes with it, and help need not wait for that.
        from exaq.extras import missing

        message = missing(f"exaq {name}", error.name, _EXTRAS.get(name, ()))
        if message is None:
            raise
        _fail(message)
    except BreakdownError as error:
        _fail(str(error), 3)
    except OSError as error:
        where = "" if error.filename is None else f": {error.filename}"
        _fail(f"{error.strerror or error}{where}")
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int = 2) -> NoReturn:
    click.echo(f"exaq: error: {' '.join(message.split())}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
