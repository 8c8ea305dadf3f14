"""Coroutines that load tables while rows stream; on units with contexts.

Every row is compared with the golden model by the tables that its context had in the cycle in
which its last beat was taken, see Monitor.
"""

from __future__ import annotations

from collections.abc import Callable

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from rtl_bench import COUNTS, Bench
from rtl_rows import Row
from rtl_simulation import (
    BOOT_CYCLES,
    CAN_STREAM,
    CONFIG,
    LATENCY,
    LOAD_CYCLES,
    check_never_held_back,
    check_no_bubble,
    on_bench,
    rtl_test,
)
from rtl_tables import BadLoad, bad_loads, random_tables, words_of

from exaq import Tables
from exaq_hdl.register_map import REGISTERS, constant_words

NEVER = ("never", "never", "never")


def some_tables(bench: Bench) -> Tables:
    """Random tables."""
    return random_tables(CONFIG, bench.rng)


def some_context(bench: Bench) -> int:
    """A random context."""
    return int(bench.rng.integers(CONFIG.contexts))


def some_row(bench: Bench) -> Row:
    """A random row, now and then one that is too long or has no live element."""
    rows, draw = bench.rows, bench.rng.random()
    if draw < 0.05:
        return rows.over_long(int(bench.rng.integers(1, 2 * CONFIG.lanes + 1)))
    if draw < 0.1 and CONFIG.masking:
        logits = rows.random().logits
        return rows.row(logits, "all-masked", logits != logits)
    return rows.random()


async def stream(bench: Bench, make: Callable[[Bench], Row] = some_row) -> None:
    """Sends rows for ever, so that the source always has the next one."""
    while True:
        while bench.source.count() < 4:
            bench.send([make(bench)])
        await ClockCycles(bench.dut.aclk, 2)


async def taken(bench: Bench) -> None:
    """Waits until every row that was sent is in the unit."""
    while bench.monitor.waiting:
        await RisingEdge(bench.dut.aclk)


@rtl_test()
@cocotb.parametrize(
    (
        ("source", "sink", "bus"),
        [
            NEVER,
            ("never", "heavy", "light"),
            ("heavy", "never", "single"),
            ("bursts", "bursts", "heavy"),
            ("light", "single", "bursts"),
            ("single", "light", "never"),
        ],
    )
)
@on_bench
async def loads_at_random_moments(bench: Bench, source: str, sink: str, bus: str) -> None:
    """Random tables into random contexts while rows of all contexts stream."""
    bench.stall(source, sink)
    bench.registers.stall(bus)
    rows = cocotb.start_soon(stream(bench))
    for _ in range(5):
        await bench.registers.load(some_context(bench), some_tables(bench))
        await ClockCycles(bench.dut.aclk, int(bench.rng.integers(1, 60)))
    rows.cancel()
    bench.registers.stall("never")


@rtl_test()
@cocotb.parametrize(sink=["never", "single", "heavy"])
@on_bench
async def loads_without_a_gap(bench: Bench, sink: str) -> None:
    """Each load begins as soon as it may, over what the rows inside went by until just before."""
    bench.stall(sink=sink)
    rows = cocotb.start_soon(stream(bench))
    for context in (0, 0, CONFIG.contexts - 1, 0, CONFIG.contexts - 1, CONFIG.contexts - 1):
        await bench.registers.load(context, some_tables(bench))
    rows.cancel()
    bench.monitor.hit("load.without_a_gap")


@rtl_test()
@cocotb.parametrize(sink=["never", "single", "heavy"])
@on_bench
async def rows_around_the_effect(bench: Bench, sink: str) -> None:
    """Rows of a beat in every cycle round the one in which a load takes effect."""
    registers = bench.registers
    for ahead in (6, 9, 12, 15, 7, 8):
        bench.stall(sink=sink)
        context = some_context(bench)
        await registers.give(context, some_tables(bench))
        await registers.pause(LOAD_CYCLES - ahead)
        bench.send(bench.rows.of(context, CONFIG.lanes) for _ in range(10))
        await registers.see_done()
        # The spare bank is that of the rows before: overwritten as soon as it may be.
        await registers.load(some_context(bench), some_tables(bench))
        await bench.drain()


