"""Sizes of blocks whose size is known beforehand, and what is refused."""

from __future__ import annotations

import pytest

from exaq_cosim import ToolError
from exaq_fpga.boards.devices import DEVICES
from exaq_fpga.flow import tools
from exaq_fpga.flow.block_sizes import block_sizes

# Two kinds of blocks, one of which holds another; gates of the module itself belong to none.
DESIGN = """
module gates (input wire clk, input wire [7:0] a, b, c, output reg [7:0] y);
  always @(posedge clk) y <= a & b | c;
endmodule

module sum (input wire clk, input wire [15:0] a, b, output reg [15:0] y);
  always @(posedge clk) y <= a + b;
endmodule

module product (input wire clk, input wire [15:0] a, b, output reg [31:0] y);
  always @(posedge clk) y <= a * b;
endmodule

module words (input wire clk, input wire we, input wire [8:0] at, input wire [17:0] d,
              output reg [17:0] q);
  reg [17:0] held [0:511];
  always @(posedge clk) begin
    if (we) held[at] <= d;
    q <= held[at];
  end
endmodule

module outer (input wire clk, input wire [7:0] a, b, c, output wire [7:0] y);
  wire [7:0] x;
  gates first (.clk(clk), .a(a), .b(b), .c(c), .y(x));
  gates second (.clk(clk), .a(x), .b(b), .c(c), .y(y));
endmodule

module known (input wire clk, input wire [15:0] a, b, output wire [15:0] y, output wire z,
              output wire [7:0] u, v, output wire [31:0] p, output wire [17:0] q);
  gates one (.clk(clk), .a(a[7:0]), .b(b[7:0]), .c(a[15:8]), .y(u));
  outer two (.clk(clk), .a(a[7:0]), .b(b[7:0]), .c(b[15:8]), .y(v));
  sum total (.clk(clk), .a(a), .b(b), .y(y));
  product scaled (.clk(clk), .a(a), .b(b), .y(p));
  words memory (.clk(clk), .we(a[9]), .at(a[8:0]), .d({b, 2'b0}), .q(q));
  assign z = ^a & ^b;
endmodule
"""


def test_each_block_has_its_own_size_with_all_below_it() -> None:
    sizes = block_sizes(DESIGN, "known", DEVICES["ecp5-85"])
    assert set(sizes) == {"one", "two", "total", "scaled", "memory"}
    assert sizes["one"] == {"lut4": 8, "ff": 8, "bram": 0, "dsp": 0}
    assert sizes["two"] == {"lut4": 16, "ff": 16, "bram": 0, "dsp": 0}
    # A carry cell adds two bits, and has two LUT4.
    assert sizes["total"] == {"lut4": 16, "ff": 16, "bram": 0, "dsp": 0}
    assert sizes["scaled"]["dsp"] == 1
    assert sizes["memory"]["bram"] == 1


def test_other_families_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^device must be of the family ecp5, not ice40$"):
        block_sizes(DESIGN, "known", DEVICES["ice40-hx8k"])


def test_what_yosys_says_of_a_failure_is_told() -> None:
    with pytest.raises(ToolError, match=r"^yosys failed with exit code 1: .*other"):
        block_sizes(DESIGN, "other", DEVICES["ecp5-85"])


def test_without_yosys_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: object) -> None:
        raise ToolError("yosys is not installed")

    monkeypatch.setattr(tools, "run", missing)
    with pytest.raises(ToolError, match=r"^yosys is not installed$"):
        block_sizes(DESIGN, "known", DEVICES["ecp5-85"])
