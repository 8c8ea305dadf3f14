"""Settings measured by workers: the report that one process makes, and what is refused."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from distributed import LocalCluster

import exaq
from exaq import ExaqWarning
from exaq.concurrency import WorkerError
from exaq_cli.main import main
from exaq_cli.workers import workers
from exaq_eval import remote, tasks, versions
from exaq_eval.evaluation import Evaluation, evaluate
from exaq_eval.measurement import is_whole, measure
from exaq_eval.models import corpus
from exaq_eval.parts import Parts
from exaq_eval.remote import Remote
from exaq_eval.reports import report
from exaq_eval.settings import LogitFormat, Setting
from exaq_eval.tasks import Task

FORMAT = LogitFormat(logit_width=12, logit_scale=2.0**-5, exp_frac=10, prob_bits=12)
FILE = Setting(rule="file", bits=2, title="t.json")
SETTINGS = (
    Setting(rule="float"),
    Setting(rule="paper", bits=2, per="layer", texts=2),
    Setting(rule="optimal", bits=2, per="head", minimise="mse-levels", texts=3),
    Setting(rule="naive", bits=4, per="head", texts=1),
    FILE,
)
GIVEN = {
    FILE.name: exaq.TableFile.of_config(
        exaq.SoftmaxConfig(clip=-4, logit_width=12, logit_scale=2.0**-5, exp_frac=10)
    )
}
TEXTS = 4
# Not what a worker has by itself; figures of such a small model depend on it.
THREADS = 2


@pytest.fixture(scope="module", autouse=True)
def _docstrings_once() -> Iterator[None]:
    """Looked for once in this process, since that takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "docstrings", cache(corpus.docstrings))
        yield


@pytest.fixture(scope="module")
def task(encoder_folder: Path) -> Task:
    return tasks.load(str(encoder_folder), TEXTS)


@pytest.fixture(scope="module")
def alone(task: Task) -> Evaluation:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        return evaluate(task, SETTINGS, FORMAT, given=GIVEN)
    finally:
        # A fixture of a test, which puts back what it finds, comes behind this one.
        torch.set_num_threads(before)


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        yield executor


