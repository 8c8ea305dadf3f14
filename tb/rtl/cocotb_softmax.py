"""Coroutines of the regression; they run inside the simulator, on one configuration."""

from __future__ import annotations

from collections.abc import Callable

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, RisingEdge
from rtl_bench import Bench
from rtl_rows import Row
from rtl_simulation import (
    CAN_STREAM,
    CONFIG,
    EACH_BEAT,
    LATENCY,
    LONG,
    RESULTS,
    WHOLE_ROW,
    check_never_held_back,
    check_no_bubble,
    on_bench,
    pairs,
    rtl_test,
    share,
)
from rtl_stalls import STALLS


@rtl_test()
@share("source,sink", pairs(STALLS, STALLS), 10)
@on_bench
async def random_rows(bench: Bench, source: str, sink: str) -> None:
    """Random lengths, values and masks under a share of the pairs of stall patterns."""
    bench.stall(source, sink)
    budget = 400 if "heavy" in (source, sink) else 1200
    while budget > 0:
        # A row costs the bench as much time as a dozen beats.
        budget -= bench.send([bench.rows.random()]) + 12
    await bench.drain()


@rtl_test()
@share("sink", ["never", "single", "heavy"], 2, long=1)
@on_bench
async def corner_rows(bench: Bench, sink: str) -> None:
    """Ties, equal, rising and falling values, extremes, thresholds."""
    bench.stall(sink=sink)
    bench.send(bench.rows.corners())
    await bench.drain()


@rtl_test()
@share("sink", ["never", "light"], 1)
@on_bench
async def every_length(bench: Bench, sink: str) -> None:
    """Every length from 1 to max_row in random order; of many beats a choice with every tail."""
    lanes, longest = CONFIG.lanes, CONFIG.max_row
    lengths = range(1, longest + 1)
    if CONFIG.beats > 16:
        ends = {*lengths[: 3 * lanes], *lengths[-lanes:]}
        lengths = [*ends, *bench.rows.some(lengths, 2 * lanes)]
    bench.stall(sink=sink)
    bench.send(bench.rows.random(int(n)) for n in bench.rng.permutation(lengths))
    await bench.drain()


@rtl_test(when=CONFIG.masking)
@share("source,sink", pairs(["never", "bursts"], ["never", "bursts"]), 2, long=1)
@on_bench
async def masked_rows(bench: Bench, source: str, sink: str) -> None:
    """Causal masks, all-masked rows and beats, lone live elements, in random order."""
    bench.stall(source, sink)
    rows = list(bench.rows.masks())
    bench.send(rows[i] for i in bench.rng.permutation(len(rows)))
    await bench.drain()


@rtl_test(when=CONFIG.window)
@share("source,sink", pairs(["never", "bursts"], ["never", "bursts"]), 2, long=1)
@on_bench
async def windowed_rows(bench: Bench, source: str, sink: str) -> None:
    """Windows that start and stop anywhere, are empty or reach beyond the row, in random order."""
    bench.stall(source, sink)
    rows = [*bench.rows.windows(), *(bench.rows.over_long(1) for _ in range(6))]
    bench.send(rows[i] for i in bench.rng.permutation(len(rows)))
    await bench.drain()


@rtl_test()
@share("source,sink", pairs(["never", "light"], ["never", "single", "heavy"]), 3, long=2)
@on_bench
async def over_long_rows(bench: Bench, source: str, sink: str) -> None:
    """Rows of max_row + 1 elements up to four times max_row, between and after good ones."""
    bench.stall(source, sink)
    rows, longest, lanes = bench.rows, CONFIG.max_row, CONFIG.lanes
    bench.send([rows.random(), rows.over_long(3 * longest + 1), rows.random()])
    for beyond in sorted({1, lanes + 1} if LONG else {1, lanes, lanes + 1, longest}):
        bench.send([rows.random(longest), rows.over_long(beyond), rows.random(1)])
        bench.send([rows.random(1), rows.over_long(beyond), rows.over_long(1)])
        bench.send([rows.random(), rows.over_long(beyond), rows.random(longest)])
    await bench.drain()


@rtl_test()
@share("source,sink", pairs(["never", "bursts"], ["never", "bursts"]), 2)
@on_bench
async def null_beats(bench: Bench, source: str, sink: str) -> None:
    """Rows that end in a beat without elements, alone and behind full beats."""
    bench.stall(source, sink)
    rows, lanes = bench.rows, CONFIG.lanes
    for beats in (*range(min(CONFIG.beats, 8)), CONFIG.beats - 1):
        row = rows.random(beats * lanes) if beats else rows.row([], "empty")
        bench.send([rows.row(row.logits, row.kind, row.live, null_beat=True), rows.random()])
    for beyond in (0, lanes, CONFIG.max_row):
        bench.send([rows.over_long(beyond, null_beat=True), rows.random()])
    await bench.drain()


