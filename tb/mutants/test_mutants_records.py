"""The records of mutants: of today's designs, each survivor accounted for, and on their page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mutants_records
import pytest
from mutants_bench import DATA, RATE
from mutants_records import (
    CURE,
    MARKS,
    PAGE,
    PARTS,
    Reason,
    fault,
    fingerprint,
    open_survivors,
    read_records,
    reasons,
    table,
    unlisted,
    unreasoned,
    write_records,
)
from mutants_units import COUNT, UNITS

RECORDS = read_records()


@pytest.mark.parametrize("name", UNITS)
def test_record_is_of_today(name: str) -> None:
    assert not (text := fault(name, RECORDS.get(name), fingerprint(UNITS[name]))), text


@pytest.mark.parametrize("name", RECORDS)
def test_every_survivor_is_proved_or_has_a_reason_or_is_listed(name: str) -> None:
    record = RECORDS[name]
    assert unlisted(name, record) == []
    # What is listed as open is: nothing stays on the list that has been killed or understood.
    assert len(unreasoned(name, record)) == len(open_survivors().get(name, []))
    assert record["mutants"] == COUNT
    killed = record["killed"][DATA] + record["killed"][RATE]
    assert killed + len(record["survivors"]) == COUNT
    assert killed == sum(record["by"].values())


def test_every_reason_is_one_of_a_survivor() -> None:
    survivors = [(name, each) for name in RECORDS for each in RECORDS[name]["survivors"]]
    for reason in reasons():
        for unit in reason.units or [""]:
            assert not unit or unit in UNITS
        for place in reason.places:
            alone = Reason(reason.name, reason.why, (place,), reason.units, reason.other_cycles)
            used = [one for one in survivors if not one[1].get("proved") and alone.holds(*one)]
            assert used, f"nothing survives for the reason {reason.name} at {place}"


def test_page_shows_the_records() -> None:
    text = PAGE.read_text(encoding="utf-8")
    begin, end = MARKS
    shown = text.partition(f"{begin}\n")[2].partition(f"\n{end}")[0]
    assert shown == table(RECORDS), CURE


def record(**changes: Any) -> dict[str, Any]:
    fingerprint_ = dict.fromkeys(PARTS, "1")
    found = {"fingerprint": fingerprint_, "mutants": 4, "killed": {DATA: 1, RATE: 1}, "by": {}}
    return found | {"survivors": []} | changes


def test_a_record_is_stale_where_a_part_differs() -> None:
    now = dict.fromkeys(PARTS, "1")
    assert fault("x", record(), now) == ""
    assert fault("x", None, now) == f"there is no record of x: {CURE}"
    now = now | {"design": "2", "tools": "2"}
    assert fault("x", record(), now) == (
        f"the record of x is of another design and other tools: {CURE}"
    )


def test_a_survivor_without_a_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [Reason("late", "it is late", ("a",), ("x",), True), Reason("b", "it is b", ("b",))]
    monkeypatch.setattr(mutants_records, "reasons", lambda: known)
    survivors = [
        {"number": 1, "mutant": "a at 0", "other_cycles": ["stalls"]},
        {"number": 2, "mutant": "a at 1"},
        {"number": 3, "mutant": "b at 1"},
        {"number": 4, "mutant": "c at 1", "proved": True},
    ]
    found = record(survivors=survivors)
    assert unreasoned("x", found) == ["x, mutant 2: a at 1"]
    assert unreasoned("y", found) == ["y, mutant 1: a at 0", "y, mutant 2: a at 1"]


def test_records_are_written_whole_in_the_order_of_units(tmp_path: Path) -> None:
    path = tmp_path / "mutants.json"
    assert read_records(path) == {}
    names = [*UNITS][:2]
    write_records({name: record() for name in [*names[::-1], "gone"]}, path)
    assert list(read_records(path)) == names
    assert json.loads(path.read_text(encoding="utf-8"))[names[0]] == record()
    assert [each.name for each in tmp_path.iterdir()] == ["mutants.json"]