@rtl_test(when=CAN_STREAM)
@cocotb.parametrize(rows=["uniform", "mixed"])
@on_bench
async def loads_at_full_rate(bench: Bench, rows: str) -> None:
    """Loads hold no row back, of no context, and leave no bubble."""
    shortest, longest = CONFIG.full_rate_row, CONFIG.max_row

    def make(bench: Bench) -> Row:
        mixed = int(bench.rng.integers(shortest, longest + 1))
        return bench.rows.random(shortest if rows == "uniform" else mixed)

    streaming = cocotb.start_soon(stream(bench, make))
    for number in range(4):
        await bench.registers.load(number % CONFIG.contexts, some_tables(bench))
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
    context = some_context(bench)
    following = context if again else (context + 1) % CONFIG.contexts
    # With nothing inside there is nothing to wait for.
    for number in (context, following):
        await registers.load(number, some_tables(bench))
        await registers.pause(8)
        if "ready" not in await registers.status():
            bench.monitor.fail("a load waits although no row is inside")
    for count in (6, 4):
        bench.stall()
        bench.sink.pause = True
        bench.send(rows.of(context, CONFIG.lanes) for _ in range(count))
        await taken(bench)
        await registers.load(context, some_tables(bench))
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
        await registers.load(following, some_tables(bench))
        bench.monitor.hit(f"load.{'same_context_again' if again else 'other_context_next'}")
        bench.send(rows.of(number) for number in (context, following))
        await bench.drain()


@rtl_test()
@cocotb.parametrize((("source", "sink", "bus"), [NEVER, ("light", "single", "light")]))
@on_bench
async def bad_loads_are_refused(bench: Bench, source: str, sink: str, bus: str) -> None:
    """Whatever is wrong with a load's words: the right reason, the old tables, then a good one."""
    registers = bench.registers
    bench.stall(source, sink)
    registers.stall(bus)
    rows = cocotb.start_soon(stream(bench))
    kind = ""

    async def refused(bad: BadLoad) -> None:
        await registers.until("ready")
        await registers.clear()
        await registers.words(bad.words)
        await registers.see_refused(bad.reasons)
        bench.monitor.hit(f"load.bad_{bad.kind}")

    for bad in bad_loads(CONFIG, bench.rng):
        if bad.kind != kind:
            await registers.load(some_context(bench), some_tables(bench))
        kind = bad.kind
        await refused(bad)
    await registers.load(some_context(bench), some_tables(bench))
    rows.cancel()
    registers.stall("never")


@rtl_test()
@on_bench
async def loads_of_wrong_length_are_refused(bench: Bench) -> None:
    """Words missing, too many, or of no load; a load begun inside another takes effect."""
    registers, monitor = bench.registers, bench.monitor
    rows = cocotb.start_soon(stream(bench))

    async def expect_status(*wanted: str) -> None:
        await registers.pause(6)
        found = await registers.status() - {"ready", "busy"}
        if found != set(wanted):
            monitor.fail(f"STATUS is {found} instead of {wanted}")

    async def good_after(*reasons: str) -> None:
        context, tables = some_context(bench), some_tables(bench)
        registers.contexts.expect(context, tables)
        await registers.words(words_of(context, tables))
        found = await registers.until("done")
        if found - {"ready", "busy"} != {"done", *reasons}:
            monitor.fail(f"a good load behind a bad one ends with {found}")
        registers.contexts.settle()

    full = 2 * CONFIG.levels
    for given in (1, 2, CONFIG.levels, CONFIG.levels + 1, full - 1):
        await registers.until("ready")
        await registers.clear()
        await registers.words(words_of(some_context(bench), some_tables(bench))[:given])
        await expect_status()
        if "busy" not in await registers.status():
            monitor.fail("STATUS.busy is 0 within a load")
        await good_after("refused", "length")
        monitor.hit("load.bad_too_few")
    for bad in ([CONFIG.contexts], [0, 1]):
        await registers.until("ready")
        await registers.clear()
        await registers.words(bad)
        await good_after("refused", "length")

    for _ in range(2):
        await registers.give(some_context(bench), some_tables(bench))
        if await registers.write_at(REGISTERS["LOAD_WORD"].offset, -1):
            monitor.fail("a word too many was taken")
        found = await registers.until("done")
        if not registers.contexts.settle() or found - {"ready"} != {"done", "overrun"}:
            monitor.fail(f"a load and a word too many end with {found}")
        monitor.hit("load.bad_too_many")

    for word in (0, -1, 2**31 - 1):
        await registers.until("ready")
        await registers.clear()
        await registers.words([word], begin=False)
        await expect_status("refused", "length")
        monitor.hit("load.bad_stray")
    await registers.clear()
    await good_after()
    rows.cancel()


