"""The mapped unit: cells of the library and memories' arrays, joined by nets of one bit each.

    >>> from exaq_asic.mapping.netlist import Instance, Netlist, Port
    >>> netlist = Netlist(top="u", ports=[Port("a", "input", (2,)), Port("y", "output", (3,))],
    ...     instances=[Instance("INV", "receiver", {"A": (2,), "Y": (3,)})])
    >>> print(netlist.verilog())
    module u (a, y);
      input a;
      output y;
      wire n2;
      wire n3;
      assign n2 = a;
      assign y = n3;
      INV c0 (.A(n2), .Y(n3));
    endmodule
    <BLANKLINE>
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: A net, or a constant of a port that is driven by one.
Bit = int | str


@dataclass(frozen=True)
class Port:
    """A port of the unit: name, ``"input"`` or ``"output"``, and its bits, lowest first."""

    name: str
    direction: str
    bits: tuple[Bit, ...]


@dataclass(frozen=True)
class Instance:
    """A cell or an array: its module, the unit's part that it is of, and the bits of each pin."""

    module: str
    part: str
    pins: Mapping[str, tuple[Bit, ...]]


@dataclass(frozen=True)
class Netlist:
    """A mapped unit.

    Members
    -------
    top : its module
    ports : in their order
    instances : in an order that is the same every time
    """

    top: str
    ports: Sequence[Port]
    instances: Sequence[Instance]

    @classmethod
    def read(cls, path: Path, top: str) -> Netlist:
        """The netlist in a file of Yosys's ``write_json``; parts are those of the attribute
        ``part``, ``""`` where a cell has none.
        """
        module = json.loads(path.read_text(encoding="utf-8"))["modules"][top]
        return cls(
            top=top,
            ports=[
                Port(name, port["direction"], tuple(port["bits"]))
                for name, port in module["ports"].items()
            ],
            instances=[
                Instance(
                    cell["type"],
                    cell["attributes"].get("part", ""),
                    {pin: tuple(bits) for pin, bits in cell["connections"].items()},
                )
                for cell in module["cells"].values()
            ],
        )

    @property
    def nets(self) -> list[int]:
        """Every net, ascending."""
        bits = {bit for port in self.ports for bit in port.bits}
        for instance in self.instances:
            bits |= {bit for pin in instance.pins.values() for bit in pin}
        return sorted(bit for bit in bits if isinstance(bit, int))

    def verilog(self) -> str:
        """Verilog of names that every tool takes: net 5 is ``n5``, instance 7 ``c7``."""
        return "".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"module {self.top} ({', '.join(port.name for port in self.ports)});\n"
        for port in self.ports:
            width = f"[{len(port.bits) - 1}:0] " if len(port.bits) > 1 else ""
            yield f"  {port.direction} {width}{port.name};\n"
        for net in self.nets:
            yield f"  wire n{net};\n"
        for port in self.ports:
            for place, bit in enumerate(port.bits):
                here = f"{port.name}[{place}]" if len(port.bits) > 1 else port.name
                if port.direction == "input":
                    yield f"  assign n{bit} = {here};\n"
                else:
                    yield f"  assign {here} = {_named(bit)};\n"
        for number, instance in enumerate(self.instances):
            pins = ", ".join(f".{pin}({_joined(bits)})" for pin, bits in instance.pins.items())
            yield f"  {instance.module} c{number} ({pins});\n"
        yield "endmodule\n"


def _joined(bits: Sequence[Bit]) -> str:
    names = [_named(bit) for bit in reversed(bits)]
    return names[0] if len(names) == 1 else f"{{{', '.join(names)}}}"


def _named(bit: Bit) -> str:
    return f"n{bit}" if isinstance(bit, int) else f"1'b{0 if bit == 'x' else bit}"
