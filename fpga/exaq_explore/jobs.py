"""Work that is handed out: courses say what they need next, and get it when it is done.

A *course* is a generator that yields jobs, is sent what each gave, and returns what it found. Many
run side by side; what two of them ask for is done once, and what a record has is not done again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import Any, TypeVar

from exaq.concurrency import WorkerError
from exaq_explore.record import Record, key_of, state_of

R = TypeVar("R")


@dataclass(frozen=True)
class Job:
    """One piece of work.

    Members
    -------
    function
        Importable, of plain arguments, with a plain value for JSON; never None.
    arguments
        What it is called with.
    what
        Plain values that tell it from every other.
    packages, wheels
        Names of the packages whose code it runs, and of distributions whose versions count.
    now
        What it does, for people.
    holds
        Whether what was recorded before still says enough.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    what: tuple[Any, ...]
    packages: tuple[str, ...]
    wheels: tuple[str, ...]
    now: str
    holds: Callable[[Any], bool] = lambda value: True

    @property
    def state(self) -> dict[str, str]:
        """Code and versions that it runs with here."""
        return state_of(self.packages, self.wheels)

    @functools.cached_property
    def key(self) -> str:
        """What it is kept by."""
        return key_of(self.what, self.state)


def _run(
    function: Callable[..., R],
    arguments: tuple[Any, ...],
    packages: tuple[str, ...],
    wheels: tuple[str, ...],
    wanted: dict[str, str],
) -> R:
    """What ``function`` gives, with the code and the versions ``wanted`` alone."""
    for name, there in state_of(packages, wheels).items():
        if there != wanted[name]:
            what = "code" if name in packages else "version"
            raise WorkerError(
                f"a worker has another {what} of {name}: install the same one everywhere"
            )
    return function(*arguments)


class JobError(Exception):
    """Sent into a course in the place of what a job gives: it failed; the message is one line."""


Course = Generator[Job, Any, R]


def drive(
    courses: Sequence[Course[R]],
    executor: Executor,
    record: Record,
    *,
    failures: tuple[type[BaseException], ...],
    told: Callable[[int, int, str], None] = lambda done, total, now: None,
) -> list[R]:
    """Run all courses to their ends and give what they returned, in their order.

    Parameters
    ----------
    courses
        Not begun.
    executor
        Runs the jobs.
    record
        Has what was done before, and gets what is done now.
    failures
        Exceptions of a job that are its own affair: its courses get a ``JobError``, and nothing is
        recorded. Every other one ends it all, and so does a worker with other code or tools, by an
        ``exaq.concurrency.WorkerError``.
    told
        Told the courses that have ended, how many there are, and what has just been done.
    """
    return _Drive(courses, executor, record, failures, told).run()


class _Drive:
    def __init__(
        self,
        courses: Sequence[Course[Any]],
        executor: Executor,
        record: Record,
        failures: tuple[type[BaseException], ...],
        told: Callable[[int, int, str], None],
    ) -> None:
        self._courses, self._executor, self._record = courses, executor, record
        self._failures, self._told = failures, told
        self._ended: dict[int, Any] = {}
        self._running: dict[Future[Any], Job] = {}
        self._waiting: dict[str, list[int]] = {}

    def run(self) -> list[Any]:
        for number in range(len(self._courses)):
            self._go_on(number, None)
        try:
            while self._running:
                done, _ = wait(self._running, return_when=FIRST_COMPLETED)
                for future in done:
                    self._take(future, self._running.pop(future))
        finally:
            for future in self._running:
                future.cancel()
        return [self._ended[number] for number in range(len(self._courses))]

    def _take(self, future: Future[Any], job: Job) -> None:
        """What a job gave goes into the record, and to the courses that wait for it."""
        given: Any
        try:
            given = future.result()
        except self._failures as error:
            given = JobError(f"{error}".partition("\n")[0] or type(error).__name__)
        else:
            self._record.put(job.key, job.what, given)
        self._tell(job.now)
        for number in self._waiting.pop(job.key):
            self._go_on(number, given)

    def _go_on(self, number: int, given: Any) -> None:
        """Let a course go on until it needs what is not there yet, or ends."""
        course = self._courses[number]
        while True:
            try:
                job = course.throw(given) if isinstance(given, JobError) else course.send(given)
            except StopIteration as end:
                self._ended[number] = end.value
                self._tell("")
                return
            given = self._record.get(job.key)
            if given is None or not job.holds(given):
                break
        if job.key not in self._waiting:
            self._waiting[job.key] = []
            future = self._executor.submit(
                _run, job.function, job.arguments, job.packages, job.wheels, job.state
            )
            self._running[future] = job
        self._waiting[job.key].append(number)

    def _tell(self, now: str) -> None:
        self._told(len(self._ended), len(self._courses), now)
