"""Calls that an executor runs: their order, how many are under way, errors, what is cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
from noting_executor import NotingExecutor

from exaq.concurrency import in_order


def late_square(x: int, seconds: float) -> int:
    time.sleep(seconds)
    return x * x


@pytest.mark.parametrize("most", [1, 2, 5, 100])
def test_results_come_in_order_and_no_more_calls_are_under_way_than_asked_for(most: int) -> None:
    seconds = np.random.default_rng(most).random(30) * 0.01
    with NotingExecutor(4) as executor:
        found = list(in_order(executor, late_square, enumerate(seconds), most))
    assert found == [x * x for x in range(30)]
    assert executor.most <= most
    assert most == 1 or executor.most > 1


def test_one_slow_call_holds_up_no_other() -> None:
    """All others begin while the first one waits, though only two may be under way."""
    begun = threading.Semaphore(0)

    def call(x: int) -> int:
        begun.release()
        if x == 0:
            for _ in range(8):
                assert begun.acquire(timeout=30)
        return x

    with ThreadPoolExecutor(2) as executor:
        assert list(in_order(executor, call, ((x,) for x in range(8)), 2)) == list(range(8))


def test_calls_are_taken_when_they_are_submitted() -> None:
    taken = []

    def calls() -> Iterator[tuple[int, float]]:
        for x in range(6):
            taken.append(x)
            yield x, 0.0

    with (
        ThreadPoolExecutor(1) as executor,
        closing(in_order(executor, late_square, calls(), 2)) as results,
    ):
        assert next(results) == 0
        assert len(taken) <= 3
        assert list(results) == [1, 4, 9, 16, 25]


def test_an_error_comes_in_its_turn_and_cancels_what_waits() -> None:
    def call(x: int) -> int:
        time.sleep(0.05)
        if x in (2, 3):
            raise ValueError(f"not {x}")
        return x

    found: list[int] = []
    with NotingExecutor(1) as executor:
        results = in_order(executor, call, ((x,) for x in range(100)), 50)
        with pytest.raises(ValueError, match=r"^not 2$"):
            found.extend(results)
    assert found == [0, 1]
    assert sum(each.cancelled() for each in executor.futures) >= 45


def test_closing_cancels_what_waits() -> None:
    with NotingExecutor(1) as executor:
        results = in_order(executor, late_square, ((x, 0.01) for x in range(100)), 100)
        assert next(results) == 0
        results.close()
    assert sum(each.cancelled() for each in executor.futures) >= 50


def test_no_calls() -> None:
    with ThreadPoolExecutor(1) as executor:
        assert list(in_order(executor, late_square, [], 3)) == []
