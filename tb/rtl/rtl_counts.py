"""What the unit's counters must read."""

from __future__ import annotations

from dataclasses import dataclass

from exaq_hdl.shell.register_map import COUNTERS

#: Within so many cycles the unit counts what shows at its ports.
SOON = 2
#: A counter reads as it was at most so many cycles before its address was taken.
STALE = 8


@dataclass
class Event:
    """Something that is counted in a cycle from ``first`` to ``last``, None if that is open."""

    first: int
    last: int | None


class Counts:
    """When the monitor saw each counter's events, and when each counter was cleared."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Nothing has happened."""
        self._events: dict[str, list[Event]] = {each.name: [] for each in COUNTERS}
        self._cleared: dict[str, int] = {each.name: 0 for each in COUNTERS}

    def add(self, name: str, cycle: int) -> None:
        """An event that shows in this cycle."""
        self._events[name].append(Event(cycle, cycle + SOON))

    def begin(self, name: str, cycle: int) -> Event:
        """An event that is counted from this cycle on, once; set ``last`` when it must be."""
        self._events[name].append(Event(cycle, None))
        return self._events[name][-1]

    def clear(self, name: str, cycle: int) -> None:
        """The counter is cleared in this cycle, in which an event counts."""
        self._cleared[name] = cycle

    def bounds(self, name: str, first: int, last: int) -> tuple[int, int]:
        """Fewest and most that the counter may read in a read from ``first`` to ``last``."""
        cleared = self._cleared[name]
        surely = [
            event
            for event in self._events[name]
            if event.first >= cleared and event.last is not None and event.last < first - STALE
        ]
        maybe = [
            event
            for event in self._events[name]
            if (event.last is None or event.last >= cleared) and event.first <= last
        ]
        return len(surely), len(maybe)
