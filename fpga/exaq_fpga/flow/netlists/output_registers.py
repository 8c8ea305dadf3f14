"""Maps registers behind ECP5 block RAM onto the block RAM's own output registers.

Yosys infers DP16KD without its output register and leaves the second cycle of a read in
flip-flops. DP16KD has that register inside, where it costs nothing and takes the slow way out of
the memory array off the critical path. ``fold_output_registers`` moves it there; what the netlist
computes in each cycle does not change.
"""

from __future__ import annotations

from typing import Any

from exaq_fpga.flow.netlists.netlist import Bit, Netlist

_BITS = 18
#: Widest data of one port; above it, both ports' pins carry the one read port's data.
_WHOLE = 36


def fold_output_registers(netlist: Netlist) -> int:
    """Fold flip-flops behind block RAM read ports into DP16KD; return how many went.

    A read port is folded if every data bit that is read at all is read by one flip-flop alone,
    and these flip-flops have the block RAM's clock, one clock enable in common, no set or reset
    and start at 0. It is folded whole or not at all.
    """
    ports = [
        (cell, sides)
        for cell in netlist.cells.values()
        if cell["type"] == "DP16KD"
        for sides in _read_ports(cell)
    ]
    users = netlist.users()
    folded = 0
    for cell, sides in ports:
        registers = _registers(netlist, users, cell, sides)
        if registers:
            _fold(netlist, cell, sides, registers)
            folded += len(registers)
    return folded


def _read_ports(cell: dict[str, Any]) -> tuple[str, ...]:
    """Each read port as the letters of the sides whose data pins it owns."""
    if _WHOLE in (_width(cell, "A"), _width(cell, "B")):
        return ("AB",)
    return ("A", "B")


def _width(cell: dict[str, Any], side: str) -> int:
    return int(cell["parameters"][f"DATA_WIDTH_{side}"], 2)


def _registers(
    netlist: Netlist,
    users: dict[Bit, list[tuple[str, str]]],
    ram: dict[str, Any],
    sides: str,
) -> dict[str, tuple[str, Bit]]:
    """The flip-flops that can be folded: name -> (data pin of ``ram``, clock enable); or none."""
    if any(ram["parameters"][f"REGMODE_{side}"] != "NOREG" for side in sides):
        return {}
    if any(_pin(ram, f"RST{side}") != "0" for side in sides):
        return {}
    if any(ram["parameters"][f"CLK{side}MUX"] != f"CLK{side}" for side in sides):
        return {}
    clocks = {_pin(ram, f"CLK{side}") for side in sides}
    registers: dict[str, tuple[str, Bit]] = {}
    for side in sides:
        for index in range(_BITS):
            pin = f"DO{side}{index}"
            readers = users.get(_pin(ram, pin), []) if pin in ram["connections"] else []
            if not readers:
                continue
            name, port = readers[0]
            if len(readers) > 1 or not name or port != "DI":
                return {}
            register = netlist.cells[name]
            enable = _enable(register)
            if enable is None or not _is_plain(register):
                return {}
            clocks.add(_pin(register, "CLK"))
            registers[name] = (pin, enable)
    if len(clocks) > 1 or len({enable for _, enable in registers.values()}) > 1:
        return {}
    return registers


def _is_plain(cell: dict[str, Any]) -> bool:
    """Whether ``cell`` is a rising-edge flip-flop without set or reset that starts at 0."""
    parameters = cell["parameters"]
    return (
        cell["type"] == "TRELLIS_FF"
        and parameters.get("CLKMUX", "CLK") == "CLK"
        and parameters.get("LSRMUX", "LSR") == "LSR"
        and parameters.get("REGSET", "RESET") == "RESET"
        and parameters.get("GSR", "DISABLED") == "DISABLED"
        and _pin(cell, "LSR") == "0"
        and not cell["connections"].get("M")
    )


def _enable(register: dict[str, Any]) -> Bit | None:
    """The net that enables ``register``; None if its inverse does."""
    # Yosys writes a string of binary digits with a space behind it, to tell it from a number.
    kind = register["parameters"].get("CEMUX", "CE").strip()
    if kind == "1":
        return "1"
    return _pin(register, "CE", absent="1") if kind == "CE" else None


def _pin(cell: dict[str, Any], pin: str, absent: Bit = "0") -> Bit:
    bits = cell["connections"].get(pin)
    return bits[0] if bits else absent


def _fold(
    netlist: Netlist, ram: dict[str, Any], sides: str, registers: dict[str, tuple[str, Bit]]
) -> None:
    for name, (pin, enable) in registers.items():
        ram["connections"][pin] = netlist.cells.pop(name)["connections"]["Q"]
        for side in sides:
            ram["connections"][f"OCE{side}"] = [enable]
    for side in sides:
        ram["parameters"][f"REGMODE_{side}"] = "OUTREG"
