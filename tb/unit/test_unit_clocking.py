"""Clock and reset of a board's design: how long the reset lasts, and what brings it back."""

import random
from dataclasses import dataclass
from typing import Any

import pytest
from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal, Signal
from amaranth.lib import io
from amaranth.sim import Simulator

from exaq_fpga.gateware.clock.clocking import RESET_MICROSECONDS, Clocking

#: Edges between the lock's change and the reset's: a synchroniser of two stages, and a register.
SYNCHRONISER = 2


class FakePll:
    """Passes the clock, inverted so that it is not the pin's; the lock is the test's."""

    def __init__(self):
        self.locked = Signal()

    def instance(self, source, *, pad):
        m = Module()
        clock = Signal()
        m.d.comb += clock.eq(~source)
        return m, clock, self.locked


@dataclass
class Bench:
    pin: Any
    top: Any
    clock: Any
    reset: Any
    seen: Any


def bench(frequency, pll=None):
    """``Clocking`` in a design that counts the edges of domain sync outside of its reset."""
    m = Module()
    m.domains.sync = ClockDomain()
    pin = io.SimulationPort("i", 1)
    m.submodules.clocking = Clocking(pin, frequency, pll)
    clock, reset, seen = Signal(), Signal(), Signal(32)
    m.d.comb += [clock.eq(ClockSignal()), reset.eq(ResetSignal())]
    m.d.sync += seen.eq(seen + 1)
    return Bench(pin, m, clock, reset, seen)


async def cycle(ctx, b):
    """One cycle of the pin's clock."""
    for level in (1, 0):
        ctx.set(b.pin.i, level)
        await ctx.delay(1e-7)


async def cycles_of_reset(ctx, b, limit):
    """Cycles of the pin until the reset goes; fails where it stays beyond ``limit``."""
    for count in range(limit + 1):
        if not ctx.get(b.reset):
            return count
        await cycle(ctx, b)
    raise AssertionError(f"still in reset after {limit} cycles")


def run(b, process):
    simulator = Simulator(b.top)
    simulator.add_testbench(process)
    simulator.run()


@pytest.mark.parametrize("frequency", [1_000_000, 1_000_001, 12_000_000, 27_000_000])
def test_reset_lasts_long_enough_and_no_longer(frequency):
    b = bench(frequency)
    least = RESET_MICROSECONDS * frequency / 1e6

    async def process(ctx):
        assert ctx.get(b.reset)
        count = await cycles_of_reset(ctx, b, 2 * int(least))
        assert least <= count <= least + 3
        assert ctx.get(b.seen) == 0
        for edges in range(1, 50):
            await cycle(ctx, b)
            assert not ctx.get(b.reset)
            assert ctx.get(b.seen) == edges

    run(b, process)


def test_reset_waits_for_the_lock():
    pll = FakePll()
    b = bench(1_000_000, pll)

    async def process(ctx):
        for _ in range(100):
            await cycle(ctx, b)
            assert ctx.get(b.reset)
        ctx.set(pll.locked, 1)
        count = await cycles_of_reset(ctx, b, 100)
        assert RESET_MICROSECONDS <= count <= RESET_MICROSECONDS + SYNCHRONISER + 2
        assert ctx.get(b.seen) == 0

    run(b, process)


def test_a_lost_lock_resets_anew():
    """However long the lock is lost, at whatever moment; the counting starts from nothing."""
    pll = FakePll()
    b = bench(1_000_000, pll)
    moments = random.Random(1)

    async def process(ctx):
        ctx.set(pll.locked, 1)
        for _ in range(50):
            await cycles_of_reset(ctx, b, 100)
            for _ in range(moments.randrange(30)):
                await cycle(ctx, b)
                assert not ctx.get(b.reset)
            ctx.set(pll.locked, 0)
            for _ in range(SYNCHRONISER + 1):
                await cycle(ctx, b)
            assert ctx.get(b.reset)
            for _ in range(moments.randrange(4)):
                await cycle(ctx, b)
            ctx.set(pll.locked, 1)
            # Lost once more in the middle of the wait: that starts again.
            for _ in range(moments.randrange(RESET_MICROSECONDS)):
                await cycle(ctx, b)
                assert ctx.get(b.reset)
            ctx.set(pll.locked, 0)
            for _ in range(SYNCHRONISER + 1):
                await cycle(ctx, b)
            ctx.set(pll.locked, 1)
            count = await cycles_of_reset(ctx, b, 100)
            assert count >= RESET_MICROSECONDS

    run(b, process)


def test_domain_runs_on_the_clock_of_the_pll():
    pll = FakePll()
    b = bench(1_000_000, pll)

    async def process(ctx):
        for level in (0, 1, 0, 1):
            ctx.set(b.pin.i, level)
            await ctx.delay(1e-7)
            assert ctx.get(b.clock) == 1 - level

    run(b, process)
