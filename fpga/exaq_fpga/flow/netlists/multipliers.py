"""Multipliers of LUTs and adders, for devices that have none, or whose own are not to be taken.

Yosys makes a ``$mul`` of full adders, which are LUTs twice over where a device has carry chains:
as a tree of sums over the rows A * B[k], each as wide as what it holds, it takes less than half.
``MAP`` is that tree, for Yosys's ``techmap``, and ``passes`` are what it is to be run with.
"""

from __future__ import annotations

#: Name of the file that holds ``MAP``.
FILE = "multipliers.v"


def passes(top: str) -> str:
    """Yosys commands between reading a design and ``synth_*``, with ``MAP`` in ``FILE``."""
    narrowed = f"hierarchy -top {top}; proc; flatten; opt_clean; wreduce t:$mul"
    return f"{narrowed}; techmap -map {FILE} t:$mul"


#: Unsigned products alone, as the units have them; others are left to Yosys.
MAP = r"""
(* techmap_celltype = "$mul" *)
module rows (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire _TECHMAP_FAIL_ = A_SIGNED || B_SIGNED;
  generate
    if (A_WIDTH < B_WIDTH) begin
      \$mul #(.A_SIGNED(0), .B_SIGNED(0), .A_WIDTH(B_WIDTH), .B_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH))
        _TECHMAP_REPLACE_ (.A(B), .B(A), .Y(Y));
    end else begin
      genvar level, k;
      // A node is the sum of 2**level rows, the first of them not shifted.
      for (level = 0; (1 << level) < 2 * B_WIDTH; level = level + 1) begin : tree
        for (k = 0; (k << level) < B_WIDTH; k = k + 1) begin : node
          wire [A_WIDTH+(1<<level)-1:0] sum;
          if (level == 0)
            assign sum = B[k] ? A : 0;
          else if (((2 * k + 1) << (level - 1)) < B_WIDTH) begin
            // The low half's lowest bits meet nothing of the high half.
            localparam SHIFT = 1 << (level - 1);
            wire [A_WIDTH+SHIFT-1:0] low = tree[level-1].node[2*k].sum;
            wire [A_WIDTH+SHIFT-1:0] high = tree[level-1].node[2*k+1].sum;
            wire [A_WIDTH+SHIFT-1:0] upper = high + low[A_WIDTH+SHIFT-1:SHIFT];
            assign sum = {upper, low[SHIFT-1:0]};
          end else
            assign sum = tree[level-1].node[2*k].sum;
        end
      end
      assign Y = tree[$clog2(B_WIDTH)].node[0].sum;
    end
  endgenerate
endmodule
"""
