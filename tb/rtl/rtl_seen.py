"""What the monitor looks at: all ports of the unit, read at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Seen:
    """The fields of ``seen`` of the harness, as they were when ``look`` was last called."""

    def __init__(self, handle: Any, fields: Sequence[tuple[str, int]]) -> None:
        self._handle = handle
        self._slices: dict[str, slice] = {}
        place = 0
        for name, width in fields:
            self._slices[name] = slice(place, place + width)
            place += width
        self._now = ""

    def look(self) -> None:
        """Reads all fields."""
        self._now = str(self._handle.value)

    def bits(self, name: str) -> str:
        """A field in binary, X and Z where it is undefined."""
        return self._now[self._slices[name]]

    def __getitem__(self, name: str) -> int:
        """A field; ValueError where a bit of it is undefined."""
        return int(self._now[self._slices[name]], 2)
