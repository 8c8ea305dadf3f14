"""Measures what a multiply-accumulate costs, in LUTs and, with Liberty files, in standard cells.

Writes reports/macs.json after each design. What it has of today's designs and tools is kept.

    python scripts/bench_macs.py --docs
    python scripts/bench_macs.py --liberty CELLS.lib --liberty OTHERS.lib.gz --docs
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exaq_cosim import ToolError
from exaq_fpga.flow.mac_bench import DESIGNS, MARKS, measure, read_liberty, table, verilog_of

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "reports" / "macs.json"
PAGE = ROOT / "docs" / "attention.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 2 where a file cannot be read or a tool fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--liberty",
        type=Path,
        action="append",
        default=[],
        help="standard cells; may be given often",
    )
    parser.add_argument("designs", nargs="*", metavar="NAME", help="as in the report; default: all")
    parser.add_argument("--docs", action="store_true", help="write the table of docs/attention.md")
    parser.add_argument("--all", action="store_true", help="measure everything again")
    options = parser.parse_args(arguments)
    unknown = set(options.designs) - set(DESIGNS)
    if unknown:
        parser.error(f"there is no design {min(unknown)}; there are {', '.join(DESIGNS)}")
    report: dict[str, Any] = {"liberties": {}, "designs": {}}
    if REPORT.exists() and not options.all:
        report = json.loads(REPORT.read_text(encoding="utf-8"))
    try:
        _measure(report, options.liberty, options.designs)
    except (ToolError, OSError, ValueError) as error:
        print(f"bench_macs: error: {error}", file=sys.stderr)
        return 2
    text = table(report)
    print(text)
    if options.docs:
        write_table(PAGE, text, MARKS)
    return 0


def _measure(report: dict[str, Any], paths: Sequence[Path], wanted: Sequence[str]) -> None:
    liberties = {}
    for path in paths:
        liberties[path.name], digest = read_liberty(path)
        if report["liberties"].get(path.name) != digest:
            for figures in report["designs"].values():
                figures.get("cells", {}).pop(path.name, None)
            report["liberties"][path.name] = digest
    report["designs"] = {name: report["designs"].get(name, {}) for name in DESIGNS}
    start = time.monotonic()
    for name, dots in DESIGNS.items():
        if wanted and name not in wanted:
            continue

        def step(what: str, name: str = name) -> None:
            print(
                f"{name:16}{time.monotonic() - start:6.0f} s  {what}", file=sys.stderr, flush=True
            )

        report["designs"][name] = measure(
            verilog_of(name), dots, liberties, report["designs"][name], step
        )
        REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def write_table(page: Path, text: str, marks: tuple[str, str]) -> None:
    """Replace what stands between the marks in ``page``."""
    begin, end = marks
    before, found, rest = page.read_text(encoding="utf-8").partition(f"{begin}\n")
    _, closed, after = rest.partition(f"\n{end}")
    if not (found and closed):
        raise SystemExit(f"{page.name} has no place for the table: {begin} and {end} on lines")
    page.write_text(before + found + text + closed + after, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
