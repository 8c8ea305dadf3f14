"""A click command as a program: what stands on stderr where it fails, and its exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from exaq_cli.errors import BreakdownError, UserError, plain_warnings


def run_program(command: click.Command, name: str, args: Sequence[str]) -> NoReturn:
    """Run ``command`` on ``args`` as the program ``name``, and exit.

    Exit codes: 0, done; 1, done and found wanting, or the reader of the output went away;
    2, the user's error, with one line ``NAME: error: ...`` on stderr; 3, something else failed on
    the way, with such a line; 130, interrupted.

    Raises
    ------
    ModuleNotFoundError
        Something is not installed; what that is for only the caller knows.
    """
    try:
        with plain_warnings():
            code = command.main(list(args), prog_name=name, standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except BrokenPipeError:
        # The interpreter would flush stdout once more at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except click.ClickException as error:
        fail(name, error.format_message())
    except UserError as error:
        fail(name, str(error))
    except BreakdownError as error:
        fail(name, str(error), 3)
    except OSError as error:
        where = "" if error.filename is None else f": {error.filename}"
        fail(name, f"{error.strerror or error}{where}")
    sys.exit(code if isinstance(code, int) else 0)


def fail(name: str, message: str, code: int = 2) -> NoReturn:
    """Exit with ``NAME: error: MESSAGE`` as one line on stderr."""
    click.echo(f"{name}: error: {' '.join(message.split())}", err=True)
    sys.exit(code)
