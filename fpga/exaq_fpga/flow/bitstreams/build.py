"""Bitstreams for boards: synthesis, place and route, and whether the clock's timing closes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exaq_cosim import ToolError
from exaq_fpga.flow import tools
from exaq_fpga.flow.bitstreams.dfu import with_suffix
from exaq_fpga.flow.bitstreams.prepared import REPORT, TOP, Prepared
from exaq_fpga.flow.bitstreams.timing import Timing, judge
from exaq_fpga.flow.netlists.device_fit import check_capacity
from exaq_fpga.flow.netlists.netlist import Netlist

#: Kept of a build that failed: why.
FAILED = "failed.txt"
# Suffixes of what the tools write: routed designs and bitstreams, and what comes before.
_ROUTED = (".asc", ".bin", ".config", ".bit", ".svf", ".pnr.json", ".fs")
_OUTPUTS = (".rpt", ".json", ".syn.json", ".tim", ".report.json", *_ROUTED)


class BuildError(Exception):
    """The design cannot be on the board as it was asked for: it does not fit, or is too slow.

    ``details`` are lines for the user to read beside the message: the critical path, say.
    """

    def __init__(self, message: str, details: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.details = details


@dataclass(frozen=True, kw_only=True)
class Built:
    """A board's bitstream, and the report on it, as plain values for JSON."""

    bitstream: Path
    report: dict[str, Any]


def build(
    prepared: Prepared, folder: Path, *, step: Callable[[str], None] = lambda name: None
) -> Built:
    """Run the tools on ``prepared`` in ``folder``, which keeps all their files.

    ``exaq_BOARD`` with the family's suffix is the bitstream, ``report.json`` the report. ``step``
    is told what starts. Whatever an earlier build left there goes first; after a failure there is
    no bitstream, and ``failed.txt`` says why.

    Raises
    ------
    BuildError
        The design does not fit the device, or timing does not close for the clock.
    exaq_cosim.ToolError
        A tool is missing or fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clear(prepared.spec.name, folder)
    for name, text in prepared.files.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    try:
        return _build(prepared, folder, step)
    except (BuildError, ToolError) as error:
        for suffix in _ROUTED:
            (folder / (TOP + suffix)).unlink(missing_ok=True)
        (folder / FAILED).write_text(f"{error}\n", encoding="utf-8")
        raise


def bitstream_name(board: str, suffix: str) -> str:
    """File of the bitstream that a build leaves for the user."""
    return f"exaq_{board}{suffix}"


def clear(board: str, folder: Path) -> None:
    """Remove what an earlier build left in ``folder``."""
    names = [TOP + suffix for suffix in _OUTPUTS]
    names += [bitstream_name(board, suffix) for suffix in (".bin", ".bit", ".fs")]
    for name in (*names, "report.json", FAILED):
        (folder / name).unlink(missing_ok=True)


def _build(prepared: Prepared, folder: Path, step: Callable[[str], None]) -> Built:
    versions = {}
    timing: Timing | None = None
    for name, *arguments in prepared.commands:
        if name == "dfu-suffix":
            bitstream = folder / prepared.bitstream
            bitstream.write_bytes(with_suffix(bitstream.read_bytes()))
            continue
        command = tools.find(name)
        versions[name] = command.version
        step(f"{_work(name)} ({command.version})")
        try:
            tools.run_command(name, command, arguments, folder)
        except ToolError as error:
            _judge_failure(prepared, folder, name, error)
            raise
        if name == "yosys":
            problem = check_capacity(Netlist.read(folder / prepared.netlist, TOP), prepared.spec)
            if problem:
                raise BuildError(problem)
        elif name.startswith("nextpnr"):
            timing = judge(json.loads((folder / REPORT).read_text()), prepared.clock)
            if timing.problem:
                raise BuildError(timing.problem, timing.lines)
    assert timing is not None
    target = folder / bitstream_name(prepared.spec.name, prepared.spec.suffix)
    shutil.copyfile(folder / prepared.bitstream, target)
    report = _report(prepared, timing, versions, target)
    write_report(report, folder)
    return Built(bitstream=target, report=report)


def _work(tool: str) -> str:
    if tool == "yosys":
        return "synthesis"
    return "place and route" if tool.startswith("nextpnr") else "bitstream"


def _judge_failure(prepared: Prepared, folder: Path, tool: str, error: ToolError) -> None:
    """Say so where place and route failed for want of room."""
    log = folder / f"{TOP}.tim"
    text = log.read_text(errors="replace") if log.exists() else ""
    signs = ("nable to place", "nable to find", "no BELs remaining", "failed to find")
    if tool.startswith("nextpnr") and any(sign in f"{text}{error}" for sign in signs):
        raise BuildError(
            f"the design does not fit {prepared.spec.device}: {error}; fewer lanes or a shorter "
            "max_row need less"
        ) from error


def write_report(report: dict[str, Any], folder: Path) -> None:
    """Keep ``report`` beside the bitstream in ``folder``."""
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def report_holds(report: Mapping[str, Any] | None, prepared: Prepared) -> bool:
    """Whether ``report`` is of ``prepared``, with the tools that there are now, and proven."""
    return (
        report is not None
        and report["inputs_sha256"] == prepared.fingerprint
        and report["proof"] is not None
        and all(tools.find(tool).version == told for tool, told in report["versions"].items())
    )


def _report(
    prepared: Prepared, timing: Timing, versions: dict[str, str], bitstream: Path
) -> dict[str, Any]:
    return {
        "board": prepared.spec.name,
        "device": prepared.spec.device,
        "config": prepared.config.to_dict(),
        "clock": prepared.clock,
        **prepared.link.figures(prepared.clock),
        "seed": prepared.seed,
        "release": prepared.identity.version,
        "mhz": timing.mhz,
        "utilization": timing.used,
        "critical_path": list(timing.lines),
        "versions": versions,
        "inputs_sha256": prepared.fingerprint,
        "bitstream": bitstream.name,
        "bitstream_sha256": hashlib.sha256(bitstream.read_bytes()).hexdigest(),
        "proof": None,
    }
