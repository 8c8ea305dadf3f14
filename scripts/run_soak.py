"""Streams rows through compiled units for long, and frames through a board's bad line.

Each bit is compared with the golden model. Writes reports/soak.json after each chunk, which takes
seconds. What went through today's designs is kept, so a soak that was interrupted goes on where it
stopped.

    python scripts/run_soak.py --docs
    python scripts/run_soak.py 2bit-x4 link
    python scripts/run_soak.py --minutes 10          of each, at most
"""

from __future__ import annotations

import argparse
import fcntl
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tb" / folder) for folder in ("soak", "rtl")]

from soak_cases import DifferenceError  # noqa: E402
from soak_link import WrongLinkError  # noqa: E402
from soak_report import (  # noqa: E402
    CASES,
    LINK_MARKS,
    MARKS,
    PAGE,
    Soaked,
    begun,
    link_table,
    read_soak,
    units_table,
    with_chunk,
    write_soak,
)

from bench_macs import write_table  # noqa: E402
from exaq_cosim import SimulationError, ToolError  # noqa: E402
from exaq_fpga import LinkError  # noqa: E402

#: Seconds between two lines of progress.
PATIENCE = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 where something is wrong, 2 where a file or a tool fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="NAME", help="as in the report; default: all")
    parser.add_argument("--minutes", type=float, help="of each case, at most; default: enough")
    parser.add_argument("--docs", action="store_true", help="write the tables of the page")
    options = parser.parse_args(arguments)
    names = [case.name for case in CASES]
    if unknown := set(options.cases) - set(names):
        parser.error(f"there is no {min(unknown)}; there are {', '.join(names)}")
    try:
        for case in CASES:
            if case.name in (options.cases or names):
                _soak(case, options.minutes)
    except (DifferenceError, SimulationError, WrongLinkError, LinkError) as error:
        print(f"run_soak: error: {error}", file=sys.stderr)
        return 1
    except (ToolError, OSError) as error:
        print(f"run_soak: error: {error}", file=sys.stderr)
        return 2
    for table, marks in ((units_table, MARKS), (link_table, LINK_MARKS)):
        text = table(read_soak())
        print(text)
        if options.docs:
            write_table(PAGE, text, marks)
    return 0


def _soak(case: Soaked, minutes: float | None) -> None:
    """Runs chunks until enough went through, or the time is over; not beside another who does."""
    lock = ROOT / "build" / f"soak-{case.name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{case.name} is being soaked by another process", file=sys.stderr)
            return
        _chunks(case, minutes)


def _chunks(case: Soaked, minutes: float | None) -> None:
    kept = begun(case, read_soak().get(case.name))
    begin = told = time.perf_counter()
    while kept[case.what] < case.enough:
        start = time.perf_counter()
        if minutes is not None and start > begin + 60 * minutes:
            return
        counts = case.chunk(kept["chunks"])
        now = time.perf_counter()
        kept = with_chunk(kept, counts, now - start)
        write_soak(case, kept)
        if now > told + PATIENCE or kept[case.what] >= case.enough:
            told = now
            print(
                f"{case.name:32}{kept[case.what]:12,} of {case.enough:,} {case.what}"
                f"{kept['seconds']:8.0f} s",
                file=sys.stderr,
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main())
