"""Progress where there is no terminal: lines that say what begins, how far it is, and what ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from exaq_cli.output import progress
from exaq_cli.output.progress import counted, duration, staged


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of the log, which looks at it only when it is told to."""
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    # Tests in general have all the patience in the world.
    monkeypatch.setattr(progress, "PATIENCE", 10.0)
    return clock


Log = progress._Log


def log_of(clock: Clock) -> tuple[Log, Callable[[], list[str]]]:
    """A log, and what it has said since it was last asked."""
    file = StringIO()
    log = Log("x: ", Console(file=file))

    def said() -> list[str]:
        lines = file.getvalue().splitlines()
        file.truncate(0)
        file.seek(0)
        return lines

    return log, said


def passes(clock: Clock, log: Log, seconds: float) -> None:
    """Time passes, and the log looks at it twice a second."""
    for _ in range(round(2 * seconds)):
        clock.now += 0.5
        log.look()


def test_work_that_is_soon_over_says_nothing(clock: Clock) -> None:
    log, said = log_of(clock)
    for stage in ("a", "b"):
        log.told(0, 2, stage)
        passes(clock, log, 4)
        log.told(2, 2, "")
    assert said() == []


def test_stages_are_told_where_they_begin_and_end(clock: Clock) -> None:
    log, said = log_of(clock)
    log.told(0, 8, "a")
    passes(clock, log, 9.5)
    assert said() == []
    log.told(3, 8, "a")
    passes(clock, log, 0.5)
    assert said() == ["x: a: 3 of 8"]
    log.told(8, 8, "a")
    assert said() == ["x: a: 8 of 8, ended after 10 s"]
    # Its end is told once, whatever follows.
    log.told(8, 8, "")
    assert said() == []
    log.told(0, 1200, "b")
    passes(clock, log, 0.5)
    assert said() == []
    passes(clock, log, 0.5)
    assert said() == ["x: b: 0 of 1,200"]
    # A stage that is over at once is told of once.
    log.told(0, 2, "c")
    assert said() == ["x: b: 0 of 1,200, ended after 1 s"]
    log.told(2, 2, "c")
    assert said() == ["x: c: 2 of 2, ended after 0 s"]


def test_there_is_a_line_every_half_minute_whatever_happens(clock: Clock) -> None:
    log, said = log_of(clock)
    log.told(0, 9, "a")
    passes(clock, log, 10)
    assert said() == ["x: a: 0 of 9"]
    passes(clock, log, 29.5)
    assert said() == []
    passes(clock, log, 0.5)
    assert said() == ["x: a: 0 of 9, 40 s"]
    log.told(1, 9, "")
    passes(clock, log, 30)
    assert said() == ["x: a: 1 of 9, 1 min 10 s"]


def test_a_stage_that_begins_again_counts_as_another(clock: Clock) -> None:
    log, said = log_of(clock)
    clock.now += 20
    log.told(0, 2, "a")
    log.told(2, 2, "a")
    log.told(0, 3, "a")
    passes(clock, log, 1)
    assert said() == ["x: a: 2 of 2, ended after 0 s", "x: a: 0 of 3"]


def test_bodies_get_what_they_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch itself: lines come while the body says nothing."""
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(progress, "SETTLED", 0.0)
    monkeypatch.setattr(progress, "INTERVAL", 0.05)
    monkeypatch.setattr(progress, "_TICK", 0.01)
    file = StringIO()
    with staged("x", console=Console(file=file)) as told:
        told(0, 2, "a")
        _wait_for(file, 3)
        told(2, 2, "")
    lines = file.getvalue().splitlines()
    assert lines[:2] == ["x: a: 0 of 2", "x: a: 0 of 2, 0 s"]
    assert lines[-1].startswith("x: a: 2 of 2, ended after")
    file = StringIO()
    with counted("Counting", console=Console(file=file)) as tell:
        tell(1, 4)
        _wait_for(file, 1)
    assert file.getvalue().splitlines()[0] == "Counting: 1 of 4"


def test_a_body_that_fails_ends_the_watch() -> None:
    def work() -> None:
        with staged("x", console=Console(file=StringIO())) as told:
            told(0, 2, "a")
            raise KeyError

    before = threading.active_count()
    with pytest.raises(KeyError):
        work()
    assert threading.active_count() == before


def _wait_for(file: StringIO, lines: int) -> None:
    until = time.monotonic() + 20
    while file.getvalue().count("\n") < lines and time.monotonic() < until:
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h"),
        (3725, "1 h 2 min"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
