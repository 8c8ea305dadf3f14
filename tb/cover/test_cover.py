"""Coverage of the emitted Verilog: how it is found, and that what is kept of it is of today."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cover_constants import constants, of_netlist
from cover_points import Found, read_points
from cover_report import (
    COVERED,
    CURE,
    MARKS,
    OPEN,
    PAGE,
    Waiver,
    fault,
    missed,
    read_coverage,
    record,
    table,
    toggles_of,
    unexplained,
    waivers,
    write_coverage,
)
from rtl_fingerprint import PARTS
from rtl_records import of_run

RUN = COVERED[0]

# A counter that stops at 5 of 7, a constant that goes through a register and a gate, a ring of
# zeros, a register without a value at power-up, a ROM.
UNIT = """\
module unit(input clk, input i, output o);
  reg [2:0] count = 0;
  always @(posedge clk) if (count != 5) count <= count + {2'b00, i};
  reg stays = 1;
  always @(posedge clk) stays <= i ? 1'b1 : stays;
  wire both = stays & i, never = ~stays;
  reg [1:0] ring = 0;
  always @(posedge clk) ring <= i ? {ring[0], ring[1]} : ring;
  reg late;
  always @(posedge clk) if (i) late <= ~stays;
  reg own;
  always @(posedge clk) own <= ~own;
  reg [3:0] rom [0:3];
  initial begin rom[0] = 1; rom[1] = 5; rom[2] = 9; rom[3] = 1; end
  wire [3:0] word = rom[count[1:0]];
  reg toggles = 0;
  always @(posedge clk) toggles <= ~toggles;
  assign o = both ^ count[0] ^ ring[0] ^ late ^ own ^ word[2] ^ toggles ^ never;
endmodule
"""


def test_constants_are_what_nothing_can_change(tmp_path: Path) -> None:
    file = tmp_path / "unit.v"
    file.write_text(UNIT, encoding="utf-8")
    found = constants(file, "unit")
    shown = {(name, bit) for name, bit in found if not name.startswith("$")}
    # That count stops takes an argument about numbers; what is written with its own noise, none.
    assert shown >= {
        *(("stays", 0), ("never", 0), ("late", 0)),
        *(("ring", 0), ("ring", 1)),
        *(("word", 0), ("word", 1)),
    }
    for name in ("clk", "i", "o", "both", "count", "own", "toggles"):
        assert not {each for each in shown if each[0] == name}, name
    assert not shown & {("word", 2), ("word", 3)}


@pytest.mark.parametrize(
    ("gate", "first", "second", "constant"),
    [
        ("$_AND_", "0", 3, True),
        ("$_AND_", "1", 3, False),
        ("$_OR_", "1", 3, True),
        ("$_OR_", "0", 3, False),
        ("$_XOR_", "1", "1", True),
        ("$_XOR_", "1", 3, False),
        ("$_XNOR_", "0", "1", True),
        ("$_XNOR_", 3, "1", False),
    ],
)
def test_each_gate(gate: str, first: int | str, second: int | str, constant: bool) -> None:
    ports = {"A": [first], "B": [second], "Y": [2]}
    found = of_netlist(
        {
            "netnames": {
                "y": {"bits": [2], "attributes": {}},
                "free": {"bits": [3], "attributes": {}},
            },
            "cells": {"gate": {"type": gate, "connections": ports}},
        }
    )
    assert (("y", 0) in found) == constant
    assert ("free", 0) not in found


def point(kind: str, name: str, count: int, place: str = "harness.unit.core") -> str:
    properties = {"f": "x.v", "l": "7", "page": f"v_{kind}/core", "o": name, "h": place}
    text = "".join(f"\x01{key}\x02{value}" for key, value in properties.items())
    return f"C '{text}' {count}\n"


def test_points_are_read(tmp_path: Path) -> None:
    path = tmp_path / "coverage.dat"
    path.write_text(
        "# SystemC::Coverage-3\n"
        + point("line", "block", 3)
        + point("branch", "if", 0)
        + point("branch", "else", 9)
        + point("toggle", "o___05Fpayload[3]:0->1", 0)
        + point("toggle", "o___05Fpayload[3]:1->0", 2)
        + point("toggle", "words[2][1]:0->1", 0, "harness.unit")
        + point("toggle", "words[2][1]:1->0", 0, "harness.unit")
        + point("toggle", "__0245:0->1", 0)
        # Of the harness.
        + point("toggle", "noise:0->1", 0, "harness"),
        encoding="utf-8",
    )
    found = read_points(path)
    assert found.points == {"line": 1, "branch": 2, "toggle": 5}
    assert found.missed_places == ["branch core:7 if"]
    assert found.missed_bits == {
        ("core.o__payload", 3): ["0->1"],
        ("words[2]", 1): ["0->1", "1->0"],
        ("core.$5", 0): ["0->1"],
    }
    kept = record(found, {("core.$5", 0)})
    assert kept == {
        "points": found.points,
        "hit": {"line": 1, "branch": 1, "toggle": 1},
        "constant": 1,
        "places": ["branch core:7 if"],
        "bits": {"core.o__payload": "3+", "words[2]": "1"},
    }
    left = missed(kept)
    assert left == ["branch core:7 if", "core.o__payload[3]+", "words[2][1]"]
    assert toggles_of(left) == 3


def test_a_waiver_is_for_whole_names() -> None:
    waiver = Waiver("verilator-2bit.*", r"core\.a\[\d\]-", "none")
    assert waiver.covers("verilator-2bit-x4", "core.a[3]-")
    assert not waiver.covers("verilator-3bit", "core.a[3]-")
    assert not waiver.covers("verilator-2bit-x4", "core.a[3]")
    assert not waiver.covers("verilator-2bit-x4", "core.a[3]-x")


def test_reports_are_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / "coverage.json"
    assert read_coverage(path) == {"verilog": {}}
    kept: dict[str, Any] = {"fingerprint": dict.fromkeys(PARTS, "a"), **record(Found(), set())}
    write_coverage({"python": {"x": 1}, "verilog": {"verilator-none": kept, RUN: kept}}, path)
    assert read_coverage(path) == {"python": {"x": 1}, "verilog": {RUN: kept}}
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_fault_says_what_a_record_is_of() -> None:
    now = dict.fromkeys(PARTS, "a")
    assert fault(RUN, None, now) == f"there is no coverage of {RUN}: {CURE}"
    assert fault(RUN, {"fingerprint": now}, now) == ""
    stale = {"fingerprint": now | {"design": "b"}}
    assert fault(RUN, stale, now) == f"the coverage of {RUN} is of another design: {CURE}"


@pytest.mark.parametrize("run", COVERED)
def test_coverage_is_of_today(run: str) -> None:
    if found := fault(run, read_coverage()["verilog"].get(run), of_run(run)):
        pytest.fail(found, pytrace=False)


@pytest.mark.parametrize("run", COVERED)
def test_every_point_is_hit_or_has_a_reason(run: str) -> None:
    kept = read_coverage()["verilog"][run]
    left = unexplained(run, kept)
    assert kept["hit"]["line"] == kept["points"]["line"]
    # So many of a run's toggles, and yet something is left: whoever explains it takes it off OPEN.
    assert kept["hit"]["toggle"] > 0.9 * kept["points"]["toggle"]
    assert bool(left) == (run in OPEN), "python scripts/run_coverage.py --left lists them"


def test_every_waiver_is_needed() -> None:
    all_missed = {run: missed(kept) for run, kept in read_coverage()["verilog"].items()}
    idle = [
        waiver.bits
        for waiver in waivers()
        if not any(waiver.covers(run, each) for run, found in all_missed.items() for each in found)
    ]
    assert idle == []
    assert all(waiver.reason.endswith(".") for waiver in waivers())


def test_page_has_the_table() -> None:
    begin, end = MARKS
    shown = PAGE.read_text(encoding="utf-8").partition(f"{begin}\n")[2].partition(f"\n{end}")[0]
    assert shown == table(read_coverage()), "`make coverage` draws the table"
