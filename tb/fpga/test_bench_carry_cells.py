"""Adders in carry cells compute what their modules say: proven, and seen in a unit."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from exaq_cosim import ToolError
from exaq_fpga.boards.devices import DEVICES
from exaq_fpga.flow import synthesis, tools
from exaq_fpga.flow.netlists import carry_cells
from exaq_fpga.flow.netlists.netlist import Netlist

ADDERS = resources.files("exaq_hdl.emit").joinpath("adders.v").read_text(encoding="utf-8")
UNIT = "exaq_softmax"
# What the cells do.
MODELS = "+/lattice/common_sim.vh +/lattice/ccu2c_sim.vh"


def gated(name: str, count: int, width: int) -> str:
    bits = count * width
    return (
        f"module {name} (input [{bits - 1}:0] a, b, input [{count - 1}:0] x, y,"
        f" output [{bits - 1}:0] s);"
        f" {UNIT}__gated_adders #(.COUNT({count}), .WIDTH({width})) adders"
        " (.a(a), .x(x), .b(b), .y(y), .sums(s)); endmodule\n"
    )


def signed(name: str, width: int) -> str:
    return (
        f"module {name} (input [{width - 1}:0] a, b, input subtract,"
        f" output [{width - 1}:0] s);"
        f" {UNIT}__add_subtract #(.WIDTH({width})) adder"
        " (.a(a), .b(b), .subtract(subtract), .result(s)); endmodule\n"
    )


MODULES = {f"g{c}x{w}": gated(f"g{c}x{w}", c, w) for c in (1, 2, 3) for w in (1, 2, 3, 4)} | {
    f"s{w}": signed(f"s{w}", w) for w in (1, 2, 3, 6, 7)
}


def prove(folder: Path, map_text: str) -> None:
    """Proves every module equal to itself in cells, by their simulation models; else ToolError."""
    (folder / "all.v").write_text("".join(MODULES.values()))
    (folder / "adders.v").write_text(ADDERS)
    (folder / carry_cells.FILE).write_text(map_text)
    script = []
    for name in MODULES:
        script += [
            f"design -reset; read_verilog all.v adders.v; hierarchy -top {name}; proc; flatten",
            f"rename {name} plain; design -stash plain",
            f"read_verilog all.v; {carry_cells.PASSES}; read_verilog {MODELS}",
            # Nothing is left of the modules.
            f"hierarchy -top {name}; select -assert-none t:*adders t:*subtract",
            f"proc; flatten; rename {name} cells; design -copy-from plain -as plain plain",
            "miter -equiv -flatten -make_outputs plain cells miter",
            "sat -verify -prove trigger 0 miter",
        ]
    (folder / "prove.ys").write_text("\n".join(script))
    tools.run("yosys", ["-q", "-l", "prove.log", "-s", "prove.ys"], folder)


def test_cells_compute_what_the_modules_do(tmp_path: Path) -> None:
    prove(tmp_path, carry_cells.map_text([UNIT]))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("16'h7888)", "16'h7878)"),
        ("16'h00AA", "16'h0000"),
        (".INIT1(16'h96AA)", ".INIT1(16'h6996)"),
        (".INIT0(2 * k % EACH == 0 ? 16'h0000", ".INIT0(2 * k % EACH == 0 ? 16'hFFFF"),
    ],
)
def test_the_proof_sees_wrong_cells(right: str, wrong: str, tmp_path: Path) -> None:
    text = carry_cells.map_text([UNIT])
    assert right in text
    with pytest.raises(ToolError, match="proof"):
        prove(tmp_path, text.replace(right, wrong))


def netlist(text: str, folder: Path) -> Netlist:
    top = "top"
    (folder / "design.v").write_text(text)
    (folder / carry_cells.FILE).write_text(carry_cells.map_text(carry_cells.units_in(text)))
    script = f"read_verilog design.v; {carry_cells.PASSES}; synth_ecp5 -top {top} -json n.json"
    tools.run("yosys", ["-q", "-l", "yosys.log", "-p", script], folder)
    return Netlist.read(folder / "n.json", top)


def test_chains_are_trimmed_where_nothing_looks(tmp_path: Path) -> None:
    """A cell that sets its own carry takes none; one that adds to what comes in keeps it."""
    text = f"""
    module top (input clk, input [8:0] a, b, input x, y, output reg [8:0] s, output reg [9:0] t);
      wire [8:0] sum;
      {UNIT}__gated_adders #(.WIDTH(9)) adders (.a(a), .x(x), .b(b), .y(y), .sums(sum));
      always @(posedge clk) begin s <= sum; t <= a + b; end
    endmodule
    {ADDERS}"""
    found = netlist(text, tmp_path)
    before = {name: dict(cell["connections"]) for name, cell in found.cells.items()}
    carry_cells.trim_chains(found)
    chains = [cell for cell in found.cells.values() if cell["type"] == "CCU2C"]
    assert len(chains) == 10
    starts = [cell["connections"]["CIN"] for cell in chains]
    # That of the plain sum still gets its 0.
    assert starts.count(["x"]) == 1
    assert starts.count(["0"]) == 1
    assert [cell["connections"]["COUT"] for cell in chains].count(["x"]) == 2
    changed = {
        (found.cells[name]["type"], pin)
        for name, pins in before.items()
        for pin in pins
        if found.cells[name]["connections"][pin] != pins[pin]
    }
    assert changed == {("CCU2C", "CIN"), ("CCU2C", "COUT")}


def test_gates_cost_nothing_in_a_routed_design() -> None:
    """Two adders of 10 bits and their gates: 20 cells, and one before each adder."""
    text = f"""
    module top (input clk, input [19:0] a, b, input [1:0] x, y, output reg [19:0] s);
      wire [19:0] sums;
      {UNIT}__gated_adders #(.COUNT(2), .WIDTH(10)) adders
        (.a(a), .x(x), .b(b), .y(y), .sums(sums));
      always @(posedge clk) s <= sums;
    endmodule
    {ADDERS}"""
    size = synthesis.implement(text, "top", DEVICES["ecp5-85"], seeds=(1,)).size
    # nextpnr counts a cell of its own that is 0 besides.
    assert size["lut4"] == 22 + 1
