"""The figures of units in standard cells: of today's designs and tools, and on their page."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from exaq_asic.bench.page import MARKS, draw, in_order, tables
from exaq_asic.bench.units import CASES, Case, measure_case, still_true
from exaq_asic.mapping.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
REPORT: dict[str, Any] = json.loads((ROOT / "reports/asic.json").read_text(encoding="utf-8"))
UNITS: dict[str, Any] = REPORT["units"]
BY_NAME = {case.name: case for case in CASES}
CURE = "`make bench-asic LIBERTY=...` measures again"


def test_every_published_unit_is_there() -> None:
    assert list(UNITS) == list(BY_NAME), CURE
    for name, unit in UNITS.items():
        found = {file: each["library"]["sha256"] for file, each in unit["corners"].items()}
        wanted = {f: sha for f, sha in REPORT["libraries"].items() if BY_NAME[name].fits(f)}
        assert found == wanted, CURE
        assert wanted


@pytest.mark.parametrize("name", UNITS)
def test_figures_are_of_today(name: str) -> None:
    assert still_true(BY_NAME[name], UNITS[name]), CURE


@pytest.mark.parametrize("name", UNITS)
def test_figures_agree_with_themselves(name: str) -> None:
    for corner in UNITS[name]["corners"].values():
        area, energy = corner["area"], corner["energy"]
        whole = area["um2"] + area["memory_flops_um2"]
        assert sum(area["by_block"].values()) == pytest.approx(whole)
        assert area["nand2"] * corner["library"]["nand2_um2"] == pytest.approx(area["um2"])
        assert corner["timing"]["mhz"] * corner["timing"]["nanoseconds"] == pytest.approx(1e3)
        assert corner["gates"]["rows"] > 0
        full, tenth = energy["loads"].values()
        assert tenth["load"] < 0.15 < full["load"]
        for each in (full, tenth):
            assert sum(each["by_block"].values()) == pytest.approx(each["pj_per_element"])
            assert sum(each["by_kind"].values()) == pytest.approx(each["pj_per_element"])


def test_page_shows_the_report() -> None:
    page = (ROOT / "docs/asic.md").read_text(encoding="utf-8")
    begin, end = MARKS
    shown = page.partition(f"{begin}\n")[2].partition(f"\n{end}")[0]
    macs = json.loads((ROOT / "reports/macs.json").read_text(encoding="utf-8"))
    assert shown == tables(REPORT, macs), CURE
    assert (ROOT / "docs/asic.png").read_bytes().startswith(b"\x89PNG")


def test_other_designs_recipes_and_tools_are_stale() -> None:
    name = next(iter(UNITS))
    case = BY_NAME[name]
    if not still_true(case, UNITS[name]):
        pytest.skip("the report is stale")
    changes: list[dict[str, Any]] = [
        {"design_sha256": "other"},
        {"versions": {}},
        {"recipe": vars(Recipe(mhz=1.0))},
    ]
    for changed in changes:
        assert not still_true(case, UNITS[name] | changed)
    assert not still_true(Case("3bit-x16"), UNITS[name])
    assert not still_true(case, {})


def test_what_is_kept_is_not_measured_again() -> None:
    name = next(iter(UNITS))
    kept = copy.deepcopy(UNITS[name])
    if not still_true(BY_NAME[name], kept):
        pytest.skip("the report is stale")
    assert measure_case(BY_NAME[name], [], kept) == UNITS[name]


def test_units_come_in_their_order() -> None:
    mixed = dict(reversed(UNITS.items())) | {"other": {}}
    assert list(in_order(mixed)) == list(UNITS)


def test_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(REPORT, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
