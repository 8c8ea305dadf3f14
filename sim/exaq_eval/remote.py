"""Settings that are measured elsewhere: each worker loads the model by itself and keeps it.

What travels is the name of the model, a setting, and its tables where they are given; back come
the task's output, figures, and tables. Logits never travel: a worker records those that it
calibrates a setting on, which takes much less time than the calibration, and less than to send
them. So a setting is one call, and where its worker dies that call is all that is lost.
"""

from __future__ import annotations

import socket
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache

import torch

from exaq import ExaqWarning, TableFile
from exaq.concurrency import WorkerError, in_order
from exaq.notices import warn_user
from exaq_eval import tasks
from exaq_eval.measurement import Measurement, is_whole, keep, measure
from exaq_eval.models import ModelError
from exaq_eval.parts import NOWHERE, Parts
from exaq_eval.progress import Progress, silent
from exaq_eval.settings import LogitFormat, Setting
from exaq_eval.tasks import Task
from exaq_eval.versions import versions

_Said = list[tuple[type[ExaqWarning], str]]
# The arguments of ``exaq_eval.tasks.load``.
_Which = tuple[str, int | None, bool, int | None]

# A worker may have several threads, but one model, of which one at a time sets the softmax.
_ALONE = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Remote:
    """Measures settings by an executor, each as a call of its own.

    Members
    -------
    executor
        Runs the calls, in this process or others, which must have what is installed here.
    name, texts, partial, tokens
        With these ``exaq_eval.tasks.load`` gives the task to every worker; a folder is at the same
        path for all.
    """

    executor: Executor
    name: str
    texts: int | None = None
    partial: bool = False
    tokens: int | None = None

    def measure(
        self,
        task: Task,
        settings: Sequence[Setting],
        logit_format: LogitFormat,
        given: Mapping[str, TableFile],
        progress: Progress = silent,
        parts: Parts | None = None,
    ) -> list[Measurement]:
        """As ``exaq_eval.measurement.measure``, with the warnings of all workers.

        Each worker computes with as many threads as torch has here, since the last digits of
        figures depend on it.

        Raises
        ------
        WorkerError
            A worker cannot load the task, or it is not ``task``: other weights, texts or versions.
        """
        alike = (
            (self.name, self.texts, self.partial, self.tokens),
            identity(task),
            torch.get_num_threads(),
        )
        of = {each.name: NOWHERE if parts is None else parts.of(each) for each in settings}
        kept = [each for each in settings if is_whole(of[each.name], each, task)]
        found = measure(task, kept, logit_format, given, parts=parts) if kept else []
        measured = {each.name: one for each, one in zip(kept, found, strict=True)}
        left = [each for each in settings if each.name not in measured]
        calls = [
            (*alike, setting, logit_format, {k: v for k, v in given.items() if k == setting.name})
            for setting in left
        ]
        warned: _Said = []
        with closing(in_order(self.executor, _measure_here, calls, len(calls))) as results:
            progress(len(kept), len(settings), "measuring settings")
            for setting, (measurement, said) in zip(left, results, strict=True):
                keep(of[setting.name], measurement, setting)
                measured[setting.name] = measurement
                warned += said
                progress(len(measured), len(settings), "measuring settings")
        for category, message in warned:
            warn_user(message, category)
        return [measured[setting.name] for setting in settings]


def _measure_here(
    which: _Which,
    wanted: dict[str, str],
    threads: int,
    setting: Setting,
    logit_format: LogitFormat,
    given: Mapping[str, TableFile],
) -> tuple[Measurement, _Said]:
    """The measurement of one setting in a worker, and of what it warned."""
    with _ALONE, _threads(threads), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ExaqWarning)
        task = _loaded(which, wanted)
        (measurement,) = measure(task, [setting], logit_format, given)
    said: dict[tuple[type[ExaqWarning], str], None] = {}
    for each in caught:
        if issubclass(each.category, ExaqWarning):
            said[each.category, str(each.message)] = None
        else:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    return measurement, list(said)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads for torch: they decide in which order it adds, and so the last digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _loaded(which: _Which, wanted: dict[str, str]) -> Task:
    """The task that is wanted; from the files once more where the one that is kept is another."""
    worker = f"a worker on {socket.gethostname()}"
    for _ in range(2):
        try:
            task, found = _kept(*which)
        except ModelError as error:
            raise WorkerError(f"{worker}: {error}") from error
        if found == wanted:
            return task
        _kept.cache_clear()
    what = next(key for key in wanted if found.get(key) != wanted[key])
    raise WorkerError(f"{worker} differs in {what}: {found.get(what)}, not {wanted[what]}")


@lru_cache(maxsize=1)
def _kept(
    name: str, texts: int | None, partial: bool, tokens: int | None
) -> tuple[Task, dict[str, str]]:
    task = tasks.load(name, texts, partial=partial, tokens=tokens)
    return task, identity(task)


def identity(task: Task) -> dict[str, str]:
    """What must be the same for the same figures; versions first, since texts depend on them."""
    of_packages = {f"version of {name}": version for name, version in versions().items()}
    return of_packages | task.identity
