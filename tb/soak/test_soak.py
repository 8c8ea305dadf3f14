"""A little of the soak for real, and whether all of it went through today's designs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soak_cases
import soak_link
from soak_cases import LONGEST, UNITS, DifferenceError, soak_chunk
from soak_link import RATES, WrongLinkError, link_chunk
from soak_report import (
    BY_NAME,
    CASES,
    CURE,
    LINK_MARKS,
    MARKS,
    PAGE,
    begun,
    fault,
    link_table,
    read_soak,
    units_table,
    with_chunk,
    write_soak,
)

from exaq import KERNELS, softmax

UNIT = {unit.name: unit for unit in UNITS}
CASE = CASES[0]


@pytest.mark.simulator
@pytest.mark.parametrize("name", [*(unit.name for unit in UNITS[:3]), "row65536-2bit-x4"])
def test_chunks_pass(name: str) -> None:
    unit = UNIT[name]
    counts: Counter[str] = Counter()
    for number in range(3):
        counts += soak_chunk(unit, number, 150_000)
    assert counts["elements"] > 60_000
    assert counts["rows"] > 4
    assert counts["cycles"] > counts["elements"] / unit.config.lanes / 2


@pytest.mark.simulator
def test_a_chunk_repeats() -> None:
    unit = UNITS[0]
    assert soak_chunk(unit, 5, 50_000) == soak_chunk(unit, 5, 50_000)
    assert soak_chunk(unit, 5, 50_000) != soak_chunk(unit, 6, 50_000)


@pytest.mark.simulator
@pytest.mark.parametrize(
    ("name", "function", "what"),
    [
        ("2bit-x4", "golden", "probabilities"),
        ("4bit-x16-codes-window", "golden", "codes"),
        ("3bit-x16-contexts4", "golden_results", "maximum of rows"),
    ],
)
def test_one_bit_is_noticed(
    name: str, function: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = getattr(soak_cases, function)

    def wrong(*arguments: Any, **options: Any) -> Any:
        found = golden(*arguments, **options)
        values = found if isinstance(found, np.ndarray) else found.maximum
        values.reshape(len(values), -1)[3, 0] ^= 1
        return found

    monkeypatch.setattr(soak_cases, function, wrong)
    with pytest.raises(DifferenceError) as caught:
        soak_chunk(UNIT[name], 1, 50_000)
    assert str(caught.value) == (
        f"{name}, chunk 1: {what} differ from the golden model in 1 rows, the first of them 3 at 0"
    )


@pytest.mark.simulator
def test_the_link_passes_with_every_kind_of_fault() -> None:
    counts: Counter[str] = Counter()
    for number in range(3):
        counts += link_chunk(number, 400)
    assert counts["rows"] == 1200
    assert counts["frames"] == counts["requests"] + counts["answers"]
    assert counts["rows_computed"] >= counts["rows"]
    assert min(counts[name] for name in ("resent", "damaged_to_board", "damaged_to_host")) > 0
    assert {kind for kind in RATES if counts[f"fault_{kind}"]} == set(RATES)


@pytest.mark.simulator
def test_one_wrong_row_of_the_link_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:

    def wrong(*arguments: Any) -> Any:
        found = softmax(*arguments).copy()
        found[7, 0] ^= 1
        return found

    monkeypatch.setattr(soak_link, "softmax", wrong)
    with pytest.raises(WrongLinkError, match=r"^chunk 0: row 7 is not the golden model's$"):
        link_chunk(0, 20)


def test_cases_have_what_the_soak_is_for() -> None:
    soaked = [unit for unit in UNITS if unit.elements >= 10**9]
    assert len(soaked) == 3
    for what in ("masking", "window", "contexts"):
        assert any(getattr(unit.config, what) for unit in soaked), what
    long = [unit for unit in UNITS if unit.config.max_row == LONGEST]
    assert {unit.config.kernel.name for unit in long} == set(KERNELS)
    assert (CASES[-1].name, CASES[-1].enough) == ("link", 10**6)


@pytest.mark.parametrize("name", BY_NAME)
def test_enough_went_through_todays_design(name: str) -> None:
    if found := fault(BY_NAME[name], read_soak().get(name)):
        pytest.fail(found, pytrace=False)


def test_report_agrees_with_itself_and_with_the_page() -> None:
    report = read_soak()
    assert list(report) == [name for name in BY_NAME if name in report], CURE
    for unit in UNITS:
        kept = report[unit.name]
        assert kept["rows_longest"] + kept["rows_too_long"] < kept["rows"]
        assert min(kept["resets"], kept["rows_lost"], kept["chunks_stalled"]) > 0
        assert (kept["loads"] > 0) == (unit.config.contexts > 0)
    page = PAGE.read_text(encoding="utf-8")
    for (begin, end), table in ((MARKS, units_table), (LINK_MARKS, link_table)):
        shown = page.partition(f"{begin}\n")[2].partition(f"\n{end}")[0]
        assert shown == table(report), "`make soak` draws the table"


def test_a_soak_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "soak.json"
    first = begun(CASE, read_soak(path).get(CASE.name))
    assert fault(CASE, None) == f"nothing went through {CASE.name}: {CURE}"
    once = with_chunk(first, Counter(elements=7, rows=2, resets=0), 0.5)
    write_soak(CASES[1], once, path)
    write_soak(CASE, once, path)
    assert list(read_soak(path)) == [CASE.name, CASES[1].name]
    kept = begun(CASE, read_soak(path)[CASE.name])
    twice = with_chunk(kept, Counter(elements=10**9), 0.25)
    assert (twice["chunks"], twice["seconds"], twice["elements"]) == (2, 0.75, 10**9 + 7)
    assert (twice["rows"], twice["resets"]) == (2, 0)
    assert "7 elements went through 2bit-x4, not 1000000000" in fault(CASE, kept)
    assert fault(CASE, twice) == ""
    other = twice | {"design": "another"}
    assert "another design" in fault(CASE, other)
    assert begun(CASE, other) == first
