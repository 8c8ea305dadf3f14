"""Measures what the regression reaches of the emitted Verilog: lines, branches and toggles.

Simulates runs of the regression with Verilator's counters, and writes reports/coverage.json after
each. Records that still hold are left alone.

    python scripts/run_coverage.py --docs
    python scripts/run_coverage.py verilator-2bit-x4
    python scripts/run_coverage.py --left            what is not hit, and has no waiver
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# cocotb gives what it finds here to the simulation.
sys.path[:0] = [str(ROOT / "tb" / folder) for folder in ("cover", "rtl")]

import rtl_regression  # noqa: E402
from cocotb_tools.check_results import get_results  # noqa: E402
from cover_constants import constants  # noqa: E402
from cover_points import FILE, OPTIONS, read_points  # noqa: E402
from cover_report import (  # noqa: E402
    COVERED,
    MARKS,
    PAGE,
    fault,
    read_coverage,
    record,
    table,
    unexplained,
    write_coverage,
)
from rtl_matrix import MATRIX, RUNS  # noqa: E402
from rtl_records import of_run, version_of  # noqa: E402

from bench_macs import write_table  # noqa: E402
from exaq.tool import ToolError  # noqa: E402

BUILD = ROOT / "build" / "cover"
#: Where cocotb says how tests ended.
RESULTS = "results.xml"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 where something is left, 2 where a simulation or a tool fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", nargs="*", metavar="RUN", help="as in the report; default: all")
    parser.add_argument("--docs", action="store_true", help="write the table of the page")
    parser.add_argument("--left", action="store_true", help="list what is left, measure nothing")
    options = parser.parse_args(arguments)
    if unknown := set(options.runs) - set(COVERED):
        parser.error(f"there is no run {min(unknown)}; there are {', '.join(COVERED)}")
    if not options.left:
        try:
            for run in options.runs or COVERED:
                _measure(run)
        except (ToolError, OSError) as error:
            print(f"run_coverage: error: {error}", file=sys.stderr)
            return 2
    report = read_coverage()
    text = table(report)
    print(text)
    if options.docs:
        write_table(PAGE, text, MARKS)
    left = {run: unexplained(run, kept) for run, kept in report["verilog"].items()}
    if options.left:
        for run, bits in left.items():
            print("\n".join(f"{run} {each}" for each in bits))
    return int(any(left.values()))


def _measure(run: str) -> None:
    """Makes a run's record anew, unless it holds."""
    now = of_run(run)
    if not fault(run, read_coverage()["verilog"].get(run), now):
        return
    start = time.monotonic()
    simulator, name = RUNS[run]
    build = BUILD / run
    # Not an argument: what a simulation is made of would be another, and so all records stale.
    rtl_regression.VERILATOR.extend(
        each for each in OPTIONS if each not in rtl_regression.VERILATOR
    )
    (build / RESULTS).unlink(missing_ok=True)
    failed = rtl_regression.simulate(
        MATRIX[name],
        build,
        simulator=simulator,
        place=list(MATRIX).index(name),
        runtime=BUILD / "runtime",
    )
    if failed:
        raise ToolError(f"{run} failed:\n{failed}")
    keep(run, build, now)
    print(f"{run:40}{time.monotonic() - start:6.0f} s", file=sys.stderr, flush=True)


def keep(run: str, build: Path, now: dict[str, str]) -> None:
    """Records what the simulation in ``build`` has left, if its tests passed."""
    # Outside of pytest cocotb does not look whether tests failed.
    try:
        tests, failed = get_results(build / RESULTS)
    except RuntimeError as error:
        raise ToolError(f"{run}: {error}") from error
    if failed or not tests:
        raise ToolError(f"{failed} of {tests} tests of {run} failed")
    found = record(read_points(build / FILE), constants(build / "exaq_softmax.v", "exaq_softmax"))
    report: dict[str, Any] = read_coverage()
    report["verilog"][run] = {
        "fingerprint": now,
        "simulator": version_of(RUNS[run][0]),
        **found,
    }
    write_coverage(report)


if __name__ == "__main__":
    sys.exit(main())
