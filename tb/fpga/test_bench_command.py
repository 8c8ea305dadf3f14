"""The command ``exaq bench``: one configuration measured, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from exaq import SoftmaxConfig
from exaq_fpga.boards.devices import DEVICES
from exaq_fpga.flow.bench import CASES, ROW, measure, still_true, summary, table

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--lanes", "1", "--max-row", "64", "--device", "ice40-up5k", "--seeds", "2,1"]


def run_bench(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exaq_cli.main", "bench", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.simulator
def test_one_configuration_is_measured_printed_and_written(tmp_path: Path) -> None:
    """The same figures as from another process."""
    done = run_bench(*SMALL, "--json", "small.json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "small.json").read_text())
    config = SoftmaxConfig(lanes=1, max_row=64)
    again = measure(config, DEVICES["ice40-up5k"], seeds=(2, 1))
    assert document == json.loads(json.dumps(again))
    assert SoftmaxConfig.from_dict(document["config"]) == config
    assert document["device"] == "ice40-up5k"
    assert list(document["mhz"]["seeds"]) == ["2", "1"]
    assert not document["output_registers_in_block_ram"]
    size = document["size"]
    assert 0 < size["lut4"] <= size["lc"]
    assert 0 < size["ff"] <= size["lc"]
    assert document["cycles"]["64"]["elements_per_cycle"] == 1
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines()[:4])
    assert lines["Device"] == "iCE40 UP5K"
    assert lines["Size"].startswith(f"{size['lc']} lc, ")
    assert lines["Clock"].startswith(f"median {document['mhz']['median']:.1f} MHz, ")


def test_stale_keeps_reports_that_still_hold(tmp_path: Path) -> None:
    """Nothing is measured; the table is drawn anew from what the repository holds."""
    shutil.copytree(ROOT / "reports", tmp_path / "reports")
    text = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    begin, end = "<!-- bench:begin -->\n", "\n<!-- bench:end -->"
    before, _, rest = text.partition(begin)
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs/performance.md"
    page.write_text(before + begin + "old" + end + rest.partition(end)[2])
    done = run_bench("--stale", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Reports        0 of {len(CASES)} in reports\n")
    assert page.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("change", ["verilog", "seeds", "tools"])
def test_a_report_of_something_else_is_stale(change: str) -> None:
    case = CASES[0]
    report = json.loads((ROOT / "reports" / f"{case.name}.json").read_text(encoding="utf-8"))
    seeds = [int(seed) for seed in report["mhz"]["seeds"]]
    assert still_true(report, case, seeds)
    if change == "verilog":
        report["design_sha256"] = "0" * 64
    elif change == "seeds":
        seeds = seeds[:-1]
    else:
        report["versions"]["yosys"] += ".1"
    assert not still_true(report, case, seeds)


def test_table_shows_the_figures_at_the_median() -> None:
    cycles = {
        "128": {"elements_per_cycle": 6.4, "first_in_to_last_out": 62},
        "512": {"elements_per_cycle": 16.0, "first_in_to_last_out": 134},
    }
    report = {
        "config": {"full_rate_row": 512, "max_row": 1024},
        "device": "ecp5-85",
        "output_registers_in_block_ram": False,
        "size": {"lut4": 2000, "ff": 900, "bram": 7, "dsp": 5},
        "mhz": {"median": 150.0, "min": 140.4, "max": 160.6, "seeds": {"1": 140.4, "2": 150.0}},
        "versions": {"yosys": "yosys 1", "nextpnr": "nextpnr 2"},
        "cycles": cycles,
    }
    figures = summary(report)
    assert figures["row"] == ROW
    assert figures["elements_per_second"] == 16 * 150e6
    assert figures["elements_per_second_per_lut4"] == 16 * 150e6 / 2000
    lines = table([("name", report)]).splitlines()
    assert lines[2] == (
        "| name | ECP5 LFE5UM-85F-6, plain `synth_ecp5` | 2000 | 900 | 7 | 5 | **150** (140 to "
        "161) | 6.4 (16 from rows of 512 on) | 62 cycles | 2400 | 1200 |"
    )
    assert lines[-1].startswith("Measured by `exaq bench` with nextpnr 2, yosys 1: ")


def test_table_tells_a_unit_whose_longest_rows_are_too_short_for_its_full_rate() -> None:
    report = json.loads((ROOT / "reports/6bit-x16.ecp5-85.json").read_text(encoding="utf-8"))
    assert report["config"]["full_rate_row"] == 2 * report["config"]["max_row"] == 2048
    assert "| 1 (8 at rows of 1024, the longest) |" in table([("name", report)])
    report["config"]["max_row"] = 2048
    assert "| 1 (8 from rows of 1024 on) |" in table([("name", report)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--device", "ecp6"],
            "Invalid value for '--device': 'ecp6' is not one of 'ecp5-85', 'ice40-hx8k', "
            "'ice40-up5k'.",
        ),
        (
            ["--seeds", "1,one"],
            "Invalid value for '--seeds': '1,one' is no list of different whole numbers, as 1,2,3",
        ),
        (
            ["--seeds", "1,1"],
            "Invalid value for '--seeds': '1,1' is no list of different whole numbers, as 1,2,3",
        ),
        (
            ["--lanes", "4", "--stale"],
            "--stale is about the published configurations, not about one of yours",
        ),
        (
            ["--device", "ice40-hx8k", "--plain"],
            "--plain is for ECP5 devices; on ice40-hx8k there is no other way",
        ),
        (
            ["--lanes", "4", "--json", "notes.md/x.json"],
            "cannot write notes.md/x.json: Not a directory",
        ),
        (["--lanes", "0"], "lanes must be in 1..64, not 0"),
        ([], "cannot read docs/performance.md: No such file or directory"),
        (
            ["--page", "notes.md", "--reports", "."],
            "notes.md has no place for the table: no <!-- bench:begin --> followed by "
            "<!-- bench:end -->",
        ),
        (["--page", "table.md", "--reports", "absent"], "cannot write to absent: no such folder"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "notes.md").write_text("<!-- bench:begin -->\n")
    (tmp_path / "table.md").write_text("<!-- bench:begin -->\n<!-- bench:end -->\n")
    done = run_bench(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"exaq: error: {message}\n"
    assert done.stdout == ""
    assert {path.name for path in tmp_path.iterdir()} == {"notes.md", "table.md"}
