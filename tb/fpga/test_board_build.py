"""Builds: what they leave, in what order, and what is refused. One is real; elsewhere the tools are
stood in for by what they would have written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from board_designs import prepared
from cached_build import cached_build

from exaq import SoftmaxConfig
from exaq_cosim import ToolError
from exaq_fpga.boards import BOARDS
from exaq_fpga.flow import tools
from exaq_fpga.flow.bitstreams.build import BuildError, Built, build
from exaq_fpga.flow.bitstreams.prepared import Prepared
from exaq_fpga.flow.bitstreams.timing import judge
from exaq_fpga.flow.tools import Command

CONTENT = bytes(range(256))
PATH_STEPS = [
    ("clk-to-q", 1.5, "a.Q", ""),
    ("routing", 2.25, "b.A", "some_net"),
    ("logic", 0.25, "b.F", ""),
    ("setup", 0.5, "c.D", ""),
]


def nextpnr_report(mhz: float, clock: str = "clk") -> dict[str, Any]:
    """A report as nextpnr writes it."""
    steps = []
    for kind, delay, end, net in PATH_STEPS:
        cell, port = end.split(".")
        step = {"type": kind, "delay": delay, "to": {"cell": cell, "port": port}}
        steps.append(step | {"from": {"cell": "x", "port": "Q"}} | ({"net": net} if net else {}))
    edge = f"posedge {clock}"
    return {
        "fmax": {clock: {"achieved": mhz, "constraint": 24.0}},
        "critical_paths": [
            {"from": "<async>", "to": edge, "path": []},
            {"from": edge, "to": edge, "path": steps},
        ],
        "utilization": {"ICESTORM_LC": {"used": 70, "available": 100}, "X": {"used": 0}},
    }


class FakeTools:
    """Writes what the tools of ``design`` would, and notes which ran."""

    def __init__(self, design: Prepared, mhz: float, cells: dict[str, int]) -> None:
        self.design = design
        self.mhz = mhz
        self.cells = cells
        self.ran: list[str] = []
        self.fails: tuple[str, str] | None = None

    def find(self, tool: str) -> Command:
        return Command((tool,), f"{tool} 9.9", True)

    def run(self, tool: str, command: Command, arguments: list[str], folder: Path) -> None:
        assert command == self.find(tool)
        assert (tool, *arguments) in self.design.commands
        assert all((folder / name).exists() for name in self.design.files)
        self.ran.append(tool)
        if tool == "yosys":
            cells = {
                f"{kind}_{n}": {"type": kind, "connections": {}}
                for kind, count in self.cells.items()
                for n in range(count)
            }
            module = {"cells": cells, "ports": {}, "netnames": {}}
            (folder / self.design.netlist).write_text(json.dumps({"modules": {"top": module}}))
        elif tool.startswith("nextpnr"):
            (folder / "top.asc").write_text("routed")
            (folder / "top.report.json").write_text(json.dumps(nextpnr_report(self.mhz)))
        else:
            (folder / self.design.bitstream).write_bytes(CONTENT)
        if self.fails and self.fails[0] == tool:
            raise ToolError(self.fails[1])


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeTools]:
    def install(
        name: str = "icebreaker", *, mhz: float = 40.0, cells: dict[str, int] | None = None
    ) -> FakeTools:
        double = FakeTools(prepared(name), mhz, {"SB_LUT4": 5} if cells is None else cells)
        monkeypatch.setattr(tools, "find", double.find)
        monkeypatch.setattr(tools, "run_command", double.run)
        return double

    return install


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_real_build_of_the_icebreaker() -> None:
    design = prepared("icebreaker")
    folder = cached_build(design)
    report = json.loads((folder / "report.json").read_text())
    bitstream = folder / "exaq_icebreaker.bin"
    assert report["bitstream"] == bitstream.name
    assert report["bitstream_sha256"] == hashlib.sha256(bitstream.read_bytes()).hexdigest()
    assert report["inputs_sha256"] == design.fingerprint
    assert report["release"] == metadata.version("exaq-softmax")
    assert SoftmaxConfig.from_dict(report["config"]) == design.config
    assert (report["board"], report["clock"], report["divisor"]) == ("icebreaker", 24_000_000, 24)
    assert report["mhz"] >= 24
    assert report["utilization"]["ICESTORM_LC"][1] == BOARDS["icebreaker"].capacity.lut4
    assert report["utilization"]["ICESTORM_RAM"][1] == BOARDS["icebreaker"].capacity.bram
    assert report["utilization"]["ICESTORM_PLL"] == [1, 1]
    last = float(report["critical_path"][-1].split()[0])
    assert 1000 / last == pytest.approx(report["mhz"], rel=0.02)
    # An iCE40 bitstream begins with a comment and then this word.
    assert bytes.fromhex("7eaa997e") in bitstream.read_bytes()[:100]
    assert not (folder / "failed.txt").exists()


def test_good_build_leaves_bitstream_and_report(
    fake: Callable[..., FakeTools], tmp_path: Path
) -> None:
    double = fake()
    told: list[str] = []
    done = build(double.design, tmp_path, step=told.append)
    assert double.ran == ["yosys", "nextpnr-ice40", "icepack"]
    assert told == [
        "synthesis (yosys 9.9)",
        "place and route (nextpnr-ice40 9.9)",
        "bitstream (icepack 9.9)",
    ]
    assert done.bitstream == tmp_path / "exaq_icebreaker.bin"
    assert done.bitstream.read_bytes() == CONTENT
    assert json.loads((tmp_path / "report.json").read_text()) == done.report
    assert done.report["mhz"] == 40.0
    assert done.report["utilization"] == {"ICESTORM_LC": [70, 100]}
    assert done.report["versions"] == {tool: f"{tool} 9.9" for tool in double.ran}
    assert done.report["critical_path"] == [
        "1.50 ns: 1.50 ns clk-to-q to a.Q",
        "3.75 ns: 2.25 ns routing to b.A over some_net",
        "4.00 ns: 0.25 ns logic to b.F",
        "4.50 ns: 0.50 ns setup to c.D",
    ]


@pytest.mark.parametrize(("mhz", "closes"), [(24.0, True), (23.99, False), (0.5, False)])
def test_timing_is_judged_by_the_clock(
    fake: Callable[..., FakeTools], tmp_path: Path, mhz: float, closes: bool
) -> None:
    double = fake(mhz=mhz)
    if closes:
        assert build(double.design, tmp_path).report["mhz"] == mhz
        return
    with pytest.raises(BuildError) as raised:
        build(double.design, tmp_path)
    message = (
        f"timing closes for {mhz:.2f} MHz, not for 24 MHz; "
        "a lower --clock will do, or another --seed may"
    )
    assert str(raised.value) == message
    assert raised.value.details[1] == "3.75 ns: 2.25 ns routing to b.A over some_net"
    assert double.ran == ["yosys", "nextpnr-ice40"]
    assert (tmp_path / "failed.txt").read_text() == message + "\n"
    assert not {"exaq_icebreaker.bin", "top.bin", "top.asc", "report.json"} & names(tmp_path)


def test_the_slowest_clock_counts() -> None:
    both = nextpnr_report(99.0, "fast")
    slow = nextpnr_report(20.0, "slow")
    both["fmax"] |= slow["fmax"]
    both["critical_paths"] += slow["critical_paths"]
    both["critical_paths"][1]["path"] = both["critical_paths"][1]["path"][:1]
    timing = judge(both, 24_000_000)
    assert timing.mhz == 20.0
    assert len(timing.lines) == len(PATH_STEPS)
    assert timing.problem.startswith("timing closes for 20.00 MHz, not for 24 MHz")
    assert not judge(both, 20_000_000).problem


def test_a_design_that_nextpnr_finds_no_clock_in_is_refused(
    fake: Callable[..., FakeTools], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = fake()
    report = nextpnr_report(40.0) | {"fmax": {}}
    monkeypatch.setitem(globals(), "nextpnr_report", lambda mhz: report)
    with pytest.raises(BuildError, match=r"^nextpnr found no clock in the design$"):
        build(double.design, tmp_path)


@pytest.mark.parametrize(
    ("board", "cells", "message"),
    [
        (
            "icebreaker",
            {"SB_RAM40_4K": 20, "SB_RAM40_4KNR": 17},
            "the design does not fit iCE40 UP5K: needs 37 block RAMs, the device has 30",
        ),
        (
            "icebreaker",
            {"SB_LUT4": 5281, "SB_RAM40_4K": 31},
            "the design does not fit iCE40 UP5K: needs 5281 logic cells, the device has 5280; "
            "needs 31 block RAMs, the device has 30",
        ),
        (
            "icebreaker",
            {"SB_LUT4": 1, "SB_DFFESR": 5000, "SB_DFF": 281},
            "the design does not fit iCE40 UP5K: needs 5281 logic cells, the device has 5280",
        ),
        (
            "ulx3s-12f",
            {"LUT4": 12_000, "CCU2C": 49},
            "the design does not fit ECP5 LFE5U-12F: needs 12098 LUTs, the device has 12096",
        ),
        (
            "ulx3s-12f",
            {"DP16KD": 33},
            "the design does not fit ECP5 LFE5U-12F: needs 33 block RAMs, the device has 32",
        ),
        (
            "tang-nano-9k",
            {"SDPB": 20, "pROM": 4, "DPB": 3},
            "the design does not fit Gowin GW1NR-9C: needs 27 block RAMs, the device has 26",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_numbers(
    fake: Callable[..., FakeTools],
    tmp_path: Path,
    board: str,
    cells: dict[str, int],
    message: str,
) -> None:
    double = fake(board, cells=cells)
    with pytest.raises(BuildError) as raised:
        build(double.design, tmp_path)
    assert str(raised.value) == f"{message}; fewer lanes or a shorter max_row need less"
    assert double.ran == ["yosys"]


@pytest.mark.parametrize(
    ("board", "cells"),
    [
        ("icebreaker", {"SB_LUT4": 5280, "SB_CARRY": 5280, "SB_DFF": 5280, "SB_RAM40_4K": 30}),
        ("ulx3s-12f", {"LUT4": 12_000, "CCU2C": 48, "DP16KD": 32}),
        ("tang-nano-9k", {"LUT3": 8000, "ALU": 640, "SDPB": 26}),
    ],
)
def test_what_just_fits_is_tried(
    fake: Callable[..., FakeTools], tmp_path: Path, board: str, cells: dict[str, int]
) -> None:
    double = fake(board, cells=cells, mhz=200.0)
    assert isinstance(build(double.design, tmp_path), Built)


def test_no_place_found_is_told_as_not_fitting(
    fake: Callable[..., FakeTools], tmp_path: Path
) -> None:
    double = fake()
    error = (
        "nextpnr-ice40 failed with exit code 1: ERROR: Unable to place cell 'x', no BELs remaining"
    )
    double.fails = ("nextpnr-ice40", error)
    with pytest.raises(BuildError) as raised:
        build(double.design, tmp_path)
    assert str(raised.value) == (
        f"the design does not fit iCE40 UP5K: {error}; fewer lanes or a shorter max_row need less"
    )


@pytest.mark.parametrize("tool", ["yosys", "nextpnr-ice40", "icepack"])
def test_failure_of_a_tool_leaves_no_bitstream(
    fake: Callable[..., FakeTools], tmp_path: Path, tool: str
) -> None:
    double = fake()
    double.fails = (tool, f"{tool} failed with exit code 1: ERROR: it did")
    with pytest.raises(ToolError, match=rf"^{tool} failed with exit code 1: ERROR: it did$"):
        build(double.design, tmp_path)
    assert double.ran[-1] == tool
    assert not {"exaq_icebreaker.bin", "top.bin", "top.asc", "report.json"} & names(tmp_path)
    assert (
        tmp_path / "failed.txt"
    ).read_text() == f"{tool} failed with exit code 1: ERROR: it did\n"


def test_what_an_earlier_build_left_goes_first(
    fake: Callable[..., FakeTools], tmp_path: Path
) -> None:
    double = fake()
    build(double.design, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    double.fails = ("yosys", "yosys failed")
    with pytest.raises(ToolError):
        build(double.design, tmp_path)
    assert names(tmp_path) == {*double.design.files, "top.json", "failed.txt", "notes.txt"}
    double.fails = None
    assert build(double.design, tmp_path).bitstream.exists()
    assert not (tmp_path / "failed.txt").exists()


def test_orangecrab_gets_the_suffix_that_dfu_util_wants(
    fake: Callable[..., FakeTools], tmp_path: Path
) -> None:
    double = fake("orangecrab-25f", mhz=200.0)
    content = build(double.design, tmp_path).bitstream.read_bytes()
    assert double.ran == ["yosys", "nextpnr-ecp5", "ecppack"]
    assert content[:256] == CONTENT
    # Release any, product, vendor, DFU 1.0, "UFD" backwards as USB has it, its length.
    assert content[256:-4] == bytes.fromhex("ffff f05a 0912 0001 554644 10")
    assert len(content) == 256 + 16
    assert content[-4:] == plain_crc(content[:-4]).to_bytes(4, "little")


def plain_crc(octets: bytes) -> int:
    """CRC-32 bit by bit, without the inversion at the end."""
    crc = 0xFFFFFFFF
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc
