"""Runs the command line as a user does."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from exaq_cli.main import main

_SECONDS = 120
_PROGRESS = re.compile(r".+: [0-9,]+ of [0-9,]+(, .+)?\n")


def python() -> list[str]:
    """The command of Python with the tests' own filters of warnings."""
    return [sys.executable, *(f"-W{each}" for each in os.environ["EXAQ_WARNINGS"].split())]


def run_exaq(
    *args: str, folder: Path, seconds: float = _SECONDS
) -> subprocess.CompletedProcess[str]:
    """``exaq ARGS`` in ``folder``, in a process of its own.

    Its errors come without the lines that say how far long work is, which a slow machine sees.
    """
    done = subprocess.run(
        [*python(), "-m", "exaq_cli.main", *args],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    lines = done.stderr.splitlines(keepends=True)
    done.stderr = "".join(line for line in lines if not _PROGRESS.fullmatch(line))
    return done


def refusal(*args: str, folder: Path) -> str:
    """The message with which ``exaq ARGS`` refuses: one line, exit code 2, no file touched.

    In this process: refusals are many, and starting takes longer than refusing.
    """
    before = _contents(folder)
    out, error = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(error),
        warnings.catch_warnings(),
        pytest.raises(SystemExit) as ended,
    ):
        main(args)
    text = error.getvalue()
    assert _contents(folder) == before
    assert out.getvalue() == ""
    assert ended.value.code == 2, text
    assert text.startswith("exaq: error: ")
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    return text.removeprefix("exaq: error: ").rstrip("\n")


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
