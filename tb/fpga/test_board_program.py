"""Programming: the right tool gets the right file, and nothing but the last good build."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from exaq_cosim import ToolError
from exaq_fpga.boards import BOARDS, BoardSpec
from exaq_fpga.flow.bitstreams.program import NoBuildError, find_bitstream, find_programmer, program

CONTENT = b"bitstream of a board"
every_board = pytest.mark.parametrize("spec", BOARDS.values(), ids=BOARDS)

# What each board's programmer is called with, the file apart.
ARGUMENTS = {
    "icebreaker": [],
    "ice40-hx8k-evn": ["-S"],
    "icesugar": [],
    "ulx3s-12f": ["-b", "ulx3s", "-m"],
    "ulx3s-25f": ["-b", "ulx3s", "-m"],
    "ulx3s-45f": ["-b", "ulx3s", "-m"],
    "ulx3s-85f": ["-b", "ulx3s", "-m"],
    "ecpix5-85": ["-c", "ft2232", "-m"],
    "orangecrab-25f": ["-a 0", "-D"],
    "orangecrab-85f": ["-a 0", "-D"],
    "colorlight-5a75b": ["-c", "ft232", "-m"],
    "tang-nano-9k": ["-b", "tangnano9k"],
}


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder of programs, still empty."""
    for spec in BOARDS.values():
        if spec.programmer.variable:
            monkeypatch.delenv(spec.programmer.variable, raising=False)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(folder: Path, name: str, code: int = 0) -> Path:
    """A programmer that writes down what it is called with, and the file's content."""
    record = folder / "record.json"
    path = folder / name
    path.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        f"words = [*sys.argv[1:-1], open(sys.argv[-1]).read()]\n"
        f"json.dump(words, open({str(record)!r}, 'w'))\nsys.exit({code})\n"
    )
    path.chmod(0o755)
    return record


def leave_build(spec: BoardSpec, folder: Path) -> Path:
    """What a good build leaves, as far as programming cares."""
    folder.mkdir(exist_ok=True)
    path = folder / f"exaq_{spec.name}{spec.suffix}"
    path.write_bytes(CONTENT)
    report = {"bitstream_sha256": hashlib.sha256(CONTENT).hexdigest()}
    (folder / "report.json").write_text(json.dumps(report))
    return path


@every_board
def test_programmer_gets_the_bitstream(spec: BoardSpec, machine: Path, tmp_path: Path) -> None:
    leave_build(spec, tmp_path / "build")
    record = install(machine, spec.programmer.tool)
    program(spec, tmp_path / "build")
    assert json.loads(record.read_text()) == [*ARGUMENTS[spec.name], CONTENT.decode()]


@every_board
def test_a_missing_programmer_is_named_with_its_source(spec: BoardSpec, tmp_path: Path) -> None:
    leave_build(spec, tmp_path / "build")
    with pytest.raises(ToolError) as raised:
        program(spec, tmp_path / "build")
    assert str(raised.value) == (
        f"{spec.title} is programmed by {spec.programmer.tool}, which is not installed; "
        f"get it with: {spec.programmer.source}"
    )


@pytest.mark.parametrize(
    "spec",
    [spec for spec in BOARDS.values() if spec.programmer.variable],
    ids=lambda spec: spec.name,
)
def test_environment_may_name_the_programmer(
    spec: BoardSpec, machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the variable that the platform itself reads."""
    assert spec.programmer.variable
    leave_build(spec, tmp_path / "build")
    monkeypatch.setenv(spec.programmer.variable, "my-programmer")
    with pytest.raises(ToolError, match=rf"my-programmer \(from {spec.programmer.variable}\), "):
        find_programmer(spec)
    record = install(machine, "my-programmer")
    program(spec, tmp_path / "build")
    assert json.loads(record.read_text())[-1] == CONTENT.decode()


def test_failure_of_the_programmer_is_told(machine: Path, tmp_path: Path) -> None:
    spec = BOARDS["icebreaker"]
    leave_build(spec, tmp_path / "build")
    install(machine, "iceprog", code=3)
    message = r"^iceprog failed with exit code 3: is the board connected, and may you use it\?$"
    with pytest.raises(ToolError, match=message):
        program(spec, tmp_path / "build")


def test_without_a_build_the_command_for_one_is_told(tmp_path: Path) -> None:
    message = f"there is no bitstream for icesugar in {tmp_path}; make it with: exaq build icesugar"
    with pytest.raises(NoBuildError) as raised:
        find_bitstream(BOARDS["icesugar"], tmp_path)
    assert str(raised.value) == message


def test_after_a_failed_build_its_reason_is_told(tmp_path: Path) -> None:
    spec = BOARDS["icesugar"]
    leave_build(spec, tmp_path)
    (tmp_path / "failed.txt").write_text("timing closes for 3 MHz\n")
    with pytest.raises(NoBuildError) as raised:
        find_bitstream(spec, tmp_path)
    assert str(raised.value) == f"the last build in {tmp_path} failed: timing closes for 3 MHz"


@pytest.mark.parametrize("damage", ["bitstream", "report", "other board"])
def test_only_the_bitstream_of_the_report_is_written(tmp_path: Path, damage: str) -> None:
    spec = BOARDS["icesugar"]
    path = leave_build(spec, tmp_path)
    assert find_bitstream(spec, tmp_path) == path
    if damage == "bitstream":
        path.write_bytes(CONTENT[:-1])
        reason = f"{path} is not the bitstream that report.json tells of"
    elif damage == "report":
        (tmp_path / "report.json").write_text('{"bitstream')
        reason = f"{tmp_path / 'report.json'} is damaged"
    else:
        path.rename(tmp_path / "exaq_icebreaker.bin")
        reason = f"there is no bitstream for icesugar in {tmp_path}"
    with pytest.raises(NoBuildError) as raised:
        find_bitstream(spec, tmp_path)
    assert str(raised.value) == f"{reason}; make it with: exaq build icesugar"
