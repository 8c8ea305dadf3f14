"""Processes that work side by side, on this machine or on a cluster of machines, by Dask.

    with workers("local") as executor:
        futures = [executor.submit(measure, point) for point in points]

What is submitted is an importable function and plain arguments: it runs in another process, which
has this package too. The library itself knows only ``concurrent.futures.Executor``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from exaq_cli.errors import BreakdownError, UserError

R = TypeVar("R")

#: In the place of an address: a worker for each core of this machine, for as long as it is needed.
LOCAL = "local"
#: Seconds to wait for a scheduler to answer, and for its first worker.
PATIENCE = 20


class Address(click.ParamType[str]):
    """An address of a scheduler, as Dask writes it, or ``local``."""

    name = "address"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value == LOCAL:
            return value
        host, _, port = value.removeprefix("tcp://").removeprefix("tls://").rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            self.fail(f"{value!r} is neither {LOCAL} nor an address such as tcp://host:8786")
        return value


@contextmanager
def workers(scheduler: str, count: int | None = None) -> Iterator[Executor]:
    """An executor whose tasks run in the workers of a scheduler.

    A worker that dies costs its tasks another try, elsewhere or in the worker that takes its
    place; after the third death under one task that task fails by ``Died``, which ``result``
    turns into an error of one line. What still waits when the context ends is dropped.

    Parameters
    ----------
    scheduler
        Address, or ``LOCAL``.
    count
        Workers that ``LOCAL`` starts; by default one for each core.

    Raises
    ------
    UserError
        No scheduler answers there, or it has no worker.
    """
    # Only here: it takes half a second.
    from distributed import Client, LocalCluster

    if scheduler == LOCAL:
        with (
            LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address=None,
                silence_logs=logging.ERROR,
            ) as cluster,
            Client(cluster) as client,
        ):
            yield from _executor(client)
        return
    try:
        client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(f"no scheduler answers at {scheduler}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            raise UserError(f"the scheduler at {scheduler} has no workers") from error
        yield from _executor(client)


def _executor(client: Any) -> Iterator[Executor]:
    executor: Executor = client.get_executor(pure=False)
    try:
        yield executor
    finally:
        executor.shutdown(wait=False)


def result(future: Future[R]) -> R:
    """What a task gave; errors of the task pass through.

    Raises
    ------
    BreakdownError
        Its workers died again and again, or the scheduler is gone.
    """
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        raise BreakdownError(
            "a task was given up: its workers died, one after the other"
        ) from error
    except CancelledError as error:
        raise BreakdownError("the scheduler of the workers is gone") from error
