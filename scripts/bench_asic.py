"""Measures the published units in standard cells: area, clock, energy, and their gates' bits.

Writes reports/asic.json after each unit. What it has of today's designs and tools is kept.

    python scripts/bench_asic.py --liberty CELLS.lib --liberty OTHERS.lib.gz --docs
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench_macs import write_table
from exaq.tool import ToolError
from exaq.whole_files import whole_file
from exaq_asic.bench.page import MARKS, draw, in_order, tables
from exaq_asic.bench.units import CASES, measure_case
from exaq_asic.gates.gate_check import GateMismatchError
from exaq_asic.liberty import LibertyError, Library

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "reports" / "asic.json"
MACS_REPORT = ROOT / "reports" / "macs.json"
PAGE = ROOT / "docs" / "asic.md"
PICTURE = ROOT / "docs" / "asic.png"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 2 where a file cannot be read or a tool fails, 1 where gates are wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--liberty",
        type=Path,
        action="append",
        default=[],
        help="standard cells; may be given often; none: nothing is measured",
    )
    parser.add_argument("units", nargs="*", metavar="NAME", help="as in the report; default: all")
    parser.add_argument("--docs", action="store_true", help="write tables and picture of asic.md")
    parser.add_argument("--all", action="store_true", help="measure everything again")
    options = parser.parse_args(arguments)
    names = [case.name for case in CASES]
    if unknown := set(options.units) - set(names):
        parser.error(f"there is no unit {min(unknown)}; there are {', '.join(names)}")
    report: dict[str, Any] = {"libraries": {}, "units": {}}
    if REPORT.exists() and not options.all:
        report = json.loads(REPORT.read_text(encoding="utf-8"))
    try:
        if options.liberty:
            _measure(report, options.liberty, options.units or names)
    except (ToolError, LibertyError, OSError) as error:
        print(f"bench_asic: error: {error}", file=sys.stderr)
        return 2
    except GateMismatchError as error:
        print(f"bench_asic: error: {error}", file=sys.stderr)
        return 1
    if options.docs and report["units"]:
        macs = json.loads(MACS_REPORT.read_text(encoding="utf-8"))
        write_table(PAGE, tables(report, macs), MARKS)
        with whole_file(PICTURE) as path:
            draw(report, path)
    return 0


def _measure(report: dict[str, Any], paths: Sequence[Path], wanted: Sequence[str]) -> None:
    libraries = [Library.read(path) for path in paths]
    report["libraries"] |= {library.file: library.sha256 for library in libraries}
    start = time.monotonic()
    for case in (case for case in CASES if case.name in wanted):

        def step(what: str, name: str = case.name) -> None:
            print(f"{time.monotonic() - start:6.0f} s  {name}: {what}", file=sys.stderr, flush=True)

        kept = report["units"].get(case.name, {})
        report["units"][case.name] = measure_case(case, libraries, kept, step)
        report["units"] = in_order(report["units"])
        with whole_file(REPORT) as path:
            path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
