"""Coroutines of what the registers refuse, count and say; on units with contexts."""

from __future__ import annotations

import cocotb
from rtl_bench import COUNTS, Bench
from rtl_simulation import CONFIG, LATENCY, on_bench, rtl_test, share
from rtl_tables import BadLoad, bad_loads, words_of

from exaq_hdl.shell.register_map import REGISTERS, constant_words


@rtl_test()
@share("source,sink,bus", [("never", "never", "never"), ("light", "single", "light")], 1)
@on_bench
async def bad_loads_are_refused(bench: Bench, source: str, sink: str, bus: str) -> None:
    """Whatever is wrong with a load's words: the right reason, the old tables, then a good one."""
    registers = bench.registers
    bench.stall(source, sink)
    registers.stall(bus)
    rows = cocotb.start_soon(bench.stream(bench.rows.mixed))
    kind = ""

    async def refused(bad: BadLoad) -> None:
        await registers.until("ready")
        await registers.clear()
        await registers.words(bad.words)
        await registers.see_refused(bad.reasons)
        bench.monitor.hit(f"load.bad_{bad.kind}")

    for bad in bad_loads(CONFIG, bench.rng):
        if bad.kind != kind:
            await registers.load(bench.rows.context(), bench.rows.tables())
        kind = bad.kind
        await refused(bad)
    await registers.load(bench.rows.context(), bench.rows.tables())
    rows.cancel()
    registers.stall("never")


@rtl_test()
@on_bench
async def loads_of_wrong_length_are_refused(bench: Bench) -> None:
    """Words missing, too many, or of no load; a load begun inside another takes effect."""
    registers, monitor = bench.registers, bench.monitor
    rows = cocotb.start_soon(bench.stream(bench.rows.mixed))

    async def expect_status(*wanted: str) -> None:
        await registers.pause(6)
        found = await registers.status() - {"ready", "busy"}
        if found != set(wanted):
            monitor.fail(f"STATUS is {found} instead of {wanted}")

    async def good_after(*reasons: str) -> None:
        context, tables = bench.rows.context(), bench.rows.tables()
        registers.contexts.expect(context, tables)
        await registers.words(words_of(context, tables))
        found = await registers.until("done")
        if found - {"ready", "busy"} != {"done", *reasons}:
            monitor.fail(f"a good load behind a bad one ends with {found}")
        registers.contexts.settle()

    full = CONFIG.load_length
    for given in (1, 2, CONFIG.levels, CONFIG.levels + 1, full - 1):
        await registers.until("ready")
        await registers.clear()
        await registers.words(words_of(bench.rows.context(), bench.rows.tables())[:given])
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
        await registers.give(bench.rows.context(), bench.rows.tables())
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
@share("source,sink,bus", [("never", "never", "never"), ("bursts", "heavy", "light")], 1)
@on_bench
async def counters_while_rows_stream(bench: Bench, source: str, sink: str, bus: str) -> None:
    """Counters read and cleared at random moments, and at rest."""
    bench.stall(source, sink)
    bench.registers.stall(bus)
    rows = cocotb.start_soon(bench.stream(bench.rows.mixed))
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
@share("bus", ["never", "light"], 1)
@on_bench
async def registers_answer(bench: Bench, bus: str) -> None:
    """Constants, 0 where nothing can be read, SLVERR for what cannot be written; no effect."""
    registers, monitor = bench.registers, bench.monitor
    registers.stall(bus)
    expected = constant_words(CONFIG, LATENCY)
    expected |= {
        "ID": int.from_bytes(b"EXAQ", "little"),
        "CODES": CONFIG.bits
        | CONFIG.lanes << 8
        | CONFIG.group << 16
        | CONFIG.masking << 24
        | CONFIG.window << 25
        | (CONFIG.mask_value == "lowest") << 26
        | bool(CONFIG.sinks) << 27,
        "FORMATS": CONFIG.logit_width | CONFIG.prob_bits << 8 | CONFIG.exp_frac << 16,
        "MAX_ROW": CONFIG.max_row,
        "FULL_RATE_ROW": CONFIG.full_rate_row,
        "CONTEXTS": CONFIG.contexts,
        "LATENCY": LATENCY,
    }
    await registers.words(words_of(0, bench.rows.tables())[:3])

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
        if not good or (word and (register is None or not register.access.readable)):
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


@rtl_test()
@share("octets,bus", [(8, "never"), (16, "light")], 1)
@on_bench
async def a_wider_bus_reaches_the_registers(bench: Bench, octets: int, bus: str) -> None:
    """A bus of 64 or 128 bits behind an adapter: everything that is legal is answered with OKAY.

    Each register is read and written as docs/registers.md says, while its neighbours are read
    with it and written without strobes. What is wrong is still refused.
    """
    registers, monitor = bench.registers, bench.monitor
    registers.stall(bus)
    registers.behind(octets)
    rows = cocotb.start_soon(bench.stream(bench.rows.mixed))
    for name, word in constant_words(CONFIG, LATENCY).items():
        found = await registers.read(name)
        if found != word:
            monitor.fail(f"{name} reads {found:#x}, not {word:#x}")
    for _ in range(3):
        context, tables = bench.rows.context(), bench.rows.tables()
        await registers.until("ready")
        await registers.clear()
        registers.contexts.expect(context, tables)
        await registers.words(words_of(context, tables))
        await registers.see_done()
        monitor.hit("register.wider_bus")
    rows.cancel()
    bench.stall()
    await bench.drain()
    await registers.pause(40)
    for name in COUNTS:
        await bench.check_count(name)
    for name in COUNTS[::2]:
        await bench.clear_count(name)
    for name in COUNTS:
        await bench.check_count(name)
    for address in (*range(0, 0x80, octets), 0x100, 0x830, 0xFF0):
        word, good = await registers.read_at(address)
        if not good or (word and address >= 0x80):
            monitor.fail(f"a read of {address:#x} gives {word:#x}, {good}")
    for name in ("ID", "STATUS", "LOAD_WORD", "ROWS"):
        if await registers.write_at(REGISTERS[name].offset, b"\xff\xff"):
            monitor.fail(f"{name} was written in part")
    for address in (0x00, 0x2C, 0x3C, 0x7C, 0x830):
        if await registers.write_at(address, -1):
            monitor.fail(f"{address:#x} was written")
    registers.behind(4)
    registers.stall("never")
