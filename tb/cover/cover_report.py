"""What the regression reaches of the emitted Verilog: reports/coverage.json, and its table.

A record is of one run of the regression on Verilator, simulated with counters of lines, branches
and toggles. It keeps what was not hit, but for bits that are proven constant. What may stay unhit
is in cover_waivers.toml, with reasons; whoever reads a record takes those off.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cover_points import KINDS, Found
from rtl_fingerprint import PARTS
from rtl_matrix import QUICK, RUNS

from exaq_cli.files import write_text

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "reports" / "coverage.json"
PAGE = ROOT / "docs" / "verification.md"
WAIVERS = Path(__file__).with_name("cover_waivers.toml")
MARKS = ("<!-- make coverage -->", "<!-- coverage ends -->")
CURE = "`make coverage` measures it"

#: Runs whose coverage is kept: the default unit's and the quick ones on Verilator.
COVERED = ("verilator-2bit-x4", *(run for run in QUICK if RUNS[run][0] == "verilator"))
#: Of these, runs of which nobody has yet said why all that is left may stay so.
OPEN: tuple[str, ...] = ()
_WAYS = {("0->1", "1->0"): "", ("0->1",): "+", ("1->0",): "-"}


@dataclass(frozen=True)
class Waiver:
    """What need not be hit.

    Parameters
    ----------
    runs, bits
        Regular expressions: of runs, and of what a record has as missed, ``signal[bit]`` with + or
        - behind it where just one way was not seen.
    reason
        Why nothing is missing.
    """

    runs: str
    bits: str
    reason: str

    def covers(self, run: str, missed: str) -> bool:
        """Whether ``missed`` need not be hit by ``run``."""
        return bool(re.fullmatch(self.runs, run) and re.fullmatch(self.bits, missed))


@cache
def waivers() -> tuple[Waiver, ...]:
    """All of cover_waivers.toml."""
    return tuple(Waiver(**each) for each in tomllib.loads(WAIVERS.read_text("utf-8"))["waiver"])


def record(found: Found, constant: Set[tuple[str, int]]) -> dict[str, Any]:
    """Of a run, all but what it is of."""
    bits: dict[str, list[str]] = {}
    constants = missed = 0
    for (signal, bit), ways in sorted(found.missed_bits.items()):
        if (signal, bit) in constant:
            constants += len(ways)
            continue
        missed += len(ways)
        bits.setdefault(signal, []).append(f"{bit}{_WAYS[tuple(sorted(ways))]}")
    hit = {
        kind: found.points[kind] - sum(each.startswith(f"{kind} ") for each in found.missed_places)
        for kind in KINDS[:2]
    }
    hit["toggle"] = found.points["toggle"] - constants - missed
    return {
        "points": found.points,
        "hit": hit,
        "constant": constants,
        "places": sorted(found.missed_places),
        "bits": {signal: " ".join(each) for signal, each in bits.items()},
    }


def missed(kept: Mapping[str, Any]) -> list[str]:
    """All that a record has as missed: places, and bits as waivers know them."""
    bits = [
        f"{signal}[{bit.rstrip('+-')}]{bit.lstrip('0123456789')}"
        for signal, text in kept["bits"].items()
        for bit in text.split()
    ]
    return [*kept["places"], *bits]


def unexplained(run: str, kept: Mapping[str, Any]) -> list[str]:
    """What a run did not hit, and no waiver covers."""
    return [each for each in missed(kept) if not any(one.covers(run, each) for one in waivers())]


def toggles_of(bits: list[str]) -> int:
    """Points of bits as ``missed`` gives them; places are none."""
    return sum(1 if each[-1] in "+-" else 2 for each in bits if each[-1] in "+-]")


def fault(run: str, kept: Mapping[str, Any] | None, now: Mapping[str, str]) -> str:
    """Why a record does not hold where the run's fingerprint is ``now``; nothing where it does."""
    if kept is None:
        return f"there is no coverage of {run}: {CURE}"
    other = [text for part, text in PARTS.items() if kept["fingerprint"].get(part) != now[part]]
    return f"the coverage of {run} is of {' and '.join(other)}: {CURE}" if other else ""


def read_coverage(path: Path = REPORT) -> dict[str, Any]:
    """The record of each run, below ``verilog``, and what stands beside it."""
    if not path.is_file():
        return {"verilog": {}}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def write_coverage(report: Mapping[str, Any], path: Path = REPORT) -> None:
    """Whole or not at all; of the regression's runs those alone that are covered."""
    kept = {run: report["verilog"][run] for run in COVERED if run in report["verilog"]}
    with write_text(path) as file:
        file.write(json.dumps({**report, "verilog": kept}, indent=1) + "\n")


def table(report: Mapping[str, Any]) -> str:
    """The page's table."""
    lines = [
        "| configuration | lines | branches | toggles | hit | constant | waived | left |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for run, kept in report["verilog"].items():
        left = unexplained(run, kept)
        waived = toggles_of(missed(kept)) - toggles_of(left)
        hit, points = kept["hit"], kept["points"]
        lines.append(
            f"| `{RUNS[run][1]}` | {hit['line']} of {points['line']} | "
            f"{hit['branch']} of {points['branch']} | {points['toggle']} | "
            f"{hit['toggle'] / points['toggle']:.2%} | {kept['constant']} | {waived} | "
            f"{toggles_of(left)} |"
        )
    return "\n".join(lines)
