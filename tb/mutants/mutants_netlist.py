"""From a unit to a netlist that holds many mutants of it, chosen by the input ``mutsel``.

Yosys flattens and optimises the emitted Verilog first, so that a mutant is a fault of the logic
that goes to synthesis and not of text that is thrown away. Each mutant changes one bit of one port
of one cell: stuck at 0 or 1, inverted, or inverted where another bit of that port is 0 or 1.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from exaq import SoftmaxConfig
from exaq.tool import ToolError
from exaq_fpga.flow import tools
from exaq_hdl import emit_verilog

TOP = "exaq_softmax"
#: Bits of ``mutsel``; 0 chooses the unit as it is.
SELECT_BITS = 12

_FLATTEN = (
    f"read_verilog unit.v; hierarchy -top {TOP}; proc; memory_collect; flatten; "
    "opt_clean -purge; opt -full; wreduce; opt -full; opt_clean -purge"
)
# Clocks are left alone: a register without one is stuck, and Verilator would simulate each clock as
# one of its own. Yosys cannot write Verilog for changed controls of a memory's read port.
_LEFT_OUT = re.compile(r" -port (CLK|(RD|WR)_CLK|RD_(EN|ARST|SRST)) ")
# So many more are drawn that enough are left.
_SPARE = 1.3
_CELL = re.compile(r" -mode (\w+) .* -cell (\S+) -port (\w+) -portbit (\d+)")
_WIRE = re.compile(r" -wire (\S+) -wirebit (\d+)")
_CONTROL = re.compile(r" -ctrlbit (\d+)")


@dataclass(frozen=True)
class Mutant:
    """One fault. ``number`` is what ``mutsel`` must be; ``script`` is the line of Yosys's.

    ``source`` is the line of the emitted Verilog that the cell comes from, if it is known.
    """

    number: int
    script: str
    source: str = ""

    @property
    def text(self) -> str:
        """What is changed, and where, in the names of the emitted Verilog as far as they go."""
        return describe(self.script)


@dataclass(frozen=True)
class Netlist:
    """A unit's optimised netlist.

    Members
    -------
    mutants
        In the order in which they were drawn.
    flat
        The netlist without mutants, as Yosys's RTLIL.
    verilog
        The netlist with all mutants and the input ``mutsel``.
    ports
        The unit's, as in its manifest.
    """

    mutants: tuple[Mutant, ...]
    flat: str
    verilog: str
    ports: tuple[dict[str, object], ...]


def describe(script: str) -> str:
    """A line of Yosys's list of mutants in short."""
    found = _CELL.search(script)
    if found is None:
        raise ValueError(f"no mutant: {script}")
    mode, cell, port, bit = found.groups()
    place = f"{_short(cell)}.{port}[{bit}]"
    if wire := _WIRE.search(script):
        place += f" = {_short(wire[1])}[{wire[2]}]"
    if (control := _CONTROL.search(script)) and mode.startswith("cnot"):
        mode = f"inverted where bit {control[1]} is {mode[-1]}"
    return f"{place} {({'inv': 'inverted', 'const0': 'at 0', 'const1': 'at 1'}).get(mode, mode)}"


def _source(script: str, text: Sequence[str]) -> str:
    """The line of Verilog that a mutant's cell comes from: the last that its script names."""
    found = re.findall(r" -src unit\.v:(\d+)\.", script)
    return " ".join(text[int(found[-1]) - 1].split()) if found else ""


def _short(name: str) -> str:
    """A cell's or wire's name without Yosys's own parts."""
    name = name.replace("\\", "").replace("$flatten", "").removeprefix("core.")
    return re.sub(r"\$unit\.v:\d+", "", name)


def netlist(config: SoftmaxConfig, count: int, seed: int) -> Netlist:
    """The netlist of a unit with ``count`` mutants, drawn by ``seed``.

    Raises
    ------
    exaq.tool.ToolError
        Yosys is missing or fails, or the unit has too few places for so many mutants.
    """
    emitted = emit_verilog(config)
    with tempfile.TemporaryDirectory(prefix="exaq-") as name:
        folder = Path(name)
        (folder / "unit.v").write_text(emitted.verilog, encoding="utf-8")
        drawn = int(count * _SPARE)
        control = f"-ctrl mutsel {SELECT_BITS} 1"
        yosys(
            f"{_FLATTEN}; write_rtlil flat.il; "
            f"mutate -list {drawn} -seed {seed} {control} -o list.txt",
            folder,
        )
        lines = (folder / "list.txt").read_text(encoding="utf-8").splitlines()
        lines = [line for line in lines if _CELL.search(line) and not _LEFT_OUT.search(line)]
        if len(lines) < count:
            raise ToolError(f"the unit has places for {len(lines)} mutants, fewer than {count}")
        lines = lines[:count]
        (folder / "mutate.ys").write_text("\n".join(lines) + "\n", encoding="utf-8")
        yosys(
            "read_rtlil flat.il; script mutate.ys; opt_clean; write_verilog -noattr mutants.v",
            folder,
        )
        text = emitted.verilog.splitlines()
        return Netlist(
            tuple(Mutant(int(line.split()[4]), line, _source(line, text)) for line in lines),
            (folder / "flat.il").read_text(encoding="utf-8"),
            (folder / "mutants.v").read_text(encoding="utf-8"),
            tuple(emitted.manifest["ports"]),
        )


def yosys(script: str, folder: Path) -> None:
    """Runs Yosys on a script, in a folder that the script names files of."""
    tools.run("yosys", ["-q", "-p", script], folder)
