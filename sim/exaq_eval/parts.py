"""What an evaluation has finished, kept in files, so that one that was cut short goes on there.

A setting has three parts: its tables, the task's output of the texts that have run, and sums over
the attention of the texts that have been compared. They are known by all that they depend on: the
model and its texts, the setting, the format, versions, code and threads. With anything else they
are made anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from exaq import TableFile
from exaq.code_state import code_hash
from exaq.whole_files import whole_file
from exaq_eval.settings import LogitFormat, Setting

# Packages whose code makes figures.
_CODE = ("exaq", "exaq_eval")
_SUFFIXES = (".tables.json", ".output.npy", ".attention.json")


@dataclass(frozen=True)
class Part:
    """The files of one setting; where there is no folder, nothing is kept and nothing found.

    What a file holds is a whole state: it is replaced, never added to.
    """

    folder: Path | None
    key: str

    def tables(self) -> TableFile | None:
        """The setting's tables."""
        path = self._path(".tables.json")
        if path is not None and path.is_file():
            with suppress(OSError, ValueError):
                return TableFile.load(path)
        return None

    def keep_tables(self, tables: TableFile) -> None:
        """Keep them."""
        self._write(".tables.json", tables.to_json().encode())

    def output(self) -> NDArray[np.float64] | None:
        """The task's output of the first texts, a row each."""
        path = self._path(".output.npy")
        if path is not None and path.is_file():
            with suppress(OSError, ValueError, EOFError):
                rows: NDArray[np.float64] = np.load(path, allow_pickle=False)
                return rows
        return None

    def keep_output(self, rows: NDArray[np.float64]) -> None:
        """Keep it."""
        path = self._path(".output.npy")
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as temporary, temporary.open("wb") as file:
                np.save(file, rows, allow_pickle=False)

    def attention(self) -> dict[str, Any]:
        """Plain values that describe the attention compared so far; empty: none is."""
        path = self._path(".attention.json")
        if path is not None and path.is_file():
            with suppress(OSError, ValueError):
                found = json.loads(path.read_text(encoding="utf-8"))
                return found if isinstance(found, dict) else {}
        return {}

    def keep_attention(self, state: Mapping[str, Any]) -> None:
        """Keep it."""
        self._write(".attention.json", json.dumps(state).encode())

    def remove(self) -> None:
        """Remove all three."""
        for suffix in _SUFFIXES:
            path = self._path(suffix)
            if path is not None:
                path.unlink(missing_ok=True)

    def _path(self, suffix: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{self.key}{suffix}"

    def _write(self, suffix: str, contents: bytes) -> None:
        path = self._path(suffix)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as temporary:
                temporary.write_bytes(contents)


#: Keeps nothing.
NOWHERE = Part(None, "")


class Parts:
    """The parts of the settings of one evaluation.

    Parameters
    ----------
    folder
        Where they are; made when the first one is kept. None: nowhere.
    state
        What all settings depend on: identity of the task, versions.
    logit_format
        The same, of the format.
    given
        Tables of the settings whose tables are from files, by name.
    """

    def __init__(
        self,
        folder: Path | None,
        state: Mapping[str, str],
        logit_format: LogitFormat,
        given: Mapping[str, TableFile],
    ) -> None:
        self._folder, self._given = folder, given
        self._common = {
            "state": dict(state),
            "format": {
                each.name: str(getattr(logit_format, each.name))
                for each in dataclasses.fields(logit_format)
            },
            "code": {package: code_hash(package) for package in _CODE},
            # The last digits of a sum depend on how many make it.
            "threads": torch.get_num_threads(),
        }

    def of(self, setting: Setting) -> Part:
        """The parts of a setting."""
        tables = self._given.get(setting.name)
        text = json.dumps(
            [self._common, setting.to_dict(), None if tables is None else tables.to_json()],
            sort_keys=True,
        )
        return Part(self._folder, hashlib.sha256(text.encode()).hexdigest()[:32])

    def remove(self, settings: list[Setting]) -> None:
        """Remove those of ``settings``, and the folder where nothing else is in it."""
        for setting in settings:
            self.of(setting).remove()
        if self._folder is not None:
            with suppress(OSError):
                self._folder.rmdir()
