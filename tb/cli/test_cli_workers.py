"""Worker processes: their results, one that is killed, and schedulers that are not there."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from concurrent.futures import Executor, as_completed
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from distributed import LocalCluster

from exaq.concurrency import WorkerError
from exaq_cli.errors import BreakdownError, UserError
from exaq_cli.workers import LOCAL, Address, executor_of, result, workers


def slow_square(x: int, folder: str, seconds: float = 0.3) -> tuple[int, int]:
    """``x * x`` and the worker's process, which leaves a file that names both when it begins."""
    (Path(folder) / f"{x}.{os.getpid()}").touch()
    time.sleep(seconds)
    return x * x, os.getpid()


def die(folder: str) -> None:
    """End the worker, and leave a file."""
    (Path(folder) / f"death.{os.getpid()}").touch()
    os.kill(os.getpid(), signal.SIGKILL)


def refuse() -> None:
    """A task that fails by itself."""
    raise ValueError("not with me")


def begun(folder: Path, name: str) -> list[Path]:
    """Files of the tasks ``name`` that have begun, once there is one."""
    for _ in range(600):
        if found := list(folder.glob(f"{name}.*")):
            return found
        time.sleep(0.05)
    raise AssertionError(f"no task {name} began")


def squares(executor: Executor, folder: Path, kill: bool) -> tuple[list[int], set[int]]:
    """Squares of 0 to 7 by two workers, of which one is killed in the middle, and the processes."""
    futures = [executor.submit(slow_square, x, str(folder)) for x in range(8)]
    if kill:
        victim = int(begun(folder, "2")[0].suffix[1:])
        os.kill(victim, signal.SIGKILL)
    found = [result(future) for future in futures]
    return [square for square, _ in found], {process for _, process in found}


def lack(name: str) -> None:
    """A task that is for a worker with another package."""
    raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def differ() -> None:
    """A task of a worker that is not as it must be."""
    raise WorkerError("a worker is another one")


def complain() -> None:
    """What a worker does that beats while its scheduler closes."""
    try:
        raise OSError("in a heartbeat")
    except OSError:
        logging.getLogger("distributed.worker").exception("the scheduler is gone")


def size(array: Any) -> int:
    return len(array)


@pytest.mark.parametrize("kill", [False, True])
def test_local_workers_give_every_result(tmp_path: Path, kill: bool) -> None:
    with workers(LOCAL, 2) as executor:
        found, processes = squares(executor, tmp_path, kill)
    assert found == [x * x for x in range(8)]
    assert os.getpid() not in processes
    # The one that is left may have done all before the other one came again.
    assert len(processes) >= (1 if kill else 2)
    # Nothing was lost; what ran in the one that was killed ran again.
    tries = [len(list(tmp_path.glob(f"{x}.*"))) for x in range(8)]
    assert min(tries) == 1
    assert sum(tries) > 8 if kill else sum(tries) == 8


def test_workers_of_a_scheduler_elsewhere(tmp_path: Path) -> None:
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        workers(cluster.scheduler_address) as executor,
    ):
        found, _ = squares(executor, tmp_path, kill=True)
    assert found == [x * x for x in range(8)]


def test_errors_of_a_task_pass_through() -> None:
    with workers(LOCAL, 1) as executor, pytest.raises(ValueError, match="not with me"):
        result(executor.submit(refuse))


def test_what_a_worker_lacks_is_named() -> None:
    with workers(LOCAL, 1) as executor:
        with pytest.raises(BreakdownError, match=r"^a worker lacks exaq: install on its machine "):
            result(executor.submit(lack, "exaq.calibration"))
        with pytest.raises(ModuleNotFoundError, match=r"^No module named 'nowhere'$"):
            result(executor.submit(lack, "nowhere"))
        with pytest.raises(BreakdownError, match=r"^a worker is another one$"):
            result(executor.submit(differ))


def test_deaths_are_one_line_in_the_context_too(tmp_path: Path) -> None:
    with pytest.raises(BreakdownError, match="workers died"), workers(LOCAL, 1) as executor:
        executor.submit(die, str(tmp_path)).result()


def test_large_arguments_are_sent_without_a_word() -> None:
    with workers(LOCAL, 1) as executor:
        assert result(executor.submit(size, np.zeros(2_000_000))) == 2_000_000


def test_what_workers_log_as_they_end_is_not_seen(capfd: pytest.CaptureFixture[str]) -> None:
    with workers(LOCAL, 1) as executor:
        result(executor.submit(complain))
    assert capfd.readouterr().err == ""


def test_two_commands_have_workers_of_their_own() -> None:
    with workers(LOCAL, 1) as one, workers(LOCAL, 1) as other:
        assert result(one.submit(os.getpid)) != result(other.submit(os.getpid))


def test_how_much_runs_at_once() -> None:
    with workers(LOCAL, 2) as executor:
        assert executor.at_once == 2


def test_local_workers_have_no_setting_of_malloc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    with workers(LOCAL, 1) as executor:
        assert result(executor.submit(os.getenv, "MALLOC_TRIM_THRESHOLD_")) is None


def test_no_scheduler_asked_for() -> None:
    with executor_of(None) as executor:
        assert executor is None


def test_a_task_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    with workers(LOCAL, 1) as executor:
        future = executor.submit(die, str(tmp_path))
        with pytest.raises(BreakdownError, match="workers died"):
            result(future)
    assert len(list(tmp_path.iterdir())) == 4


def test_tasks_that_wait_are_dropped_at_the_end(tmp_path: Path) -> None:
    with workers(LOCAL, 1) as executor:
        futures = [executor.submit(slow_square, x, str(tmp_path), 0.5) for x in range(20)]
        next(as_completed(futures))
        start = time.monotonic()
    assert len(list(tmp_path.iterdir())) < 20
    assert time.monotonic() - start < 30


def test_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exaq_cli.workers.PATIENCE", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=f"no scheduler answers at {address}"), workers(address):
            pass


def test_scheduler_without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exaq_cli.workers.PATIENCE", 1)
    with LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster:
        address = cluster.scheduler_address
        with pytest.raises(UserError, match="has no workers"), workers(address):
            pass


@pytest.mark.parametrize("text", ["", "8786", "host", "tcp://:1", "host:0", "host:65536", "a:b"])
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(click.BadParameter, match="neither local nor an address"):
        Address().convert(text, None, None)


@pytest.mark.parametrize("text", [LOCAL, "tcp://10.0.0.1:8786", "host:1", "tls://host:65535"])
def test_addresses(text: str) -> None:
    assert Address().convert(text, None, None) == text
