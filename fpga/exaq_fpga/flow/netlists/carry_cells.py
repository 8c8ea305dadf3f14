"""Adders that gate or subtract, each bit in one cell of ECP5's carry chains.

Yosys puts the gates of ``exaq_hdl/emit/adders.v`` in front of an adder, a LUT for each bit and
operand. But the LUT of a carry cell has four inputs: it can hold the gates where what the cell
generates is what A and B alone say. ``map_text`` puts such cells in the place of the modules, for
Yosys's ``techmap`` before a hierarchy is made.

A cell before each adder sets its carry, whatever comes along the chain: so an adder can follow
another one in a chain. ``trim_chains`` tells nextpnr so, which else spends two cells before each
chain to bring in a 0 that nothing looks at, and two more behind it to bring out a carry that
nothing reads.
"""

from __future__ import annotations

import re

from exaq_fpga.flow.netlists.netlist import Netlist

#: Name of the file that holds ``map_text``.
FILE = "carry_cells.v"
#: Yosys commands between reading a design and ``synth_ecp5``.
PASSES = f"techmap -map {FILE}"

_MODULES = re.compile(r"^module (\w+)__(?:gated_adders|add_subtract)\b", re.MULTILINE)


def units_in(verilog: str) -> list[str]:
    """Names of the units in ``verilog`` that have modules to be mapped."""
    return sorted(set(_MODULES.findall(verilog)))


def map_text(units: list[str]) -> str:
    """Verilog for ``techmap``: cells for the modules of ``units``."""
    return "".join(_MAP.replace("UNIT", unit) for unit in units)


def trim_chains(netlist: Netlist) -> None:
    """Leave open what no carry cell looks at: a constant before a cell that sets its own carry,
    and a carry that nothing reads.
    """
    users = netlist.users()
    for cell in netlist.cells.values():
        if cell["type"] != "CCU2C":
            continue
        pins = cell["connections"]
        if pins["CIN"] == ["0"] and int(cell["parameters"]["INIT0"], 2) in _SETTING:
            pins["CIN"] = ["x"]
        if not users.get(pins["COUT"][0]):
            pins["COUT"] = ["x"]


# Tables of cells that let no carry through: 0, or A where D is high.
_SETTING = (0x0000, 0x00AA)

# A sum's bit is (A & B) ^ (C & D) ^ carry: where A & B and C & D are alike, A & B is carried on. A
# difference's bit is A ^ (B ^ C) ^ carry: where A and B ^ C are alike, A is carried on. The cell
# before an adder carries 0, and before a difference C of the others, which is its A.
_MAP = r"""
(* techmap_celltype = "UNIT__gated_adders" *)
module UNIT__gated_cells (a, x, b, y, sums);
  parameter COUNT = 1;
  parameter WIDTH = 1;
  localparam EACH = WIDTH + 1;
  localparam PAIRS = (COUNT * EACH + 1) / 2;
  input [COUNT*WIDTH-1:0] a, b;
  input [COUNT-1:0] x, y;
  output [COUNT*WIDTH-1:0] sums;
  wire [2*PAIRS-1:0] pin_a, pin_b, pin_c, pin_d, found;
  wire [PAIRS:0] carry;
  assign carry[0] = 1'b0;
  genvar k;
  generate
    for (k = 0; k < COUNT; k = k + 1) begin : adder
      assign pin_a[k*EACH +: EACH] = {a[k*WIDTH +: WIDTH], 1'b0};
      assign pin_b[k*EACH +: EACH] = {{WIDTH{x[k]}}, 1'b0};
      assign pin_c[k*EACH +: EACH] = {b[k*WIDTH +: WIDTH], 1'b0};
      assign pin_d[k*EACH +: EACH] = {{WIDTH{y[k]}}, 1'b0};
      assign sums[k*WIDTH +: WIDTH] = found[k*EACH+1 +: WIDTH];
    end
    if (2 * PAIRS > COUNT * EACH) begin
      assign {pin_a[2*PAIRS-1], pin_b[2*PAIRS-1], pin_c[2*PAIRS-1], pin_d[2*PAIRS-1]} = 4'b0;
    end
    for (k = 0; k < PAIRS; k = k + 1) begin : cell
      CCU2C #(
        .INIT0(2 * k % EACH == 0 ? 16'h0000 : 16'h7888),
        .INIT1((2 * k + 1) % EACH == 0 ? 16'h0000 : 16'h7888),
        .INJECT1_0("NO"), .INJECT1_1("NO")
      ) pair (
        .CIN(carry[k]), .COUT(carry[k+1]), .S0(found[2*k]), .S1(found[2*k+1]),
        .A0(pin_a[2*k]), .B0(pin_b[2*k]), .C0(pin_c[2*k]), .D0(pin_d[2*k]),
        .A1(pin_a[2*k+1]), .B1(pin_b[2*k+1]), .C1(pin_c[2*k+1]), .D1(pin_d[2*k+1])
      );
    end
  endgenerate
endmodule

(* techmap_celltype = "UNIT__add_subtract" *)
module UNIT__signed_cells (a, b, subtract, result);
  parameter WIDTH = 1;
  localparam PAIRS = (WIDTH + 2) / 2;
  input [WIDTH-1:0] a, b;
  input subtract;
  output [WIDTH-1:0] result;
  wire [2*PAIRS-1:0] pin_a = {a, subtract};
  wire [2*PAIRS-1:0] pin_b = {b, 1'b0};
  wire [2*PAIRS-1:0] found;
  wire [PAIRS:0] carry;
  assign carry[0] = 1'b0;
  assign result = found[WIDTH:1];
  genvar k;
  generate
    for (k = 0; k < PAIRS; k = k + 1) begin : cell
      CCU2C #(
        .INIT0(k == 0 ? 16'h00AA : 16'h96AA), .INIT1(16'h96AA),
        .INJECT1_0("NO"), .INJECT1_1("NO")
      ) pair (
        .CIN(carry[k]), .COUT(carry[k+1]), .S0(found[2*k]), .S1(found[2*k+1]),
        .A0(pin_a[2*k]), .B0(pin_b[2*k]), .C0(subtract), .D0(1'b1),
        .A1(pin_a[2*k+1]), .B1(pin_b[2*k+1]), .C1(subtract), .D1(1'b1)
      );
    end
  endgenerate
endmodule
"""
