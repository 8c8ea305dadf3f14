"""Errors and warnings of one line: what is the user's to mend, and what went wrong."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import click


class UserError(Exception):
    """Something the user asked for cannot be; the message says what, and what is legal.

    ``exaq_cli.main`` prints it as ``exaq: error: MESSAGE`` on stderr and exits with code 2.
    """


class BreakdownError(Exception):
    """Something outside the program failed on the way, such as the link to a board.

    ``exaq_cli.main`` prints it as it does a ``UserError``, and exits with code 3.
    """


@contextmanager
def tool_errors() -> Iterator[None]:
    """Around work that runs other programs: that one is missing or fails becomes UserError."""
    # Only here: NumPy comes with it, and help need not wait for that.
    from exaq.tool import ToolError

    try:
        yield
    except ToolError as error:
        raise UserError(str(error)) from error


@contextmanager
def user_errors() -> Iterator[None]:
    """Around calls into the library with the user's values: their refusals become UserError.

    ``exaq`` refuses values by ValueError and types by TypeError, with a message for the user.
    Keep the body to those calls alone, or a fault of the program passes for one of the user.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        raise UserError(str(error)) from error


@contextmanager
def plain_warnings(told: Callable[[str], str] = str) -> Iterator[None]:
    """Show the body's ``ExaqWarning``s as ``exaq: warning: MESSAGE``, those alike once.

    ``told`` puts a message into the user's words.
    """

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        # By its name: the class comes with NumPy, and help need not wait for that.
        if any(each.__name__ == "ExaqWarning" for each in category.__mro__):
            click.echo(f"exaq: warning: {told(str(message))}", err=True)
        else:
            others(message, category, filename, lineno, file, line)

    with warnings.catch_warnings():
        others = warnings.showwarning
        warnings.showwarning = show
        yield
