"""Mutants that no test can tell from the unit, proved.

Registers and memories are cut out of the netlist: what they give becomes an input, what goes into
them an output. A mutant whose outputs, ports and registers' inputs alike, are those of the unit for
every input and every state is the same machine, whatever happened before. Registers from which no
way leads to a port of the unit, through whatever other registers, are left out: they may differ.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mutants_logic import Graph, Literal, Questions, outputs
from mutants_netlist import TOP, Mutant, Netlist, yosys

_CUT = re.compile(r"\$dffe?|\$mem_v2")
_STATE = re.compile(r"\$(a?dff|sdff|aldff|adlatch|dlatch|sr$|ff$|mem)")
_GATES = "techmap; simplemap; aigmap; opt_clean"


def equivalent(netlist: Netlist, mutants: Sequence[Mutant]) -> set[int]:
    """Numbers of those of ``mutants`` that are proved to be the unit in all but their text.

    Raises
    ------
    exaq.tool.ToolError
        Yosys is missing or fails.
    """
    if not mutants:
        return set()
    unit, faulty = gates(netlist, mutants)
    graph = Graph()
    questions = Questions(graph)

    def given(name: str, bit: int) -> Literal:
        return graph.input(f"{name}[{bit}]")

    wanted = outputs(graph, unit, given)
    proved = set()
    for mutant in mutants:

        def chosen(name: str, bit: int, number: int = mutant.number) -> Literal:
            return number >> bit & 1 if name == "mutsel" else given(name, bit)

        found = outputs(graph, faulty, chosen)
        differs = graph.some(
            graph.differ(wanted[name][bit], found[name][bit])
            for name, bit in observed(graph, wanted, found)
            if wanted[name][bit] != found[name][bit]
        )
        if not questions.possible([differs]):
            proved.add(mutant.number)
    return proved


def observed(graph: Graph, *machines: Mapping[str, Sequence[Literal]]) -> set[tuple[str, int]]:
    """Outputs, by name and bit, on which a port of one of the machines depends, now or later.

    A register's bit depends on the same bit of what goes into it; what is read of a memory depends
    on all that goes into the memory.
    """
    free = {literal // 2: name for name, literal in graph.inputs.items()}
    bits: dict[str, list[tuple[str, int]]] = {}
    for name, literals in machines[0].items():
        bits.setdefault(name.rpartition(".")[0], []).extend((name, k) for k in range(len(literals)))
    found: set[tuple[str, int]] = set()
    passed: set[int] = set()
    waiting = bits[""].copy()
    while waiting:
        output = name, bit = waiting.pop()
        if output in found:
            continue
        found.add(output)
        for gate in _support(graph, [machine[name][bit] // 2 for machine in machines], passed):
            port, _, place = free[gate].rpartition("[")
            cell, _, port = port.rpartition(".")
            if port == "Q":
                waiting.append((f"{cell}.D", int(place[:-1])))
            elif cell:
                waiting += bits[cell]
    return found


def _support(graph: Graph, waiting: list[int], passed: set[int]) -> list[int]:
    """The free gates on which these gates depend, without those that were ``passed`` before."""
    found = []
    while waiting:
        gate = waiting.pop()
        if gate in passed or gate == 0:
            continue
        passed.add(gate)
        inputs = graph.gates[gate]
        if inputs is None:
            found.append(gate)
        else:
            waiting += [inputs[0] // 2, inputs[1] // 2]
    return found


def gates(netlist: Netlist, mutants: Sequence[Mutant]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The unit and ``mutants`` of it as gates between registers that are cut, as Yosys's JSON."""
    with tempfile.TemporaryDirectory(prefix="exaq-") as name:
        folder = Path(name)
        (folder / "flat.il").write_text(netlist.flat, encoding="utf-8")
        script = "\n".join(mutant.script for mutant in mutants)
        (folder / "mutate.ys").write_text(script + "\n", encoding="utf-8")
        files = ("unit.json", "mutants.json")
        for file, changes in zip(files, ("", "script mutate.ys; "), strict=True):
            yosys(f"read_rtlil flat.il; {changes}dffunmap; opt_clean; write_json {file}", folder)
            path = folder / file
            design = json.loads(path.read_text(encoding="utf-8"))
            cut(design["modules"][TOP])
            path.write_text(json.dumps(design), encoding="utf-8")
            yosys(f"read_json {file}; {_GATES}; write_json {file}", folder)
        unit, faulty = (json.loads((folder / file).read_text(encoding="utf-8")) for file in files)
    return unit["modules"][TOP], faulty["modules"][TOP]


def cut(module: dict[str, Any]) -> None:
    """Takes registers and memories out of a module of Yosys's JSON, ports in their places."""
    cells = module["cells"]
    for name in sorted(cells):
        cell = cells[name]
        if not _STATE.match(cell["type"]):
            continue
        if not _CUT.fullmatch(cell["type"]):
            raise ValueError(f"no way to cut {name}, a {cell['type']}")
        for port, bits in cell["connections"].items():
            taken = cell["port_directions"][port] == "output"
            direction = "input" if taken else "output"
            module["ports"][f"{name}.{port}"] = {"direction": direction, "bits": bits}
            # A port is a wire of the same name.
            module["netnames"][f"{name}.{port}"] = {"hide_name": 0, "bits": bits, "attributes": {}}
        del cells[name]
