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
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    def read(
        cls, path: Path, top: str, parts: Mapping[str, str], registers: Collection[str]
    ) -> Netlist:
        """The netlist in a file of Yosys's ``write_json``.

        A cell is of the part in its attribute ``part``. One of the modules ``registers`` without
        any is of that of what it drives, or else, as words of memories, of the path that the name
        of what it drives begins with; ``parts`` are as of ``exaq_asic.mapping.blocks.parts_of``.
        Of others the part is ``""``.
        """
        module = json.loads(path.read_text(encoding="utf-8"))["modules"][top]
        driven: dict[Bit, str] = {}
        for marked in (True, False):
            for name, net in module["netnames"].items():
                part = net["attributes"].get("part") if marked else _of_path(name, top, parts)
                for bit in net["bits"] if part else ():
                    driven.setdefault(bit, part)
        return cls(
            top=top,
            ports=[
                Port(name, port["direction"], tuple(port["bits"]))
                for name, port in module["ports"].items()
            ],
            instances=[
                Instance(
                    cell["type"],
                    cell["attributes"].get("part")
                    or (_part(cell, driven) if cell["type"] in registers else ""),
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


def _of_path(name: str, top: str, parts: Mapping[str, str]) -> str:
    """The part that a net's name tells: of the longest path that it begins with."""
    path = name.split(".")
    found = (".".join((top, *path[:end])) for end in range(len(path) - 1, 0, -1))
    return next((parts[each] for each in found if each in parts), "")


def _part(cell: Mapping[str, Any], driven: Mapping[Bit, str]) -> str:
    """The first part among what a cell's outputs drive."""
    bits = (
        bit
        for pin, direction in cell["port_directions"].items()
        if direction == "output"
        for bit in cell["connections"][pin]
    )
    return next((driven[bit] for bit in bits if bit in driven), "")


def _joined(bits: Sequence[Bit]) -> str:
    names = [_named(bit) for bit in reversed(bits)]
    return names[0] if len(names) == 1 else f"{{{', '.join(names)}}}"


def _named(bit: Bit) -> str:
    return f"n{bit}" if isinstance(bit, int) else f"1'b{0 if bit == 'x' else bit}"
