"""The values of a netlist's nets in each cycle, from the waves of its simulation.

The simulation has no delays: a net has one value from a clock's edge to the next, so that glitches
are not seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Nets whose values are filled at a time.
_ROWS = 512


@dataclass(frozen=True)
class Waves:
    """Values of nets.

    Members
    -------
    places : row of each net
    low : (nets, cycles) bool, the values before the clock's rising edge
    high : (nets, cycles) bool, the values behind it: of clocks, whether they rose
    """

    places: Mapping[int, int]
    low: NDArray[np.bool_]
    high: NDArray[np.bool_]

    @property
    def cycles(self) -> int:
        """Cycles in it."""
        return self.low.shape[1]

    def before(self, net: object) -> NDArray[np.bool_]:
        """(cycles,), the values of a net, or of a constant, before each rising edge."""
        return self.low[self.places[net]] if isinstance(net, int) else self._constant(net)

    def rose(self, net: object) -> NDArray[np.bool_]:
        """(cycles,), whether a clock's net rose at each rising edge of the clock."""
        return self.high[self.places[net]] if isinstance(net, int) else self._constant("0")

    def part(self, begin: int, end: int) -> Waves:
        """The cycles from ``begin`` to before ``end``."""
        return Waves(self.places, self.low[:, begin:end], self.high[:, begin:end])

    def _constant(self, value: object) -> NDArray[np.bool_]:
        return np.full(self.cycles, value == "1")


def read_waves(path: Path, nets: Iterable[int]) -> Waves:
    """The nets of a VCD as ``exaq_cosim`` writes it of ``Netlist.verilog``.

    The file has two times a cycle: with the clock low, everything settled; and behind its edge.
    """
    places = {net: row for row, net in enumerate(nets)}
    ids: dict[bytes, list[int]] = defaultdict(list)
    rows: list[int] = []
    times: list[int] = []
    values: list[int] = []
    time = -1
    for line in _lines(path):
        first = line[:1]
        if first == b"#":
            time += 1
        elif first in (b"0", b"1"):
            for row in ids.get(line[1:], ()):
                rows.append(row)
                times.append(time)
                values.append(first == b"1")
        elif line.startswith(b"$var"):
            _, _, width, code, name, *_ = line.split()
            if width == b"1" and name[:1] == b"n" and name[1:].isdigit():
                net = int(name[1:])
                if net in places and places[net] not in ids[code]:
                    ids[code].append(places[net])
    steps = time + 1
    states = np.full((len(places), steps), -1, np.int8)
    # The first values stand before the first time in some files.
    states[rows, np.maximum(times, 0)] = values
    for begin in range(0, len(states), _ROWS):
        _fill(states[begin : begin + _ROWS])
    whole = states[:, : steps // 2 * 2] > 0
    return Waves(places, whole[:, 0::2], whole[:, 1::2])


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            yield line.strip()


def _fill(states: NDArray[np.int8]) -> None:
    """Each -1 becomes the value before it."""
    known = np.where(states >= 0, np.arange(states.shape[1], dtype=np.int32), 0)
    np.maximum.accumulate(known, axis=1, out=known)
    states[:] = np.take_along_axis(states, known, axis=1)
