"""A built bitstream into its board, by the platform's own programmer."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from exaq.tool import ToolError, how_it_ended
from exaq_fpga.boards import BoardLink, BoardSpec, UdpLink
from exaq_fpga.flow.bitstreams.build import FAILED, bitstream_name
from exaq_fpga.flow.bitstreams.prepared import TOP


class NoBuildError(Exception):
    """There is no bitstream to write: none was built, the build failed, or it was changed."""


def find_bitstream(spec: BoardSpec, folder: Path) -> Path:
    """The bitstream that the last build for ``spec`` left in ``folder``.

    Raises
    ------
    NoBuildError
        There is none, or it is not the one that the report beside it tells of.
    """
    failed = folder / FAILED
    if failed.exists():
        why = failed.read_text(encoding="utf-8").strip()
        raise NoBuildError(f"the last build in {folder} failed: {why}")
    cure = f"make it with: exaq build {spec.name}"
    path = folder / bitstream_name(spec.name, spec.suffix)
    try:
        report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise NoBuildError(f"there is no bitstream for {spec.name} in {folder}; {cure}") from error
    except ValueError as error:
        raise NoBuildError(f"{folder / 'report.json'} is damaged; {cure}") from error
    if report.get("bitstream_sha256") != hashlib.sha256(content).hexdigest():
        raise NoBuildError(f"{path} is not the bitstream that report.json tells of; {cure}")
    return path


def find_programmer(spec: BoardSpec) -> str:
    """The command that writes bitstreams into ``spec``'s board.

    Raises
    ------
    exaq_cosim.ToolError
        It is not installed; the message says where to get it.
    """
    programmer = spec.programmer
    asked = os.environ.get(programmer.variable, "") if programmer.variable else ""
    command = asked or programmer.tool
    if shutil.which(command) is not None:
        return command
    named = f" (from {programmer.variable})" if asked else ""
    raise ToolError(
        f"{spec.title} is programmed by {command}{named}, which is not installed; "
        f"get it with: {programmer.source}"
    )


def program(spec: BoardSpec, folder: Path) -> BoardLink:
    """Write the bitstream in ``folder`` into the board; the programmer talks to the terminal.

    Returns the link that the bitstream has.

    Raises
    ------
    NoBuildError
        See ``find_bitstream``.
    exaq_cosim.ToolError
        The programmer is missing or fails.
    """
    bitstream = find_bitstream(spec, folder)
    command = find_programmer(spec)
    from amaranth.build.run import LocalBuildProducts

    # The platform looks for the name that its own build would have given.
    shutil.copyfile(bitstream, folder / (TOP + spec.suffix))
    try:
        spec.new_platform().toolchain_program(LocalBuildProducts(folder), TOP)
    except subprocess.CalledProcessError as error:
        raise ToolError(
            f"{command} {how_it_ended(error.returncode)}: is the board connected, and may you use "
            "it?"
        ) from error
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    if spec.ethernet is not None and "address" in report:
        return UdpLink(phy=spec.ethernet, address=IPv4Address(report["address"]))
    return spec.link
