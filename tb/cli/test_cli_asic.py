"""``exaq asic``: what it prints, writes and refuses; that wrong gates are its failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from run_exaq import refusal, run_exaq
from tiny_liberty import tiny_liberty, write_tiny

import exaq_asic.flow
from exaq_asic.gates.gate_check import GateMismatchError
from exaq_asic.librelane_files import FILES
from exaq_cli.commands.unit.asic import LIBRELANE_FILES
from exaq_cli.main import main

SETTINGS = {"lanes": 2, "logit-width": 4, "logit-scale": 0.5, "max-row": 16, "group": 1}
SETTINGS |= {"prob-bits": 6, "exp-frac": 6}
SMALL = [word for name, value in SETTINGS.items() for word in (f"--{name}", str(value))]
MACRO = '[[macro]]\nname = "a"\nwords = 8\nbits = 8\nports = 2\num2 = 1000\n'


@pytest.mark.simulator
def test_a_unit_on_two_corners(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    write_tiny(tmp_path, "slow.lib", scale=3.0)
    (tmp_path / "macros.toml").write_text(MACRO, encoding="utf-8")
    given = ["--liberty", "tiny.lib", "--liberty", "slow.lib", "--json", "r.json"]
    given += ["--memory-table", "macros.toml", *SMALL]
    done = run_exaq("asic", *given, folder=tmp_path, seconds=400)
    assert done.returncode == 0, done.stderr
    # One mapping for both.
    assert done.stderr.count("mapping to") == 1
    assert done.stderr.count("slowest path in") == 2
    report = json.loads((tmp_path / "r.json").read_text())
    fast, slow = report["corners"]
    assert [each["library"]["file"] for each in report["corners"]] == ["tiny.lib", "slow.lib"]
    assert fast["area"] == slow["area"]
    assert slow["timing"]["nanoseconds"] > fast["timing"]["nanoseconds"]
    assert fast["gates"]["rows"] > 50
    assert fast["energy"]["loads"]["full rate"]["pj_per_element"] > 0
    bits = sum(each["bits"] for each in fast["memories"])
    listed = [each for each in report["manifest_memories"] if each["place"] == "block"]
    assert bits == sum(each["bits"] for each in listed if each["kind"] == "ram")
    assert all(each["um2"] == 1000 * each["macros"] for each in fast["memories"])
    for words in (
        f"Cell area      {fast['area']['um2']:,.0f} um2",
        f"Memories       {bits:,} bits in {len(fast['memories'])} arrays, not in the cell area; ",
        "Gates          the golden model's bits in ",
        "left out: glitches, the clock's tree, wires beyond the estimate, memories' arrays",
    ):
        assert words in done.stdout


def test_without_simulation_it_says_so(tmp_path: Path) -> None:
    """And a table of macros that comes along is in the layout."""
    write_tiny(tmp_path)
    given = ["--liberty", "tiny.lib", "--no-simulation", "--area", "--librelane", "layout"]
    given += ["--ram", "single-port", "--memory-table", "ihp-sg13g2"]
    done = run_exaq("asic", *given, *SMALL, folder=tmp_path, seconds=400)
    assert done.returncode == 0, done.stderr
    assert "Mapped         for area" in done.stdout
    assert "Gates          not simulated" in done.stdout
    assert "Energy" not in done.stdout
    assert " in 2 arrays, not in the cell area; 0.0" in done.stdout
    written = {str(path.relative_to(tmp_path / "layout")) for path in _files(tmp_path / "layout")}
    assert written == set(FILES) == set(LIBRELANE_FILES)
    (macro,) = json.loads((tmp_path / "layout" / "config.json").read_text())["MACROS"]
    assert f" {macro} macro (" in (tmp_path / "layout" / "src" / "arrays.v").read_text()


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_wrong_gates_are_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny(tmp_path)

    def wrong(*arguments: Any) -> None:
        raise GateMismatchError("gate-level simulation, no stalls: wrong")

    monkeypatch.setattr(exaq_asic.flow, "check_gates", wrong)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["asic", "--liberty", "tiny.lib", "--json", "r.json", *SMALL])
    assert ended.value.code == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "exaq: error: gate-level simulation, no stalls: wrong"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.lib"]


REFUSALS = {
    "": "Missing option '--liberty'.",
    "--liberty none.lib": "cannot read none.lib: No such file or directory",
    "--liberty text": "text is no Liberty file: it does not begin with library (...)",
    "--liberty no_inverter.lib": "no_inverter.lib has no inverter, which the flow needs",
    "--liberty tiny.lib --mhz 0": "mhz must be 1 to 10000, not 0.0",
    "--liberty tiny.lib --array-ns 0": "array_ns must be above 0 and below 1000, not 0.0",
    "--liberty tiny.lib --wire-ff -1": "wire_ff must be at least 0 and below 1000, not -1.0",
    "--liberty tiny.lib --memory-table none": (
        "cannot read none: No such file or directory; tables that come along: ihp-sg13g2"
    ),
    "--liberty tiny.lib --memory-table text": "text must hold entries [[macro]] and nothing else",
    "--liberty tiny.lib --json tiny.lib": "cannot write tiny.lib: the command reads it",
    "--liberty tiny.lib --lanes 6": (
        "max_row must be a multiple of lanes (6), not 1024; 1020 or 1026 would be"
    ),
    "--liberty no_gate.lib --clock-gate --lanes 1": (
        "no_gate.lib has no clock gate without a pin for tests, which clock gating needs"
    ),
}


@pytest.mark.parametrize("line", REFUSALS)
def test_refusals(line: str, tmp_path: Path) -> None:
    write_tiny(tmp_path)
    (tmp_path / "text").touch()
    for cell in ("INV", "GATE"):
        name = {"INV": "no_inverter.lib", "GATE": "no_gate.lib"}[cell]
        (tmp_path / name).write_text(tiny_liberty(without=[cell]), encoding="utf-8")
    given = refusal("asic", *line.split(), folder=tmp_path)
    assert given.replace(f"{tmp_path}/", "") == REFUSALS[line]
