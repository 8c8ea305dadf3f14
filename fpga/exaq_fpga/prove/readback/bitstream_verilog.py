"""An iCE40 bitstream back to Verilog, by Project IceStorm's tools."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from exaq.tool import ToolError, run_tool
from exaq_fpga.prove.readback.cell_models import models

_SECONDS = 300
_TOOLS = ("iceunpack", "icebox_vlog")
_CELL = re.compile(r"^(SB_\w+) #\(", re.MULTILINE)
_PAD_PLL = re.compile(r"\.PACKAGEPIN\((\w+)\)")
_UNMATCHED = re.compile(r"^// Warning: unmatched port '(\w+)'$", re.MULTILINE)


class BitstreamError(Exception):
    """A bitstream is not that of a design on these pins."""


def tools_missing() -> str:
    """What there is to say of tools that are not installed; nothing if all are."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if not missing:
        return ""
    return (
        f"{' and '.join(missing)} not found; a bitstream is simulated with Project IceStorm's "
        "tools (Debian and Ubuntu: apt install fpga-icestorm)"
    )


def bitstream_verilog(bitstream: Path, pins: Path, *, top: str, clock: str) -> str:
    """What the device does that ``bitstream`` configures, with models of its cells.

    Every LUT, carry, flip-flop, block RAM with its contents, and PLL comes out of the bits of
    the bitstream alone. The pins alone get their names from elsewhere: from ``pins``.

    Parameters
    ----------
    bitstream
        File for the device, as icepack writes it.
    pins
        Physical constraints (PCF): which pin is which port.
    top
        Name for the module.
    clock
        Port of the clock.

    Raises
    ------
    ToolError
        IceStorm's tools or Yosys's models are missing, or the tools fail.
    BitstreamError
        One of the pins does nothing.
    """
    missing = tools_missing()
    if missing:
        raise ToolError(missing)
    bits = bitstream.with_suffix(".unpacked.asc")
    _run(["iceunpack", str(bitstream), str(bits)])
    text = _run(["icebox_vlog", "-s", "-n", top, "-p", str(pins), str(bits)])
    text = _connect_pll(text, clock)
    types = set(_CELL.findall(text))
    return f"{_for_verilator(text, top)}\n{models('ice40', types)}"


def _run(command: list[str]) -> str:
    return run_tool(command[0], command, seconds=_SECONDS).stdout


def _connect_pll(text: str, clock: str) -> str:
    """Connect the clock to the PLL whose own pin it is: icebox_vlog leaves that wire open."""
    unmatched = _UNMATCHED.findall(text)
    if clock in unmatched and _PAD_PLL.search(text):
        unmatched.remove(clock)
        text = _PAD_PLL.sub(f".PACKAGEPIN({clock})", text)
    if unmatched:
        raise BitstreamError(f"the bitstream leaves pins unused: {', '.join(unmatched)}")
    return text


def _for_verilator(text: str, top: str) -> str:
    """The same without what Verilator does not take.

    Ports are declared twice: again among the wires. A pin that is not driven is low here: on the
    line of a UART, that never passes for one at rest.
    """
    header = re.search(rf"^module {top} \(([^)]*)\);", text, re.MULTILINE)
    if header is None:
        raise ToolError("icebox_vlog wrote no module")
    ports = {port.split()[-1] for port in header[1].split(",")}

    def without_ports(wires: re.Match[str]) -> str:
        names = [name for name in wires[1].split(", ") if name not in ports]
        return f"wire {', '.join(names)};" if names else ""

    text = re.sub(r"^wire ([^;=]*);", without_ports, text, flags=re.MULTILINE)
    return text.replace("1'bz", "1'b0")
