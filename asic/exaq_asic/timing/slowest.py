"""The slowest path of a mapped unit, and the clock that it allows.

from exaq_asic.timing.slowest import slowest_path
slowest_path(unit).mhz  # of exaq_asic.mapping.mapped_unit.map_unit
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from exaq.tool import ToolError, run_tool
from exaq_asic.liberty import Library
from exaq_asic.mapping.arrays import MemoryArray
from exaq_asic.mapping.mapped_unit import MappedUnit
from exaq_asic.memory_table import Macro, smallest
from exaq_asic.timing.array_stub import array_liberty

#: What an array takes from the clock's edge to what is read, where the user says nothing, in ns.
ARRAY_NANOSECONDS = 1.5
_SECONDS = 900
# Of a flop for ABC's estimate, in ns and pF.
_TRANSITION, _LOAD = 0.1, 0.01
# Far below any path: the slack says how long the path is.
_PERIOD = 0.01


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The slowest path between registers or arrays.

    Members
    -------
    by : who says so: ``"OpenSTA"`` with its version, or ``"ABC's estimate"``
    nanoseconds : how long a period of the clock must be
    path : its steps, from its start to its end; of ABC's estimate none
    array_nanoseconds : what each array was said to take, by its size; the arrays that were seen
    """

    by: str
    nanoseconds: float
    path: tuple[str, ...]
    array_nanoseconds: dict[str, float]

    @property
    def mhz(self) -> float:
        """The clock."""
        return 1e3 / self.nanoseconds

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "path": list(self.path), "mhz": self.mhz}


def slowest_path(
    unit: MappedUnit,
    array_nanoseconds: float = ARRAY_NANOSECONDS,
    macros: Sequence[Macro] = (),
) -> Timing:
    """The slowest path by OpenSTA (``sta``) where it is on PATH, else by ABC.

    The clock is ideal, wires have no resistance and no capacitance, and paths from and to ports
    are left out. ABC's estimate is that of the gates between registers; the library's smallest flop
    is added, and paths through arrays are not seen.

    Parameters
    ----------
    unit
        A mapped unit.
    array_nanoseconds
        What arrays take from the clock's edge to what is read, where no macro says it. What is
        written and addressed is to be there by a quarter of it before the edge.
    macros
        Memory macros that there are, of which arrays are made.

    Raises
    ------
    ToolError
        OpenSTA fails.
    """
    access = {array.module: _access(array, macros, array_nanoseconds) for array in unit.arrays}
    told = {f"{each.depth}x{each.width}": access[each.module] for each in unit.arrays}
    if shutil.which("sta") is None:
        nanoseconds = (unit.estimate or 0.0) + _flop_nanoseconds(unit.library)
        return Timing(
            by="ABC's estimate",
            nanoseconds=nanoseconds,
            path=(),
            array_nanoseconds={},
        )
    with tempfile.TemporaryDirectory(prefix="exaq-") as made:
        folder = Path(made)
        stubs = array_liberty(unit.arrays, unit.library, access, array_nanoseconds / 4)
        (folder / "cells.lib").write_text(unit.library.text, encoding="utf-8")
        (folder / "arrays.lib").write_text(stubs, encoding="utf-8")
        (folder / "unit.v").write_text(unit.netlist.verilog(), encoding="utf-8")
        script = _SCRIPT.format(
            top=unit.netlist.top,
            period=_PERIOD / unit.library.nanoseconds,
            arrays="read_liberty arrays.lib" if unit.arrays else "",
        )
        (folder / "time.tcl").write_text(script, encoding="utf-8")
        command = ["sta", "-no_splash", "-exit", "time.tcl"]
        said = run_tool("OpenSTA", command, seconds=_SECONDS, folder=folder).stdout
    version = run_tool("OpenSTA", ["sta", "-version"], seconds=60).stdout.split()
    path = tuple(_steps(said))
    slack = re.findall(r"^\s*(-?[\d.]+)\s+slack", said, re.MULTILINE)
    if not slack:
        last = " / ".join(said.strip().splitlines()[-3:])
        raise ToolError(f"OpenSTA found no path between registers; its last lines: {last}")
    return Timing(
        by=f"OpenSTA {version[-1] if version else ''}".strip(),
        nanoseconds=_PERIOD - float(slack[0]) * unit.library.nanoseconds,
        path=path,
        array_nanoseconds=told,
    )


def _access(array: MemoryArray, macros: Sequence[Macro], nanoseconds: float) -> float:
    """What an array takes: its macro's time, where that is known."""
    macro = smallest(macros, array)
    return nanoseconds if macro is None or macro.access_ns is None else macro.access_ns


def _flop_nanoseconds(library: Library) -> float:
    """Setup and delay of the smallest flop at middling transitions and load."""
    transition = _TRANSITION / library.nanoseconds
    load = _LOAD / library.picofarads
    total = 0.0
    for pin in library.flop.pins.values():
        for arc in pin.timing:
            setup = arc.kind.startswith("setup")
            if setup or (pin.direction == "output" and arc.kind.endswith("edge")):
                place = transition if setup else load
                tables = [table for name, table in arc.tables.items() if _is_time(name)]
                times = [table.at(transition=transition, load=place) for table in tables]
                total += max(times, default=0.0)
    return total * library.nanoseconds


def _is_time(name: str) -> bool:
    return name.startswith("cell_") or name.endswith("_constraint")


def _steps(said: str) -> list[str]:
    """The lines of a path's delays: what was passed, and when."""
    found = re.findall(r"^\s*(-?[\d.]+)\s+(-?[\d.]+)\s+[v^]\s+(\S+) \((\S+)\)", said, re.MULTILINE)
    return [f"{delay} ns, {pin} ({cell}) at {time} ns" for delay, time, pin, cell in found]


_SCRIPT = """read_liberty cells.lib
{arrays}
read_verilog unit.v
link_design {top}
create_clock -name clock -period {period:g} [get_ports aclk]
report_checks -path_delay max -from [all_registers -clock_pins] \\
  -to [all_registers -data_pins] -digits 4
"""
