"""Which code there is, so that what other code has made can be told from what this one makes."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from pathlib import Path


@functools.cache
def code_hash(package: str) -> str:
    """Hash of the Python files of a package, names and contents.

    Raises
    ------
    ModuleNotFoundError
        There is no such package.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    digest = hashlib.sha256()
    for folder in map(Path, found.submodule_search_locations):
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
