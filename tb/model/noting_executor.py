"""Threads as an executor that notes what it gets."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class NotingExecutor(ThreadPoolExecutor):
    """Threads that note the most calls that were under way at a time, and all futures."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self.futures: list[Future[Any]] = []
        self.most = 0

    def submit(self, *arguments: Any, **options: Any) -> Future[Any]:
        future = super().submit(*arguments, **options)
        self.futures.append(future)
        self.most = max(self.most, sum(not each.done() for each in self.futures))
        return future
