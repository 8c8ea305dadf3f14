"""Banks of contexts, against a list of banks and a queue of the rows inside."""

import random
from collections import deque

import pytest
from amaranth.hdl import ResetInserter, Signal
from unit_bench import Bench

from exaq import SoftmaxConfig
from exaq_hdl.kernels.exaq.tables.banks.context_map import ContextMap

#: Cycles from a commit, or from when the rows that came before it are done, until `free` says so.
LATE = 2


class Traffic:
    """Commits and rows on a ContextMap, in a cycle each, checked against the contract.

    ``step`` gives what goes in: a row's context or None, whether a row leaves, and the context
    to commit or None. What it is asked for holds from cycle to cycle.
    """

    def __init__(self, contexts: int, *, rows: int):
        self.contexts, self.rows = contexts, rows
        self.map = ContextMap(SoftmaxConfig(contexts=contexts).kernel, rows=rows)
        self.banks: list[int | None] = [None] * contexts
        self.spare = 0
        self.inside: deque[int] = deque()
        self.former_rows = 0
        self.commits = 0
        self.free = True
        self.unused_since = 0
        self.target = 0
        self.target_since = -2
        self._expected: int | None = None

    @property
    def filling(self) -> bool:
        return None in self.banks

    def may_commit(self, now: int) -> bool:
        return self.free and now - self.target_since >= 2

    def cycle(self, ctx, now: int, context: int | None, leaves: bool, commit: bool) -> None:
        """Drives one cycle and checks what the map says in it."""
        component = self.map
        ctx.set(component.target, self.target)
        ctx.set(component.filling, int(self.filling))
        ctx.set(component.context, 0 if context is None else context)
        ctx.set(component.row_in, int(context is not None))
        ctx.set(component.row_out, int(leaves))
        ctx.set(component.commit, int(commit))
        assert ctx.get(component.spare) == self.spare, now
        if self._expected is not None:
            assert ctx.get(component.bank) == self._expected, now
        self.free = bool(ctx.get(component.free))
        assert not (self.free and (self.spare in self.inside or self.former_rows)), now
        assert self.free or now - self.unused_since < LATE, now

        asked = self.banks[0 if context is None else context]
        self._expected = asked
        leaves_former = leaves and self.former_rows > 0
        if leaves:
            self.inside.popleft()
            self.former_rows -= leaves_former
        if context is not None:
            assert asked is not None
            self.inside.append(asked)
            assert len(self.inside) <= self.rows
        if commit:
            former = self.banks[self.target]
            self.banks[self.target] = self.spare
            self.spare = self.spare + 1 if former is None else former
            self.commits += 1
            self.former_rows = len(self.inside)
            self.free = False
        if commit or self.former_rows or leaves_former:
            self.unused_since = now + 1

    def choose(self, target: int, now: int) -> None:
        if target != self.target:
            self.target, self.target_since = target, now

    def fill(self, ctx, now: int) -> None:
        """A cycle in which the contexts get their first banks, in order."""
        self.choose(self.banks.index(None), now)
        self.cycle(ctx, now, None, False, self.may_commit(now))


