"""Builds the project's wheel and source archive, outside the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 300


def tracked() -> list[str]:
    """Files that git holds here, from the root."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=60
    )
    names = [name for name in listing.stdout.decode().split("\0") if name]
    return [name for name in names if (ROOT / name).is_file()]


def copy_sources(folder: Path) -> Path:
    """``folder`` with a copy of the files that git holds, so that no build leaves anything here."""
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def build(kind: str, sources: Path, target: Path) -> Path:
    """The ``wheel`` or ``sdist`` of the project in ``sources``, made in ``target``."""
    done = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import sys; from setuptools import build_meta\n"
            "print(getattr(build_meta, 'build_' + sys.argv[1])(sys.argv[2]))",
            *(kind, str(target)),
        ],
        cwd=sources,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=True,
    )
    return target / done.stdout.splitlines()[-1]
