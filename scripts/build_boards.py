"""Builds and proves all boards' default designs, for their reports and docs/boards.md.

``python scripts/build_boards.py [--all] [BOARD ...]``: of all boards, or of those named, the ones
whose report is missing or is of another design or of other tools; ``--all``: these too.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from exaq_cosim import ToolError
from exaq_fpga.boards import BOARDS, BoardSpec
from exaq_fpga.boards.board_reports import FOLDER, MARKS, load_report, proof, table
from exaq_fpga.flow.bitstreams.build import BuildError, build, report_holds
from exaq_fpga.flow.bitstreams.prepared import prepare
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
    FOLDER.mkdir(parents=True, exist_ok=True)
    good = [_renew(BOARDS[name], always=options.all) for name in options.boards or BOARDS]
    reports = {name: load_report(name) for name in BOARDS}
    kept = {name: report for name, report in reports.items() if report}
    write_table(ROOT / "docs" / "boards.md", kept)
    return 0 if all(good) else 1


def _renew(spec: BoardSpec, *, always: bool) -> bool:
    """Whether there is now a report of today's design, and its proof holds."""
    prepared = prepare(spec)
    report = load_report(spec.name)
    if always or not report_holds(report, prepared):
        folder = ROOT / "build" / spec.name
        start = time.monotonic()

        def step(name: str) -> None:
            print(f"{spec.name:18}{time.monotonic() - start:5.0f} s  {name}", flush=True)

        try:
            report = build(prepared, folder, step=step).report
            report["proof"] = asdict(prove(prepared, folder, progress=step))
        except (BuildError, ToolError) as error:
            print(f"{spec.name:18}{error}", file=sys.stderr)
            return False
        (FOLDER / f"{spec.name}.json").write_text(json.dumps(report, indent=2) + "\n")
    assert report is not None
    print(f"{spec.name:18}{report['mhz']} MHz; {proof(report)}")
    return not report["proof"]["mismatches"] and not report["proof"]["faults"]


def write_table(page: Path, reports: dict[str, dict[str, Any]]) -> None:
    """Replace the table of boards in ``page``, which stands between the marks for it."""
    begin, end = MARKS
    before, found, rest = page.read_text(encoding="utf-8").partition(f"{begin}\n")
    _, closed, after = rest.partition(f"\n{end}")
    if not (found and closed):
        raise SystemExit(f"{page.name} has no place for the table: {begin} and {end} on lines")
    page.write_text(before + found + table(reports) + closed + after, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
