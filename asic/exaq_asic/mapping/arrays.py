"""Memories of the emitted Verilog: their arrays are modules of their own, which stay no gates.

What is left of a memory, such as its output register, is mapped as all other logic; so are the
arrays of small memories, which are flops.

    >>> from exaq import SoftmaxConfig
    >>> from exaq_asic.mapping.arrays import split
    >>> from exaq_hdl import emit_verilog
    >>> from exaq_hdl.emit.target import Target
    >>> emitted = emit_verilog(SoftmaxConfig(), target=Target(kind="asic"))
    >>> text, arrays = split(emitted.verilog, "exaq_softmax")
    >>> [(array.depth, array.width, array.single_port) for array in arrays]
    [(262, 42, False), (304, 18, False)]
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

#: In the name of a module that is the flops of a small memory.
FLOPS = "__flops_"


@dataclass(frozen=True, order=True)
class MemoryArray:
    """A memory's array: ``depth`` words of ``width`` bits, one written and one read a cycle, or of
    a ``single_port`` one either.

    Its module has the ports that docs/integration.md describes; a word read appears one cycle
    later and holds until the next one is read. ``verilog`` is a model of it.
    """

    depth: int
    width: int
    single_port: bool
    module: str
    verilog: str = field(compare=False, repr=False)

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
        if self.single_port:
            return [
                ("clk", "input", 1),
                ("enable", "input", 1),
                ("write", "input", 1),
                ("address", "input", self.address_width),
                ("write_data", "input", self.width),
                ("read_data", "output", self.width),
            ]
        return [
            ("clk", "input", 1),
            ("write_enable", "input", 1),
            ("write_address", "input", self.address_width),
            ("write_data", "input", self.width),
            ("read_enable", "input", 1),
            ("read_address", "input", self.address_width),
            ("read_data", "output", self.width),
        ]

    def around(self, body: str) -> str:
        """Verilog of its module, with these lines in it."""
        ports = ",\n".join(
            f"  {direction} {f'[{width - 1}:0] ' if width > 1 else ''}{pin}"
            for pin, direction, width in self.pins()
        )
        return f"module {self.module} (\n{ports}\n);\n{body}endmodule\n"

    def black_box(self) -> str:
        """Its ports alone."""
        return f"(* blackbox *)\n{self.around('')}"


def split(verilog: str, name: str) -> tuple[str, list[MemoryArray]]:
    """The unit's text without the arrays of its memories, and these.

    Parameters
    ----------
    verilog
        The text, emitted for a chip.
    name
        The unit's name.
    """
    pattern = re.compile(
        rf"^module ({name}__array_(\d+)x(\d+)(_single_port)?) .*?^endmodule\n", re.M | re.S
    )
    arrays = [
        MemoryArray(int(depth), int(width), bool(single), module, found)
        for found, module, depth, width, single in (
            (each[0], *each.groups()) for each in pattern.finditer(verilog)
        )
    ]
    return pattern.sub("", verilog), sorted(arrays)
