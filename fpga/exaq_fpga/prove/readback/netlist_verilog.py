"""A synthesised netlist as Verilog that can be simulated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from exaq_cosim import ToolError
from exaq_fpga.flow import tools
from exaq_fpga.flow.netlists.netlist import Bit, Netlist
from exaq_fpga.prove.readback.cell_models import models

# Bookkeeping of Yosys's, no cell.
_SCOPES = "$scopeinfo"
# Block RAM with two clock pins, which our model takes for one, and pins that it does not have.
_CLOCKS = ("CLKA", "CLKB")
_TIED_LOW = (
    *("RSTA", "RSTB", "RESET", "RESETA", "RESETB"),
    *(f"CS{side}{bit}" for side in "AB" for bit in range(3)),
    *("BLKSEL", "BLKSELA", "BLKSELB"),
)
_RAMS = ("DP16KD", "SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B")
_FALLING = {"CLKAMUX": "CLKA", "CLKBMUX": "CLKB"}


def netlist_verilog(folder: Path, name: str, *, top: str, family: str) -> str:
    """Verilog of the netlist in ``folder / name``, with models of its cells.

    Raises
    ------
    ToolError
        Yosys is missing or fails, or there is no model of what the netlist uses.
    """
    netlist = Netlist.read(folder / name, top)
    constants = _constants(netlist)
    for cell_name, cell in netlist.cells.items():
        if cell["type"] in _RAMS:
            _check_ram(cell_name, cell, constants)
        elif cell["type"] == "TRELLIS_IO":
            _replace_pad(cell_name, cell)
    netlist.write(folder / "proof.json")
    text = "proof.v"
    script = f"read_json proof.json; delete t:{_SCOPES}; write_verilog -noattr {text}"
    command = tools.find("yosys")
    tools.run_command("yosys", command, ["-q", "-p", script], folder)
    types = set(netlist.count()) - {_SCOPES}
    return f"{(folder / text).read_text()}\n{models(family, types)}"


def _constants(netlist: Netlist) -> dict[Bit, str]:
    """Nets that never change: constants, and what Gowin's constant cells drive."""
    constants: dict[Bit, str] = {"0": "0", "1": "1", "x": "0"}
    for cell in netlist.cells.values():
        if cell["type"] in ("GND", "VCC"):
            (bits,) = cell["connections"].values()
            constants[bits[0]] = "0" if cell["type"] == "GND" else "1"
    return constants


def _replace_pad(name: str, cell: dict[str, Any]) -> None:
    """Take the model of a pad's one direction for that of all."""
    direction = cell["parameters"].get("DIR", "INPUT")
    pads = {"INPUT": ("exaq_proof_input", "BO"), "OUTPUT": ("exaq_proof_output", "BIT")}
    if direction not in pads:
        raise ToolError(f"there is no model of TRELLIS_IO {name}: it is {direction}")
    cell["type"], pins = pads[direction]
    for part in ("connections", "port_directions"):
        cell[part] = {pin: value for pin, value in cell[part].items() if pin in pins}
    cell["port_directions"]["B"] = "input" if direction == "INPUT" else "output"


def _check_ram(name: str, cell: dict[str, Any], constants: dict[Bit, str]) -> None:
    """Refuse what the model of block RAM does not do."""
    pins: dict[str, list[Bit]] = cell["connections"]
    for pin in _TIED_LOW:
        if any(constants.get(bit) != "0" for bit in pins.get(pin, [])):
            raise ToolError(f"there is no model of {cell['type']} {name}: it uses {pin}")
    clocks = {bit for pin in _CLOCKS for bit in pins.get(pin, []) if bit not in constants}
    if len(clocks) > 1:
        raise ToolError(f"there is no model of {cell['type']} {name}: it has two clocks")
    parameters = cell["parameters"]
    for parameter, rising in _FALLING.items():
        if parameters.get(parameter, rising) != rising:
            raise ToolError(f"there is no model of {cell['type']} {name}: it wants falling edges")
    modes = [parameters.get(f"REGMODE_{side}") for side in "AB"]
    if modes[0] != modes[1] and int(parameters["DATA_WIDTH_B"], 2) == 36:
        raise ToolError(f"there is no model of {cell['type']} {name}: half of it has a register")
