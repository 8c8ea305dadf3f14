"""Takes gates in front of ECP5 carry chains into the chains' own logic cells.

A cell of a chain computes from four inputs whether it passes the carry on, and from the first two
what the carry is if not. Yosys gives it the two bits to be added and leaves two inputs idle, so
what makes these bits, such as the ANDs of a product's rows, takes further LUTs.
``fold_gates`` moves them in; what the netlist computes does not change.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from typing import Any

from exaq_fpga.flow.netlists.netlist import Bit, Netlist

_PINS = "ABCD"
#: The value of each net.
_Values = dict[Bit, int]
_CONSTANTS: _Values = {"0": 0, "1": 1, "x": 0}


def fold_gates(netlist: Netlist) -> int:
    """Fold LUTs into the carry cells that they feed; return how many LUTs that saves.

    A LUT goes where all its users are carry cells and each of these has the inputs for it.
    """
    users = netlist.users()
    drivers = {
        cell["connections"]["Z"][0]: cell
        for cell in netlist.cells.values()
        if cell["type"] == "LUT4"
        and all(_is_addend(netlist, *user) for user in users[cell["connections"]["Z"][0]])
    }
    halves = [(cell, n) for cell in netlist.cells.values() if _is_carry(cell) for n in "01"]
    while True:
        # A LUT that one user cannot take in stays, and then the others had better not.
        stuck = {
            bit
            for cell, half in halves
            for bit in _addends(cell, half) & drivers.keys()
            if _folded(cell, half, drivers) is None
        }
        if not stuck:
            break
        for bit in stuck:
            del drivers[bit]
    for cell, half in halves:
        found = _folded(cell, half, drivers)
        if found is not None:
            pins, init = found
            cell["parameters"][f"INIT{half}"] = init
            for pin, bit in zip(_PINS, pins, strict=True):
                cell["connections"][f"{pin}{half}"] = [bit]
    gone = [
        name
        for name, cell in netlist.cells.items()
        if cell["type"] == "LUT4" and cell["connections"]["Z"][0] in drivers
    ]
    for name in gone:
        del netlist.cells[name]
    return len(gone)


def _is_carry(cell: dict[str, Any]) -> bool:
    return cell["type"] == "CCU2C" and all(
        cell["parameters"][f"INJECT1_{half}"] == "NO" for half in "01"
    )


def _is_addend(netlist: Netlist, name: str, port: str) -> bool:
    return bool(name) and _is_carry(netlist.cells[name]) and port[0] in _PINS and len(port) == 2


def _addends(cell: dict[str, Any], half: str) -> set[Bit]:
    return {cell["connections"][f"{pin}{half}"][0] for pin in _PINS}


def _folded(
    cell: dict[str, Any], half: str, drivers: dict[Bit, dict[str, Any]]
) -> tuple[list[Bit], str] | None:
    """Pins A to D and INIT of a half that has the drivers of its pins within; None: it has no room
    for them, or nothing drives it that could go in."""
    given = [cell["connections"][f"{pin}{half}"][0] for pin in _PINS]
    luts = {bit: drivers[bit] for bit in given if bit in drivers}
    if not luts:
        return None
    nets = sorted(
        {bit for bit in given if bit not in luts}
        | {bit for lut in luts.values() for bit in _in(lut)} - {"0", "1", "x"},
        key=str,
    )
    nets = [bit for bit in nets if bit not in ("0", "1", "x")]
    if len(nets) > len(_PINS):
        return None
    init = int(cell["parameters"][f"INIT{half}"], 2)
    wanted = []
    for bits in product((0, 1), repeat=len(nets)):
        values = _CONSTANTS | dict(zip(nets, bits, strict=True))
        within = values | {bit: _output(lut, values) for bit, lut in luts.items()}
        index = sum(within[bit] << place for place, bit in enumerate(given))
        wanted.append((values, init >> index & 1, init >> (index & 3) & 1))
    for pins in _arrangements(nets):
        table = _table(pins, wanted)
        if table is not None:
            return pins, "".join(str(table.get(index, 0)) for index in reversed(range(16)))
    return None


def _in(lut: dict[str, Any]) -> list[Bit]:
    return [lut["connections"][pin][0] for pin in _PINS]


def _output(lut: dict[str, Any], values: _Values) -> int:
    index = sum(values[bit] << place for place, bit in enumerate(_in(lut)))
    return int(lut["parameters"]["INIT"], 2) >> index & 1


def _arrangements(nets: list[Bit]) -> Iterator[list[Bit]]:
    """Ways to connect pins A to D; those that are left over are the last ones, at 1."""
    for order in permutations(nets):
        yield [*order, *["1"] * (len(_PINS) - len(nets))]


def _table(pins: list[Bit], wanted: list[tuple[_Values, int, int]]) -> dict[int, int] | None:
    """A carry cell's function with these pins that passes the carry on, and else gives one, as is
    ``wanted``; None where there is none. What the carry would be is no matter where it passes."""
    table: dict[int, int] = {}
    for values, passes, carry in wanted:
        index = sum(values[bit] << place for place, bit in enumerate(pins))
        if table.setdefault(index, passes) != passes:
            return None
        if not passes and table.setdefault(index & 3, carry) != carry:
            return None
    return table
