"""Queues: order, the contract of ``room``, latency and throughput, against a list."""

import random
from itertools import chain, cycle, pairwise, repeat

import pytest
from unit_bench import Bench, Pause, stalls
from unit_blocks import CHIP

from exaq_hdl.parts.fifo import FallThroughFifo, Fifo
from exaq_hdl.parts.memory import Memories
from exaq_hdl.parts.single_port_fifo import SinglePortFifo

SLOW = Memories(queue_read_cycles=2)


class Eager(FallThroughFifo):
    """One that gives an item a cycle, whatever waits."""

    def __init__(self, shape, *, capacity: int, slack: int):
        super().__init__(shape, capacity=capacity, slack=slack, lazy=False)


class SlowFifo(Fifo):
    """One in a memory that takes 2 cycles to read."""

    latency = 4

    def __init__(self, shape, *, capacity: int, slack: int):
        super().__init__(shape, capacity=capacity, slack=slack, memories=SLOW)


class SlowFallThrough(FallThroughFifo):
    """One in such a memory, that gives an item a cycle."""

    def __init__(self, shape, *, capacity: int, slack: int):
        super().__init__(shape, capacity=capacity, slack=slack, lazy=False, memories=SLOW)

    @staticmethod
    def detour_in(memories: Memories) -> int:
        return FallThroughFifo.detour_in(SLOW)


class ExactFifo(Fifo):
    """One that has no place too many."""

    def __init__(self, shape, *, capacity: int, slack: int):
        super().__init__(shape, capacity=capacity, slack=slack, memories=CHIP)
        assert self.depth == capacity + slack


class SlowSinglePort(SinglePortFifo):
    """A queue of two items a word in such a memory."""

    latency = 5

    def __init__(self, shape, *, capacity: int, slack: int):
        super().__init__(shape, capacity=capacity, slack=slack, memories=SLOW)


FIFOS = [Fifo, SlowFifo, ExactFifo]
SINGLE = [SinglePortFifo, SlowSinglePort]
FALL_THROUGH = [FallThroughFifo, Eager, SlowFallThrough]
KINDS = [*FIFOS, *FALL_THROUGH, *SINGLE]
# Capacity and slack. Shift registers address up to 511 places, counters more: the border is
# crossed, and counters end at a power of two and elsewhere.
SIZES = [(1, 1), (2, 1), (1, 4), (5, 2), (12, 3), (20, 5), (508, 3), (508, 4), (700, 7)]
WIDTH = 12


