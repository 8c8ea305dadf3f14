"""Settings of all tests: examples that repeat, and skips that continuous integration refuses."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator, Iterator
from typing import Any

import hypothesis
import pytest
from amaranth._unused import MustUse

# The same examples in every run: a failure seen once is seen again.
hypothesis.settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("fixed")

# What tests and the commands that they run take a warning for; make test-newest says otherwise.
os.environ.setdefault("EXAQ_WARNINGS", "error")

# Workers of pytest-xdist share the processors: threads of one would wait for the other's.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell ignores interrupts in what it starts in the background, and so would every program that
# tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _patient_commands() -> None:
    """Commands in this process write no lines of progress, which a slow machine would see."""
    from exaq_cli.output import progress

    progress.PATIENCE = float("inf")


@pytest.fixture
def unused_components() -> Iterator[None]:
    """For tests that make components to see whether they can be made, and put them in no design."""
    make: Any = MustUse.__new__

    def made(kind: type[MustUse], *args: Any, src_loc_at: int = 0, **options: Any) -> Any:
        thing = make(kind, *args, src_loc_at=src_loc_at + 1, **options)
        thing._MustUse__used = True
        return thing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MustUse, "__new__", made)
        yield


_REFUSED = "skipped, which continuous integration (CI=true) takes for a failure: "


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the regression in tb/rtl."""
    group = parser.getgroup("regression of the emitted Verilog")
    group.addoption(
        "--simulate",
        choices=("quick", "stale", "all"),
        default="quick",
        help="runs to simulate: those of rtl_matrix.QUICK, those whose record is missing or "
        "stale, or all",
    )
    group.addoption(
        "--record",
        action="store_true",
        help="keep what runs that pass hit, reports/regression.json",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Take warnings for what EXAQ_WARNINGS says, filters as Python's ``-W`` has them."""
    for filter_ in os.environ["EXAQ_WARNINGS"].split():
        config.addinivalue_line("filterwarnings", filter_)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with tests that take long, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("simulator") is None)


def pytest_collection_finish() -> None:
    """Thousands of tests stay to the end, and so does what they import. Nobody need look through
    all that for garbage: simulation in Python takes a third longer then.
    """
    gc.collect()
    gc.freeze()


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail skipped tests marked ``simulator`` where the environment has CI=true.

    On a user's machine a test may be skipped for want of a simulator. In continuous integration
    that would prove the Verilog with nothing.
    """
    report = yield
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if skipped and _in_ci() and item.get_closest_marker("simulator"):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail modules skipped as a whole where CI=true: nobody can tell which tests they hold."""
    report = yield
    if report.skipped and _in_ci():
        _fail(report)
    return report


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = _REFUSED + reason
