"""Coroutines that load tables while rows stream; on units with contexts.

Every row is compared with the golden model by the tables that its context had in the cycle in
which the beat was taken that closed it, see rtl_monitor.Monitor.
"""

from __future__ import annotations

import cocotb
from cocotb.triggers import ClockCycles
from rtl_bench import Bench
from rtl_rows import Row
from rtl_simulation import (
    BOOT_CYCLES,
    CAN_STREAM,
    CONFIG,
    LOAD_CYCLES,
    check_never_held_back,
    check_no_bubble,
    on_bench,
    rtl_test,
    share,
)
from rtl_tables import words_of

from exaq_hdl.shell.register_map import REGISTERS


@rtl_test()
@share(
    "source,sink,bus",
    [
        ("never", "never", "never"),
        ("never", "heavy", "light"),
        ("heavy", "never", "single"),
        ("bursts", "bursts", "heavy"),
        ("light", "single", "bursts"),
        ("single", "light", "never"),
    ],
    3,
)
@on_bench
async def loads_at_random_moments(bench: Bench, source: str, sink: str, bus: str) -> None:
    """Random tables into random contexts while rows of all contexts stream."""
    bench.stall(source, sink)
    bench.registers.stall(bus)
    rows = cocotb.start_soon(bench.stream(bench.rows.mixed))
    for _ in range(5):
        await bench.registers.load(bench.rows.context(), bench.rows.tables())
        await ClockCycles(bench.dut.aclk, int(bench.rng.integers(1, 60)))
    rows.cancel()
    bench.registers.stall("never")


@rtl_test()
@share("sink", ["never", "single", "heavy"], 2)
@on_bench
async def loads_without_a_gap(bench: Bench, sink: str) -> None:
    """Each load begins as soon as it may, over what the rows inside went by until just before."""
    bench.stall(sink=sink)
    rows = cocotb.start_soon(bench.stream(bench.rows.mixed))
    for context in (0, 0, CONFIG.contexts - 1, 0, CONFIG.contexts - 1, CONFIG.contexts - 1):
        await bench.registers.push(context, bench.rows.tables())
        await bench.registers.see_done()
    rows.cancel()
    bench.monitor.hit("load.without_a_gap")


@rtl_test()
@share("sink", ["never", "single", "heavy"], 2)
@on_bench
async def rows_around_the_effect(bench: Bench, sink: str) -> None:
    """Rows of a beat in every cycle round the one in which a load takes effect."""
    registers = bench.registers
    for ahead in bench.rng.permutation(range(3, 15)).tolist():
        bench.stall(sink=sink)
        context = bench.rows.context()
        await registers.give(context, bench.rows.tables())
        await registers.pause(LOAD_CYCLES - ahead)
        bench.send(bench.rows.of(context, CONFIG.lanes) for _ in range(10))
        await registers.see_done()
        # The spare bank is that of the rows before: overwritten as soon as it may be.
        await registers.push(bench.rows.context(), bench.rows.tables())
        await registers.see_done()
        await bench.drain()


@rtl_test(when=CAN_STREAM)
@cocotb.parametrize(rows=["uniform", "mixed"])
@on_bench
async def loads_at_full_rate(bench: Bench, rows: str) -> None:
    """Loads hold no row back, of no context, and leave no bubble."""
    shortest, longest = CONFIG.full_rate_row, CONFIG.max_row

    def make() -> Row:
        mixed = int(bench.rng.integers(shortest, longest + 1))
        return bench.rows.random(shortest if rows == "uniform" else mixed)

    streaming = cocotb.start_soon(bench.stream(make))
    for number in range(4):
        await bench.registers.load(number % CONFIG.contexts, bench.rows.tables())
    streaming.cancel()
    await bench.drain()
    check_never_held_back(bench)
    if rows == "uniform":
        check_no_bubble(bench, f"rows of {shortest} during loads")
    bench.monitor.hit("load.at_full_rate")


