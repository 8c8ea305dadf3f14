"""Bounds a netlist by registers, so that it is placed and timed by itself.

A unit inside a larger design has no pins: registers of its neighbours feed it and take its
results. ``bound_by_registers`` puts just these in the place of the pins. Only the clock stays a
pin. Paths from inputs and to outputs then count in the clock's Fmax, a device with few pins can
hold a unit with wide streams, and nothing of the unit can be optimised away, since the registers
come after synthesis.
"""

from __future__ import annotations

from typing import Any

from exaq_fpga.flow.netlists.netlist import Bit, Netlist

_REGISTER = {
    "ecp5": (
        "TRELLIS_FF",
        {
            # Yosys marks a string of binary digits by a space; without it, this is an integer.
            "CEMUX": "1 ",
            "CLKMUX": "CLK",
            "GSR": "DISABLED",
            "LSRMUX": "LSR",
            "REGSET": "RESET",
        },
        {"clock": "CLK", "data": "DI", "result": "Q"},
    ),
    "ice40": ("SB_DFF", {}, {"clock": "C", "data": "D", "result": "Q"}),
}


def bound_by_registers(netlist: Netlist, family: str, clock: str) -> int:
    """Replace every port of ``netlist`` but ``clock`` by a register a bit; return their number.

    Outputs that are constants or inputs get registers as well. ``family`` is a ``Device.family``.
    """
    clock_bit = netlist.ports[clock]["bits"][0]
    added = 0
    fresh = netlist.new_bit()
    for port in [name for name in netlist.ports if name != clock]:
        details = netlist.ports.pop(port)
        for index, bit in enumerate(details["bits"]):
            name = f"boundary${port}[{index}]"
            if details["direction"] == "input":
                cell = _register(family, clock_bit, data=fresh, result=bit)
            else:
                cell = _register(family, clock_bit, data=bit, result=fresh)
            netlist.cells[name] = cell
            fresh += 1
            added += 1
    return added


def _register(family: str, clock: Bit, *, data: Bit, result: Bit) -> dict[str, Any]:
    kind, parameters, pins = _REGISTER[family]
    return {
        "hide_name": 0,
        "type": kind,
        "parameters": dict(parameters),
        "attributes": {},
        "port_directions": {
            pins["clock"]: "input",
            pins["data"]: "input",
            pins["result"]: "output",
        },
        "connections": {
            pins["clock"]: [clock],
            pins["data"]: [data],
            pins["result"]: [result],
        },
    }
