"""Spares the cells that nextpnr puts in front of and behind ECP5 carry chains.

A chain begins with a cell that brings its first carry in from a constant, and ends with one that
leads its last carry out, even if nobody reads it. Each is two LUTs, for chains that are mostly
short. ``trim_ends`` leaves both out where it can, or halves them; what the netlist computes does
not change.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from exaq_fpga.flow.netlists.netlist import Bit, Netlist

_PINS = "ABCD"
# INIT of a cell that passes no carry on but gives 0 or 1, while D is 1.
_GIVES = {"0": "0000000000000000", "1": "0000000000001111"}
_LUTS_OF_A_CELL = 2
_REGISTER = "TRELLIS_FF"
# What nextpnr leaves unconnected; a pin without any bit stops it.
_NOTHING = "x"

# A cell of a chain; what a half of one has: its INIT, and the bits of its pins, S among them.
_Cell = dict[str, Any]
_Half = dict[str, Any]


def trim_ends(netlist: Netlist) -> None:
    """Leave unread last carries unconnected, and give first ones from a half that is idle.

    Where a chain takes an odd number of halves, the last one is idle: all move up by one, and the
    first half then gives the carry. Where it takes an even number, a lookup table makes the sum's
    lowest bit if the carry out of that is a function of two signals: the first half then gives
    that carry. Of the chains that are left two become one, with a half between them that passes no
    carry on but gives the second one's; not of those whose sums are read by anything but registers,
    since no tool knows that a way through both is none, and such ways could close a loop.
    """
    read = netlist.users()

    def is_read(cell: _Cell, pin: str) -> bool:
        bit = _pin(cell, pin)
        return bit is not None and bool(read.get(bit))

    full = []
    for chain in list(_chains(netlist)):
        if is_read(chain[-1], "COUT"):
            continue
        chain[-1]["connections"]["COUT"] = [_NOTHING]
        carry = _pin(chain[0], "CIN")
        if carry not in _GIVES:
            continue
        if not is_read(chain[-1], "S1"):
            _put(chain, [_giving(carry), *_halves(chain)[:-1]])
        elif not _without_lowest(netlist, chain, read=is_read(chain[0], "S0")):
            sums = (bit for half in _halves(chain) for bit in half["S"] if bit != _NOTHING)
            users = {name for bit in sums for name, _ in read.get(bit, ())}
            if all(netlist.cells[name]["type"] == _REGISTER for name in users if name):
                full.append(chain)
    # By name, so that neighbours in the design become neighbours on the device.
    names = {id(cell): name for name, cell in netlist.cells.items()}
    full.sort(key=lambda chain: names[id(chain[0])])
    bit = netlist.new_bit()
    for first, second in zip(full[::2], full[1::2], strict=False):
        _join(netlist, first, second, (bit, bit + 1))
        bit += 2


def luts(netlist: Netlist) -> int:
    """LUTs that nextpnr takes for a netlist of ECP5, cells of carry chains and their ends too."""
    cells = netlist.count()
    ends = sum(
        (_pin(chain[0], "CIN") is not None) + (_pin(chain[-1], "COUT") is not None)
        for chain in _chains(netlist)
    )
    return cells.get("LUT4", 0) + _LUTS_OF_A_CELL * (cells.get("CCU2C", 0) + ends)


def _chains(netlist: Netlist) -> Iterator[list[_Cell]]:
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


def _pin(cell: _Cell, pin: str) -> Bit | None:
    bits = cell["connections"].get(pin, [])
    return bits[0] if bits and bits[0] != _NOTHING else None


def _halves(chain: list[_Cell]) -> list[_Half]:
    """What each half of a chain has, the lowest first."""
    return [
        {"INIT": cell["parameters"][f"INIT{half}"]}
        | {pin: cell["connections"][f"{pin}{half}"] for pin in (*_PINS, "S")}
        for cell in chain
        for half in "01"
    ]


def _put(chain: list[_Cell], halves: list[_Half]) -> None:
    """Give a chain these halves, of which the first takes no carry in."""
    places = [(cell, half) for cell in chain for half in "01"]
    for (cell, half), given in zip(places, halves, strict=True):
        cell["parameters"][f"INIT{half}"] = given["INIT"]
        for pin in (*_PINS, "S"):
            cell["connections"][f"{pin}{half}"] = given[pin]
    chain[0]["connections"]["CIN"] = [_NOTHING]


def _giving(carry: Bit | None) -> _Half:
    """A half that gives a constant carry, whatever comes in."""
    return {"INIT": _GIVES[str(carry)], "S": [_NOTHING]} | {pin: ["1"] for pin in _PINS}


def _without_lowest(netlist: Netlist, chain: list[_Cell], *, read: bool) -> bool:
    """Whether a table could take the chain's lowest sum, if that is read; then it has."""
    lowest, *others = _halves(chain)
    carry = str(_pin(chain[0], "CIN"))
    for pair in combinations(_PINS, 2):
        if (table := _carry_of(lowest, carry, pair)) is not None:
            break
    else:
        return False
    giving = _giving("0") | {"INIT": table.zfill(1 << len(_PINS))}
    for pin, source in zip("AB", pair, strict=True):
        giving[pin] = lowest[source]
    _put(chain, [giving, *others])
    if read:
        inverted = lowest["INIT"].translate(str.maketrans("01", "10"))
        init = inverted if carry == "1" else lowest["INIT"]
        _add_table(netlist, init, {pin: lowest[pin] for pin in _PINS}, lowest["S"])
    return True


def _carry_of(half: _Half, carry: str, pair: tuple[str, str]) -> str | None:
    """The carry out of a half that gets ``carry``, as INIT of two pins; None where others count."""
    found: dict[int, set[str]] = {place: set() for place in range(4)}
    for address in range(1 << len(_PINS)):
        pins = {pin: str(address >> k & 1) for k, pin in enumerate(_PINS)}
        if any(half[pin][0] in _GIVES and half[pin][0] != value for pin, value in pins.items()):
            continue
        passes, generates = half["INIT"][~address], half["INIT"][~(address & 3)]
        place = int(pins[pair[0]]) + 2 * int(pins[pair[1]])
        found[place].add(carry if passes == "1" else generates)
    if any(len(values) > 1 for values in found.values()):
        return None
    # What constants leave out does not matter.
    return "".join(min(found[place], default="0") for place in (3, 2, 1, 0))


def _add_table(netlist: Netlist, init: str, pins: dict[str, list[Bit]], output: list[Bit]) -> None:
    """A LUT4 beside the chains."""
    name = f"lowest${output[0]}"
    netlist.cells[name] = {
        "hide_name": 0,
        "type": "LUT4",
        "parameters": {"INIT": init},
        "attributes": {},
        "port_directions": dict.fromkeys(_PINS, "input") | {"Z": "output"},
        "connections": pins | {"Z": output},
    }


def _join(netlist: Netlist, first: list[_Cell], second: list[_Cell], new: tuple[Bit, Bit]) -> None:
    """Two chains that take all their halves as one, which takes one cell and two nets more."""
    halves = []
    for chain in (first, second):
        halves += [_giving(_pin(chain[0], "CIN")), *_halves(chain)]
    last = netlist.cells[f"joined${new[0]}"] = copy.deepcopy(second[-1])
    _put([*first, *second, last], halves)
    for below, above, bit in ((first, second, new[0]), (second, [last], new[1])):
        below[-1]["connections"]["COUT"] = above[0]["connections"]["CIN"] = [bit]
    last["connections"]["COUT"] = [_NOTHING]