@rtl_test()
@on_bench
async def short_rows_against_closed_sink(bench: Bench) -> None:
    """Rows of a beat fill every queue until the input is held back, then leave at once."""
    rows = bench.rows
    bench.sink.pause = True
    await fill(bench, lambda: rows.random(int(bench.rng.integers(1, CONFIG.lanes + 1))))
    bench.sink.pause = False
    await bench.drain()
    bench.sink.pause = True
    await fill(bench, lambda: rows.random(CONFIG.max_row))
    await fill(bench, rows.random)
    bench.stall(sink="single")


async def fill(bench: Bench, make: Callable[[], Row]) -> None:
    """Sends rows until the input was held back for 120 cycles; nothing may leave meanwhile."""
    log = bench.monitor.log
    taken, held_back = len(log.taken), len(log.held_back)
    await ClockCycles(bench.dut.aclk, 300)
    given = len(log.given)
    while len(log.held_back) < held_back + 120:
        if bench.source.empty():
            bench.send(make() for _ in range(8))
        await ClockCycles(bench.dut.aclk, 8)
        if len(log.taken) - taken > 4 * CONFIG.beats + 1000:
            bench.monitor.fail("the input is not held back although the sink is closed")
    if len(log.given) != given:
        bench.monitor.fail("beats left although the sink is closed")


@rtl_test()
@share("cycles", [1, 2, 5], 2)
@on_bench
async def reset_in_mid_row(bench: Bench, cycles: int) -> None:
    """Reset with nothing inside, in an input row, in an output row, against a closed sink."""
    monitor, rows = bench.monitor, bench.rows

    async def reset() -> None:
        await bench.reset(cycles)
        bench.stall()
        # The longest row first: it shows a count, a maximum or a sum that outlived the reset.
        bench.send([rows.random(CONFIG.max_row), rows.random(1), rows.random()])
        await bench.drain()

    await reset()
    monitor.hit("reset.idle")
    longest = CONFIG.beats
    for part in (2,) if LONG else (1, 2, 4):
        bench.send(rows.random(CONFIG.max_row) for _ in range(part))
        taken = len(monitor.log.taken)
        while len(monitor.log.taken) - taken < (part - 1) * longest + (longest + 1) // 2:
            await RisingEdge(bench.dut.aclk)
        if longest > 2:
            monitor.hit("reset.row_half_in")
        await reset()
        bench.send(rows.random(CONFIG.max_row) for _ in range(part))
        while monitor.beats_of_row_given < longest // 2:
            await RisingEdge(bench.dut.aclk)
        if longest > 2:
            monitor.hit("reset.row_half_out")
        await reset()
        bench.sink.pause = True
        bench.send(rows.random() for _ in range(20))
        await ClockCycles(bench.dut.aclk, 200 + 2 * longest)
        if bench.dut.m_axis_tvalid.value:
            monitor.hit("reset.output_stalled")
        await reset()
        bench.send([rows.over_long(4 * CONFIG.max_row)])
        taken = len(monitor.log.taken)
        while len(monitor.log.taken) - taken < min(part - 1 + 2 * longest, 3 * longest):
            await RisingEdge(bench.dut.aclk)
        monitor.hit("reset.while_dropping")
        await reset()


@rtl_test(when=CAN_STREAM)
@cocotb.parametrize(length=["shortest", "tail", "middle", "longest"])
@on_bench
async def uniform_rows_at_full_rate(bench: Bench, length: str) -> None:
    """Rows of one length, back to back: a beat is taken and given in every cycle."""
    shortest, longest = CONFIG.full_rate_row, CONFIG.max_row
    elements = {
        "shortest": shortest,
        "tail": min(shortest + 1, longest),
        "middle": (shortest + longest) // 2,
        "longest": longest,
    }[length]
    count = 12 + 6 * CONFIG.beats // (elements // CONFIG.lanes)
    bench.send(bench.rows.random(elements) for _ in range(count))
    await bench.drain()
    check_never_held_back(bench)
    check_no_bubble(bench, f"rows of {elements}")
    bench.monitor.hit("rate.uniform")


@rtl_test(when=CAN_STREAM)
@cocotb.parametrize(order=["random", "long_then_short", "two_lengths"])
@on_bench
async def mixed_rows_at_full_rate(bench: Bench, order: str) -> None:
    """Rows between full_rate_row and max_row, back to back: the input is never held back."""
    shortest, longest = CONFIG.full_rate_row, CONFIG.max_row
    burst = 3 + 2 * CONFIG.beats // CONFIG.full_rate_beats
    count = 30 + 1000 // CONFIG.full_rate_beats
    lengths = {
        "random": bench.rng.integers(shortest, longest + 1, count).tolist(),
        "long_then_short": ([longest] + [shortest] * burst) * 5,
        "two_lengths": bench.rng.choice([shortest, longest], count).tolist(),
    }[order]
    bench.send(bench.rows.random(n) for n in lengths)
    await bench.drain()
    check_never_held_back(bench)
    check_schedule(bench)
    bench.monitor.hit("rate.mixed")


