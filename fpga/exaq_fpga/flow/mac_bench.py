"""What a multiply-accumulate costs: single units, and those of the attention head's dot products.

Figures are plain dictionaries, to be kept as JSON; the table of docs/attention.md is drawn from
them. Each says which design it is of, so that only what changed is measured again.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.back import rtlil  # type: ignore[attr-defined]  # no stubs of it

from exaq.attention import AttentionConfig
from exaq_fpga.boards.devices import WITHOUT_DSP
from exaq_fpga.flow import tools
from exaq_fpga.flow.mac_verilog import MACS, TOP
from exaq_fpga.flow.netlists.carry_ends import luts, trim_ends
from exaq_fpga.flow.netlists.carry_gates import fold_gates
from exaq_fpga.flow.netlists.netlist import Netlist
from exaq_hdl.attention.dint_dot import DintDot
from exaq_hdl.emit.design_hash import design_hash
from exaq_hdl.emit.verilog import rtlil_to_verilog

#: Lanes of the dot products.
LANES = 4
#: Lines of docs/attention.md between which the table stands.
MARKS = ("<!-- macs:begin -->", "<!-- macs:end -->")


@dataclass(frozen=True)
class Dots:
    """Dot products to measure: keys, head size, and what products are made of."""

    keys: str
    head_size: int
    multipliers: str = "lut"
    cells: bool = False

    @property
    def name(self) -> str:
        """In reports."""
        return f"{self.keys}-{self.head_size}-{self.multipliers}"

    @property
    def products(self) -> int:
        """Products of a beat."""
        return LANES * self.head_size

    @property
    def title(self) -> str:
        """In tables."""
        keys = self.keys.replace("int", "INT")
        made = "adders" if self.multipliers == "lut" else "multipliers"
        return f"{LANES} dot products of {self.head_size} elements, {keys} keys, {made}"

    def verilog(self) -> str:
        """The component alone, as a module named ``TOP``."""
        config = AttentionConfig(
            head_size=self.head_size, keys=self.keys, lanes=LANES, max_row=64 * LANES
        )
        block = DintDot(config, multipliers=self.multipliers)
        ports = {name: (getattr(block, name).as_value(), None) for name in ("q", "keys", "scores")}
        return rtlil_to_verilog(rtlil.convert(block, name=TOP, ports=ports, emit_src=False))


#: The dot products of the table.
DOTS = (
    Dots("dint4", 32, cells=True),
    Dots("int8", 32, cells=True),
)
#: Designs whose sizes the table compares.
RATIOS = (
    ("int8", "dint4"),
    ("int8-rows", "dint4"),
    ("int8-32-lut", "dint4-32-lut"),
)
#: Everything that is measured, by name: dot products, or None for one of ``MACS``.
DESIGNS: dict[str, Dots | None] = dict.fromkeys(MACS) | {dots.name: dots for dots in DOTS}


def verilog_of(name: str) -> str:
    """The Verilog of one of ``DESIGNS``, whose top is ``TOP``."""
    dots = DESIGNS[name]
    return MACS[name].verilog if dots is None else dots.verilog()


def versions() -> dict[str, str]:
    """The tools that figures depend on."""
    return {
        "yosys": tools.version("yosys"),
        "nextpnr": tools.version("nextpnr-ecp5"),
        "amaranth": f"amaranth {importlib.metadata.version('amaranth')}",
    }


def measure(
    verilog: str,
    dots: Dots | None,
    liberties: Mapping[str, str],
    kept: dict[str, Any],
    step: Callable[[str], None],
) -> dict[str, Any]:
    """Figures of one design: those that are in ``kept`` still, and those that are not measured yet.

    ``liberties`` are the texts of Liberty files by name.

    Raises
    ------
    exaq.tool.ToolError
        A tool is missing or fails.
    """
    now = {"design_sha256": design_hash(verilog), "versions": versions()}
    if any(kept.get(name) != value for name, value in now.items()):
        kept = {}
    found = kept | now
    multipliers = "lut" if dots is None else dots.multipliers
    with tempfile.TemporaryDirectory(prefix="exaq-") as name:
        folder = Path(name)
        (folder / "design.v").write_text(verilog)
        for family in ("ecp5", "ice40") if multipliers == "lut" else ("ecp5",):
            if family not in kept:
                step(family)
                found[family] = _luts(folder, family, dsp=multipliers == "dsp")
        found["cells"] = dict(kept.get("cells", {}))
        for library, text in liberties.items() if dots is None or dots.cells else ():
            if library not in found["cells"]:
                step(library)
                found["cells"][library] = _area(folder, text)
    return found


def _yosys(folder: Path, script: Sequence[str]) -> None:
    tools.run("yosys", ["-q", "-l", "yosys.log", "-p", "; ".join(script)], folder)


def _luts(folder: Path, family: str, *, dsp: bool) -> dict[str, int]:
    """LUTs of the design on a family."""
    options = " ".join(() if dsp else WITHOUT_DSP[family])
    synth = f"synth_{family} -top {TOP} {options} -json synth.json"
    _yosys(folder, ["read_verilog design.v", synth])
    netlist = Netlist.read(folder / "synth.json", TOP)
    if family == "ice40":
        return {"lut4": netlist.count().get("SB_LUT4", 0)}
    plain = luts(netlist)
    fold_gates(netlist)
    trim_ends(netlist)
    return {"lut4": plain, "lut4_tight_carries": luts(netlist)}


def _area(folder: Path, liberty: str) -> dict[str, float]:
    """Area in standard cells, in the library's unit: of all, and of the flip-flops in it."""
    (folder / "cells.lib").write_text(liberty)
    _yosys(
        folder,
        [
            "read_verilog design.v",
            f"synth -flatten -top {TOP}",
            "dfflibmap -liberty cells.lib; abc -liberty cells.lib; opt_clean -purge",
            "tee -q -o stat.json stat -json -liberty cells.lib",
        ],
    )
    design = json.loads((folder / "stat.json").read_text())["design"]
    return {"area": float(design["area"]), "sequential": float(design["sequential_area"])}


