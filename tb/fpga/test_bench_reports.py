"""The published figures are those of today's Verilog and tools, and the README shows them."""

from __future__ import annotations

import json
import statistics
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from exaq import SoftmaxConfig
from exaq_fpga.flow.bench import CASES, Case, table
from exaq_fpga.flow.design_hash import design_hash
from exaq_hdl import emit_verilog

ROOT = Path(__file__).resolve().parents[2]
CURE = "`make bench` measures again"


def report(case: Case) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ROOT / "reports" / f"{case.name}.json").read_text())
    return document


def test_there_is_a_report_of_every_case_and_no_other() -> None:
    reports = {path.name for path in (ROOT / "reports").glob("*.json")}
    assert reports == {f"{case.name}.json" for case in CASES}, CURE


@pytest.mark.parametrize("preset", dict.fromkeys(case.preset for case in CASES))
def test_reports_are_of_the_verilog_that_is_emitted_now(preset: str) -> None:
    config = SoftmaxConfig.preset(preset)
    now = design_hash(emit_verilog(config, top="axi", name="exaq_softmax").verilog)
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


def test_readme_shows_the_reports() -> None:
    text = (ROOT / "README.md").read_text()
    shown = text.partition("<!-- bench:begin -->\n")[2].partition("\n<!-- bench:end -->")[0]
    assert shown == table((case.preset, report(case)) for case in CASES), CURE