@pytest.fixture(autouse=True)
def _as_a_new_process() -> Iterator[None]:
    """No task is kept in this process, where threads are the workers; torch has its threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    remote._kept.cache_clear()
    yield
    remote._kept.cache_clear()
    torch.set_num_threads(before)


def by(executor: Executor, folder: Path, texts: int | None = TEXTS) -> Remote:
    return Remote(executor=executor, name=str(folder), texts=texts)


def assert_same(found: Evaluation, wanted: Evaluation) -> None:
    assert report.to_json(found.report) == report.to_json(wanted.report)
    assert found.tables == wanted.tables
    assert list(found.tables) == list(wanted.tables)


def test_report_of_processes_is_that_of_one(
    task: Task, alone: Evaluation, processes: Executor, encoder_folder: Path
) -> None:
    told: list[tuple[int, int, str]] = []
    found = evaluate(
        task,
        SETTINGS,
        FORMAT,
        given=GIVEN,
        remote=by(processes, encoder_folder),
        progress=lambda *step: told.append(step),
    )
    assert_same(found, alone)
    assert told == [
        *((done, 1, "trying the model") for done in range(2)),
        *((done, 5, "measuring settings") for done in range(6)),
    ]


def test_report_of_a_decoder(processes: Executor, decoder_folder: Path) -> None:
    task = tasks.load(str(decoder_folder), 3)
    found = evaluate(task, SETTINGS[:2], FORMAT, remote=by(processes, decoder_folder, 3))
    assert_same(found, evaluate(task, SETTINGS[:2], FORMAT))


def test_windows_that_were_chosen_are_those_of_the_workers(
    processes: Executor, decoder_folder: Path
) -> None:
    task = tasks.load(str(decoder_folder), 2, tokens=24)
    assert {len(text) for text in task.texts} == {25}
    remote = Remote(executor=processes, name=str(decoder_folder), texts=2, tokens=24)
    found = evaluate(task, SETTINGS[:2], FORMAT, remote=remote)
    assert_same(found, evaluate(task, SETTINGS[:2], FORMAT))
    assert found.report["task"]["window"] == 24


def test_what_workers_have_finished_is_kept(
    task: Task, alone: Evaluation, encoder_folder: Path, tmp_path: Path
) -> None:
    """It is not sent again; what is left is, and the process alone goes on likewise."""
    state = {"of": "test"}
    parts = Parts(tmp_path, state, FORMAT, GIVEN)

    def some(done: int, total: int, now: str) -> None:
        if (done, now) == (3, "measuring settings"):
            raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as executor:
        workers_ = by(executor, encoder_folder)
        with pytest.raises(KeyboardInterrupt):
            evaluate(
                task, SETTINGS, FORMAT, given=GIVEN, remote=workers_, parts=parts, progress=some
            )
        left = [each for each in SETTINGS if not is_whole(parts.of(each), each, task)]
        assert left == list(SETTINGS[3:])
        told: list[tuple[int, int, str]] = []
        found = evaluate(
            task,
            SETTINGS,
            FORMAT,
            given=GIVEN,
            remote=workers_,
            parts=parts,
            progress=lambda *step: told.append(step),
        )
    assert_same(found, alone)
    assert told[2:] == [(done, 5, "measuring settings") for done in (3, 4, 5)]
    assert_same(evaluate(task, SETTINGS, FORMAT, given=GIVEN, parts=parts), alone)


def test_threads_of_one_worker_do_not_mix_their_settings(
    task: Task, alone: Evaluation, encoder_folder: Path
) -> None:
    """They share the model, whose softmax is set by each."""
    with ThreadPoolExecutor(4) as executor:
        found = evaluate(task, SETTINGS, FORMAT, given=GIVEN, remote=by(executor, encoder_folder))
    assert_same(found, alone)


def test_the_model_is_loaded_once(
    task: Task, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[tuple[Any, ...]] = []
    load = tasks.load

    def loading(*arguments: Any, **options: Any) -> Task:
        loaded.append(arguments)
        return load(*arguments, **options)

    monkeypatch.setattr(tasks, "load", loading)
    with ThreadPoolExecutor(1) as executor:
        evaluate(task, SETTINGS, FORMAT, given=GIVEN, remote=by(executor, encoder_folder))
    assert loaded == [(str(encoder_folder), TEXTS)]


def test_a_share_of_the_settings_is_measured_as_all_are(task: Task) -> None:
    together = measure(task, SETTINGS, FORMAT, GIVEN)
    for setting, wanted in zip(SETTINGS, together, strict=True):
        (found,) = measure(task, [setting], FORMAT, GIVEN)
        np.testing.assert_array_equal(found.output, wanted.output)
        assert found.attention == wanted.attention
        assert found.sharpness == wanted.sharpness
        assert (found.sharpness is None) == (setting.rule != "float")
        assert found.tables == wanted.tables


@pytest.mark.parametrize("threads", [1, 3])
def test_workers_have_as_many_threads_as_this_process(
    threads: int, task: Task, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def seeing(*arguments: Any) -> Any:
        seen.append(torch.get_num_threads())
        torch.set_num_threads(4)
        return measure(*arguments)

    monkeypatch.setattr(remote, "measure", seeing)
    torch.set_num_threads(threads)
    with ThreadPoolExecutor(1) as executor:
        evaluate(task, SETTINGS[:2], FORMAT, remote=by(executor, encoder_folder))
    assert seen == [threads, threads]
    assert torch.get_num_threads() == threads


class OddWarning(ExaqWarning):
    """One that a worker gives."""


def test_warnings_of_workers_are_given_here(
    task: Task, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warning(*arguments: Any) -> Any:
        for _ in range(2):
            warnings.warn(f"odd {arguments[1][0].rule}", OddWarning, stacklevel=1)
        return measure(*arguments)

    monkeypatch.setattr(remote, "measure", warning)
    with ThreadPoolExecutor(1) as executor, pytest.warns(OddWarning) as said:
        evaluate(task, SETTINGS[:2], FORMAT, remote=by(executor, encoder_folder))
    assert [str(each.message) for each in said] == ["odd float", "odd paper"]


def test_a_worker_without_the_model_is_named(
    task: Task, processes: Executor, tmp_path: Path
) -> None:
    message = rf"^a worker on \S+: {tmp_path} holds no config\.json: no folder of a Transformers "
    with pytest.raises(WorkerError, match=message):
        evaluate(task, SETTINGS[:1], FORMAT, remote=by(processes, tmp_path))


@pytest.mark.parametrize(
    ("what", "texts"), [("weights", TEXTS), ("texts", TEXTS + 1), ("version of torch", TEXTS)]
)
def test_a_worker_with_another_model_is_refused(
    what: str,
    texts: int,
    task: Task,
    encoder_folder: Path,
    decoder_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = encoder_folder
    if what == "weights":
        import transformers

        folder = Path(shutil.copytree(encoder_folder, tmp_path / "other"))
        model = transformers.BertModel.from_pretrained(folder)
        with torch.no_grad():
            next(model.parameters())[0, 0] += 1
        model.save_pretrained(folder)
    if what == "version of torch":
        own, main_thread = versions.versions, threading.current_thread()

        def other() -> dict[str, str]:
            here = threading.current_thread() is main_thread
            return own() if here else own() | {"torch": "2.0"}

        monkeypatch.setattr(remote, "versions", other)
    with (
        ThreadPoolExecutor(1) as executor,
        pytest.raises(WorkerError, match=rf"^a worker on \S+ differs in {what}: \S+, not \S+$"),
    ):
        evaluate(task, SETTINGS[:1], FORMAT, remote=by(executor, folder, texts))


def test_a_model_that_changed_since_is_loaded_again(encoder_folder: Path, tmp_path: Path) -> None:
    import transformers

    folder = Path(shutil.copytree(encoder_folder, tmp_path / "mine"))
    with ThreadPoolExecutor(1) as executor:
        for _ in range(2):
            task = tasks.load(str(folder), TEXTS)
            found = evaluate(task, SETTINGS[:2], FORMAT, remote=by(executor, folder))
            assert_same(found, evaluate(task, SETTINGS[:2], FORMAT))
            model = transformers.BertModel.from_pretrained(folder)
            with torch.no_grad():
                next(model.parameters())[0, 0] += 1
            model.save_pretrained(folder)


def test_a_worker_that_is_killed_costs_a_try(
    task: Task, alone: Evaluation, encoder_folder: Path
) -> None:
    """One of two, while it measures a setting."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        workers(cluster.scheduler_address) as executor,
    ):
        client = executor.client
        killed: list[int] = []

        def tell(done: int, total: int, now: str) -> None:
            if (done, now) == (0, "measuring settings"):
                killer.start()

        def kill() -> None:
            processes = client.run(os.getpid)
            while not killed:
                for worker, running in client.processing().items():
                    if running and not killed:
                        os.kill(processes[worker], signal.SIGKILL)
                        killed.append(processes[worker])

        killer = threading.Thread(target=kill)
        found = evaluate(
            task,
            SETTINGS,
            FORMAT,
            given=GIVEN,
            remote=by(executor, encoder_folder),
            progress=tell,
        )
        killer.join()
        assert set(client.run(os.getpid).values()).isdisjoint(killed)
    assert_same(found, alone)


def test_the_command_writes_the_same_files(
    encoder_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(encoder_folder, tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    line = "evaluate mine --texts 3 --calibration-texts 2 --bits 2 --rule naive --rule paper"
    written, printed = [], []
    for more in ([], ["--scheduler", "local"]):
        with pytest.raises(SystemExit) as ended:
            main([*line.split(), "--per", "layer", "--out", "out", *more])
        said = capfd.readouterr()
        assert ended.value.code == 0, said.err
        # What it will do, and for about how long.
        assert [line.partition(":")[0] for line in said.err.splitlines()] == ["mine", "mine"]
        printed.append(said.out)
        written.append({path.name: path.read_bytes() for path in Path("out").iterdir()})
        shutil.rmtree("out")
    assert len(written[0]) == 5
    assert written[0] == written[1]
    assert printed[0] == printed[1]
