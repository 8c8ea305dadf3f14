"""All that ``exaq asic`` measures of a configuration, as plain values for JSON.

from pathlib import Path
from exaq import SoftmaxConfig
from exaq_asic.flow import Options, measure
from exaq_asic.liberty import Library
report = measure(SoftmaxConfig(), [Library.read(Path("cells.lib"))], Options())
report["corners"][0]["area"]["um2"]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from typing import Any

from exaq import SoftmaxConfig
from exaq_asic.energy.load import LEFT_OUT, energy_by_load
from exaq_asic.energy.meter import Conditions
from exaq_asic.gates.gate_check import check_gates, gate_verilog
from exaq_asic.liberty import Library
from exaq_asic.mapping.blocks import MEMORY_FLOPS
from exaq_asic.mapping.mapped_unit import MappedUnit, map_unit
from exaq_asic.mapping.recipe import Recipe
from exaq_asic.mapping.yosys import yosys_version
from exaq_asic.memory_table import Macro, smallest
from exaq_asic.timing.slowest import ARRAY_NANOSECONDS, Timing, slowest_path
from exaq_hdl import Emitted, emit_verilog
from exaq_hdl.emit.design_hash import design_hash
from exaq_hdl.emit.target import Target

#: The unit's module.
TOP = "exaq_softmax"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a unit is measured.

    Parameters
    ----------
    recipe
        How it is mapped.
    array_nanoseconds
        What memories' arrays take from the clock's edge to what is read, where no macro says it.
    conditions
        Of energies.
    macros
        Memory macros that there are.
    simulation
        Whether the gates are simulated, and energies measured.
    target
        How the unit is emitted: for a chip.
    """

    recipe: Recipe = field(default_factory=Recipe)
    array_nanoseconds: float = ARRAY_NANOSECONDS
    conditions: Conditions = field(default_factory=Conditions)
    macros: Sequence[Macro] = ()
    simulation: bool = True
    target: Target = field(default_factory=lambda: Target(kind="asic"))

    def __post_init__(self) -> None:
        if self.target.kind != "asic":
            raise ValueError(f"target must be for a chip, not {self.target.kind!r}")
        if not 0 < self.array_nanoseconds < 1000:
            raise ValueError(
                f"array_ns must be above 0 and below 1000, not {self.array_nanoseconds}"
            )
        if not 0 <= self.conditions.wire_femtofarads < 1000:
            raise ValueError(
                f"wire_ff must be at least 0 and below 1000, not {self.conditions.wire_femtofarads}"
            )


def measure(
    config: SoftmaxConfig,
    libraries: Sequence[Library],
    options: Options,
    step: Callable[[str], None] = lambda what: None,
) -> dict[str, Any]:
    """Map a unit to each library, check its gates, and measure it.

    A library whose cells are those of one before it is another corner of that: the unit is not
    mapped to it anew.

    Parameters
    ----------
    config
        The unit.
    libraries
        At least one.
    options
        See there.
    step
        Told what begins.

    Returns
    -------
    dict
        Configuration, design, versions, and an entry of ``corners`` for each library.

    Raises
    ------
    LibertyError
        A library lacks something.
    GateMismatchError
        The gates give other bits than the golden model.
    ToolError
        A tool is missing or fails.
    """
    step("emission")
    emitted = emitted_unit(config, options.target)
    mapped: list[tuple[MappedUnit, str, dict[str, Any] | None]] = []
    corners = []
    for library in libraries:
        found = next((each for each in mapped if _same_cells(each[0].library, library)), None)
        if found is None:
            unit = map_unit(emitted.verilog, TOP, library, options.recipe, step)
            text = gate_verilog(unit) if options.simulation else ""
            checked = check_gates(text, config, step) if options.simulation else None
            found = (unit, text, checked)
            mapped.append(found)
        unit, text, checked = found
        unit = replace(unit, library=library)
        step(f"slowest path in {library.file}")
        timing = slowest_path(unit, options.array_nanoseconds, options.macros)
        corners.append(
            {
                "library": _of_library(library),
                "area": _area(unit),
                "memories": _memories(unit, options.macros),
                "timing": timing.to_dict(),
                "gates": checked,
                "energy": _energy(unit, text, config, timing, options, step),
            }
        )
    return {
        "config": config.to_dict(),
        "target": options.target.to_dict(),
        "design_sha256": design_hash(emitted.verilog),
        "recipe": asdict(options.recipe),
        "manifest_memories": emitted.manifest["memories"],
        "versions": versions(),
        "corners": corners,
    }


