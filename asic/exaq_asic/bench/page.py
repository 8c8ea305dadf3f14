"""The table and the picture of docs/asic.md, drawn from reports/asic.json."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exaq_asic.bench.units import CASES
from exaq_asic.timing.slowest import ARRAY_NANOSECONDS

#: Lines of docs/asic.md between which the tables stand.
MARKS = ("<!-- asic:begin -->", "<!-- asic:end -->")

#: Multiply-accumulates that are shown, by their names in reports/macs.json.
MACS = {
    "dint4": "dINT4 x INT8, sign and size",
    "int4-size": "INT4 x INT8, sign and size",
    "int8-rows": "INT8 x INT8, rows of adders",
    "int8": "INT8 x INT8, `*`",
}

#: Others' figures, each as it was published or measured elsewhere: what, process, and what it says.
PUBLISHED = (
    (
        "ITA's softmax ([2307.03493](https://arxiv.org/abs/2307.03493)), 16 lanes",
        "sky130, measured with an earlier recipe of this bench, which gave `2bit-x16` 15 um2 for "
        "each M elements/s",
        "77 647 um2, 146 MHz, 33 um2 for each M elements/s; shifts only, 8 bits out; visits its "
        "data twice and holds no rows",
    ),
    (
        "the same",
        "sg13g2, likewise; `2bit-x16` 40",
        "136 927 um2, 147 MHz, 58 um2 for each M elements/s",
    ),
    (
        "a softmax of [2604.23647](https://arxiv.org/abs/2604.23647)",
        "28 nm, published",
        "942 um2",
    ),
    ("TEA-S, TCAS-II 2023", "90 nm, published", "3052 um2 at 0.5 GHz; 8 bits, piecewise linear"),
    (
        "SoftEx ([2412.06321](https://arxiv.org/abs/2412.06321)), 8 lanes of bf16",
        "12 nm, published, placed and routed",
        "0.039 mm2 at 1.12 GHz",
    ),
)


def tables(report: dict[str, Any], macs: dict[str, Any]) -> str:
    """The Markdown between ``MARKS``; ``macs`` is reports/macs.json."""
    lines: list[str] = []
    for library in report["libraries"]:
        lines += [*_table(report, library), ""]
    lines += [*_macs(report, macs), ""]
    lines += [
        "| beside them | where | |",
        "|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in PUBLISHED),
        "",
        _legend(report),
    ]
    return "\n".join(lines)


def _table(report: dict[str, Any], library: str) -> Iterator[str]:
    yield (
        f"| on `{library}` | um2 | um2 a lane | NAND2 | flops | small memories, um2 | memory bits "
        "| macros, mm2 | MHz | M elements/s | um2 for each M elements/s | pJ an element "
        "| at a tenth of the load | pJ in macros |"
    )
    yield "|---" + "|--:" * 13 + "|"
    for name, unit in report["units"].items():
        corner = unit["corners"].get(library)
        if corner is not None:
            yield f"| {' | '.join([f'`{name}`', *_cells(corner, unit['lanes'])])} |"


def _macs(report: dict[str, Any], macs: dict[str, Any]) -> Iterator[str]:
    """Areas of multiply-accumulates on the same libraries."""
    libraries = [name for name in report["libraries"] if name in macs["liberties"]]
    heads = " | ".join(f"um2, `{name}`" for name in libraries)
    yield f"| multiply-accumulate, 24 bits of sum | {heads} |"
    yield "|---" + "|--:" * len(libraries) + "|"
    for name, title in MACS.items():
        areas = (macs["designs"][name]["cells"][each]["area"] for each in libraries)
        yield f"| {title} | {' | '.join(f'{area:.0f}' for area in areas)} |"


def _cells(corner: dict[str, Any], lanes: int) -> list[str]:
    area, timing = corner["area"], corner["timing"]
    full, tenth = (each["pj_per_element"] for each in corner["energy"]["loads"].values())
    rate = timing["mhz"] * lanes
    return [
        f"{area['um2']:.0f}",
        f"{area['um2'] / lanes:.0f}",
        f"{area['nand2']:.0f}",
        f"{area['flops']}",
        f"{area['memory_flops_um2']:.0f}",
        f"{sum(each['bits'] for each in corner['memories'])}",
        _of_macros(sum(each.get("um2", 0.0) for each in corner["memories"]) / 1e6, 3),
        f"{timing['mhz']:.0f}",
        f"{rate:.0f}",
        f"{area['um2'] / rate:.1f}",
        f"{full:.1f}",
        f"{tenth:.1f}",
        _of_macros(corner["energy"]["loads"]["full rate"]["array_pj_per_element"], 1),
    ]


def _of_macros(value: float | None, digits: int) -> str:
    return f"{value:.{digits}f}" if value else ""


def _legend(report: dict[str, Any]) -> str:
    units = list(report["units"].values())
    corner = next(iter(units[0]["corners"].values()))
    conditions = corner["energy"]["conditions"]
    libraries = ", ".join(
        f"`{name}` at {units[0]['corners'][name]['library']['voltage']:g} V (SHA-256 {digest[:12]})"
        for name, digest in report["libraries"].items()
    )
    return (
        f"Measured by `make bench-asic` with {units[0]['versions']['yosys']} and "
        f"{corner['timing']['by']}. The libraries are of the user, none is in this project: "
        f"{libraries}. Units are mapped with clock gates, but for those marked `plain`, and for "
        "speed, but for those marked `area`. Areas are of all cells but for memories: the arrays "
        "of large ones are black boxes, those of small ones are flops, in a column of their own. "
        f"Arrays were said to take {ARRAY_NANOSECONDS:g} ns from the clock's edge, but in units "
        "marked with a table of macros, where they take what their macros do, and the read is "
        "pipelined by a cycle more; wires take no time, and the clock is ideal. Energies are of "
        "gates, with "
        f"{conditions['wire_femtofarads']:g} fF of wire for each pin, at the clock of the table; "
        f"left out are {corner['energy']['left_out']}. Before it was measured, each netlist gave "
        "the golden model's bits."
    )


def draw(report: dict[str, Any], path: Path) -> None:
    """Area over energy, each for what the unit does: a panel for each library."""
    # Only here: tables need no pictures.
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator

    libraries = list(report["libraries"])
    figure, panels = pyplot.subplots(
        1, len(libraries), figsize=(4.6 * len(libraries), 4.0), squeeze=False
    )
    for axes, library in zip(panels[0], libraries, strict=True):
        for name, unit in report["units"].items():
            corner = unit["corners"].get(library)
            if corner is None:
                continue
            rate = corner["timing"]["mhz"] * unit["lanes"]
            place = (
                corner["area"]["um2"] / rate,
                corner["energy"]["loads"]["full rate"]["pj_per_element"],
            )
            axes.plot(*place, "o", color="#0b7a75", markersize=5)
            # Of the same unit mapped otherwise, which lie close together, points alone.
            if "." not in name:
                axes.annotate(name, place, xytext=(4, 3), textcoords="offset points", fontsize=7)
        axes.set(
            title=library.partition(".")[0],
            xlabel="um2 for each M elements/s",
            xscale="log",
            yscale="log",
        )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
        axes.tick_params(which="both", labelsize=7)
        axes.margins(x=0.2)
        axes.grid(alpha=0.3)
    panels[0][0].set_ylabel("pJ an element at full rate")
    figure.tight_layout()
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def in_order(units: dict[str, Any]) -> dict[str, Any]:
    """The units of a report in the order of ``CASES``; those that are none of these go."""
    return {case.name: units[case.name] for case in CASES if case.name in units}
