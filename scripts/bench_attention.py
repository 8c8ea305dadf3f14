"""Measures what attention heads cost on ECP5: few codes and 4-bit keys beside INT8 and 16 bits.

Writes reports/attention.json after each unit. What it has of today's designs and tools is kept, so
units can be measured one at a time; a large one takes a quarter of an hour.

    python scripts/bench_attention.py --docs
    python scripts/bench_attention.py dint4-2bit-32 int8-32
    python scripts/bench_attention.py --docs --none
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
from exaq_cosim import ToolError
from exaq_fpga.flow.attention_bench import CASES, MARKS, measure, table

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "reports" / "attention.json"
STUDY = ROOT / "reports" / "accuracy" / "study-heads.json"
PAGE = ROOT / "docs" / "attention.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 2 where a file cannot be read or a tool fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("units", nargs="*", metavar="NAME", help="as in the report; default: all")
    parser.add_argument("--docs", action="store_true", help="write the table of docs/attention.md")
    parser.add_argument("--all", action="store_true", help="measure again what is kept, too")
    parser.add_argument("--none", action="store_true", help="measure nothing: for --docs alone")
    options = parser.parse_args(arguments)
    names = [case.name for case in CASES]
    unknown = set(options.units) - set(names)
    if unknown:
        parser.error(f"there is no unit {min(unknown)}; there are {', '.join(names)}")
    report: dict[str, Any] = {"units": {}}
    if REPORT.exists():
        report = json.loads(REPORT.read_text(encoding="utf-8"))
    wanted = [] if options.none else options.units or names
    try:
        _measure(report, wanted, again=options.all)
        study = json.loads(STUDY.read_text(encoding="utf-8"))
    except (ToolError, OSError, ValueError) as error:
        print(f"bench_attention: error: {error}", file=sys.stderr)
        return 2
    text = table(report, study)
    print(text)
    if options.docs:
        write_table(PAGE, text, MARKS)
    return 0


def _measure(report: dict[str, Any], wanted: Sequence[str], *, again: bool) -> None:
    start = time.monotonic()
    for case in CASES:
        if case.name not in wanted:
            continue

        def step(what: str, name: str = case.name) -> None:
            seconds = time.monotonic() - start
            print(f"{name:20}{seconds:6.0f} s  {what}", file=sys.stderr, flush=True)

        kept = {} if again else report["units"].get(case.name, {})
        found = report["units"] | {case.name: measure(case, kept, step)}
        # In the order of the table, and without units that are not there any more.
        report["units"] = {each.name: found[each.name] for each in CASES if each.name in found}
        REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