def emitted_unit(config: SoftmaxConfig, target: Target) -> Emitted:
    """The text that is mapped, and its manifest: what the package takes of ``exaq_hdl``."""
    return emit_verilog(config, name=TOP, target=target)


def versions() -> dict[str, str]:
    """The tools that figures depend on."""
    return {"yosys": yosys_version(), "amaranth": f"amaranth {version('amaranth')}"}


def _same_cells(one: Library, other: Library) -> bool:
    return {name: cell.area for name, cell in one.cells.items()} == {
        name: cell.area for name, cell in other.cells.items()
    }


def _of_library(library: Library) -> dict[str, Any]:
    return {
        "name": library.name,
        "file": library.file,
        "sha256": library.sha256,
        "voltage": library.voltage,
        "nand2_um2": library.nand2.area,
    }


def _area(unit: MappedUnit) -> dict[str, Any]:
    by_part = unit.area_by_part
    blocks = by_block(by_part)
    memory = blocks.get(MEMORY_FLOPS, 0.0)
    logic = unit.area - memory
    return {
        "um2": logic,
        "nand2": logic / unit.library.nand2.area,
        "memory_flops_um2": memory,
        "sequential_um2": unit.sequential_area,
        "flops": unit.count("flop"),
        "clock_gates": unit.count("clock gate"),
        "by_part": by_part,
        "by_block": blocks,
    }


def by_block(by_part: dict[str, float]) -> dict[str, float]:
    """Figures of parts added up by block: what stands before the first dot, without a number.

    ``sum_rom0`` and ``sum_rom1`` are both ``sum_rom``.
    """
    found: dict[str, float] = {}
    for part, value in by_part.items():
        block = part.partition(".")[0].rstrip("0123456789")
        found[block] = found.get(block, 0.0) + value
    return found


def _memories(unit: MappedUnit, macros: Sequence[Macro]) -> list[dict[str, Any]]:
    modules = {array.module: array for array in unit.arrays}
    found = []
    for each in unit.netlist.instances:
        if each.module in modules:
            array = modules[each.module]
            entry = {"part": each.part, "depth": array.depth, "width": array.width}
            macro = smallest(macros, array)
            of_macro = {} if macro is None else _of_macro(macro, macro.count(array))
            found.append({**entry, "bits": array.bits, **of_macro})
    return found


def _of_macro(macro: Macro, count: int) -> dict[str, Any]:
    return {"macro": macro.name, "macros": count, "um2": macro.um2 * count}


def _energy(
    unit: MappedUnit,
    text: str,
    config: SoftmaxConfig,
    timing: Timing,
    options: Options,
    step: Callable[[str], None],
) -> dict[str, Any] | None:
    if not options.simulation:
        return None
    loads = energy_by_load(unit, text, config, timing.mhz, options.conditions, step)
    for figures in loads.values():
        figures["by_block"] = by_block(figures["by_part"])
        figures["array_pj_per_element"] = _array_energy(unit, figures["arrays"], options.macros)
    return {"loads": loads, "left_out": LEFT_OUT, "conditions": asdict(options.conditions)}


def _array_energy(
    unit: MappedUnit, accesses: Sequence[dict[str, Any]], macros: Sequence[Macro]
) -> float | None:
    """Of the macros that hold the arrays, in pJ an element; None where one is not known."""
    sizes = {(array.depth, array.width): array for array in unit.arrays}
    total = 0.0
    for each in accesses:
        array = sizes[each["depth"], each["width"]]
        macro = smallest(macros, array)
        if macro is None or macro.read_pj is None or macro.write_pj is None:
            return None
        # Those above one another are not accessed together.
        total += macro.beside(array) * each["reads_per_element"] * macro.read_pj
        total += macro.beside(array) * each["writes_per_element"] * macro.write_pj
    return total