@rtl_test()
@cocotb.parametrize(again=[True, False])
@on_bench
async def loads_wait_for_rows(bench: Bench, again: bool) -> None:
    """A load goes on against a closed sink; the next one waits until the rows before it left."""
    registers, rows = bench.registers, bench.rows
    context = bench.rows.context()
    following = context if again else (context + 1) % CONFIG.contexts
    # With nothing inside there is nothing to wait for.
    for number in (context, following):
        await registers.load(number, bench.rows.tables())
        await registers.pause(8)
        if "ready" not in await registers.status():
            bench.monitor.fail("a load waits although no row is inside")
    for count in (6, 4):
        bench.stall()
        bench.sink.pause = True
        bench.send(rows.of(context, CONFIG.lanes) for _ in range(count))
        await bench.taken()
        await registers.load(context, bench.rows.tables())
        bench.send(rows.of(context, CONFIG.lanes) for _ in range(2))
        for _ in range(40):
            found = await registers.status()
            if found != {"done"}:
                bench.monitor.fail(f"STATUS is {found} while rows use the spare bank")
        bench.monitor.hit("load.waits_for_rows")
        for name in ("LOAD_BEGIN", "LOAD_WORD"):
            await registers.clear()
            if await registers.write_at(REGISTERS[name].offset, 0):
                bench.monitor.fail(f"{name} was taken while STATUS.ready is 0")
            if await registers.status() != {"overrun"}:
                bench.monitor.fail("a word while STATUS.ready is 0 is no overrun")
        bench.monitor.hit("load.word_while_waiting")
        bench.stall(sink="heavy")
        await registers.load(following, bench.rows.tables())
        bench.monitor.hit(f"load.{'same_context_again' if again else 'other_context_next'}")
        bench.send(rows.of(number) for number in (context, following))
        await bench.drain()


@rtl_test()
@share("cycles", [1, 3], 1)
@on_bench
async def reset_forgets_loads(bench: Bench, cycles: int) -> None:
    """Reset while the unit fills its contexts, among words, in the fill, while a load waits."""
    registers, monitor = bench.registers, bench.monitor

    async def check() -> None:
        if await registers.status() != {"ready"}:
            monitor.fail("STATUS is not that of reset")
        for number in range(CONFIG.contexts):
            bench.send([bench.rows.of(number, CONFIG.max_row), bench.rows.of(number)])
        await bench.drain()
        # No load is begun: a word is of none.
        await registers.words([0], begin=False)
        await registers.see_refused(frozenset({"length"}))

    async def load_all() -> None:
        for number in range(CONFIG.contexts):
            await registers.load(number, bench.rows.tables())
        bench.send(bench.rows.random() for _ in range(4))

    for fraction in (0.0, 0.4, 0.95):
        await bench.reset(cycles, boot=False)
        await registers.pause(int(fraction * (BOOT_CYCLES - 30)))
        if await registers.status() != {"busy"}:
            monitor.fail("STATUS is not that of a unit that fills its contexts")
        if await registers.write_at(REGISTERS["LOAD_BEGIN"].offset, 0):
            monitor.fail("a load was begun before the contexts have tables")
        monitor.hit("reset.in_boot")
    await bench.reset(cycles)
    await check()
    for part in (1, CONFIG.levels, 2 * CONFIG.levels - 1):
        await load_all()
        await registers.until("ready")
        await registers.words(words_of(0, bench.rows.tables())[:part])
        await bench.reset(cycles)
        monitor.hit("reset.in_load_words")
        await check()
    for fraction in (0.0, 0.4, 0.8):
        await load_all()
        await registers.give(CONFIG.contexts - 1, bench.rows.tables())
        await registers.pause(int(fraction * (LOAD_CYCLES - 8)))
        if registers.contexts.in_force:
            monitor.fail("the load was over before reset")
        await bench.reset(cycles)
        monitor.hit("reset.in_load_fill")
        await check()
    await bench.drain()
    bench.sink.pause = True
    bench.send(bench.rows.of(0, CONFIG.lanes) for _ in range(6))
    await bench.taken()
    await registers.load(0, bench.rows.tables())
    await registers.pause(8)
    if "ready" in await registers.status():
        monitor.fail("nothing waits for rows")
    monitor.hit("reset.while_load_waits")
    await bench.reset(cycles)
    bench.stall()
    await check()
