"""Coroutines that put rows to a RowDMA; they run inside the simulator, on one SoC."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from litex_bench import Bench
from litex_soc import MEMORY, MEMORY_BYTES, UNIT
from numpy.typing import NDArray

import exaq
from exaq_hdl.shell.register_map import REGISTERS

_TOLD = json.loads(Path(os.environ["EXAQ_LITEX"]).read_text(encoding="utf-8"))
CONFIG = exaq.SoftmaxConfig.from_dict(_TOLD["config"])
WORD = _TOLD["width"] // 8
ROWS: int = _TOLD["rows"]
RESULTS = MEMORY_BYTES // 2
ROOM, IDLE = 1, 2
FULL, MISALIGNED = 1, 2


@dataclass
class Row:
    """A row to put: its logits, context and window, and its two places in memory."""

    logits: NDArray[np.int64]
    context: int
    start: int
    stop: int
    source: int = 0
    target: int = 0

    @property
    def octets(self) -> NDArray[np.uint8]:
        return _octets(self.logits, CONFIG.logit_bytes)

    def by(self, config: exaq.SoftmaxConfig) -> NDArray[np.uint8]:
        """What a unit gives, as it lies in memory."""
        kept = self.logits[: CONFIG.max_row]
        if not len(kept):
            return np.empty(0, np.uint8)
        window = min(self.start, len(kept)), min(self.stop, len(kept))
        contexts = self.context if CONFIG.contexts else None
        given = exaq.softmax(
            kept, config, contexts=contexts, window=window if CONFIG.window else None
        )
        return _octets(given.astype(np.int64), CONFIG.prob_bytes)


def _octets(numbers: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
    return numbers.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :size].ravel()


def _random(rng: np.random.Generator, length: int) -> Row:
    low, high = CONFIG.logit_range
    spread = rng.integers(1, high)
    logits = np.clip(np.round(rng.normal(0, spread / 2, length)), low, high).astype(np.int64)
    index = CONFIG.format.index_bits
    edges = rng.integers(0, CONFIG.max_row + 1, 2) % (1 << index)
    start, stop = (0, CONFIG.max_row) if rng.random() < 0.3 else edges.tolist()
    return Row(logits, int(rng.integers(max(1, CONFIG.contexts))), start, stop)


def _aligned(octets: int) -> int:
    return -(-octets // WORD) * WORD


def _place(bench: Bench, rows: list[Row]) -> None:
    """Rows one behind the other, at words; what is between them is anything."""
    source, target = 0, RESULTS
    for row in rows:
        row.source, row.target = source, target
        bench.place(source, row.octets)
        source += _aligned(len(row.octets))
        target += _aligned(CONFIG.prob_bytes * min(len(row.logits), CONFIG.max_row))
    assert source <= RESULTS
    assert target <= MEMORY_BYTES


async def _put(bench: Bench, row: Row) -> None:
    await bench.write("logits", MEMORY + row.source)
    await bench.write("results", MEMORY + row.target)
    await bench.write("length", len(row.logits))
    if CONFIG.format.context_bits:
        await bench.write("context", row.context)
    if CONFIG.window:
        await bench.write("window_start", row.start)
        await bench.write("window_stop", row.stop)
    await bench.write("put", 1)


async def _stream(bench: Bench, rows: list[Row], config: exaq.SoftmaxConfig = CONFIG) -> None:
    """Puts rows as soon as there is room, and compares all of the memory."""
    _place(bench, rows)
    wanted = bench.memory.copy()
    for row in rows:
        octets = row.by(config)
        wanted[row.target : row.target + len(octets)] = octets
        await bench.until("status", lambda word: word & ROOM)
        await _put(bench, row)
        assert await bench.read("refused") == 0
    await bench.until("status", lambda word: word & IDLE)
    np.testing.assert_array_equal(bench.memory, wanted)


async def _started(dut: Any, stall: float, seed: int = 0) -> Bench:
    bench = Bench(dut, _TOLD["registers"], stall, seed)
    await bench.start()
    if CONFIG.contexts:
        status = UNIT + REGISTERS["STATUS"].offset
        await bench.until(status, lambda word: word >> 1 & 1)
    return bench


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.6])
async def rows_of_all_lengths(dut: Any, stall: float) -> None:
    """Each length from none to beyond the longest, and random ones, in random order."""
    bench = await _started(dut, stall, seed=int(10 * stall))
    lanes, longest = CONFIG.lanes, CONFIG.max_row
    lengths = [*range(longest + 2), longest + lanes, 2 * longest + 1, 0, 1, 1, 1]
    order = bench.rng.permutation(lengths).tolist()
    await _stream(bench, [_random(bench.rng, length) for length in order])
    assert await bench.read("rows") == len(lengths)
    assert await bench.read("errors") == sum(length > longest for length in lengths)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def refused_rows_do_nothing(dut: Any) -> None:
    bench = await _started(dut, stall=0.3)
    before = bench.memory.copy()
    for source, target in ((1, 0), (0, WORD // 2), (WORD - 1, 1)):
        row = _random(bench.rng, 1)
        row.source, row.target = source, target
        await _put(bench, row)
        assert await bench.read("refused") == MISALIGNED
        assert await bench.read("status") == ROOM | IDLE
    assert await bench.read("rows") == 0
    np.testing.assert_array_equal(bench.memory, before)
    await _stream(bench, [_random(bench.rng, 3)])
    assert await bench.read("rows") == 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def interrupt_when_the_last_row_is_there(dut: Any) -> None:
    bench = await _started(dut, stall=0.3)
    await bench.write("ev_pending", 1)
    await bench.write("ev_enable", 1)
    assert dut.irq.value == 0
    rows = [_random(bench.rng, CONFIG.max_row) for _ in range(2)]
    _place(bench, rows)
    for row in rows:
        await _put(bench, row)
        assert dut.irq.value == 0
    while dut.irq.value == 0:
        assert await bench.read("rows") < 2 or dut.irq.value == 1
    assert await bench.read("rows") == 2
    await bench.write("ev_pending", 1)
    assert dut.irq.value == 0


if CONFIG.contexts:

    @cocotb.test(timeout_time=1, timeout_unit="ms")
    async def loaded_tables_are_what_rows_go_by(dut: Any) -> None:
        """Tables that are loaded over the SoC's bus into the last context."""
        bench = await _started(dut, stall=0.1)
        places = {name: UNIT + register.offset for name, register in REGISTERS.items()}
        assert await bench.read(places["ID"]) == int.from_bytes(b"EXAQ", "little")
        tables = CONFIG.replace(clip=CONFIG.clip / 2).tables
        rows = [_random(bench.rng, 9) for _ in range(4)]
        for row in rows:
            row.context = CONFIG.contexts - 1
        before = [row.by(CONFIG) for row in rows]
        await bench.write(places["LOAD_BEGIN"], CONFIG.contexts - 1)
        for word in (*tables.thresholds, *tables.exp_rom):
            await bench.write(places["LOAD_WORD"], word)
        status = await bench.until(places["STATUS"], lambda word: word >> 8 & 3)
        assert status >> 8 & 3 == 1
        by_loaded = CONFIG.replace(context_tables=[*CONFIG.context_tables[:-1], tables])
        await _stream(bench, rows, by_loaded)
        assert any((row.by(by_loaded) != old).any() for row, old in zip(rows, before, strict=True))


if _TOLD["crossbar"]:

    @cocotb.test(timeout_time=1, timeout_unit="ms")
    async def rows_follow_without_software(dut: Any) -> None:
        """A queue that is full while the memory waits; then all its rows without a write."""
        bench = await _started(dut, stall=1.0)
        rows = [_random(bench.rng, CONFIG.max_row - count) for count in range(ROWS)]
        _place(bench, rows)
        for row in rows:
            assert await bench.read("status") & ROOM
            await _put(bench, row)
            assert await bench.read("refused") == 0
        assert await bench.read("status") == 0
        await _put(bench, _random(bench.rng, 1))
        assert await bench.read("refused") == FULL
        assert await bench.read("rows") == 0
        wanted = bench.memory.copy()
        for row in rows:
            octets = row.by(CONFIG)
            wanted[row.target : row.target + len(octets)] = octets
        bench.stall = 0
        await bench.until("status", lambda word: word == ROOM | IDLE)
        np.testing.assert_array_equal(bench.memory, wanted)
        assert await bench.read("rows") == ROWS
