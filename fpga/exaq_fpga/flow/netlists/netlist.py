"""A flat netlist as Yosys writes it in JSON: its nets, their drivers and their users."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

#: A net's number, or a constant: ``"0"``, ``"1"``, ``"x"``, ``"z"``.
Bit = int | str


class Netlist:
    """The top module of a netlist that Yosys wrote with ``write_json`` after ``synth_*``.

    ``cells`` and ``ports`` are Yosys's own dictionaries, to be changed in place.
    """

    def __init__(self, document: dict[str, Any], top: str) -> None:
        self.document = document
        self.top = top
        module = document["modules"][top]
        self.cells: dict[str, dict[str, Any]] = module["cells"]
        self.ports: dict[str, dict[str, Any]] = module["ports"]
        self.netnames: dict[str, dict[str, Any]] = module["netnames"]

    @classmethod
    def read(cls, path: Path, top: str) -> Netlist:
        """The netlist in the JSON file at ``path``."""
        return cls(json.loads(path.read_text()), top)

    def write(self, path: Path) -> None:
        """Write the netlist as JSON that Yosys and nextpnr read."""
        path.write_text(json.dumps(self.document))

    def count(self) -> dict[str, int]:
        """Number of cells of each type."""
        return dict(Counter(cell["type"] for cell in self.cells.values()))

    def users(self) -> dict[Bit, list[tuple[str, str]]]:
        """For each net, the (cell, port) pairs that read it; a top output is ``("", port)``."""
        users: dict[Bit, list[tuple[str, str]]] = defaultdict(list)
        for name, cell in self.cells.items():
            for port, bits in cell["connections"].items():
                if cell["port_directions"][port] == "input":
                    for bit in bits:
                        users[bit].append((name, port))
        for port, details in self.ports.items():
            if details["direction"] != "input":
                for bit in details["bits"]:
                    users[bit].append(("", port))
        return users

    def new_bit(self) -> int:
        """A net that nothing uses yet."""
        bits = [
            bit
            for cell in self.cells.values()
            for connection in cell["connections"].values()
            for bit in connection
        ]
        bits += [bit for port in self.ports.values() for bit in port["bits"]]
        bits += [bit for net in self.netnames.values() for bit in net["bits"]]
        return max((bit for bit in bits if isinstance(bit, int)), default=1) + 1
