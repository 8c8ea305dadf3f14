"""The published figures are those of today's Verilog and tools, and the pages show them."""

from __future__ import annotations

import json
import re
import statistics
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from exaq import SoftmaxConfig
from exaq_fpga.boards.devices import DEVICES
from exaq_fpga.flow.bench import CASES, Case, summary, table
from exaq_hdl.emit.compared_hash import compared_hash

ROOT = Path(__file__).resolve().parents[2]
CURE = "`make bench` measures again"


def report(case: Case) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ROOT / "reports" / f"{case.name}.json").read_text())
    return document


def test_there_is_a_report_of_every_case_and_no_other() -> None:
    # A case's name is PRESET.DEVICE; reports of other commands have names without a dot.
    reports = {path.name for path in (ROOT / "reports").glob("*.*.json")}
    assert reports == {f"{case.name}.json" for case in CASES}, CURE


@pytest.mark.parametrize("preset", dict.fromkeys(case.preset for case in CASES))
def test_reports_are_of_the_verilog_that_is_emitted_now(preset: str) -> None:
    config = SoftmaxConfig.preset(preset)
    now = compared_hash(config)
    for case in (case for case in CASES if case.preset == preset):
        assert report(case)["design_sha256"] == now, f"{case.name}: {CURE}"
        assert SoftmaxConfig.from_dict(report(case)["config"]) == config, f"{case.name}: {CURE}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_reports_are_of_the_tools_that_are_installed(case: Case) -> None:
    for words in report(case)["versions"].values():
        package, version = words.split()
        assert metadata.version(package) == version, CURE


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_reports_are_of_their_case_and_agree_with_themselves(case: Case) -> None:
    document = report(case)
    assert document["device"] == case.device
    folded = document["output_registers_in_block_ram"]
    assert folded == (case.device.startswith("ecp5") and not case.plain)
    assert (document["registers_in_block_ram"] > 0) == folded
    mhz = document["mhz"]
    seeds = list(mhz["seeds"].values())
    assert len(seeds) == 5
    assert mhz["median"] == statistics.median(seeds)
    assert (mhz["min"], mhz["max"]) == (min(seeds), max(seeds))
    steps = [float(step.split()[0]) for step in document["critical_path"]["steps"]]
    of_path = mhz["seeds"][str(document["critical_path"]["seed"])]
    assert 1000 / sum(steps) == pytest.approx(of_path, rel=0.02)


def test_page_shows_the_reports() -> None:
    text = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    shown = text.partition("<!-- bench:begin -->\n")[2].partition("\n<!-- bench:end -->")[0]
    assert shown == table((case.title, report(case)) for case in CASES), CURE


README = (ROOT / "README.md").read_text(encoding="utf-8")
#: Reports that the README's table has a line of.
SHORT = [
    "2bit-x4.ice40-up5k",
    *(f"2bit-x{lanes}.ecp5-85" for lanes in (4, 16, 32)),
    *(f"{bits}bit-x4.ecp5-85" for bits in (3, 4, 5, 6)),
]


@pytest.mark.parametrize("name", SHORT)
def test_readme_has_a_line_of_the_report(name: str) -> None:
    (case,) = (case for case in CASES if case.name == name)
    document = report(case)
    size, figures = document["size"], summary(document)
    cells = [
        f"`{case.preset}`",
        DEVICES[case.device].title,
        *(str(size[each]) for each in ("lut4", "ff", "bram")),
        f"{document['mhz']['median']:.0f}",
        f"{figures['full_rate']:.3g}",
        str(figures["first_in_to_last_out"]),
        f"{figures['elements_per_second'] / 1e6:.0f}",
        f"{figures['elements_per_second_per_lut4'] / 1e3:.0f}",
    ]
    assert f"\n| {' | '.join(cells)} |\n" in README, CURE


def test_readme_compares_with_the_page() -> None:
    """The rates for each LUT4: this unit's of the reports, the others' of docs/performance.md."""
    ours = [
        summary(report(case))["elements_per_second_per_lut4"] / 1e3
        for case in CASES
        if case.device == "ecp5-85" and not case.plain and case.dsp
    ]
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    rows = page.partition("| unit |")[2].partition("\n\n")[0].splitlines()[2:]
    others = [row.split(" | ")[6] for row in rows]
    most = max(float(cell) for cell in others if re.fullmatch(r"[\d.]+", cell))
    assert len(others) == 5
    assert f"between {min(ours):.0f} and {max(ours):.0f} thousand elements" in README
    assert f"most of them reaches {most:.0f} thousand" in README
