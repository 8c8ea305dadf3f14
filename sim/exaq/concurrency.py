"""Calls that an executor runs elsewhere, side by side; their results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Any, TypeVar

R = TypeVar("R")


class WorkerError(RuntimeError):
    """What runs calls elsewhere is not as it must be; the message is one line."""


def in_order(
    executor: Executor, function: Callable[..., R], calls: Iterable[tuple[Any, ...]], most: int
) -> Generator[R, None, None]:
    """What ``function`` returns for each of ``calls``, in their order.

    A call is submitted as soon as fewer than ``most`` are under way, whichever ends first, so that
    one that takes long holds up none of the others. Where a call fails, its error is raised in its
    turn, and what has not begun is cancelled; so it is where the generator is closed.

    Parameters
    ----------
    executor
        Gets the calls.
    function
        An importable function, where the executor has other processes.
    calls
        The arguments of each call; taken when they are submitted.
    most
        Calls at most that are under way, at least 1.
    """
    futures: deque[Future[R]] = deque()
    try:
        for arguments in calls:
            while len(waiting := [each for each in futures if not each.done()]) >= most:
                wait(waiting, return_when=FIRST_COMPLETED)
            futures.append(executor.submit(function, *arguments))
            while futures and futures[0].done():
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
    finally:
        for future in futures:
            future.cancel()
