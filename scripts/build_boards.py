"""Builds and proves all boards' default designs, for their reports and docs/boards.md.

``python scripts/build_boards.py [--all] [BOARD ...]``: of all boards, or of those named, the ones
whose report is missing or is of another design or of other tools; ``--all``: these too. Boards with
Ethernet have a second build, linked by UDP.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench_macs import write_table
from exaq_cosim import ToolError
from exaq_fpga.boards import BOARDS
from exaq_fpga.boards.board_reports import (
    FOLDER,
    MARKS,
    UDP_BOARDS,
    UDP_FOLDER,
    UDP_MARKS,
    load_report,
    proof,
    table,
    udp_link,
    udp_table,
)
from exaq_fpga.flow.bitstreams.build import BuildError, build, report_holds
from exaq_fpga.flow.bitstreams.prepared import Prepared, prepare
from exaq_fpga.prove import prove

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 where a board could not be built, or its proof does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("boards", nargs="*", metavar="BOARD", help="default: all")
    parser.add_argument("--all", action="store_true", help="also those whose report still holds")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.boards if name not in BOARDS]
    if unknown:
        parser.error(f"there is no board {unknown[0]}; there are {', '.join(BOARDS)}")
    good = []
    for name in options.boards or BOARDS:
        good.append(_renew(prepare(BOARDS[name]), FOLDER, always=options.all))
        if name in UDP_BOARDS:
            by_udp = prepare(BOARDS[name], link=udp_link(BOARDS[name]))
            good.append(_renew(by_udp, UDP_FOLDER, always=options.all))
    page = ROOT / "docs" / "boards.md"
    write_table(page, table(_kept(BOARDS, FOLDER)), MARKS)
    write_table(page, udp_table(_kept(UDP_BOARDS, UDP_FOLDER)), UDP_MARKS)
    return 0 if all(good) else 1


def _kept(names: Iterable[str], folder: Path) -> dict[str, dict[str, Any]]:
    reports = {name: load_report(name, folder) for name in names}
    return {name: report for name, report in reports.items() if report}


def _renew(prepared: Prepared, reports: Path, *, always: bool) -> bool:
    """Whether ``reports`` has now one of this design, and its proof holds."""
    spec = prepared.spec
    report = load_report(spec.name, reports)
    if always or not report_holds(report, prepared):
        folder = ROOT / "build" / reports.name / spec.name
        start = time.monotonic()

        def step(name: str) -> None:
            print(f"{spec.name:18}{time.monotonic() - start:5.0f} s  {name}", flush=True)

        try:
            report = build(prepared, folder, step=step).report
            report["proof"] = asdict(prove(prepared, folder, progress=step))
        except (BuildError, ToolError) as error:
            print(f"{spec.name:18}{error}", file=sys.stderr)
            return False
        reports.mkdir(parents=True, exist_ok=True)
        (reports / f"{spec.name}.json").write_text(json.dumps(report, indent=2) + "\n")
    assert report is not None
    print(f"{spec.name:18}{report['mhz']} MHz; {proof(report)}")
    return not report["proof"]["mismatches"] and not report["proof"]["faults"]


if __name__ == "__main__":
    sys.exit(main())
