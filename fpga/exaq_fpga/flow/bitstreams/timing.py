"""Whether timing closed: nextpnr's report against the clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from exaq_fpga.flow.synthesis import path_segments


@dataclass(frozen=True)
class Timing:
    """What nextpnr's report tells.

    ``mhz`` is the fastest clock that timing closes for, ``lines`` the critical path, ``used`` the
    device's cells by type as ``[used, available]``, ``problem`` what is wrong, or nothing.
    """

    mhz: float
    lines: tuple[str, ...]
    used: dict[str, list[int]]
    problem: str


def judge(report: dict[str, Any], clock: int) -> Timing:
    """The timing of a design in which all registers run at ``clock``, in Hz."""
    used = {
        name: [use["used"], use["available"]]
        for name, use in sorted(report["utilization"].items())
        if use["used"]
    }
    if not report["fmax"]:
        return Timing(0.0, (), used, "nextpnr found no clock in the design")
    name, slowest = min(report["fmax"].items(), key=lambda item: float(item[1]["achieved"]))
    mhz = round(float(slowest["achieved"]), 2)
    edge = f"posedge {name}"
    paths = [p for p in report["critical_paths"] if p["from"] == edge and p["to"] == edge]
    problem = ""
    if mhz * 1_000_000 < clock:
        problem = (
            f"timing closes for {mhz:.2f} MHz, not for {clock / 1e6:.6g} MHz; "
            "a lower --clock will do, or another --seed may"
        )
    return Timing(mhz, tuple(_lines(paths[0])) if paths else (), used, problem)


def _lines(path: dict[str, Any]) -> list[str]:
    lines, total = [], 0.0
    for step in path_segments(path):
        total += step.delay
        over = f" over {step.net}" if step.net else ""
        lines.append(f"{total:.2f} ns: {step.delay:.2f} ns {step.kind} to {step.cell}{over}")
    return lines
