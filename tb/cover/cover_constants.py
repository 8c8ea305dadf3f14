"""Bits of emitted Verilog that nothing can change: no coverage can ask for them.

Yosys turns a unit into gates and flip-flops. What each of these may be is followed from the values
of power-up on, with inputs that may be anything, until it grows no more: a bit that may then be but
0, or but 1, is that in every state that the unit can reach. This finds constants of ROMs and what
they reach through gates and registers; it finds nothing that takes an argument about numbers. Noise
that a register without a value of power-up holds until it is first written counts for nothing, nor
does what a memory gives for an address that it lacks.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exaq_fpga.flow import tools

_SCRIPT = (
    "read_verilog {file}; hierarchy -top {top}; proc; flatten; memory; techmap; simplemap; "
    "write_json -noscopeinfo {out}"
)
_REGISTER = "$_DFF_P_"
# Whether the output may be 0, and 1, by whether the inputs may: a0 says that A may be 0, a1 that it
# may be 1.
_GATES: dict[str, Any] = {
    "$_NOT_": lambda a0, a1: (a1, a0),
    "$_BUF_": lambda a0, a1: (a0, a1),
    "$_AND_": lambda a0, a1, b0, b1: (a0 | b0, a1 & b1),
    "$_OR_": lambda a0, a1, b0, b1: (a0 & b0, a1 | b1),
    "$_XOR_": lambda a0, a1, b0, b1: (a0 & b0 | a1 & b1, a0 & b1 | a1 & b0),
    "$_XNOR_": lambda a0, a1, b0, b1: (a0 & b1 | a1 & b0, a0 & b0 | a1 & b1),
    "$_MUX_": lambda a0, a1, b0, b1, s0, s1: (s0 & a0 | s1 & b0, s0 & a1 | s1 & b1),
}

Bits = NDArray[np.intp]


def constants(file: Path, top: str) -> set[tuple[str, int]]:
    """Signals, with the instances that they lie in, and bits of them that are constant.

    ``file`` is a Verilog file; what Yosys makes of it stays beside it.
    """
    out = f"{file.stem}.gates.json"
    script = _SCRIPT.format(file=file.name, top=top, out=out)
    tools.run("yosys", ["-q", "-p", script], file.parent)
    module = json.loads((file.parent / out).read_text(encoding="utf-8"))["modules"][top]
    return of_netlist(module)


def of_netlist(module: Mapping[str, Any]) -> set[tuple[str, int]]:
    """As ``constants``, of a flat module of gates as Yosys writes it."""
    nets = module["netnames"]
    cells = list(module["cells"].values())
    size = 2 + max(bit for net in nets.values() for bit in net["bits"] if isinstance(bit, int))
    # Place 0 and 1 are those constants, the last one is x, noise; Yosys's own numbers begin at 2.
    may = np.zeros((2, size), np.bool_)
    may[0, 0] = may[1, 1] = True
    driven = [place for cell in cells for place in _outputs(cell)]
    free = np.ones(size, np.bool_)
    free[[0, 1, -1, *driven]] = False
    may[:, free] = True
    data, held = _registers(cells)
    for place, value in _power_up(nets):
        may[value, place] = True
    levels = _levels(cells)
    while True:
        for gate, places in levels:
            *inputs, output = places
            may[0, output], may[1, output] = _GATES[gate](
                *(may[value, place] for place in inputs for value in (0, 1))
            )
        grown = may[:, held] | may[:, data]
        if (grown == may[:, held]).all():
            # What is written with nothing but its own noise may be anything.
            if grown.any(axis=0).all():
                break
            grown |= ~grown.any(axis=0)
        may[:, held] = grown
    return {
        (name, bit + net.get("offset", 0))
        for name, net in nets.items()
        for bit, place in enumerate(net["bits"])
        if not may[:, _place(place)].all()
    }


def _place(bit: int | str) -> int:
    return bit if isinstance(bit, int) else {"0": 0, "1": 1, "x": -1}[bit]


def _port(cell: Mapping[str, Any], name: str) -> int:
    (bit,) = cell["connections"][name]
    return _place(bit)


def _outputs(cell: Mapping[str, Any]) -> Iterable[int]:
    yield _port(cell, "Q" if cell["type"] == _REGISTER else "Y")


def _registers(cells: Iterable[Mapping[str, Any]]) -> tuple[Bits, Bits]:
    """What registers take, and what they hold."""
    pairs = [(_port(cell, "D"), _port(cell, "Q")) for cell in cells if cell["type"] == _REGISTER]
    data, held = np.array(pairs, np.intp).reshape(-1, 2).T
    return data, held


def _power_up(nets: Mapping[str, Any]) -> Iterable[tuple[int, int]]:
    for net in nets.values():
        text = net["attributes"].get("init", "")
        for bit, value in zip(net["bits"], reversed(text), strict=False):
            if value in "01" and isinstance(bit, int):
                yield bit, int(value)


def _levels(cells: Iterable[Mapping[str, Any]]) -> list[tuple[str, list[Bits]]]:
    """Gates of one kind that wait for none of one another, in an order in which all can be found.

    Of each kind the places of inputs and, last, of outputs.
    """
    gates = {_port(cell, "Y"): cell for cell in cells if cell["type"] != _REGISTER}
    depth: dict[int, int] = {}

    def inputs(cell: Mapping[str, Any]) -> list[int]:
        return [_port(cell, name) for name in ("A", "B", "S") if name in cell["connections"]]

    for start in gates:
        waiting = [start]
        while waiting:
            place = waiting[-1]
            before = [each for each in inputs(gates[place]) if each in gates]
            if missing := [each for each in before if each not in depth]:
                waiting += missing
                continue
            depth[place] = 1 + max((depth[each] for each in before), default=0)
            waiting.pop()
    groups = defaultdict(list)
    for place, cell in gates.items():
        groups[depth[place], cell["type"]].append([*inputs(cell), place])
    return [
        (gate, list(np.array(group, np.intp).T))
        for (_, gate), group in sorted(groups.items(), key=lambda each: each[0])
    ]