class Run:
    """Sends ``items`` random words through a queue.

    The producer looks at ``room`` and sends ``slack - 1`` cycles later, come what may: that is
    the latest that ``slack`` allows, as what is sent is counted a cycle later.
    """

    def __init__(self, kind, size: tuple[int, int], items: int, pause: Pause, sink: Pause):
        capacity, slack = size
        self.fifo = kind(WIDTH, capacity=capacity, slack=slack)
        if kind in SINGLE:
            self.depth = 2 * self.fifo.words
        else:
            self.depth = self.fifo.depth if kind in FIFOS else self.fifo.fifo.depth
        self.sent: list[int] = []
        self.times: list[int] = []
        bench = Bench(self.fifo, limit=9000)
        rng = random.Random(items)
        begun = 0
        way = [False] * (slack - 1)

        def produce(ctx, now: int) -> None:
            nonlocal begun
            starts = not (pause and next(pause)) and begun < items and ctx.get(self.fifo.room)
            begun += bool(starts)
            way.append(bool(starts))
            word = rng.getrandbits(WIDTH)
            sends = way.pop(0)
            ctx.set(self.fifo.i.valid, int(sends))
            ctx.set(self.fifo.i.payload, word)
            if sends:
                self.sent.append(word)
                self.times.append(now)

        bench.every(produce)
        self.drain = bench.drain(self.fifo.o, items, sink)
        room = bench.probe(self.fifo.room)
        empty = bench.probe(self.fifo.empty) if kind in FIFOS else None
        bench.run()
        self.room = room.values
        self.empty = empty.values if empty else []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_full_queue_loses_nothing(kind, size: tuple[int, int]) -> None:
    """Filled as fast as ``room`` allows while nobody takes, then emptied, and over again."""
    depth = Run(kind, size, 1, None, None).depth
    filled = depth + 4 * size[1] + 20
    pattern = [True] * filled + [False] * (depth + 20)
    run = Run(kind, size, 3 * depth, None, chain(pattern, pattern, repeat(False)))
    assert run.drain.items == run.sent
    held = sum(time < filled for time in run.times)
    assert not run.room[filled - 1]
    if kind in FIFOS:
        # Every place of the memory, and the registers behind it.
        assert held == depth + kind.latency - 1
    assert held >= sum(size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_capacity_fits_without_room_going_low(kind, size: tuple[int, int]) -> None:
    capacity, _ = size
    sink = chain([True] * (capacity + 30), repeat(False))
    run = Run(kind, size, capacity, None, sink)
    assert all(run.room)
    assert run.drain.items == run.sent


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rates", [(0.3, 0.6), (0.6, 0.3), (0.5, 0.5)])
def test_random_stalls(kind, size: tuple[int, int], rates: tuple[float, float]) -> None:
    pause, sink = stalls(1, rates[0]), stalls(2, rates[1])
    run = Run(kind, size, 500, pause, sink)
    assert run.drain.items == run.sent


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", FIFOS)
def test_empty_means_that_all_have_left(kind, size: tuple[int, int]) -> None:
    run = Run(kind, size, 300, stalls(3, 0.7), stalls(4, 0.4))
    for now, empty in enumerate(run.empty):
        sent = sum(time < now for time in run.times)
        left = sum(time < now for time in run.drain.times)
        assert empty == (sent == left), now
    assert {0, 1} == set(run.empty)


@pytest.mark.parametrize("size", [(20, 5), (700, 7)])
@pytest.mark.parametrize("kind", [*FIFOS, *FALL_THROUGH])
def test_latency_and_full_throughput(kind, size: tuple[int, int]) -> None:
    """An item of its own, and a stream long enough to go round the addresses twice."""
    lonely = Run(kind, size, 4, cycle([False] + [True] * 9), None)
    delays = [b - a for a, b in zip(lonely.times, lonely.drain.times, strict=True)]
    assert delays == [kind.latency] * 4
    items = 2 * lonely.depth + 10
    run = Run(kind, size, items, None, None)
    assert run.drain.items == run.sent
    first = run.drain.times[0]
    assert first == run.times[0] + kind.latency
    assert run.times == list(range(run.times[0], run.times[0] + items))
    assert run.drain.times == list(range(first, first + items))


def test_latencies() -> None:
    assert (Fifo.latency, FallThroughFifo.latency, SinglePortFifo.latency) == (3, 1, 4)
    for kind in (Fifo, SinglePortFifo):
        assert kind.latency_in(SLOW) == kind.latency_in(Memories()) + 1 == kind.latency + 1


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", FALL_THROUGH)
def test_short_cut_keeps_the_order(kind, seed: int) -> None:
    """Sparse items and short stalls: the queue is empty, or about to be, most of the time."""
    rng = random.Random(seed)
    pause = iter(lambda: rng.random() < 0.6, None)
    sink = iter(lambda: rng.random() < 0.35, None)
    run = Run(kind, (6, 3), 200, pause, sink)
    assert run.drain.items == run.sent


@pytest.mark.parametrize("asleep", [1, 2, 3, 4, 5, 6, 9, 30])
def test_an_eager_queue_gives_an_item_a_cycle_though_others_wait(asleep: int) -> None:
    """After a pause of the sink, for ever; and the detour later than the short cut at most."""
    sink = chain([False] * 20, [True] * asleep, repeat(False))
    run = Run(Eager, (60, 3), 200, None, sink)
    assert run.drain.items == run.sent
    # Where the pause is short the queue runs empty once, and the next item goes the long way.
    gaps = [b - a - 1 for a, b in pairwise(run.drain.times)]
    assert sum(gaps) <= asleep + Eager.detour_in(Memories())
    after = run.drain.times[60:]
    assert after == list(range(after[0], after[0] + 140))
    assert run.times == list(range(run.times[0], run.times[0] + 200))


@pytest.mark.parametrize("kind", FALL_THROUGH)
def test_behind_an_item_that_waits_the_way_is_longer_by_the_detour(kind) -> None:
    """Two items against a closed sink, then a third that comes as the second leaves the memory."""
    sink = chain([True] * 12, repeat(False))
    pause = chain([False] * 2, [True] * 10, [False], repeat(True))
    run = Run(kind, (20, 1), 3, pause, sink)
    assert run.drain.items == run.sent
    assert run.drain.times[2] - run.times[2] <= kind.latency + kind.detour_in(Memories())
    assert run.drain.times[2] - run.times[2] > kind.latency


@pytest.mark.parametrize("kind", SINGLE)
@pytest.mark.parametrize("size", [(6, 3), (20, 5), (61, 8)])
@pytest.mark.parametrize("seed", range(8))
def test_one_port_gives_an_item_a_cycle_whatever_comes(
    kind, size: tuple[int, int], seed: int
) -> None:
    """No item is later than its latency, or a cycle after the one before was taken, 2 in a slow
    memory: writes in any pattern, odd and even, take no cycle from reads.
    """
    rng = random.Random(seed)
    density = rng.choice([0.1, 0.3, 0.5, 0.7, 0.95])
    pause = iter(lambda: rng.random() > density, None)
    closed = rng.choice([0, 7, 40])
    run = Run(kind, size, 300, pause, chain([True] * closed, repeat(False)))
    assert run.drain.items == run.sent
    before = closed - 1
    for came, left in zip(run.times, run.drain.times, strict=True):
        assert left <= max(came + kind.latency, before + kind.latency - 3)
        before = left


@pytest.mark.parametrize("kind", SINGLE)
def test_one_port_has_a_shorter_way_for_what_comes_alone(kind) -> None:
    run = Run(kind, (20, 5), 9, cycle([False] + [True] * 9), None)
    assert [b - a for a, b in zip(run.times, run.drain.times, strict=True)] == [2] * 9
    # And for a stream that is taken as it comes, which never sees the memory.
    run = Run(kind, (20, 5), 200, None, None)
    assert run.drain.times == [time + 2 for time in run.times]
