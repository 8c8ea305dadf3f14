"""The emitted AXI top in a Verilog simulator, against the golden model.

A *run* is one configuration of ``rtl_matrix.MATRIX`` in one simulator, with every coroutine of
``cocotb_softmax.py`` and, with contexts, of ``cocotb_loads.py`` and ``cocotb_registers.py``. All
run on Verilator and some on Icarus too. Of the stalls and the like that a coroutine knows, each
configuration has its share, and the matrix all of them (``rtl_simulation.share``). Files stay in
``build/rtl/SIMULATOR-CONFIGURATION``: the Verilog, ``simulation.log``, ``hits.json`` and, with
``WAVES=1`` in the environment, the waveform.

All runs together take long. Without options these tests simulate those of ``rtl_matrix.QUICK``
and ask of each other one whether its record in ``reports/regression.json`` is of today's design,
golden model and testbench. ``make regression`` simulates what is not, and keeps the records.

    pytest tb/rtl -n 2                                             quick runs, all records, coverage
    pytest tb/rtl -n 2 --simulate=all                              every run
    pytest tb/rtl --simulate=all -k 3bit                           configurations of 3 bits
    pytest tb/rtl --simulate=all -k "verilator and free"           free tables, Verilator alone
    pytest tb/rtl --simulate=all -k icarus                         what Icarus repeats
    COCOTB_TEST_FILTER=latency pytest tb/rtl --simulate=all -k x16 one coroutine
    WAVES=1 pytest tb/rtl --simulate=all -k verilator-2bit-x1      with waves
    pytest tb/rtl -n 2 --simulate=stale --record                   as make regression
"""

from __future__ import annotations

import ast
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rtl_bins import BINS
from rtl_fingerprint import sources
from rtl_matrix import MATRIX, QUICK, RUNS, TARGETS
from rtl_records import (
    fault,
    hits_of,
    lost,
    missed,
    of_run,
    read_plan,
    read_records,
    version_of,
    write_record,
)
from rtl_regression import COROUTINES, HITS, simulate

from exaq import KERNELS
from exaq_hdl.emit.target import FPGA

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "rtl"


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this session that all of pytest-xdist's workers share."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "runtime"


@pytest.fixture(scope="session")
def sources_read() -> str:
    """The sources as they were when this process read them."""
    return sources()


@pytest.mark.simulator
@pytest.mark.parametrize("run", RUNS)
def test_emitted_verilog(
    run: str,
    runtime: Path,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    """One configuration gives the golden model's bits under every stimulus."""
    options = request.config
    stale_alone = options.getoption("simulate") == "stale"
    keep = options.getoption("record") and "COCOTB_TEST_FILTER" not in os.environ
    before = read_records().get(run)
    now = of_run(run) if keep or stale_alone else {}
    then = request.getfixturevalue("sources_read") if keep else ""
    if stale_alone and not fault(run, before, now):
        record_property("run", "current")
        return
    simulator, name = RUNS[run]
    if simulator == "icarus" and shutil.which("iverilog") is None:
        pytest.skip("iverilog is not installed")
    record_property("run", "simulated")
    failed = simulate(
        MATRIX[name],
        BUILD / run,
        simulator=simulator,
        place=list(MATRIX).index(name),
        runtime=runtime if simulator == "verilator" else None,
        target=TARGETS.get(name, FPGA),
    )
    if failed:
        pytest.fail(failed, pytrace=False)
    if "COCOTB_TEST_FILTER" in os.environ:
        return
    hits = hits_of(BUILD / run / HITS)
    if keep:
        if sources() != then:
            pytest.fail("sources changed meanwhile: nothing is recorded", pytrace=False)
        record = {"fingerprint": now, "hits": hits, "simulator": version_of(simulator)}
        write_record(run, record)
    elif left := lost(before, hits):
        text = "\n".join(left)
        pytest.fail(
            f"not hit as the record of {run} says (make regression renews it):\n{text}",
            pytrace=False,
        )


@pytest.mark.parametrize("run", RUNS)
def test_record_is_of_today(run: str, request: pytest.FixtureRequest) -> None:
    """A run that is not simulated here was, as it is now."""
    simulated = any(item.name == f"test_emitted_verilog[{run}]" for item in request.session.items)
    if simulated and (RUNS[run][0] != "icarus" or shutil.which("iverilog")):
        return
    if found := fault(run, read_records().get(run), of_run(run)):
        pytest.fail(found, pytrace=False)


def test_records_are_of_runs() -> None:
    assert sorted(set(read_records()) - set(RUNS)) == [], "make regression forgets them"


def test_every_bin_is_hit() -> None:
    """Each by every test that the testplan names for it; by the records, see ``lost``."""
    cure = "make regression ARGS=--all records what the testplan names anew"
    assert missed(read_plan(), read_records()) == [], cure


def test_quick_runs_have_each_kernel_and_what_changes_a_unit_most() -> None:
    configs = [MATRIX[name] for simulator, name in map(RUNS.__getitem__, QUICK)]
    kernels = {(config.kernel.name, config.output) for config in configs}
    assert {name for name, _ in kernels} == set(KERNELS)
    assert {("exaq", "codes"), ("baps", "codes"), ("baps", "probabilities")} <= kernels
    assert {config.bits for config in configs if config.kernel.name == "exaq"} >= {2, 4}
    for what in ("contexts", "float_format", "window", "sinks", "masking"):
        assert any(getattr(config, what) for config in configs), what
    assert {RUNS[run][0] for run in QUICK} == {"verilator", "icarus"}


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
