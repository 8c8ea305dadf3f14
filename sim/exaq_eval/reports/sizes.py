"""Sizes of units, from the reports that ``exaq bench`` keeps: read as data, none computed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

#: Columns of a table of sizes: title, lanes, and the device as the names of reports have it.
COLUMNS = (
    ("ECP5, 4 lanes", 4, "ecp5-85"),
    ("ECP5, 16 lanes", 16, "ecp5-85"),
    ("iCE40, 4 lanes", 4, "ice40-hx8k"),
)
#: Elements of the rows whose latency is measured.
LATENCY_ROW = 128


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


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a report says of a unit.

    Members
    -------
    lut4, registers, memories, multipliers
        What the unit takes.
    mhz
        The median clock.
    latency
        Cycles from the first element of a row of ``LATENCY_ROW`` in to its last probability out.
    elements_per_second
        Of rows that reach the full rate, or of the longest ones, at that clock.
    """

    lut4: int
    registers: int
    memories: int
    multipliers: int
    mhz: float
    latency: int
    elements_per_second: float

    @property
    def elements_per_second_per_lut4(self) -> float:
        """The same for each LUT4."""
        return self.elements_per_second / self.lut4


def measured(folder: Path, preset: str, device: str) -> Measured | None:
    """The figures of a preset on a device.

    None where ``folder`` holds no report of the unit; ValueError where a file is no report.
    """
    path = folder / f"{preset}.{device}.json"
    if not path.is_file():
        return None
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        size, cycles, mhz = report["size"], report["cycles"], report["mhz"]["median"]
        longest = cycles[max(cycles, key=int)]
        return Measured(
            lut4=size["lut4"],
            registers=size["ff"],
            memories=size["bram"],
            multipliers=size["dsp"],
            mhz=mhz,
            latency=cycles[str(LATENCY_ROW)]["first_in_to_last_out"],
            elements_per_second=mhz * 1e6 * longest["elements_per_cycle"],
        )
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is no report of a unit") from None
