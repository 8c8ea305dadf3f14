"""Bars that show how far long work is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)


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


@contextmanager
def staged(
    what: str, *, console: Console, transient: bool = False
) -> Iterator[Callable[[int, int, str], None]]:
    """A bar for ``what`` that shows its present stage, on a terminal, as long as the body runs.

    Parameters
    ----------
    what
        Stands before the stage.
    transient
        Whether the bar goes when the body ends.

    Yields
    ------
    Callable[[int, int, str], None]
        To be called with what is done, with all there is to do, and the stage; an empty one is the
        stage before.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=transient, disable=quiet) as progress:
        task = progress.add_task(what, total=None)

        def told(done: int, total: int, now: str) -> None:
            progress.update(task, completed=done, total=total)
            if now:
                progress.update(task, description=f"{what}: {now}")

        yield told
