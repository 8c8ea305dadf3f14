"""``exaq program``: what it refuses, and that the programmer runs."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from run_exaq import python, refusal

from exaq_fpga.boards import BOARDS


def leave_build(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "exaq_icesugar.bin").write_bytes(b"bits")
    report = {"bitstream_sha256": hashlib.sha256(b"bits").hexdigest()}
    (folder / "report.json").write_text(json.dumps(report))


def test_without_a_build(tmp_path: Path) -> None:
    message = (
        "there is no bitstream for icesugar in build/icesugar; make it with: exaq build icesugar"
    )
    assert refusal("program", "icesugar", folder=tmp_path) == message
    message = "there is no bitstream for icesugar in x; make it with: exaq build icesugar"
    assert refusal("program", "icesugar", "-o", "x", folder=tmp_path) == message


def test_unknown_board(tmp_path: Path) -> None:
    message = f"Invalid value for 'BOARD': 'x' is not one of {', '.join(map(repr, BOARDS))}."
    assert refusal("program", "x", folder=tmp_path) == message


def test_without_the_programmer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_build(tmp_path / "build/icesugar")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refusal("program", "icesugar", folder=tmp_path) == (
        "iCESugar is programmed by icesprog, which is not installed; get it with: "
        "https://github.com/wuxx/icesugar (folder tools)"
    )


def test_programmer_runs_and_the_next_step_is_told(tmp_path: Path) -> None:
    leave_build(tmp_path / "build/icesugar")
    tool = tmp_path / "icesprog"
    tool.write_text("#!/bin/sh\necho wrote $(cat $1)\n")
    tool.chmod(0o755)
    done = subprocess.run(
        [*python(), "-m", "exaq_cli.main", "program", "icesugar"],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "wrote bits",
        "Programmed     iCESugar",
        "Serial port    USB, the serial port of the iCELink",
        "Next           exaq stream LOGITS.npy --port PORT -o PROBS.npy",
    ]
