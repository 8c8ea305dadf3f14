"""Counters in a ring, against lists of the cycles in which something happened."""

import random

import pytest
from unit_bench import Bench

from exaq_hdl.parts.event_counters import EventCounters

CYCLES = 800


def run(count: int, width: int, events: list[int], clears: list[int], selects: list[int]):
    """(found, total) of every cycle."""
    counters = EventCounters(count, width)
    bench = Bench(counters)

    def drive(ctx, cycle: int) -> None:
        ctx.set(counters.events, events[cycle])
        ctx.set(counters.clear, clears[cycle])
        ctx.set(counters.select, selects[cycle])

    bench.every(drive)
    probe = bench.probe(counters.found, counters.total)
    bench.run(cycles=len(events))
    return probe.values


def expected(k: int, now: int, events: list[int], clears: list[int]) -> int:
    """Events of counter ``k`` that show in cycle ``now``, from the latest clear that shows."""
    shown = range(max(now - 2, 0))
    since = max((c for c in shown if clears[c] >> k & 1), default=0)
    return sum(events[c] >> k & 1 for c in shown[since:])


@pytest.mark.parametrize("width", [3, 32])
@pytest.mark.parametrize("count", range(2, 10))
def test_random_events_and_clears(count: int, width: int) -> None:
    """Every value that is found is right, wrapped ones too; a steady choice is found in a round."""
    rng = random.Random(f"{count} {width}")
    events, clears, selects = [], [], []
    rate = chance = 0.0
    for cycle in range(CYCLES):
        if cycle % 100 == 0:
            rate, chance = rng.choice([0.05, 0.5, 1.0]), rng.choice([0.0, 0.01, 0.2])
        if cycle % count == 0:
            chosen = rng.choice([0, *(1 << k for k in range(count))])
        events.append(sum((rng.random() < rate) << k for k in range(count)))
        clears.append(sum((rng.random() < chance) << k for k in range(count)))
        selects.append(chosen)
    rounds = {}
    for cycle, (found, total) in enumerate(run(count, width, events, clears, selects)):
        if found:
            k = selects[cycle].bit_length() - 1
            assert total == expected(k, cycle, events, clears) % 2**width, cycle
        rounds[cycle // count] = rounds.get(cycle // count, 0) + found
    whole = range(CYCLES // count)
    assert [rounds[r] for r in whole] == [int(selects[r * count] != 0) for r in whole]
    # All counters were seen, and wrapped where they are narrow.
    assert set(selects) == {0, *(1 << k for k in range(count))}


@pytest.mark.parametrize("count", [2, 6])
def test_clear_at_every_moment_of_a_round(count: int) -> None:
    """An event in every cycle: what shows counts from the clear's own cycle on."""
    for moment in range(8, 8 + 2 * count):
        clears = [((1 << count) - 1) * (cycle == moment) for cycle in range(60)]
        for k in {0, count - 1}:
            values = run(count, 8, [(1 << count) - 1] * 60, clears, [1 << k] * 60)
            for cycle, (found, total) in enumerate(values):
                if found and cycle >= moment + EventCounters.delay:
                    assert total == cycle - moment - 2
                elif found:
                    assert total == max(cycle - 2, 0)
