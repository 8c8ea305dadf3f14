"""exaq.calibrate with an executor: the same tables, warnings and errors as without one."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from noting_executor import NotingExecutor

import exaq
from exaq.calibration import source
from exaq.concurrency import WorkerError

RNG = np.random.default_rng(3)
MASK = RNG.random((2, 1, 6, 20)) < 0.7
MASK[..., 0] = True
FLOATS: list[Any] = [RNG.normal(0, 1 + k, (2, 3, 6, 20)).astype(np.float32) for k in range(4)]
INTEGERS: list[Any] = [RNG.integers(-100, 100, (2, 3, 6, 20)).astype(np.int8) for _ in range(3)]
# Layers with several calls, one that did not run, numbers with gaps, and other layouts of the data.
CALLS: dict[int, Any] = {
    2: [FLOATS[0], FLOATS[1][:, :, :3, :11]],
    5: [],
    7: [np.asfortranarray(FLOATS[2])],
    11: [np.moveaxis(np.ascontiguousarray(np.moveaxis(FLOATS[3], -1, 0)), 0, -1)],
}
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "layers": (FLOATS, {"masks": [MASK] * 4}),
    "one of all": (FLOATS, {"per": "all", "rule": "paper"}),
    "heads": (FLOATS, {"per": "head", "masks": [MASK, None, MASK[0], MASK], "stage": "levels"}),
    "kl": (FLOATS, {"minimise": "kl", "bits": 3, "stage": "clip"}),
    "naive": (FLOATS, {"rule": "naive", "bits": 5, "logit_width": 12, "logit_scale": 0.01}),
    "paper": (INTEGERS, {"rule": "paper", "per": "head", "mask_value": "lowest"}),
    "calls": (CALLS, {"per": "head", "stage": "levels", "memory": 0}),
    "other axis": (INTEGERS, {"per": "head", "head_axis": 0, "stage": "clip"}),
    "masked arrays": ([np.ma.array(x, mask=~(x < 1)) for x in FLOATS], {"rule": "paper"}),
}


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        yield executor


@pytest.fixture(scope="module")
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(3) as executor:
        yield executor


@pytest.fixture(params=["threads", "processes"])
def executor(request: pytest.FixtureRequest) -> Executor:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("case", list(CASES))
def test_tables_are_those_without(case: str, executor: Executor) -> None:
    layers, options = CASES[case]
    there = exaq.calibrate(layers, **options, executor=executor)
    here = exaq.calibrate(layers, **options)
    assert there == here
    assert there.to_json() == here.to_json()


def test_files_are_sent_as_data(tmp_path: Path, processes: Executor) -> None:
    mapped = []
    for k, array in enumerate(FLOATS):
        np.save(tmp_path / f"{k}.npy", array)
        mapped.append(np.load(tmp_path / f"{k}.npy", mmap_mode="r"))
    for per in ("layer", "head"):
        there = exaq.calibrate(mapped, per=per, rule="naive", executor=processes)
        assert there == exaq.calibrate(FLOATS, per=per, rule="naive")


@pytest.mark.parametrize("mask", [None, MASK, MASK[0], np.ones((), bool), np.zeros((20,), bool)])
def test_a_call_is_what_it_was_after_its_way(mask: Any) -> None:
    values = np.arange(2.0 * FLOATS[0].shape[-1]).reshape(2, *(1,) * (FLOATS[0].ndim - 1), -1)
    (part,) = source.collect({4: (FLOATS[0], mask, values)}, "layer", -3)
    (there,) = pickle.loads(pickle.dumps(part)).calls
    (here,) = part.calls
    np.testing.assert_array_equal(there.logits, here.logits)
    np.testing.assert_array_equal(there.values, here.values)
    assert (there.where, there.settled) == (here.where, here.settled)
    assert (there.mask is None) == (mask is None)
    if mask is not None:
        np.testing.assert_array_equal(there.mask, here.mask)


def test_a_mask_is_sent_once_however_often_it_is_repeated() -> None:
    (part,) = source.collect({0: (np.zeros((50, 40, 6, 20), np.int8), MASK[0], None)}, "layer", -3)
    assert len(pickle.dumps(part)) < 50 * 40 * 6 * 20 + 2000


def test_a_single_part_stays_here() -> None:
    with NotingExecutor(1) as executor:
        exaq.calibrate(FLOATS, per="all", rule="paper", executor=executor)
        exaq.calibrate(FLOATS[:1], rule="paper", executor=executor)
        assert executor.futures == []
        exaq.calibrate(FLOATS, rule="paper", executor=executor)
        assert len(executor.futures) == 4


@pytest.mark.parametrize("most", [1, 3, np.int64(2)])
def test_so_many_parts_are_in_flight(most: int) -> None:
    with NotingExecutor(2) as executor:
        exaq.calibrate(FLOATS, per="head", rule="paper", executor=executor, in_flight=most)
        assert len(executor.futures) == 12
        assert executor.most <= most


def test_by_default_twice_as_many_as_there_are_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    free = threading.Event()
    with NotingExecutor(1) as executor:
        executor.submit(free.wait, 30)
        threading.Timer(0.3, free.set).start()
        exaq.calibrate(FLOATS, per="head", rule="paper", executor=executor)
        assert executor.most == 3


def test_progress_ends_with_all_done(executor: Executor) -> None:
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        told.append((done, total))

    exaq.calibrate(FLOATS, per="head", rule="paper", executor=executor, progress=tell)
    there = list(told)
    exaq.calibrate(FLOATS, per="head", rule="paper", progress=tell)
    total = told[-1][1]
    assert {each for _, each in told} == {total}
    assert [done for done, _ in there] == [*(total * k // 12 for k in range(1, 13)), total]


DOUBTFUL = [FLOATS[0], FLOATS[1].copy(), FLOATS[2].copy()]
DOUBTFUL[1][0, :, :, 5] = -100
DOUBTFUL[2][0, 0, 0, 3] = -200


def test_doubts_are_warned_of_here(executor: Executor) -> None:
    said = []
    for given in (None, executor):
        with pytest.warns(exaq.MaskWarning) as caught:
            exaq.calibrate(DOUBTFUL, rule="paper", executor=given)
        assert {warning.filename for warning in caught} == {__file__}
        said.append([str(warning.message) for warning in caught])
    assert said[0] == said[1]
    assert [text.partition(":")[0] for text in said[1]] == ["layer 1", "layer 2"]


class Holding(Executor):
    """Runs the first two calls once there are 40, and none of the others."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []
        self.calls: list[Callable[[], Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.futures.append(Future())
        self.calls.append(partial(fn, *args, **kwargs))
        if len(self.calls) == 40:
            for call, future in zip(self.calls[:2], self.futures, strict=False):
                future.set_result(call())
        return self.futures[-1]


def test_a_warning_that_is_an_error_ends_it() -> None:
    executor = Holding()
    with pytest.raises(exaq.MaskWarning, match=r"^layer 1: "):
        exaq.calibrate([*DOUBTFUL, *FLOATS * 20], executor=executor, in_flight=50)
    assert [each.cancelled() for each in executor.futures] == [False] * 2 + [True] * 38


@pytest.mark.parametrize(
    "bad",
    [np.array([[0.0, np.nan]]), np.array([[0, 128]]), np.full((2, 3), -np.inf)],
    ids=["nan", "wide", "masked"],
)
def test_errors_are_those_without(bad: Any, executor: Executor) -> None:
    """That of the first part with one, though a later part has another."""
    layers = [FLOATS[0], bad, np.array([[0.0, np.inf]])]
    said = []
    for given in (None, executor):
        with pytest.raises(ValueError, match=r"^layer 1: ") as caught:
            exaq.calibrate(layers, executor=given)
        said.append(str(caught.value))
    assert said[0] == said[1]


@pytest.mark.parametrize("package", ["exaq-softmax", "numpy"])
def test_workers_of_another_version_are_refused(
    package: str, threads: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = metadata.version
    main = threading.current_thread()

    def version(name: str) -> str:
        elsewhere = threading.current_thread() is not main and name == package
        return "0.0.1" if elsewhere else own(name)

    monkeypatch.setattr(metadata, "version", version)
    message = (
        f"^a worker has {package} 0.0.1, where {own(package)} is wanted: "
        "install the same version everywhere$"
    )
    with pytest.raises(WorkerError, match=message):
        exaq.calibrate(FLOATS, executor=threads)


def test_refusals() -> None:
    executor: Any = 2
    with pytest.raises(
        TypeError, match=r"^executor must be a concurrent\.futures\.Executor, not int$"
    ):
        exaq.calibrate(FLOATS, executor=executor)
    with pytest.raises(ValueError, match=r"^in_flight must be at least 1, not 0$"):
        exaq.calibrate(FLOATS, in_flight=0)


def test_the_layout_of_the_data_plays_no_part() -> None:
    """Sums of floating-point numbers depend on their order, which must be that of the rows."""
    real = np.random.default_rng(1).normal(0, 3, (40, 257))
    mask = np.random.default_rng(2).random((40, 257)) < 0.8
    blocks = []
    for logits in (real, np.asfortranarray(real), real[::-1].copy()[::-1]):
        for live in (mask, np.asfortranarray(mask)):
            call = source.Call(logits, live, np.empty((0, 40, 257)), "", settled=True)
            (block,) = source.read(call, exaq.SoftmaxConfig())
            blocks.append(block)
    for block in blocks:
        for name in ("live", "steps", "distances", "exponentials"):
            array = getattr(block, name)
            assert array.flags.c_contiguous
            np.testing.assert_array_equal(array, getattr(blocks[0], name))
