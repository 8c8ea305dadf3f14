"""Models of cells: memories against their netlists, and what has no model."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from exaq_fpga.flow import tools
from exaq_fpga.flow.netlists.netlist import Netlist
from exaq_fpga.prove.readback.netlist_verilog import netlist_verilog

HERE = Path(__file__).parent
TOP = "prove_memories"

# Cells and widths of their ports that the memories must come to.
SHAPES = {
    "ecp5": {("DP16KD", width) for width in (1, 2, 4, 9, 18, 36)},
    "gowin": {
        *(("DPB", width) for width in (1, 2, 4)),
        ("SDPX9B", 36),
        *(("DPX9B", width) for width in (9, 18)),
        ("SPX9", 9),
    },
}


def synthesised(family: str, folder: Path) -> Netlist:
    shutil.copy(HERE / f"{TOP}.v", folder)
    script = f"read_verilog {TOP}.v; synth_{family} -top {TOP} -json top.json"
    tools.run("yosys", ["-q", "-p", script], folder)
    return Netlist.read(folder / "top.json", TOP)


def width(cell: dict[str, dict[str, str]]) -> int:
    parameters = cell["parameters"]
    for name in ("DATA_WIDTH_B", "BIT_WIDTH_1", "BIT_WIDTH"):
        if name in parameters:
            return int(parameters[name], 2)
    return 0


@pytest.mark.simulator
@pytest.mark.parametrize("family", SHAPES)
def test_memories_and_their_netlist_are_the_same(family: str, tmp_path: Path) -> None:
    if shutil.which("iverilog") is None:
        pytest.skip("iverilog is not installed")
    netlist = synthesised(family, tmp_path)
    shapes = {(cell["type"], width(cell)) for cell in netlist.cells.values()}
    assert SHAPES[family] <= shapes, sorted(shape for shape in shapes if shape[1])
    text = netlist_verilog(tmp_path, "top.json", top=TOP, family=family)
    renamed = re.sub(rf"\b{TOP}\b", "prove_netlist", text)
    assert "prove_netlist" in renamed
    (tmp_path / "netlist.v").write_text(renamed)
    sources = [f"{TOP}.v", "netlist.v", str(HERE / "prove_compare.v")]
    compiled = run(
        ["iverilog", "-g2005-sv", "-s", "prove_compare", "-o", "run", *sources], tmp_path
    )
    assert compiled.returncode == 0, compiled.stdout
    lines = run(["vvp", "-n", "run"], tmp_path).stdout.splitlines()
    assert lines == ["0 differences in 26448 cycles"]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
