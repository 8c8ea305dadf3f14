"""The units whose figures are published, and how they are measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from exaq import SoftmaxConfig
from exaq_asic.flow import Options, emitted_unit, measure, versions
from exaq_asic.liberty import Library
from exaq_asic.mapping.recipe import Recipe
from exaq_asic.memory_table import read_macros, table_path
from exaq_hdl.emit.design_hash import design_hash
from exaq_hdl.emit.target import Target

#: How published units are emitted, and how they are mapped: gates for the clock, and adders of less
#: area than the fastest.
TARGET = Target(kind="asic")
USUAL = Recipe(clock_gate=True, adders="sklansky", mhz=450.0)
#: The same for kernels that multiply, or shift by any number.
MULTIPLYING = replace(USUAL, restructure=True)


@dataclass(frozen=True)
class Case:
    """A published unit: a preset, how it is mapped, and how it is emitted.

    With ``macros``, one of ``exaq_asic.memory_table.TABLES``, its arrays are said to take what the
    macros take; it is measured on libraries of the same process alone.
    """

    preset: str
    recipe: Recipe = USUAL
    target: Target = TARGET
    macros: str = ""

    @property
    def name(self) -> str:
        """In the report."""
        parts = [self.preset]
        parts += [] if self.recipe.goal == "speed" else [self.recipe.goal]
        parts += [] if self.recipe.clock_gate else ["plain"]
        parts += ["fast"] if self.recipe.mhz > USUAL.mhz else []
        usual = TARGET.to_dict()
        parts += [
            str(value) for each, value in self.target.to_dict().items() if value != usual[each]
        ]
        parts += [self.macros] if self.macros else []
        return ".".join(parts)

    def fits(self, library: str) -> bool:
        """Whether it is measured on the library of that file."""
        return library.startswith(self.macros.rpartition("-")[2])

    @property
    def config(self) -> SoftmaxConfig:
        """Its configuration."""
        return SoftmaxConfig.preset(self.preset)


#: In the order of their table.
CASES = (
    Case("2bit-x4", replace(USUAL, clock_gate=False)),
    Case("2bit-x4", replace(USUAL, goal="area")),
    Case("2bit-x4", replace(USUAL, adders="kogge-stone", mhz=500.0)),
    Case("2bit-x4", target=replace(TARGET, ram="single-port")),
    Case("2bit-x4", target=replace(TARGET, reset="async")),
    *(
        Case("2bit-x4", target=replace(TARGET, ram=ram, ram_latency=2), macros="ihp-sg13g2")
        for ram in ("two-port", "single-port")
    ),
    *(
        Case(preset)
        for preset in (
            *("2bit-x4", "2bit-x16", "2bit-x16-codes", "2bit-x16-sums"),
            *("3bit-x4", "4bit-x4", "5bit-x4", "6bit-x4", "baps-x4", "baps-x4-float"),
        )
    ),
    *(
        Case(preset, MULTIPLYING)
        for preset in ("multiply-x4", "softermax-x4", "shift-x4", "lut-x4")
    ),
)


def still_true(case: Case, kept: dict[str, Any]) -> bool:
    """Whether what is kept of a case is of today's design, recipe and tools."""
    emitted = emitted_unit(case.config, case.target)
    return bool(
        kept.get("design_sha256") == design_hash(emitted.verilog)
        and kept.get("recipe") == vars(case.recipe)
        and kept.get("macros") == case.macros
        and kept.get("versions") == versions()
    )


def measure_case(
    case: Case,
    libraries: Sequence[Library],
    kept: dict[str, Any],
    step: Callable[[str], None] = lambda what: None,
) -> dict[str, Any]:
    """Figures of a case on each library: those that are in ``kept`` still, and those that lack.

    Raises
    ------
    LibertyError, GateMismatchError, ToolError
        As ``exaq_asic.flow.measure``.
    """
    found = kept if still_true(case, kept) else {}
    corners = dict(found.get("corners", {}))
    lacking = [
        each
        for each in libraries
        if case.fits(each.file)
        and corners.get(each.file, {}).get("library", {}).get("sha256") != each.sha256
    ]
    macros = read_macros(table_path(case.macros)) if case.macros else []
    for library in lacking:
        options = Options(recipe=case.recipe, target=case.target, macros=macros)
        report = measure(case.config, [library], options, step)
        found = {each: report[each] for each in ("design_sha256", "recipe", "versions")}
        (corners[library.file],) = report["corners"]
    corners = {file: _published(corner) for file, corner in corners.items()}
    return {**found, "macros": case.macros, "lanes": case.config.lanes, "corners": corners}


def _published(corner: dict[str, Any]) -> dict[str, Any]:
    """A corner without what makes the report long: figures of every part, steps of paths."""
    loads = {
        name: _without(figures, "by_part", "arrays")
        for name, figures in corner["energy"]["loads"].items()
    }
    return corner | {
        "area": _without(corner["area"], "by_part"),
        "timing": _without(corner["timing"], "path"),
        "energy": corner["energy"] | {"loads": loads},
    }


def _without(figures: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if name not in names}
