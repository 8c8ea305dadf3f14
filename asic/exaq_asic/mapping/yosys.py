"""Yosys as pyosys brings it: a script run in a process of its own."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from exaq.tool import run_tool

#: Longest run, in seconds.
SECONDS = 1800
_LOG = "yosys.log"
# What Yosys says goes to a file: run_tool would take signals' names for errors.
_PROGRAM = """
import os, sys
os.dup2(os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
from pyosys import libyosys
libyosys.run_pass("script " + sys.argv[1], libyosys.Design())
"""


def run_yosys(script: str, folder: Path) -> str:
    """What Yosys says to a script.

    Parameters
    ----------
    script
        Name of the script's file.
    folder
        Where it is, and the working folder.

    Raises
    ------
    ToolError
        Yosys fails or takes longer than ``SECONDS``.
    ModuleNotFoundError
        pyosys is not installed.
    """
    # For its absence, which the process below would tell of in other words.
    if find_spec("pyosys") is None:
        raise ModuleNotFoundError("No module named 'pyosys'", name="pyosys")
    log = folder / _LOG
    command = [sys.executable, "-c", _PROGRAM, script, _LOG]
    # Yosys keeps what it makes of a library in a folder for temporary files: here it goes with it.
    environment = os.environ | {"TMPDIR": str(folder)}
    run_tool("Yosys", command, seconds=SECONDS, folder=folder, environment=environment)
    return log.read_text(encoding="utf-8", errors="replace")


def yosys_version() -> str:
    """As reports have it."""
    return f"pyosys {version('pyosys')}"
