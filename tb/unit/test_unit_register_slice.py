"""A register slice: order, full rate, stalls on both sides, registers on every way."""

import random
from itertools import chain, repeat

import pytest
from unit_bench import Bench, stalls

from exaq_hdl.parts.register_slice import RegisterSlice

pytestmark = pytest.mark.usefixtures("unused_components")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("source", "sink"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_items_pass_in_order(seed: int, source: int, sink: int) -> None:
    unit = RegisterSlice(8)
    items = [random.Random(seed).getrandbits(8) for _ in range(300)]
    bench = Bench(unit)
    feed = bench.feed(unit.i, items, stalls(seed) if source else None)
    drain = bench.drain(unit.o, len(items), stalls(seed + 9) if sink else None)
    bench.run()
    assert drain.items == items
    if not source and not sink:
        assert drain.times == [time + unit.latency for time in feed.times]
        assert feed.times == [*range(feed.times[0], feed.times[0] + len(items))]


def test_two_items_are_held_and_no_third_is_taken() -> None:
    unit = RegisterSlice(4)
    bench = Bench(unit)
    feed = bench.feed(unit.i, [1, 2, 3, 4])
    drain = bench.drain(unit.o, 4, chain(repeat(True, 20), repeat(False)))
    ready = bench.probe(unit.i.ready)
    bench.run()
    assert drain.items == [1, 2, 3, 4]
    assert [time - feed.times[0] for time in feed.times[:2]] == [0, 1]
    assert feed.times[2] > 20
    assert not any(ready.values[feed.times[1] + 1 : 20])
