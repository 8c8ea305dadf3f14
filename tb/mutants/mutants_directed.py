"""Scenarios for faults that random rows miss: each is here because a mutant survived without it.

Only mutants that survived everything else meet them, so they may be long. In them every receiver is
ready while the unit is in reset, which those of the other scenarios are not.

    for scenario in directed(config): ...
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from mutants_bench import Bench
from mutants_rows import many_sums
from mutants_scenarios import BURSTS, HEAVY, NEVER, SINGLE, Pauses, Scenario, Segment, Writer

from exaq import SoftmaxConfig
from exaq_hdl.shell.register_map import ADDRESS_BITS, COUNTERS, REGISTERS, Access

_RESETS = 160
# More than 2**18, so that this bit of a counter is 1 and goes round.
_CLOSED = 300_000


def directed(config: SoftmaxConfig) -> list[Scenario]:
    """The scenarios of a unit, the same each time."""
    writer = Writer(config)
    found = [Scenario("resets in traffic", tuple(_resets(writer)))]
    if config.contexts:
        found.append(Scenario("neighbours of registers", (_neighbours(writer),)))
        found.append(Scenario("overlapping accesses", tuple(_overlapping(writer))))
        found.append(Scenario("large counts", (_large_counts(writer),)))
    segment = writer.segment()
    segment.send(writer.known(many_sums(writer)))
    return [*found, Scenario("chosen sums", (segment,))]


class DirectedBench(Bench):
    """A bench whose receivers are ready during reset."""

    def _wrapper(self) -> str:
        """As that of other benches, but for ready of the unit's outputs."""
        return re.sub(r"\((out_ready\[\d+\])\)", r"(\1 | ~aresetn)", super()._wrapper())


def _resets(writer: Writer) -> Iterator[Segment]:
    """A reset of one cycle at any moment of busy traffic, then rows and accesses at rest."""
    config, rng = writer.config, writer.rng
    start = _start(writer) if config.contexts else 0
    for number in range(_RESETS):
        pauses = (NEVER, SINGLE, BURSTS)[number % 3]
        end = start + int(rng.integers(4, 2 * config.beats + 60))
        segment = writer.segment(
            sink=pauses, results=pauses, bus=(NEVER, HEAVY)[number % 2], end=end
        )
        beats = 0
        while beats < end:
            row = writer.rows.over_long(1) if number % 4 == 3 else writer.rows.random()
            beats += segment.send(writer.known([row]))
        if config.contexts:
            _hurry(segment, end // 4)
        yield segment
        after = writer.segment()
        after.send(writer.known(writer.rows.random() for _ in range(2)))
        if config.contexts:
            _read_counters(after)
        yield after


def _hurry(segment: Segment, accesses: int) -> None:
    """Reads and writes that wait for no answer."""
    rng = segment.rng
    for _ in range(accesses):
        register = REGISTERS[str(rng.choice(list(REGISTERS)))]
        segment.read(register.offset)
        segment.sent["ar"][-1].after = {}
        segment.write(register.offset, int(rng.integers(1 << 32)))
        for channel in ("aw", "w"):
            segment.sent[channel][-1].after = {}


def _read_counters(segment: Segment) -> None:
    """Reads STATUS and all counters once nothing moves."""
    rest = segment.done()
    for name in ("STATUS", *(counter.name for counter in COUNTERS)):
        segment.read(REGISTERS[name].offset)
        segment.sent["ar"][-1].after |= rest
        segment.sent["ar"][-1].delay = 20


def _events(writer: Writer, segment: Segment) -> None:
    """Rows of every kind that a counter counts."""
    config, rows = writer.config, writer.rows
    some = [rows.mixed() for _ in range(30)]
    some += [rows.over_long(beyond) for beyond in (1, 2, 3 * config.max_row, 1, 1)]
    some += [rows.row([5], "all-masked", [False]) for _ in range(40)]
    segment.send(writer.known(some))
    _read_counters(segment)


def _neighbours(writer: Writer) -> Segment:
    """Reads and writes wherever a register's address is wrong in one bit; each counter cleared
    alone.
    """
    segment = writer.segment(sink=Pauses(0.3, closed=_start(writer) + 80))
    _events(writer, segment)
    words = {register.index for register in REGISTERS.values()}
    bits = range(ADDRESS_BITS - 2)
    near = sorted({word ^ 1 << bit for word in words for bit in bits} - words)
    for number, word in enumerate(near):
        segment.read(4 * word)
        segment.write(4 * word, int(writer.rng.integers(1 << 32)))
        if number % 8 == 7:
            _read_counters(segment)
    for counter in COUNTERS:
        segment.write(counter.offset, 0)
        _read_counters(segment)
        _events(writer, segment)
    return segment


def _overlapping(writer: Writer) -> Iterator[Segment]:
    """Accesses one behind the other, whether or not those before are answered."""
    writable = [each.offset for each in REGISTERS.values() if each.access is Access.COUNTER]
    for pauses in (NEVER, SINGLE, HEAVY, BURSTS):
        segment = writer.segment(bus=pauses)
        segment.read(REGISTERS["STATUS"].offset, delay=_start(writer))
        for number in range(120):
            segment.write((*writable, 0)[number % 7], number)
            segment.read(REGISTERS["MAX_ROW" if number % 2 else "CODES"].offset)
        for channel in ("aw", "w", "ar"):
            for _, sent in pairwise(segment.sent[channel]):
                sent.after = {}
        yield segment


def _large_counts(writer: Writer) -> Segment:
    """Stalls of many cycles, counted."""
    segment = writer.segment(sink=Pauses(closed=_CLOSED))
    segment.send(writer.known(writer.rows.random() for _ in range(60)))
    _read_counters(segment)
    return segment


def _start(writer: Writer) -> int:
    """Cycles in which a unit with contexts has taken its first tables."""
    return (writer.config.contexts + 1) * writer.config.kernel.most_load_cycles
