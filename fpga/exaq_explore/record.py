"""What was measured, kept in a file, so that nothing is measured twice.

A measurement is known by its function and arguments, and by the code and the tools that make it:
with other code or tools it is made anew.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exaq.code_state import code_hash
from exaq.whole_files import whole_file

_FORMAT, _VERSION = "exaq-measurements", 1


class RecordError(ValueError):
    """A file holds no measurements; the message is one line that names it."""


class Record:
    """Measurements by their keys.

    Parameters
    ----------
    path
        A file of JSON; it is written whole after each measurement. None: memory alone.

    Raises
    ------
    RecordError
        The file is there and holds something else.
    OSError
        It cannot be read.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._found: dict[str, dict[str, Any]] = {}
        if path is not None and path.exists():
            try:
                document = json.loads(path.read_text(encoding="utf-8"))
                if document["format"] != _FORMAT or document["version"] != _VERSION:
                    raise ValueError
                self._found = dict(document["measurements"])
            except (ValueError, KeyError, TypeError) as error:
                raise RecordError(f"{path} holds no measurements of exaq explore") from error

    def __len__(self) -> int:
        return len(self._found)

    def get(self, key: str) -> Any:
        """What was measured; None: nothing yet."""
        found = self._found.get(key)
        return None if found is None else found["value"]

    def put(self, key: str, what: Sequence[Any], value: Any) -> None:
        """Keep ``value``, which ``what`` describes to people."""
        self._found[key] = {"what": list(what), "value": value}
        if self._path is None:
            return
        document = {"format": _FORMAT, "version": _VERSION, "measurements": self._found}
        with whole_file(self._path) as temporary:
            temporary.write_text(json.dumps(document, allow_nan=False) + "\n", encoding="utf-8")


def state_of(packages: Sequence[str], wheels: Sequence[str]) -> dict[str, str]:
    """What there is of both here: hashes of the code of ``packages``, versions of ``wheels``."""
    return {each: code_hash(each) for each in packages} | {each: _version(each) for each in wheels}


def key_of(what: Sequence[Any], state: Mapping[str, str]) -> str:
    """Key of a measurement: what it is of, and the code and the versions that make it."""
    text = json.dumps([list(what), state], sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def _version(wheel: str) -> str:
    try:
        return importlib.metadata.version(wheel)
    except importlib.metadata.PackageNotFoundError:
        return "none"