@rtl_test()
@cocotb.parametrize(cycles=[1, 3])
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
            await registers.load(number, some_tables(bench))
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
        await registers.words(words_of(0, some_tables(bench))[:part])
        await bench.reset(cycles)
        monitor.hit("reset.in_load_words")
        await check()
    for fraction in (0.0, 0.4, 0.8):
        await load_all()
        await registers.give(CONFIG.contexts - 1, some_tables(bench))
        await registers.pause(int(fraction * (LOAD_CYCLES - 8)))
        if registers.contexts.in_force:
            monitor.fail("the load was over before reset")
        await bench.reset(cycles)
        monitor.hit("reset.in_load_fill")
        await check()
    await bench.drain()
    bench.sink.pause = True
    bench.send(bench.rows.of(0, CONFIG.lanes) for _ in range(6))
    await taken(bench)
    await registers.load(0, some_tables(bench))
    await registers.pause(8)
    if "ready" in await registers.status():
        monitor.fail("nothing waits for rows")
    monitor.hit("reset.while_load_waits")
    await bench.reset(cycles)
    bench.stall()
    await check()


@rtl_test()
@cocotb.parametrize((("source", "sink", "bus"), [NEVER, ("bursts", "heavy", "light")]))
@on_bench
async def counters_while_rows_stream(bench: Bench, source: str, sink: str, bus: str) -> None:
    """Counters read and cleared at random moments, and at rest."""
    bench.stall(source, sink)
    bench.registers.stall(bus)
    rows = cocotb.start_soon(stream(bench))
    for _ in range(60):
        name = str(bench.rng.choice(COUNTS))
        await bench.registers.pause(int(bench.rng.integers(0, 30)))
        if bench.rng.random() < 0.3:
            await bench.clear_count(name)
        await bench.check_count(name)
    bench.monitor.hit("register.counters_running")
    rows.cancel()
    bench.stall()
    bench.registers.stall("never")
    await bench.drain()
    await bench.registers.pause(40)
    for name in COUNTS:
        await bench.check_count(name)
    for name in COUNTS[::2]:
        await bench.clear_count(name)
        if await bench.registers.read(name):
            bench.monitor.fail(f"{name} is not cleared")
    for name in COUNTS:
        await bench.check_count(name)
    bench.monitor.hit("register.counters_cleared")
    bench.send(bench.rows.random() for _ in range(3))


@rtl_test()
@cocotb.parametrize(bus=["never", "light"])
@on_bench
async def registers_answer(bench: Bench, bus: str) -> None:
    """Constants, and SLVERR for all that cannot be read or written, without any effect."""
    registers, monitor = bench.registers, bench.monitor
    registers.stall(bus)
    expected = constant_words(CONFIG, LATENCY)
    expected |= {
        "ID": int.from_bytes(b"EXAQ", "little"),
        "CODES": CONFIG.bits | CONFIG.lanes << 8 | CONFIG.group << 16 | CONFIG.masking << 24,
        "FORMATS": CONFIG.logit_width | CONFIG.prob_bits << 8 | CONFIG.exp_frac << 16,
        "MAX_ROW": CONFIG.max_row,
        "FULL_RATE_ROW": CONFIG.full_rate_row,
        "CONTEXTS": CONFIG.contexts,
        "LATENCY": LATENCY,
    }
    await registers.words(words_of(0, some_tables(bench))[:3])

    async def check_constants() -> None:
        for name, word in expected.items():
            found = await registers.read(name)
            if found != word:
                monitor.fail(f"{name} reads {found:#x}, not {word:#x}")

    await check_constants()
    monitor.hit("register.constants")
    by_address = {register.offset: register for register in REGISTERS.values()}
    aliases = [0x100 + offset for offset in (0x00, 0x30, 0x34, 0x40)]
    for address in (*range(0, 0x80, 4), *aliases, 0x800, 0x834, 0xFFC):
        register = by_address.get(address)
        word, good = await registers.read_at(address)
        if good != (register is not None and register.access.readable) or (word and not good):
            monitor.fail(f"a read of {address:#x} gives {word:#x}, {good}")
        writable = register is not None and register.access.writable
        if not writable and await registers.write_at(address, -1):
            monitor.fail(f"{address:#x} was written")
        for some in (b"\xff", b"\xff\xff\xff"):
            if await registers.write_at(address, some):
                monitor.fail(f"{address:#x} was written in part")
    await check_constants()
    # The load that was begun goes on: nothing has touched it.
    if await registers.status() != {"busy", "ready"}:
        monitor.fail("STATUS has changed")
    monitor.hit("register.errors")
    registers.stall("never")
