"""The command ``make mutate``: tries what is missing or stale, and draws the tables."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from mutants_records import (
    MARKS,
    PAGE,
    fault,
    fingerprint,
    only_directed,
    read_records,
    recorded,
    recorded_again,
    table,
    unlisted,
    write_records,
)
from mutants_trial import tried, tried_again
from mutants_units import COUNT, SEED, UNITS

from bench_macs import write_table
from exaq.tool import ToolError


def main(about: str | None, arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 where a survivor is not accounted for, 2 where a tool fails."""
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("units", nargs="*", metavar="NAME", help="units; default: all")
    parser.add_argument("--all", action="store_true", help="try again what is kept, too")
    parser.add_argument("--none", action="store_true", help="try none: for the tables alone")
    options = parser.parse_args(arguments)
    if unknown := set(options.units) - set(UNITS):
        parser.error(f"there is no unit {min(unknown)}; there are {', '.join(UNITS)}")
    records = read_records()
    try:
        for name in [] if options.none else options.units or UNITS:
            now = fingerprint(UNITS[name])
            if options.all or fault(name, records.get(name), now):
                before = None if options.all else records.get(name)
                records[name] = _record(name, before if only_directed(before, now) else None)
                write_records(records)
    except (ToolError, OSError) as error:
        print(f"run_mutants: error: {error}", file=sys.stderr)
        return 2
    text = table(records)
    print(text)
    write_table(PAGE, text, MARKS)
    lost = [text for name in UNITS if name in records for text in unlisted(name, records[name])]
    for text in lost:
        print(f"no test, proof or reason: {text}", file=sys.stderr)
    return int(bool(lost))


def _record(name: str, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """The record of a unit; what ``before`` says is kept but for directed scenarios."""
    start = time.monotonic()

    def step(what: str) -> None:
        seconds = time.monotonic() - start
        print(f"{name:20}{seconds:6.0f} s  {what}", file=sys.stderr, flush=True)

    if before is None:
        return recorded(name, tried(UNITS[name], COUNT, SEED, step))
    return recorded_again(before, name, tried_again(UNITS[name], COUNT, SEED, before, step))
