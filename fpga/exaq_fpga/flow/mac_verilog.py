"""Multiply-accumulate units to compare: one product a cycle, added to a sum of 24 bits.

Their operands are an integer of 8 bits and one element, of the formats that keys may have. All are
written as a designer would write them for a systolic array; none has registers of its own but the
sum.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Name of the modules.
TOP = "mac"
#: Bits of the sum.
SUM = 24


@dataclass(frozen=True)
class Mac:
    """A unit: what it is called in tables, bits of its second operand ``b``, and the Verilog that
    makes the wire ``p`` from this and ``a``."""

    title: str
    width: int
    product: str

    @property
    def verilog(self) -> str:
        """The module, whose name is ``TOP``."""
        return (
            f"module {TOP} (input wire clk, input wire clear, input wire signed [7:0] a,\n"
            f"  input wire [{self.width - 1}:0] b, output reg signed [{SUM - 1}:0] sum);\n"
            f"{self.product}"
            f"  always @(posedge clk) sum <= (clear ? {SUM}'sd0 : sum) + p;\n"
            "endmodule\n"
        )


_TIMES = "  wire signed [{top}:0] p = a * $signed(b);\n"
# A row for each bit, the highest one's negative.
_ROWS = (
    "  wire signed [7:0] "
    + ", ".join(f"r{k} = b[{k}] ? a : 0" for k in range(8))
    + ";\n"
    + "  wire signed [9:0] s0 = r0 + (r1 <<< 1), s2 = r2 + (r3 <<< 1);\n"
    "  wire signed [9:0] s4 = r4 + (r5 <<< 1), s6 = r6 - (r7 <<< 1);\n"
    "  wire signed [11:0] low = s0 + (s2 <<< 2), high = s4 + (s6 <<< 2);\n"
    "  wire signed [15:0] p = low + (high <<< 4);\n"
)
# a or -a as the sign says; then the rows of the size's bits.
_NEGATED = "  wire signed [8:0] n = b[3] ? -a : a;\n"
_INT4 = (
    _NEGATED
    + "  wire signed [10:0] low = b[0] ? n : 0, middle = b[1] ? n : 0, high = b[2] ? n : 0;\n"
    "  wire signed [11:0] p = low + (middle <<< 1) + (high <<< 2);\n"
)
_DINT4 = (
    # The code of the largest size has the sign alone, and those whose size would be 7 are halves.
    "  wire most = b == 4'd8, half = b[2:0] == 3'd7;\n"
    "  wire [2:0] size = half ? 3'd0 : b[2:0] | {3{most}};\n"
    + _NEGATED
    + "  wire signed [9:0] low = half ? n : size[0] ? n <<< 1 : 0;\n"
    "  wire signed [11:0] middle = size[1] ? n : 0, high = size[2] ? n : 0;\n"
    "  wire signed [12:0] p = low + (middle <<< 2) + (high <<< 3);\n"
)

#: The units by name.
MACS = {
    "int8": Mac("INT8 x INT8, `*`", 8, _TIMES.format(top=15)),
    "int8-rows": Mac("INT8 x INT8, rows of adders", 8, _ROWS),
    "int4": Mac("INT4 x INT8, `*`", 4, _TIMES.format(top=11)),
    "int4-size": Mac("INT4 x INT8, sign and size", 4, _INT4),
    "dint4": Mac("dINT4 x INT8, sign and size", 4, _DINT4),
}
