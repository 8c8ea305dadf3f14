"""A unit of a configuration, mapped to a library: its netlist, its memories, its areas.

from exaq_asic.mapping.mapped_unit import map_unit
from exaq_asic.mapping.recipe import Recipe
unit = map_unit(emit_verilog(config).verilog, "exaq_softmax", library, Recipe())
unit.area, unit.area_by_part["receiver"]
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from exaq_asic.liberty import Library
from exaq_asic.mapping.arrays import MemoryArray, split
from exaq_asic.mapping.blocks import parts_of
from exaq_asic.mapping.netlist import Netlist
from exaq_asic.mapping.owners import with_owners
from exaq_asic.mapping.recipe import CELLS, NETLIST, SOURCE, Recipe, script_name
from exaq_asic.mapping.yosys import run_yosys


@dataclass(frozen=True, kw_only=True)
class MappedUnit:
    """A mapped unit.

    Members
    -------
    netlist : cells and arrays, each with its part
    arrays : the arrays of its memories, one for each size
    library, recipe : what it was mapped to, and how
    estimate : slowest path between registers by ABC's own estimate, in ns, without the registers'
        own times; None: ABC told none
    """

    netlist: Netlist
    arrays: Sequence[MemoryArray]
    library: Library
    recipe: Recipe
    estimate: float | None

    @property
    def area(self) -> float:
        """Of all cells, in um2; arrays are not in it."""
        return sum(self.area_by_part.values())

    @property
    def area_by_part(self) -> dict[str, float]:
        """Of the cells of each part, in um2, by the part's name."""
        areas: Counter[str] = Counter()
        for instance in self.netlist.instances:
            if instance.module in self.library.cells:
                areas[instance.part] += self.library.cells[instance.module].area  # type: ignore[assignment]
        return dict(sorted(areas.items()))

    def count(self, kind: str) -> int:
        """Cells of a kind, such as ``"flop"``."""
        cells = self.library.cells
        return sum(
            each.module in cells and cells[each.module].kind == kind
            for each in self.netlist.instances
        )

    @property
    def sequential_area(self) -> float:
        """Of flops, latches and clock gates, in um2."""
        cells = self.library.cells
        kinds = ("flop", "latch", "clock gate")
        found = (cells[e.module] for e in self.netlist.instances if e.module in cells)
        return sum(cell.area for cell in found if cell.kind in kinds)


def map_unit(
    verilog: str,
    name: str,
    library: Library,
    recipe: Recipe,
    step: Callable[[str], None] = lambda what: None,
) -> MappedUnit:
    """Map an emitted unit.

    Parameters
    ----------
    verilog
        Its text, self-contained.
    name
        Its module.
    library, recipe
        What it is mapped to, and how.
    step
        Told what begins.

    Raises
    ------
    LibertyError
        The library lacks a cell that the flow needs.
    ToolError
        Yosys fails.
    """
    step(f"mapping to {library.file}")
    text, arrays = split(verilog, name)
    source = text + "".join(array.black_box() for array in arrays)
    with tempfile.TemporaryDirectory(prefix="exaq-") as made:
        folder = Path(made)
        parts = parts_of(text, name)
        files = {SOURCE: source, CELLS: library.text, **recipe.files(library, name, parts)}
        for file, held in files.items():
            (folder / file).write_text(held, encoding="utf-8")
        said = run_yosys(script_name(), folder)
        netlist = Netlist.read(folder / NETLIST, name, parts, library.registers)
    outputs = {
        **{
            cell.name: frozenset(pin.name for pin in cell.outputs)
            for cell in library.cells.values()
        },
        **{array.module: frozenset(["read_data"]) for array in arrays},
    }
    return MappedUnit(
        netlist=with_owners(netlist, outputs),
        arrays=arrays,
        library=library,
        recipe=recipe,
        estimate=_estimate(said),
    )


def _estimate(said: str) -> float | None:
    """The last delay that ABC's ``stime`` told, in ns."""
    found = [line for line in said.splitlines() if "Delay =" in line and "ps" in line]
    if not found:
        return None
    return float(found[-1].partition("Delay =")[2].split()[0]) / 1000
