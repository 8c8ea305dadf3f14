"""What a synthesised netlist needs of a device, and whether the device has it."""

from __future__ import annotations

import math

from exaq_fpga.boards import BoardSpec, Capacity
from exaq_fpga.flow.netlists.netlist import Netlist

_BLOCK_RAMS = {
    "ice40": ("SB_RAM40",),
    "ecp5": ("DP16KD", "PDPW16KD"),
    "gowin": ("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B", "pROM", "pROMX9"),
}
# LUTs that a cell takes the place of.
_LUTS = {
    "ice40": {"SB_LUT4": 1.0},
    "ecp5": {"LUT4": 1.0, "CCU2C": 2.0, "TRELLIS_DPR16X4": 4.0},
    "gowin": {"LUT1": 1.0, "LUT2": 1.0, "LUT3": 1.0, "LUT4": 1.0, "ALU": 1.0, "RAM16SDP4": 4.0},
}


def needs(cells: dict[str, int], family: str) -> Capacity:
    """LUTs and block RAMs of a netlist that holds so many ``cells`` of each type."""
    bram = sum(count for cell, count in cells.items() if _is_block_ram(cell, family))
    lut4 = sum(cells.get(cell, 0) * luts for cell, luts in _LUTS[family].items())
    if family == "ice40":
        # A logic cell holds a LUT, a carry and a flip-flop: of each, there is one.
        registers = sum(count for cell, count in cells.items() if cell.startswith("SB_DFF"))
        lut4 = max(lut4, registers, cells.get("SB_CARRY", 0))
    return Capacity(lut4=math.ceil(lut4), bram=bram)


def check_capacity(netlist: Netlist, spec: BoardSpec) -> str:
    """What ``netlist`` needs and the device of ``spec`` has not, or an empty text."""
    need = needs(netlist.count(), spec.family)
    cells = "logic cells" if spec.family == "ice40" else "LUTs"
    lacks = [
        f"needs {wanted} {what}, the device has {there}"
        for wanted, there, what in (
            (need.lut4, spec.capacity.lut4, cells),
            (need.bram, spec.capacity.bram, "block RAMs"),
        )
        if wanted > there
    ]
    if not lacks:
        return ""
    return (
        f"the design does not fit {spec.device}: {'; '.join(lacks)}; "
        "fewer lanes or a shorter max_row need less"
    )


def _is_block_ram(cell: str, family: str) -> bool:
    if family == "ice40":
        return cell.startswith(_BLOCK_RAMS[family])
    return cell in _BLOCK_RAMS[family]
