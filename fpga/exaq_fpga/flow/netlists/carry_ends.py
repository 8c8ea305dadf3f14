"""Spares the cells that nextpnr puts in front of and behind ECP5 carry chains.

A chain begins with a cell that brings its first carry in from a constant, and ends with one that
leads its last carry out, even if nobody reads it. Each is two LUTs, for chains that are mostly
short. ``trim_ends`` leaves both out where it can; what the netlist computes does not change.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from exaq_fpga.flow.netlists.netlist import Bit, Netlist

_PINS = "ABCD"
# INIT of a cell that passes no carry on but gives 0 or 1, while D is 1.
_GIVES = {"0": "0000000000000000", "1": "0000000000001111"}
_LUTS_OF_A_CELL = 2
# What nextpnr leaves unconnected; a pin without any bit stops it.
_NOTHING = "x"


def trim_ends(netlist: Netlist) -> None:
    """Leave unread last carries unconnected, and give first ones from a half that is idle.

    Where a chain takes an odd number of halves, the last one is idle: all move up by one, and the
    first half then gives the carry.
    """
    read = netlist.users()

    def is_read(cell: dict[str, Any], pin: str) -> bool:
        bit = _pin(cell, pin)
        return bit is not None and bool(read.get(bit))

    for chain in _chains(netlist):
        if is_read(chain[-1], "COUT"):
            continue
        chain[-1]["connections"]["COUT"] = [_NOTHING]
        carry = _pin(chain[0], "CIN")
        if carry in _GIVES and not is_read(chain[-1], "S1"):
            _move_up(chain, str(carry))


def luts(netlist: Netlist) -> int:
    """LUTs that nextpnr takes for a netlist of ECP5, cells of carry chains and their ends too."""
    cells = netlist.count()
    ends = sum(
        (_pin(chain[0], "CIN") is not None) + (_pin(chain[-1], "COUT") is not None)
        for chain in _chains(netlist)
    )
    return cells.get("LUT4", 0) + _LUTS_OF_A_CELL * (cells.get("CCU2C", 0) + ends)


def _chains(netlist: Netlist) -> Iterator[list[dict[str, Any]]]:
    """The cells of each chain, the lowest first."""
    cells = [cell for cell in netlist.cells.values() if cell["type"] == "CCU2C"]
    above = {_pin(cell, "CIN"): cell for cell in cells}
    between = {_pin(cell, "COUT") for cell in cells} & set(above) - {None}
    for cell in cells:
        if _pin(cell, "CIN") not in between:
            chain = [cell]
            while _pin(chain[-1], "COUT") in between:
                chain.append(above[_pin(chain[-1], "COUT")])
            yield chain


def _pin(cell: dict[str, Any], pin: str) -> Bit | None:
    bits = cell["connections"].get(pin, [])
    return bits[0] if bits and bits[0] != _NOTHING else None


def _move_up(chain: list[dict[str, Any]], carry: str) -> None:
    halves = [(cell, half) for cell in chain for half in "01"]
    for (cell, half), (lower, lower_half) in zip(halves[:0:-1], halves[-2::-1], strict=True):
        cell["parameters"][f"INIT{half}"] = lower["parameters"][f"INIT{lower_half}"]
        for pin in (*_PINS, "S"):
            bits = lower["connections"][f"{pin}{lower_half}"]
            cell["connections"][f"{pin}{half}"] = bits
    first = chain[0]
    first["connections"] |= {"CIN": [_NOTHING], "S0": [_NOTHING]} | {
        f"{pin}0": ["1"] for pin in _PINS
    }
    first["parameters"]["INIT0"] = _GIVES[carry]
