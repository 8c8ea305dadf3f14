"""The reports on the boards' default builds, and the table of them in docs/boards.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exaq_fpga.boards import BOARDS
from exaq_fpga.boards.frequency import megahertz

#: Where they are, a file for each board.
FOLDER = Path(__file__).with_name("reports")
#: Marks round the table.
MARKS = "<!-- boards:begin -->", "<!-- boards:end -->"

# Cells of nextpnr's reports: logic, block RAM.
_CELLS = {
    "ice40": ("ICESTORM_LC", "ICESTORM_RAM"),
    "ecp5": ("TRELLIS_COMB", "DP16KD"),
    "gowin": ("LUT4", "BSRAM"),
}


def load_report(name: str, folder: Path = FOLDER) -> dict[str, Any] | None:
    """The report on board ``name``, or None where there is none."""
    try:
        report: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return report


def size(report: Mapping[str, Any]) -> str:
    """Logic and block RAM used, of what the device has."""
    logic, memory = _CELLS[BOARDS[report["board"]].family]
    names = {logic: logic, memory: "block RAMs"}
    uses = {name: report["utilization"].get(cell) for cell, name in names.items()}
    return ", ".join(f"{use[0]} of {use[1]} {name}" for name, use in uses.items() if use)


def proof(report: Mapping[str, Any] | None) -> str:
    """How the build was verified, in a few words."""
    if report is None:
        return "not built here"
    done = report["proof"]
    if done is None:
        return "built, timing closed; not simulated"
    what = "bitstream" if done["how"] == "bitstream" else "netlist after synthesis"
    faults = len(done["faults"])
    if done["mismatches"] or faults:
        return f"{what} simulated: {done['mismatches']} elements wrong, {faults} other faults"
    return f"{what} simulated, {done['rows']} rows equal to the model"


def table(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """A Markdown table of the boards in ``reports``, and what its columns mean."""
    lines = [
        "| board | device | configuration | clock | timing closes for | used | verified |",
        "|---|---|---|--:|--:|---|---|",
    ]
    versions: set[str] = set()
    for name, report in reports.items():
        spec = BOARDS[name]
        cells = [
            f"{spec.title} (`{name}`)",
            spec.device,
            spec.preset,
            f"{megahertz(report['clock'])} MHz",
            f"{report['mhz']:.0f} MHz",
            size(report),
            proof(report),
        ]
        lines.append("| " + " | ".join(cells) + " |")
        versions |= set(report["versions"].values())
    lines += ["", _legend(sorted(versions))]
    return "\n".join(lines)


def _legend(versions: list[str]) -> str:
    return (
        f"Built by `make boards` with {', '.join(versions)}, seed 1: the whole design, serial "
        "port and all. Verified is what was simulated against the golden model: the routed "
        "bitstream itself, read back (iCE40), or the netlist after synthesis in the vendor's cells "
        "(ECP5, Gowin). No board was at hand."
    )
