"""The emitted AXI top in a Verilog simulator, against the golden model.

Each test simulates one configuration of ``rtl_matrix.MATRIX``: every coroutine of
``cocotb_softmax.py`` and, with contexts, of ``cocotb_loads.py`` and ``cocotb_registers.py``, on
Verilator and for some configurations on Icarus too. Of the stalls and the like that a coroutine
knows, each configuration has its share, and the matrix all of them (``rtl_simulation.share``).
Files stay in ``build/rtl/SIMULATOR-CONFIGURATION``: the Verilog, ``simulation.log``, ``hits.json``
and, with ``WAVES=1`` in the environment, the waveform.

    pytest tb/rtl -n 2                              everything, checks coverage
    pytest tb/rtl -k 3bit                           configurations of 3 bits
    pytest tb/rtl -k "verilator and free"           free tables, Verilator alone
    pytest tb/rtl -k "icarus"                       what Icarus repeats
    COCOTB_TEST_FILTER=latency pytest tb/rtl -k x16 one coroutine of one configuration
    WAVES=1 pytest tb/rtl -k verilator-2bit-x1      with waves

Coverage is checked by whichever test completes the matrix on Verilator, so in a single process
as well as spread over pytest-xdist's; a subset of the tests never completes it and is not judged.
"""

from __future__ import annotations

import ast
import os
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from rtl_bins import BINS, merge
from rtl_matrix import ICARUS, MATRIX
from rtl_regression import COROUTINES, HITS, simulate

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "rtl"
TESTPLAN = HERE.parent / "testplan.toml"

RUNS = [("verilator", name) for name in MATRIX] + [("icarus", name) for name in ICARUS]


def read_plan() -> list[dict[str, Any]]:
    """The bins of tb/testplan.toml."""
    return tomllib.loads(TESTPLAN.read_text(encoding="utf-8"))["bin"]


def missed(plan: list[dict[str, Any]], hits: dict[str, dict[str, int]]) -> list[str]:
    """What a whole regression did not show: bins, or bins by one of the tests named for them."""
    return [
        f"{entry['name']} by {test}"
        for entry in plan
        for test in entry["tests"]
        if not hits.get(entry["name"], {}).get(test)
    ]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this session that all of pytest-xdist's workers share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "rtl"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def coverage(shared: Path) -> Any:
    """Takes a simulation's hits; fails in the test that completes the matrix, if bins are left."""

    def add(name: str, hits: Path) -> None:
        target = shared / f"{name}.json"
        partial = target.with_suffix(".partial")
        shutil.copyfile(hits, partial)
        partial.replace(target)
        done = sorted(shared.glob("*.json"))
        if {path.stem for path in done} >= set(MATRIX):
            left = missed(read_plan(), merge(done))
            if left:
                pytest.fail("never hit in the whole regression:\n" + "\n".join(left), pytrace=False)

    return add


@pytest.mark.simulator
@pytest.mark.parametrize(("simulator", "name"), RUNS, ids=["-".join(run) for run in RUNS])
def test_emitted_verilog(simulator: str, name: str, shared: Path, coverage: Any) -> None:
    """One configuration gives the golden model's bits under every stimulus."""
    if simulator == "icarus" and shutil.which("iverilog") is None:
        pytest.skip("iverilog is not installed")
    place = list(MATRIX).index(name)
    runtime = shared / "runtime" if simulator == "verilator" else None
    build = BUILD / f"{simulator}-{name}"
    failed = simulate(MATRIX[name], build, simulator=simulator, place=place, runtime=runtime)
    if failed:
        pytest.fail(failed, pytrace=False)
    if simulator == "verilator" and "COCOTB_TEST_FILTER" not in os.environ:
        coverage(name, build / HITS)


def test_testplan_names_every_bin() -> None:
    """The testplan and the collector know the same bins, each once."""
    names = [entry["name"] for entry in read_plan()]
    assert sorted(names) == sorted(BINS)


def test_testplan_names_existing_tests() -> None:
    """Each bin has an intent and tests that exist; each coroutine is named for some bin."""
    coroutines = {
        node.name
        for path in COROUTINES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.AsyncFunctionDef) and node.decorator_list
    }
    plan = read_plan()
    assert {test for entry in plan for test in entry["tests"]} == coroutines
    assert [entry["name"] for entry in plan if not entry["intent"] or not entry["tests"]] == []