def check_schedule(bench: Bench) -> None:
    """No row leaves much later than stages that move a beat in every cycle would let it.

    In such stages a row has gone through the kernel once it is in and its predecessor has gone
    through, and is given once that is done, or begun where the kernel gives rows before their
    ends, its declared latency is over and its predecessor is given.
    """
    log = bench.monitor.log
    if EACH_BEAT:
        late = np.array(log.given) - np.array(log.taken)
        if (late != LATENCY).any():
            bench.monitor.fail(f"beats leave {sorted(set(late.tolist()))} cycles after they came")
        return
    through = given = 0
    for row, taken, shown in zip(
        bench.monitor.returned, log.taken_last, log.row_shown, strict=True
    ):
        begun = max(taken, through)
        through = begun + row.beats_out
        start = max((through if WHOLE_ROW else begun) + LATENCY, given)
        given = start + row.beats_out
        if not start <= shown <= start + LATENCY:
            bench.monitor.fail(
                f"a row of {row.elements} taken until cycle {taken} was given from {shown}, "
                f"not from {start}"
            )


@rtl_test()
@on_bench
async def latency(bench: Bench) -> None:
    """Isolated rows: the declared cycles from the last beat taken to the first given."""
    longest, lanes = CONFIG.max_row, CONFIG.lanes
    lengths = {1, lanes, lanes + 1, 2 * lanes, longest // 2 + 1, longest - 1, longest}
    for elements in sorted(n for n in lengths if 1 <= n <= longest):
        row = bench.rows.random(elements)
        bench.send([row])
        await bench.drain()
        await ClockCycles(bench.dut.aclk, 40)
        log = bench.monitor.log
        first = log.taken[-row.beats_in] if EACH_BEAT else log.taken_last[-1]
        measured = log.row_shown[-1] - first
        declared = LATENCY + (row.beats_in if WHOLE_ROW else 0)
        if measured != declared:
            bench.monitor.fail(
                f"a row of {row.beats_in} beats took {measured} cycles to its first element, "
                f"declared are {declared}"
            )
        if RESULTS:
            measured = log.results_shown[-1] - log.taken_last[-1]
            declared = RESULTS["latency"] + (0 if EACH_BEAT else row.beats_in)
            if measured != declared:
                bench.monitor.fail(
                    f"a row of {row.beats_in} beats took {measured} cycles to its results, "
                    f"declared are {declared}"
                )
            bench.monitor.hit("results.latency")
    bench.monitor.hit("rate.latency")


@rtl_test(when=bool(RESULTS))
@share("sink", ["never", "single", "heavy"], 1)
@on_bench
async def closed_results(bench: Bench, sink: str) -> None:
    """Nobody takes results: the elements of as many rows as declared leave, then all stands."""
    monitor, rows = bench.monitor, bench.rows
    bench.stall(sink=sink)
    bench.results.set_pause_generator(None)
    bench.results.pause = True
    count = RESULTS["rows_waiting"] + 12
    for elements in (1, CONFIG.lanes + 1, CONFIG.max_row):
        returned = len(monitor.returned)
        bench.send(rows.random(min(elements, CONFIG.max_row)) for _ in range(count))
        still = 0
        while still < 200:
            given = len(monitor.log.given)
            await ClockCycles(bench.dut.aclk, 10)
            still = still + 10 if len(monitor.log.given) == given else 0
        left = len(monitor.returned) - returned
        if left < RESULTS["rows_waiting"]:
            monitor.fail(f"{left} rows left, declared are {RESULTS['rows_waiting']}")
        monitor.hit("results.as_many_wait_as_declared")
        bench.results.pause = False
        await bench.drain()
        bench.results.pause = True
    bench.results.pause = False


@rtl_test(when=bool(RESULTS))
@on_bench
async def elements_first(bench: Bench) -> None:
    """A consumer that takes all elements of a row before it looks at the row's results."""
    monitor, rows = bench.monitor, bench.rows
    bench.results.pause = True
    bench.send(rows.random() for _ in range(40))
    for row in range(40):
        while len(monitor.returned) <= row:
            await RisingEdge(bench.dut.aclk)
            if monitor.cycle - monitor.last_progress > 2000 + 4 * CONFIG.beats:
                monitor.fail(f"row {row} does not leave before its results are taken")
        bench.results.pause = False
        while monitor.results_taken <= row:
            await RisingEdge(bench.dut.aclk)
        bench.results.pause = True
    monitor.hit("results.elements_first")
    bench.results.pause = False
