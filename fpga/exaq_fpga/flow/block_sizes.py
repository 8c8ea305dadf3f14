"""What each block of a module takes, by Yosys alone: nothing is placed or routed."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exaq_fpga.boards.devices import Device
from exaq_fpga.flow import tools

#: LUT4 of a cell, by its type: a carry cell has two of them, distributed RAM of 16 words four.
_LUT4 = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4}
_OTHERS = {"ff": "TRELLIS_FF", "bram": "DP16KD", "dsp": "MULT18X18D"}


def block_sizes(verilog: str, module: str, device: Device) -> dict[str, dict[str, int]]:
    """LUT4, flip-flops, block RAMs and multipliers of each instance in ``module``.

    Modules are kept apart, each with all below it, so nothing is optimised across them: the sum
    over the blocks is above what the design takes as a whole.

    Parameters
    ----------
    verilog
        Self-contained text that holds ``module``.
    module
        The module whose instances are the blocks; it is synthesised as top.
    device
        A device of the family ECP5.

    Returns
    -------
    dict[str, dict[str, int]]
        ``lut4``, ``ff``, ``bram`` and ``dsp`` by the instance's name.

    Raises
    ------
    ValueError
        The device is of another family.
    exaq_cosim.ToolError
        Yosys is missing or fails.
    """
    if device.family != "ecp5":
        raise ValueError(f"device must be of the family ecp5, not {device.family}")
    with tempfile.TemporaryDirectory(prefix="exaq-") as name:
        folder = Path(name)
        (folder / "design.v").write_text(verilog)
        command = " ".join(["synth_ecp5", "-noflatten", "-top", module, *device.synth])
        script = f"read_verilog design.v; {command} -json blocks.json"
        tools.run("yosys", ["-q", "-l", "yosys.log", "-p", script], folder)
        modules = json.loads((folder / "blocks.json").read_text())["modules"]
    return {
        instance: _size(_cells(modules, cell["type"]))
        for instance, cell in modules[module]["cells"].items()
        if _is_block(modules, cell["type"])
    }


def _is_block(modules: Mapping[str, Any], kind: str) -> bool:
    """Whether a cell is an instance of the design's, not one of the device's cells."""
    return kind in modules and not int(modules[kind]["attributes"].get("blackbox", "0"), 2)


def _cells(modules: Mapping[str, Any], kind: str) -> Counter[str]:
    """The device's cells in a module and all below it, by type."""
    found: Counter[str] = Counter()
    for cell in modules[kind]["cells"].values():
        if _is_block(modules, cell["type"]):
            found += _cells(modules, cell["type"])
        else:
            found[cell["type"]] += 1
    return found


def _size(cells: Counter[str]) -> dict[str, int]:
    lut4 = sum(count * cells[kind] for kind, count in _LUT4.items())
    return {"lut4": lut4} | {name: cells[kind] for name, kind in _OTHERS.items()}
