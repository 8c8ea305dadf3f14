"""Bars that show how far long work is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn


@contextmanager
def counted(
    what: str, *columns: ProgressColumn, console: Console
) -> Iterator[Callable[[int, int], None]]:
    """A bar for ``what``, on a terminal, as long as the body runs.

    Parameters
    ----------
    what
        Stands before the bar.
    columns
        Stand behind it.

    Yields
    ------
    Callable[[int, int], None]
        To be called with what is done, and with all there is to do.
    """
    shown = (TextColumn("{task.description}"), BarColumn(), *columns)
    quiet = not console.is_terminal
    with Progress(*shown, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task(what, total=None)

        def tell(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield tell
