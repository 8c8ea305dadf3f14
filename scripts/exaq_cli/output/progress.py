"""How far long work is: bars on a terminal, and lines of text in a pipe or a log."""

from __future__ import annotations

import threading
import time
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

#: Seconds of work after which lines begin; work that is over sooner says nothing.
PATIENCE = 10.0
#: Seconds after which there is a line at the latest, whatever happens.
INTERVAL = 30.0
#: Seconds that a stage lasts before its beginning is told.
SETTLED = 1.0
# Seconds between looks at the clock.
_TICK = 0.5


@contextmanager
def counted(
    what: str, *columns: ProgressColumn, console: Console
) -> Iterator[Callable[[int, int], None]]:
    """Shows ``what`` and how much of it is done, as long as the body runs.

    On a terminal this is a bar. Elsewhere it is lines, once ``PATIENCE`` is over: at the beginning,
    at the end, and after each ``INTERVAL``.

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
    if not console.is_terminal:
        with _lines("", console) as said:
            yield lambda done, total: said(done, total, what)
        return
    shown = (TextColumn("{task.description}"), BarColumn(), *columns)
    with Progress(*shown, console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)

        def tell(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield tell


@contextmanager
def staged(
    what: str, *, console: Console, transient: bool = False
) -> Iterator[Callable[[int, int, str], None]]:
    """Shows ``what``, its present stage, and how much of that is done, as long as the body runs.

    On a terminal this is a bar. Elsewhere it is lines, once ``PATIENCE`` is over: where a stage
    begins, where it ends, and after each ``INTERVAL``.

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
    if not console.is_terminal:
        with _lines(f"{what}: ", console) as said:
            yield said
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=transient) as progress:
        task = progress.add_task(what, total=None)

        def told(done: int, total: int, now: str) -> None:
            progress.update(task, completed=done, total=total)
            if now:
                progress.update(task, description=f"{what}: {now}")

        yield told


def duration(seconds: float) -> str:
    """In words, to the second, to the minute from an hour on: ``40 s``, ``2 min 5 s``, ``1 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    parts = ((minutes, "min"), (rest, "s"))
    if minutes >= 60:
        parts = ((minutes // 60, "h"), (minutes % 60, "min"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count)


@contextmanager
def _lines(before: str, console: Console) -> Iterator[Callable[[int, int, str], None]]:
    log = _Log(before, console)
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_TICK):
            log.look()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield log.told
    finally:
        over.set()
        watcher.join()


class _Log:
    """Tells of stages in lines that begin with ``before``."""

    def __init__(self, before: str, console: Console) -> None:
        self._before, self._console = before, console
        self._lock = threading.Lock()
        self._began = self._stage_began = self._last = time.monotonic()
        self._stage, self._done, self._total = "", 0, 0
        # Whether the stage was told of, and whether it is under way.
        self._told, self._running = False, False

    def told(self, done: int, total: int, now: str) -> None:
        """What is done, all there is to do, and the stage; an empty one is the stage before."""
        with self._lock:
            stage = now or self._stage
            if stage != self._stage or not self._running:
                if stage == self._stage and done >= total:
                    return
                self._end()
                self._stage, self._stage_began = stage, time.monotonic()
                self._told, self._running = False, True
            self._done, self._total = done, total
            if done >= total:
                self._end()

    def look(self) -> None:
        """Say what is due."""
        with self._lock:
            now = time.monotonic()
            if not self._running or now - self._began < PATIENCE:
                return
            if not self._told and now - self._stage_began >= SETTLED:
                self._told = True
                self._say(f"{self._stage}: {self._share()}")
            elif now - self._last >= INTERVAL:
                self._say(f"{self._stage}: {self._share()}, {self._lasting()}")

    def _end(self) -> None:
        if self._running and time.monotonic() - self._began >= PATIENCE:
            self._say(f"{self._stage}: {self._share()}, ended after {self._lasting()}")
        self._running = False

    def _share(self) -> str:
        return f"{self._done:,} of {self._total:,}"

    def _lasting(self) -> str:
        return duration(time.monotonic() - self._stage_began)

    def _say(self, text: str) -> None:
        self._last = time.monotonic()
        self._console.print(f"{self._before}{text}", markup=False, highlight=False, soft_wrap=True)
