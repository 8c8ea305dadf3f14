"""Real builds of boards, made once for all tests that look at them."""

from __future__ import annotations

import fcntl
import hashlib
import json
from functools import cache
from pathlib import Path

from exaq_fpga import tools
from exaq_fpga.boards import BOARDS
from exaq_fpga.build import build
from exaq_fpga.prepared import Prepared, prepare

_FOLDER = Path(__file__).resolve().parents[2] / "build" / "tests" / "boards"


@cache
def prepared(name: str) -> Prepared:
    """The default design of board ``name``."""
    return prepare(BOARDS[name])


def built(name: str) -> tuple[Prepared, Path]:
    """The default design of board ``name``, and the folder of its build.

    The folder is shared by all processes and runs: only read it. It is named by all that the
    build depends on.
    """
    design = prepared(name)
    versions = [tools.find(command[0]).version for command in design.commands]
    key = hashlib.sha256(json.dumps([design.fingerprint, versions]).encode()).hexdigest()[:16]
    folder = _FOLDER / f"{name}-{key}"
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with (_FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "report.json").exists():
            build(design, folder)
    return design, folder
