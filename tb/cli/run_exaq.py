"""Runs the command line as a user does, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_SECONDS = 120


def python() -> list[str]:
    """The command of Python with the tests' own filters of warnings."""
    return [sys.executable, *(f"-W{each}" for each in os.environ["EXAQ_WARNINGS"].split())]


def run_exaq(
    *args: str, folder: Path, seconds: float = _SECONDS
) -> subprocess.CompletedProcess[str]:
    """``exaq ARGS`` in ``folder``."""
    return subprocess.run(
        [*python(), "-m", "exaq_cli.main", *args],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def refusal(*args: str, folder: Path) -> str:
    """The message with which ``exaq ARGS`` refuses: one line, exit code 2, no file touched."""
    before = _contents(folder)
    done = run_exaq(*args, folder=folder)
    assert _contents(folder) == before
    assert done.stdout == ""
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("exaq: error: ")
    assert done.stderr.endswith("\n")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("exaq: error: ").rstrip("\n")


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
