"""Processes that work side by side, on this machine or on a cluster of machines, by Dask.

    with workers("local") as executor:
        futures = [executor.submit(measure, point) for point in points]

What is submitted is an importable function and plain arguments: it runs in another process, which
has this package too. The library itself knows only ``concurrent.futures.Executor``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, TypeVar

import click

from exaq_cli.errors import BreakdownError, UserError

F = TypeVar("F", bound=Callable[..., Any])
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


class Workers(Executor):
    """The workers of a scheduler, which ``client`` of Dask is connected to, as an executor."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._executor = client.get_executor(pure=False)

    @property
    def at_once(self) -> int:
        """Tasks that the workers there are now run at the same time; at least 1."""
        return max(1, sum(self.client.nthreads().values()))

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        return self._executor.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._executor.shutdown(wait and not cancel_futures)


def scheduler_option(does: str, more: str = "", *, default: str | None = None) -> Callable[[F], F]:
    """The option ``--scheduler`` of a command; ``does`` is what it does with workers."""
    return click.option(
        "--scheduler",
        metavar="ADDRESS",
        type=Address(),
        default=default,
        show_default=default is not None,
        help=f"{does}, in the workers of the Dask scheduler at that address, such as "
        f"tcp://host:8786; {LOCAL}: in a process for each core of this machine. Changes no "
        f"figure.{more}",
    )


@contextmanager
def executor_of(scheduler: str | None) -> Iterator[Workers | None]:
    """The workers that ``--scheduler`` asks for; None without it.

    Raises
    ------
    ModuleNotFoundError
        Dask is missing.
    """
    if scheduler is None:
        yield None
        return
    # Only here: NumPy comes with it, and help need not wait for that.
    from exaq.extras import require

    require("cluster")
    with workers(scheduler) as executor:
        yield executor


@contextmanager
def workers(scheduler: str, count: int | None = None) -> Iterator[Workers]:
    """An executor whose tasks run in the workers of a scheduler.

    A worker that dies costs its tasks another try, elsewhere or in the worker that takes its
    place; arguments are kept for that by the scheduler. A task under which workers died again and
    again is given up, by an error of one line where its result is asked for in the context, or by
    ``result``. What still waits when the context ends is dropped.

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
    BreakdownError
        As for ``result``, out of the context's body.
    """
    # Only here: it takes half a second.
    from dask import config
    from distributed import Client, LocalCluster

    if scheduler == LOCAL:
        with (
            # Without Dask's setting of malloc, by which every large array costs new pages.
            config.set({"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None}),
            LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                # Of the machine's memory a worker may take what it needs.
                memory_limit=0,
                host="127.0.0.1",
                # Any free port: by default it would be the same for all, and Dask would warn.
                dashboard_address="127.0.0.1:0",
                # A worker that beats while the cluster closes logs that its scheduler is gone, with
                # a traceback; what really fails comes with the result that is asked for.
                silence_logs=logging.CRITICAL,
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


def _executor(client: Any) -> Iterator[Workers]:
    from dask import config

    executor = Workers(client)
    try:
        # Dask would warn of large arguments; ours are small for the work that they make.
        with config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}), _one_line():
            yield executor
    finally:
        executor.shutdown(wait=False)


@contextmanager
def _one_line() -> Iterator[None]:
    """Around what asks for results: ``BreakdownError`` where workers or their scheduler failed."""
    from distributed import KilledWorker

    from exaq.concurrency import WorkerError

    try:
        yield
    except WorkerError as error:
        raise BreakdownError(str(error)) from error
    except KilledWorker as error:
        raise BreakdownError(
            "a task was given up: its workers died, one after the other"
        ) from error
    except CancelledError as error:
        raise BreakdownError("the scheduler of the workers is gone") from error
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or find_spec(package) is None:
            raise
        raise BreakdownError(
            f"a worker lacks {package}: install on its machine what is installed here"
        ) from error


def result(future: Future[R]) -> R:
    """What a task gave; errors of the task pass through.

    Raises
    ------
    BreakdownError
        Its workers died again and again, lack a package that is here, or the scheduler is gone.
    """
    with _one_line():
        return future.result()


def lost() -> tuple[type[BaseException], ...]:
    """Exceptions of a future by which workers tell that they gave its task up."""
    from distributed import KilledWorker

    return (KilledWorker,)