def read_liberty(path: Path) -> tuple[str, str]:
    """The text of a Liberty file, which may be compressed by gzip, and the file's SHA-256.

    Raises
    ------
    OSError, UnicodeDecodeError
        It cannot be read.
    """
    octets = path.read_bytes()
    text = gzip.decompress(octets) if path.suffix == ".gz" else octets
    return text.decode(), hashlib.sha256(octets).hexdigest()


def table(report: dict[str, Any]) -> str:
    """The Markdown tables of a report, and what their columns mean; of designs that it has."""
    libraries = list(report["liberties"])
    head = ["unit", "ECP5 LUT4", "tight carries", "iCE40 LUT4"]
    head += [f"um2, {name.split('.')[0]}" for name in libraries]
    lines = [f"| {' | '.join(head)} |", "|---" + "|--:" * (len(head) - 1) + "|"]
    sizes = {}
    for name, dots in DESIGNS.items():
        if report["designs"].get(name):
            title = MACS[name].title if dots is None else dots.title
            sizes[name] = _sizes(report["designs"][name], libraries, dots)
            lines.append(_line(f"`{name}`: {title}", sizes[name], ".0f" if dots is None else ".1f"))
    for larger, smaller in RATIOS:
        if larger in sizes and smaller in sizes:
            pairs = zip(sizes[larger], sizes[smaller], strict=True)
            ratios = [a and b and a / b for a, b in pairs]
            lines.append(_line(f"*`{larger}` over `{smaller}`*", ratios, ".2f"))
    return "\n".join([*lines, "", _legend(report)])


def _sizes(
    figures: dict[str, Any], libraries: Sequence[str], dots: Dots | None
) -> list[float | None]:
    """The columns of sizes, each divided by the products; None where it was not measured."""
    sizes = [figures["ecp5"]["lut4"], figures["ecp5"]["lut4_tight_carries"]]
    sizes.append(figures.get("ice40", {}).get("lut4"))
    sizes += [figures["cells"].get(each, {}).get("area") for each in libraries]
    share = 1 if dots is None else 1 / dots.products
    return [None if size is None else size * share for size in sizes]


def _line(title: str, values: Sequence[float | None], style: str) -> str:
    cells = ["" if value is None else format(value, style) for value in values]
    return f"| {title} | {' | '.join(cells)} |"


def _legend(report: dict[str, Any]) -> str:
    libraries = ", ".join(
        f"`{name}` (SHA-256 {digest[:12]})" for name, digest in report["liberties"].items()
    )
    used = versions()
    return (
        f"Measured by `make bench-macs` with {used['yosys']} and {used['nextpnr']}. A unit alone "
        "is a multiplier and an accumulator of 24 bits. A dot product is divided by its products, "
        f"{LANES} lanes of one an element: adder tree and registers are in the share. LUT4 of "
        "ECP5 are counted as nextpnr packs them, carry chains with their ends; *tight carries* is "
        "the same netlist with gates in the carry cells, `carries` of "
        "`exaq_fpga.flow.synthesis.implement`. Standard "
        f"cells are of Liberty files that the user gives, none is in this project: "
        f"{libraries or 'none'}. Areas hold all cells, flip-flops included; nothing is placed, and "
        "no clock was to be reached."
    )
