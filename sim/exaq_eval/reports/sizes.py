"""Sizes of units, from the reports that ``exaq bench`` keeps: read as data, none computed."""

from __future__ import annotations

import json
from pathlib import Path

#: Columns of a table of sizes: title, lanes, and the device as the names of reports have it.
COLUMNS = (
    ("ECP5, 4 lanes", 4, "ecp5-85"),
    ("ECP5, 16 lanes", 16, "ecp5-85"),
    ("iCE40, 4 lanes", 4, "ice40-hx8k"),
)


def lut4(folder: Path, code: str) -> list[int | None]:
    """LUT4 of the units ``code``-xLANES, such as ``2bit-x4``, for each of ``COLUMNS``.

    None where ``folder`` holds no report of the unit; ValueError where a file is no report.
    """
    found: list[int | None] = []
    for _, lanes, device in COLUMNS:
        path = folder / f"{code}-x{lanes}.{device}.json"
        if not path.is_file():
            found.append(None)
            continue
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
            of = report["config"]["lanes"], report["device"]
            size = report["size"]["lut4"]
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path} is no report of a unit") from None
        if of != (lanes, device):
            raise ValueError(f"{path} is of {of[0]} lanes on {of[1]}")
        found.append(int(size))
    return found
