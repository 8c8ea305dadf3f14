"""The reports on the boards' builds, default and by UDP, and their tables in docs/boards.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from exaq_fpga.boards import BOARDS, BoardSpec, UdpLink
from exaq_fpga.boards.frequency import megahertz

#: Where they are, a file for each board.
FOLDER = Path(__file__).with_name("reports")
#: Where those of the builds that are linked by UDP are, and the boards that have one; the address
#: is that of docs/boards.md.
UDP_FOLDER = FOLDER.with_name("udp_reports")
UDP_ADDRESS = IPv4Address("192.168.1.50")
UDP_BOARDS = {name: spec for name, spec in BOARDS.items() if spec.ethernet is not None}
#: Marks round the tables.
MARKS = "<!-- boards:begin -->", "<!-- boards:end -->"
UDP_MARKS = "<!-- udp:begin -->", "<!-- udp:end -->"

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


def udp_link(spec: BoardSpec) -> UdpLink:
    """The link of the build for ``spec``, one of ``UDP_BOARDS``, that there is a report on."""
    assert spec.ethernet is not None
    return UdpLink(phy=spec.ethernet, address=UDP_ADDRESS)


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


def udp_table(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """The same of the builds that are linked by UDP, in fewer columns."""
    lines = ["| board | clock | timing closes for | used | verified |", "|---|--:|--:|---|---|"]
    for name, report in reports.items():
        clock = f"{megahertz(report['clock'])} MHz"
        cells = [f"`{name}`", clock, f"{report['mhz']:.0f} MHz", size(report), proof(report)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _legend(versions: list[str]) -> str:
    return (
        f"Built by `make boards` with {', '.join(versions)}, seed 1: the whole design, serial "
        "port and all. Verified is what was simulated against the golden model: the routed "
        "bitstream itself, read back (iCE40), or the netlist after synthesis in the vendor's cells "
        "(ECP5, Gowin). No board was at hand."
    )
