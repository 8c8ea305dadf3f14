"""Memories of the emitted Verilog: their arrays are modules of their own, which stay no gates.

What is left of a memory, such as its output register, is mapped as all other logic. In today's
text every memory is an instance of one module with parameters, the RAM; ``split`` gives each size
modules of its own, the array's and what is round it.

    >>> from exaq import SoftmaxConfig
    >>> from exaq_asic.mapping.arrays import split
    >>> from exaq_hdl import emit_verilog
    >>> text, arrays = split(emit_verilog(SoftmaxConfig()).verilog, "exaq_softmax")
    >>> [(array.depth, array.width) for array in arrays]
    [(32, 8), (32, 24), (512, 18), (512, 42)]
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class MemoryArray:
    """A memory's array: ``depth`` words of ``width`` bits, one written and one read a cycle.

    Its module has the ports clk, write_enable, write_address, write_data, read_enable,
    read_address and read_data; a word read appears one cycle later and holds while read_enable is
    low.
    """

    depth: int
    width: int
    module: str

    @property
    def bits(self) -> int:
        """All bits."""
        return self.depth * self.width

    @property
    def address_width(self) -> int:
        """Bits of an address."""
        return (self.depth - 1).bit_length()

    def pins(self) -> list[tuple[str, str, int]]:
        """Name, direction and width of each port, in their order."""
        return [
            ("clk", "input", 1),
            ("write_enable", "input", 1),
            ("write_address", "input", self.address_width),
            ("write_data", "input", self.width),
            ("read_enable", "input", 1),
            ("read_address", "input", self.address_width),
            ("read_data", "output", self.width),
        ]

    def verilog(self) -> str:
        """A model of it."""
        body = _ARRAY_BODY.format(width=self.width - 1, depth=self.depth - 1)
        return f"{self._head('output reg')}{body}"

    def black_box(self) -> str:
        """Its ports alone."""
        return f"(* blackbox *)\n{self._head('output')}endmodule\n"

    def _head(self, output: str) -> str:
        return f"module {self.module} (\n{_ports(self.pins(), output)}\n);\n"


_ARRAY_BODY = """  reg [{width}:0] words [0:{depth}];
  always @(posedge clk) begin
    if (write_enable) words[write_address] <= write_data;
    if (read_enable) read_data <= words[read_address];
  end
endmodule
"""
_RAM_BODY = """  wire [{width}:0] latch;
  {array} array (
    .clk(clk), .write_enable(write_enable), .write_address(write_address),
    .write_data(write_data), .read_enable(read_enable), .read_address(read_address),
    .read_data(latch)
  );
  always @(posedge clk) if (output_enable) read_data <= latch;
endmodule
"""


def split(verilog: str, name: str) -> tuple[str, list[MemoryArray]]:
    """The unit's text without the arrays of its memories, and these.

    Parameters
    ----------
    verilog
        The emitted text.
    name
        The unit's name.
    """
    text, sizes = _without_parameters(verilog, name)
    pattern = rf"\bmodule {name}__array_(\d+)x(\d+)\b.*?\bendmodule\b"
    sizes |= {(int(depth), int(width)) for depth, width in re.findall(pattern, text, re.DOTALL)}
    text = re.sub(pattern, "", text, flags=re.DOTALL)
    return text, [
        MemoryArray(depth, width, f"{name}__array_{depth}x{width}")
        for depth, width in sorted(sizes)
    ]


def _without_parameters(verilog: str, name: str) -> tuple[str, set[tuple[int, int]]]:
    """The text with a module for each size of RAM in the place of one with parameters."""
    sizes: set[tuple[int, int]] = set()

    def sized(found: re.Match[str]) -> str:
        values = dict(re.findall(r"\.(\w+)\(32'd(\d+)\)", found[1]))
        sizes.add((int(values["DEPTH"]), int(values["WIDTH"])))
        return f"{name}__ram_{values['DEPTH']}x{values['WIDTH']} "

    text = re.sub(rf"\b{name}__ram #\(([^;]*?)\)\s*(?=\w+ \()", sized, verilog)
    text = re.sub(rf"\bmodule {name}__ram #.*?\bendmodule\b", "", text, flags=re.DOTALL)
    for depth, width in sorted(sizes):
        array = MemoryArray(depth, width, f"{name}__array_{depth}x{width}")
        *pins, read_data = array.pins()
        ports = _ports([*pins, ("output_enable", "input", 1), read_data], "output reg")
        body = _RAM_BODY.format(width=width - 1, array=array.module)
        text += f"module {name}__ram_{depth}x{width} (\n{ports}\n);\n{body}"
    return text, sizes


def _ports(pins: list[tuple[str, str, int]], output: str) -> str:
    kinds = {"input": "input", "output": output}
    return ",\n".join(f"  {kinds[kind]} [{width - 1}:0] {pin}" for pin, kind, width in pins)
