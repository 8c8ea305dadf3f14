"""The command ``make mutate-python``: tries what is missing or stale, and draws the tables."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from mutants_python_changes import Change
from mutants_python_records import (
    MARKS,
    PAGE,
    Records,
    holds,
    read_records,
    recorded,
    table,
    unaccounted,
    write_records,
)
from mutants_python_trial import COUNTS, GROUPS, all_changes, drawn, tried


def main(about: str | None, arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 where a survivor has no reason, or a mutant another fate than its record."""
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="try again what is kept, too")
    parser.add_argument("--none", action="store_true", help="try none: for the tables alone")
    parser.add_argument(
        "--sample", type=int, metavar="N", help="try N whose test is known; write nothing"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at once")
    options = parser.parse_args(arguments)
    every = {group: all_changes(group) for group in GROUPS}
    chosen = {group: drawn(found, COUNTS[group]) for group, found in every.items()}
    records = read_records()
    wanted = [change for found in chosen.values() for change in found]
    if options.sample:
        return _sample(wanted, records, options.sample, options.jobs)
    if options.none:
        if missing := [change for change in wanted if str(change) not in records]:
            parser.error(f"{len(missing)} mutants have no record yet: try them, without --none")
        wanted = []
    elif not options.all:
        wanted = [change for change in wanted if not holds(change, records)]
    names = {group: [str(change) for change in found] for group, found in chosen.items()}
    known = {name for each in names.values() for name in each}
    records = {name: record for name, record in records.items() if name in known}
    _try(wanted, records, options.jobs)
    # Only now: nothing that is forked may have imported the package.
    from bench_macs import write_table

    text = table(records, {group: len(found) for group, found in every.items()}, names)
    print(text)
    write_table(PAGE, text, MARKS)
    lost = unaccounted(records, records)
    for each in lost:
        print(f"no test or reason: {each}", file=sys.stderr)
    return int(bool(lost))


def _try(wanted: Sequence[Change], records: Records, jobs: int) -> None:
    start = time.monotonic()
    for done, trial in enumerate(tried(wanted, jobs=jobs), start=1):
        records[str(trial.change)] = recorded(trial)
        write_records(records)
        seconds = time.monotonic() - start
        fate = trial.test or "SURVIVED"
        print(
            f"{done:4} of {len(wanted)}{seconds:6.0f} s  {trial.change}: {fate}",
            file=sys.stderr,
            flush=True,
        )


def _sample(wanted: Sequence[Change], records: Records, count: int, jobs: int) -> int:
    """Whether those killed according to the record are."""
    killed = [change for change in wanted if records.get(str(change), {}).get("by")]
    found = list(tried(killed[:: max(len(killed) // count, 1)][:count], jobs=jobs))
    for trial in found:
        print(f"{trial.change}: {trial.test or 'SURVIVED'}")
    return int(not all(trial.test for trial in found))
