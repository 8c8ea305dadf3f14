"""Builds that tests share: made once for the same input and tools, and kept in build/tests."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from exaq_fpga.flow import tools
from exaq_fpga.flow.bitstreams.build import build
from exaq_fpga.flow.bitstreams.prepared import Prepared

KEPT = Path(__file__).parents[2] / "build" / "tests"


def cached_build(prepared: Prepared) -> Path:
    """Folder of ``exaq_fpga.flow.bitstreams.build.build``; nobody may change what is in it."""
    names = [command[0] for command in prepared.commands]
    return _kept(prepared, "built", names, lambda folder: build(prepared, folder))


def cached_synthesis(prepared: Prepared) -> Path:
    """Folder with the netlist alone, without place and route; as ``cached_build``."""

    def synthesise(folder: Path) -> None:
        folder.mkdir()
        for name, text in prepared.files.items():
            (folder / name).write_text(text)
        tool, *arguments = prepared.commands[0]
        tools.run_command(tool, tools.find(tool), arguments, folder)

    return _kept(prepared, "synthesised", ["yosys"], synthesise)


def _kept(prepared: Prepared, kind: str, names: list[str], make: Callable[[Path], object]) -> Path:
    versions = [tools.find(name).version for name in names if name != "dfu-suffix"]
    # The fingerprint is the same in every release; what the board tells of itself is not.
    told = [prepared.fingerprint, prepared.identity.version, versions]
    key = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
    folder = KEPT / f"{kind}-{prepared.spec.name}-{key}"
    KEPT.mkdir(parents=True, exist_ok=True)
    # Of several processes that want it at once, one makes it.
    with (KEPT / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            work = folder.with_suffix(".new")
            shutil.rmtree(work, ignore_errors=True)
            make(work)
            work.rename(folder)
    return folder