@pytest.mark.parametrize("contexts", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("rows", [1, 2, 6, 14, 29])
def test_random_traffic(contexts: int, rows: int) -> None:
    """Rows pour in, dwell and drain, with commits of contexts at random as soon as they may."""
    traffic = Traffic(contexts, rows=rows)
    rng = random.Random(contexts * 100 + rows)
    filled = []

    def drive(ctx, now: int) -> None:
        if traffic.filling:
            traffic.fill(ctx, now)
            return
        if now % 40 == 0:
            drive.rates = (rng.choice([0.1, 0.5, 1.0]), rng.choice([0.1, 0.5, 1.0]))
        comes = rng.random() < drive.rates[0]
        leaves = bool(traffic.inside) and rng.random() < drive.rates[1]
        # What comes in the cycle in which a row leaves stands beside it.
        comes = comes and len(traffic.inside) < rows
        context = rng.randrange(contexts) if comes else None
        if rng.random() < 0.3:
            traffic.choose(rng.randrange(contexts), now)
        commit = traffic.may_commit(now) and rng.random() < 0.7
        traffic.cycle(ctx, now, context, leaves, commit)
        filled.append(len(traffic.inside))

    drive.rates = (1.0, 0.1)
    bench = Bench(traffic.map)
    bench.every(drive)
    bench.run(cycles=1500)
    assert max(filled) == rows
    assert traffic.commits > 40 + contexts


@pytest.mark.parametrize("rows", [1, 2, 5, 6, 7, 13, 14, 15, 30])
def test_every_number_of_rows_inside(rows: int) -> None:
    """``free`` counts just the rows that came before the commit, or in its cycle."""
    traffic = Traffic(2, rows=rows)
    rng = random.Random(rows)
    # In each cycle: context or None, whether a row leaves, whether to commit.
    script: list[tuple[int | None, bool, bool]] = []
    for inside in [*range(rows + 1), *reversed(range(rows + 1))]:
        script += [(0, False, False)] * max(inside - 1, 0)
        script.append((0 if inside else None, False, True))
        # New rows of the same context take the places of old ones as they leave.
        script += [(1, False, False)] * (rows - inside)
        for _ in range(rows):
            script += [(None, True, False)] + [(None, False, False)] * rng.choice([0, 0, 1, 5])
        script += [(None, False, False)] * LATE
    busy = []

    def drive(ctx, now: int) -> None:
        if traffic.filling:
            traffic.fill(ctx, now)
            return
        drive.begin = drive.begin or now + 4
        traffic.choose(0, now)
        step = now - drive.begin
        idle = (None, False, False)
        context, leaves, commit = script[step] if 0 <= step < len(script) else idle
        if commit:
            assert traffic.may_commit(now), now
        traffic.cycle(ctx, now, context, leaves, commit)
        busy.append(not traffic.free)

    drive.begin = 0
    bench = Bench(traffic.map)
    bench.every(drive)
    bench.run(cycles=20 + len(script))
    assert traffic.commits == 2 + 2 * (rows + 1)
    assert sum(busy) > rows * (rows + 1)


def test_a_row_beside_the_commit_goes_by_the_former_bank() -> None:
    """One of the cycle after it by the new one, though the spare bank changes at once."""
    component = ContextMap(SoftmaxConfig(contexts=1).kernel, rows=4)
    bench = Bench(component)

    def drive(ctx, now: int) -> None:
        ctx.set(component.filling, int(now <= 5))
        ctx.set(component.commit, int(now in (5, 10)))
        ctx.set(component.row_in, int(now in (10, 11)))
        ctx.set(component.row_out, int(now in (20, 30)))

    bench.every(drive)
    seen = bench.probe(component.bank, component.spare, component.free)
    bench.run(cycles=40)
    bank, spare, free = zip(*seen.values, strict=True)
    assert (bank[10 + ContextMap.latency], bank[11 + ContextMap.latency]) == (0, 1)
    assert ContextMap.latency == 1
    assert spare == (0,) * 6 + (1,) * 5 + (0,) * 29
    # The first row alone had bank 0.
    assert free[10]
    assert not any(free[11:21])
    assert all(free[20 + LATE :])


def test_reset_forgets_rows_and_banks() -> None:
    component = ContextMap(SoftmaxConfig(contexts=2).kernel, rows=5)
    reset = Signal()
    bench = Bench(ResetInserter(reset)(component))

    def drive(ctx, now: int) -> None:
        begin = now - 40 if now >= 40 else now
        ctx.set(reset, int(now == 39))
        ctx.set(component.filling, int(begin <= 8))
        ctx.set(component.target, int(6 <= begin < 12))
        ctx.set(component.commit, int(begin in (4, 8, 20)))
        ctx.set(component.row_in, int(begin in (12, 13, 20)))

    bench.every(drive)
    seen = bench.probe(component.bank, component.spare, component.free)
    bench.run(cycles=80)
    assert not seen.values[38][2]
    # A memory keeps its words: until both contexts have banks anew, they have the old ones.
    assert seen.values[50:79] == seen.values[10:39]
