"""The cache of compiled units: one compilation each, whole files, clear words when a tool fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exaq import SoftmaxConfig, softmax
from exaq.cache import CacheError
from exaq_cosim import ToolError, build_library, cache_folder, simulate
from exaq_hdl import emit_verilog

CONFIG = SoftmaxConfig(lanes=1, max_row=16)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, but for that of the program that writes Verilog."""
    compiled = cache_folder() / "wasmtime"
    folder = tmp_path / "cache"
    folder.mkdir()
    compiled.mkdir(parents=True, exist_ok=True)
    (folder / compiled.name).symlink_to(compiled)
    monkeypatch.setenv("EXAQ_CACHE", str(folder))
    monkeypatch.delenv("CXX", raising=False)
    return folder


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The compilers' names as they are called, but for questions of their version."""
    called: list[str] = []
    run = subprocess.run

    def recording(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        name = Path(command[0]).name
        if name in ("g++", "verilator_bin") and "--version" not in command:
            called.append(name)
        return run(command, **options)

    monkeypatch.setattr("subprocess.run", recording)
    return called


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.is_symlink())


@pytest.mark.simulator
def test_a_configuration_is_compiled_once(cache: Path, commands: list[str]) -> None:
    verilog = emit_verilog(CONFIG).verilog
    library = build_library(verilog, CONFIG)
    assert commands == ["g++", "verilator_bin", "g++", "g++"]
    assert library.parent == cache
    before = library.stat()
    commands.clear()
    assert build_library(verilog, CONFIG) == library
    simulate(np.zeros((3, 16), np.int8), CONFIG)
    assert commands == []
    assert library.stat().st_mtime_ns == before.st_mtime_ns
    assert library.stat().st_ino == before.st_ino

    # Another unit is compiled, but not the simulator's own code again.
    commands.clear()
    other = build_library(verilog + "\n", CONFIG)
    assert commands == ["verilator_bin", "g++", "g++"]
    runtime = [name for name in names(cache) if name.startswith("runtime-")]
    assert len(runtime) == 1
    assert names(cache) == sorted([*runtime, library.name, other.name])


@pytest.mark.simulator
def test_two_processes_at_once(cache: Path) -> None:
    code = (
        "import numpy as np; from exaq import SoftmaxConfig; from exaq_cosim import simulate;"
        "config = SoftmaxConfig(lanes=1, max_row=16);"
        "print(simulate(np.arange(16), config).probabilities.sum())"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    sums = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sums[0] == sums[1]
    assert [name.split("-")[0] for name in names(cache)] == ["runtime", "unit"]


@pytest.mark.simulator
def test_broken_verilog_is_one_line_and_leaves_nothing(cache: Path) -> None:
    with pytest.raises(ToolError) as caught:
        build_library("module exaq_softmax (; endmodule", CONFIG)
    text = str(caught.value)
    assert text.startswith("Verilator failed with exit code 1: %Error: exaq_softmax.v:1:")
    assert "\n" not in text
    assert [name for name in names(cache) if not name.startswith("runtime-")] == []


def test_no_compiler(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ToolError) as caught:
        build_library("", CONFIG)
    assert str(caught.value) == (
        "the C++ compiler no-such-compiler was not found; RTL simulation needs one "
        "(Debian and Ubuntu: apt install g++)"
    )
    assert names(cache) == []


@pytest.mark.simulator
def test_a_compiler_with_a_launcher_and_arguments(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A binary of its own: a compiler that is told something else may make something else."""
    monkeypatch.delenv("CXX", raising=False)
    verilog = emit_verilog(CONFIG).verilog
    # In the cache of all tests, where others have it too.
    plain = build_library(verilog, CONFIG)
    request.getfixturevalue("cache")
    monkeypatch.setenv("CXX", "env g++ -m64")
    other = build_library(verilog, CONFIG)
    assert other.name != plain.name
    rows = np.arange(32).reshape(2, 16)
    np.testing.assert_array_equal(simulate(rows, CONFIG).probabilities, softmax(rows, CONFIG))


@pytest.mark.parametrize("command", ["env", sys.executable])
def test_no_compiler_behind_a_launcher(
    cache: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Whoever launches it says so; the error has its words and the whole command."""
    monkeypatch.setenv("CXX", f"{command} no-such-compiler")
    with pytest.raises(ToolError) as caught:
        build_library("", CONFIG)
    text = str(caught.value)
    assert text.startswith(f"{command} no-such-compiler failed with exit code ")
    assert text.count("no-such-compiler") > 1
    assert "\n" not in text


def test_no_command_at_all(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "'g++")
    with pytest.raises(ToolError) as caught:
        build_library("", CONFIG)
    assert str(caught.value) == 'CXX must hold a command, not "\'g++"'
    assert names(cache) == []


def test_a_cache_that_cannot_be_written(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "file").touch()
    monkeypatch.setenv("EXAQ_CACHE", str(cache / "file"))
    with pytest.raises(CacheError) as caught:
        build_library("", CONFIG)
    assert str(caught.value) == (
        f"the cache cannot be written: {cache / 'file'}: File exists; EXAQ_CACHE names another "
        "folder for it"
    )
