"""Gates that go into carry cells: proven to compute the same, and the others seen to stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from exaq_cosim import ToolError
from exaq_fpga.boards.devices import DEVICES
from exaq_fpga.flow import synthesis, tools
from exaq_fpga.flow.netlists.carry_ends import luts, trim_ends
from exaq_fpga.flow.netlists.carry_gates import fold_gates
from exaq_fpga.flow.netlists.netlist import Netlist

WIDTH = 6
#: Sums, the LUTs that they save, and those that are left beside the carry cells.
SUMS = {
    "a + b": (0, 0),
    "a + (b & {6{g}})": (6, 0),
    "(a & {6{g}}) + (b & {6{h}})": (12, 0),
    "(a & {6{g}}) - (b & {6{h}})": (12, 0),
    "(a & {6{g}}) + (b & {6{g}})": (12, 0),
    "(a | {6{g}}) - (b & {6{h}})": (12, 0),
    "(a ^ {6{g}}) + (b ^ {6{h}})": (12, 0),
    "(a ^ {6{g}}) - (b ^ {6{h}})": (12, 0),
    "(a & b) + (c & {6{g}})": (12, 0),
    "(a ^ b) + ({6{g}} & c)": (12, 0),
    "a + (g ? b : c)": (6, 0),
    "a + ((b ^ {6{g}}) & {6{h}})": (6, 0),
    "a - (b & {6{g}})": (6, 0),
    "a + ((a & b) | (~a & c))": (6, 0),
    "(a & b) + (g ? c : {6{h}})": (0, 12),
}


def synthesise(folder: Path, text: str) -> Netlist:
    (folder / "design.v").write_text(text)
    script = "read_verilog design.v; synth_ecp5 -nodffe -top sum -json plain.json"
    tools.run("yosys", ["-q", "-l", "yosys.log", "-p", script], folder)
    return Netlist.read(folder / "plain.json", "sum")


def module(value: str, further: str = "") -> str:
    """A sum; ``further`` is what its output z shows."""
    shown = f" assign z = {further};" if further else " assign z = 0;"
    return (
        f"module sum (input wire [{WIDTH - 1}:0] a, b, c, input wire g, h,"
        f" output wire [{WIDTH - 1}:0] y, z); assign y = {value};{shown} endmodule\n"
    )


def prove(folder: Path, netlist: Netlist) -> None:
    """``netlist`` computes what design.v says, for all inputs; ToolError where it does not."""
    modules = netlist.document["modules"]
    # Of cells with parameters that it knew Yosys wrote modules without what is in them.
    for name in set(modules) - {netlist.top}:
        del modules[name]
    # nextpnr leaves such a pin unconnected; Yosys does without bits.
    for cell in netlist.cells.values():
        for pin, bits in cell["connections"].items():
            if bits == ["x"]:
                cell["connections"][pin] = []
    netlist.write(folder / "folded.json")
    script = [
        "read_json folded.json; rename sum folded",
        "read_verilog -overwrite +/lattice/cells_sim_ecp5.v; read_verilog design.v",
        "miter -equiv -make_outputs sum folded miter; hierarchy -top miter; proc; flatten",
        "sat -verify -prove trigger 0 miter",
    ]
    tools.run("yosys", ["-q", "-l", "prove.log", "-p", "; ".join(script)], folder)


@pytest.mark.parametrize("value", SUMS)
def test_sums_are_the_same(tmp_path: Path, value: str) -> None:
    netlist = synthesise(tmp_path, module(value))
    saved = fold_gates(netlist)
    assert (saved, netlist.count().get("LUT4", 0)) == SUMS[value]
    trim_ends(netlist)
    prove(tmp_path, netlist)


def test_gates_with_other_users_stay(tmp_path: Path) -> None:
    """Of a LUT that is needed beside the chain nothing would be saved; its neighbours go."""
    text = module("(a & {6{g}}) + (b & {6{h}})", "b & {6{h}} & 6'b000110")
    netlist = synthesise(tmp_path, text)
    before = netlist.count()["LUT4"]
    saved = fold_gates(netlist)
    assert (before, saved) == (12, 10)
    prove(tmp_path, netlist)


def test_a_gate_that_one_chain_cannot_take_in_stays_for_the_other(tmp_path: Path) -> None:
    """Both sums have g ? c : h in them, the first of which has room for it alone."""
    text = module("a + (g ? c : {6{h}})", "(a & b) + (g ? c : {6{h}})")
    netlist = synthesise(tmp_path, text)
    kept = netlist.count()["LUT4"] - fold_gates(netlist)
    # The ANDs could go in without the multiplexers, but a cell's INIT leaves them no room.
    assert kept == netlist.count()["LUT4"] >= WIDTH
    prove(tmp_path, netlist)


def test_the_proof_sees_a_wrong_cell(tmp_path: Path) -> None:
    netlist = synthesise(tmp_path, module("(a & {6{g}}) + (b & {6{h}})"))
    fold_gates(netlist)
    cell = next(cell for cell in netlist.cells.values() if cell["type"] == "CCU2C")
    init = int(cell["parameters"]["INIT1"], 2) ^ 1 << 15
    cell["parameters"]["INIT1"] = f"{init:016b}"
    with pytest.raises(ToolError):
        prove(tmp_path, netlist)


@pytest.mark.parametrize(
    ("width", "operator", "behind"),
    [(6, "+", 6 + 1), (6, "-", 6 + 1), (5, "+", 6), (5, "-", 6)],
)
def test_ends_of_chains(tmp_path: Path, width: int, operator: str, behind: int) -> None:
    """Nobody reads the last carry; the first one comes from the half that is idle, if any is, and
    else from that of the lowest sum, which a table makes.
    """
    operand = f"[{width - 1}:0]"
    text = module(f"a{operand} {operator} b{operand}").replace(
        "[5:0] y,", f"{operand} y, output wire [5:0]"
    )
    netlist = synthesise(tmp_path, text)
    halves = width + width % 2
    assert luts(netlist) == halves + 4
    trim_ends(netlist)
    assert luts(netlist) == behind
    prove(tmp_path, netlist)


@pytest.mark.parametrize("operators", ["++", "--", "+-", "-+"])
@pytest.mark.parametrize("number", [2, 3])
def test_full_chains_are_joined(tmp_path: Path, operators: str, number: int) -> None:
    """Two of an even number of halves share what is idle; one that is left over has its end."""
    sums = [
        f"(a & {{{WIDTH}{{g}}}}) {operators[k % 2]} (b ^ {c})" for k, c in enumerate("ca"[:number])
    ]
    if number == 3:
        sums.append(f"(c & {{{WIDTH}{{h}}}}) - (a ^ b)")
    outputs = ", ".join(f"y{k}" for k in range(number))
    shown = " ".join(f"assign y{k} = {value};" for k, value in enumerate(sums))
    netlist = synthesise(
        tmp_path,
        f"module sum (input wire [{WIDTH - 1}:0] a, b, c, input wire g, h,"
        f" output wire [{WIDTH - 1}:0] {outputs}); {shown} endmodule\n",
    )
    fold_gates(netlist)
    before = luts(netlist)
    assert before == number * (WIDTH + 4)
    trim_ends(netlist)
    assert luts(netlist) == 2 * WIDTH + 2 + (number - 2) * (WIDTH + 2)
    prove(tmp_path, netlist)


def test_chains_with_logic_behind_them_are_not_joined(tmp_path: Path) -> None:
    """The second sum depends on the first: joined the other way round, they would be a loop."""
    first = f"(a & {{{WIDTH}{{g}}}}) + (b ^ c)"
    text = module(f"(t & {{{WIDTH}{{h}}}}) + (a ^ c)", "t").replace(
        "assign y", f"wire [{WIDTH - 1}:0] t = {first}; assign y"
    )
    netlist = synthesise(tmp_path, text)
    fold_gates(netlist)
    assert luts(netlist) == 2 * (WIDTH + 4)
    trim_ends(netlist)
    assert luts(netlist) == 2 * (WIDTH + 2)
    prove(tmp_path, netlist)


@pytest.mark.parametrize("value", ["a + 6'd1", "a + 6'd3", "6'd5 - a", "a - 6'd2"])
def test_a_lowest_sum_with_a_constant(tmp_path: Path, value: str) -> None:
    netlist = synthesise(tmp_path, module(value))
    trim_ends(netlist)
    prove(tmp_path, netlist)


def test_a_last_carry_that_is_read_stays(tmp_path: Path) -> None:
    netlist = synthesise(tmp_path, module("a", "b < c"))
    before = luts(netlist)
    trim_ends(netlist)
    prove(tmp_path, netlist)
    assert luts(netlist) == before >= WIDTH + 4


def test_nextpnr_takes_the_chains(tmp_path: Path) -> None:
    """It routes them, and needs as many LUTs as are counted."""
    text = """
    module sum (input wire clk, input wire [4:0] a, b, input wire g, h, output reg [4:0] y);
      always @(posedge clk) y <= (a & {5{g}}) - (b & {5{h}});
    endmodule
    """
    device = DEVICES["ecp5-85"]
    plain = synthesis.implement(text, "sum", device, seeds=(1,))
    tight = synthesis.implement(text, "sum", device, seeds=(1,), carries=True, folder=tmp_path)
    assert (plain.gates, tight.gates) == (0, 10)
    assert luts(Netlist.read(tmp_path / "bounded.json", "sum")) == 6
    assert plain.size["lut4"] - tight.size["lut4"] == 10 + 4
