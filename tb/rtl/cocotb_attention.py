"""Heads through the emitted attention unit; runs inside the simulator.

The environment names EXAQ_ATTENTION, a JSON with settings of the head and cycles of its manifest.
"""

from __future__ import annotations

import json
import logging
import os
import signal
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource
from rtl_stalls import STALLS

from exaq.attention import AttentionConfig, attend

# As of rtl_simulation: a simulator that hangs within one time step reaches no other timeout.
signal.setitimer(signal.ITIMER_PROF, 300)

_TOLD = json.loads(Path(os.environ["EXAQ_ATTENTION"]).read_text(encoding="utf-8"))
CONFIG = AttentionConfig(**_TOLD["settings"])
PER_BEAT: int = _TOLD["outputs_per_beat"]
SIZE, MOST = CONFIG.head_size, CONFIG.softmax.max_row


class Bench:
    """Sources of q, keys and values, a sink of outputs, and what is to come."""

    def __init__(self, dut: Any, seed: int) -> None:
        self.dut, self.rng = dut, np.random.default_rng(seed)
        dut.aresetn.value = 0

        def driver(kind: Any, prefix: str) -> Any:
            bus = AxiStreamBus.from_prefix(dut, prefix)
            made = kind(bus, dut.aclk, dut.aresetn, False, byte_lanes=1)
            made.log.setLevel(logging.ERROR)
            return made

        self.q, self.k, self.v = (driver(AxiStreamSource, f"s_axis_{name}") for name in "qkv")
        self.o = driver(AxiStreamSink, "m_axis")
        self.want: list[tuple[list[int], int]] = []

    async def start(self) -> None:
        Clock(self.dut.aclk, 10, unit="ns").start(start_high=False)
        await self.reset()

    async def reset(self, edges: int = 1) -> None:
        """Whatever is inside is gone."""
        self.dut.aresetn.value = 0
        for each in (self.q, self.k, self.v, self.o):
            each.clear()
        self.want.clear()
        await ClockCycles(self.dut.aclk, edges)
        # A beat may have left with the edge that began the reset.
        self.o.clear()
        self.dut.aresetn.value = 1
        await ClockCycles(self.dut.aclk, 1)

    def stall(self, names: dict[str, str]) -> None:
        for side, name in names.items():
            pattern = STALLS[name]
            driver = getattr(self, side)
            driver.set_pause_generator(None if pattern is None else pattern(self.rng))
            driver.pause = False

    def head(self, *, heads: int, rows: int, keys: int, values: int | None = None) -> None:
        """Sends heads of q on one set of keys and values, and expects their outputs."""
        rng = self.rng
        values = keys if values is None else values
        q = rng.integers(-128, 128, (heads, rows, SIZE))
        q[:, ::2] //= 16
        if CONFIG.keys == "int8":
            k = rng.integers(-128, 128, (keys, SIZE))
        else:
            k = rng.integers(0, 16, (keys, SIZE))
            k[k == 8] = 8 if CONFIG.keys == "dint4" else 0
        half = 2 ** (CONFIG.value_width - 1)
        v = rng.integers(-half, half, (values, SIZE))
        self.k.send_nowait(AxiStreamFrame(words(k, CONFIG.key_format.width)))
        self.v.send_nowait(AxiStreamFrame(words(v, CONFIG.value_width)))
        for number, each in enumerate(q):
            # Looked at with a head's last row only.
            release = rng.integers(0, 2, rows).tolist()
            release[-1] = int(number == heads - 1)
            self.q.send_nowait(AxiStreamFrame(words(each, 8), tuser=release))
        if keys == values <= MOST:
            found = attend(q, k, v, CONFIG).reshape(-1, SIZE)
            self.want += [(row, 0) for row in found.tolist()]
        else:
            self.want += [([], 1)] * (heads * rows)

    async def drain(self) -> None:
        """All outputs that were expected, and none else."""
        width, mask = CONFIG.output_width, 2**CONFIG.output_width - 1
        for number, (want, error) in enumerate(self.want):
            frame = await with_timeout(self.o.recv(), 400, "us")
            flags = frame.tuser if isinstance(frame.tuser, list) else [frame.tuser]
            assert [int(flag) for flag in flags] == [0] * (len(flags) - 1) + [error], number
            assert len(frame.tdata) == SIZE // PER_BEAT
            if error:
                continue
            given = [
                word >> width * k & mask for word in map(int, frame.tdata) for k in range(PER_BEAT)
            ]
            assert given == [each & mask for each in want], f"row {number} of {len(self.want)}"
        self.want.clear()
        await ClockCycles(self.dut.aclk, 100)
        assert self.o.empty()


def words(vectors: Any, width: int) -> list[int]:
    """A word for each vector, its first element lowest."""
    mask = 2**width - 1
    return [sum((int(x) & mask) << width * k for k, x in enumerate(row)) for row in vectors]


async def bench_of(dut: Any, seed: int) -> Bench:
    bench = Bench(dut, seed)
    await bench.start()
    return bench


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def random_heads(dut: Any) -> None:
    """Heads of all lengths, several on one set of keys, under every pattern on every side."""
    bench = await bench_of(dut, 1)
    for turn, name in enumerate(STALLS):
        others = list(STALLS)
        bench.stall(
            {side: others[(turn + n * (turn > 0)) % len(others)] for n, side in enumerate("qkvo")}
        )
        for keys in (1, MOST, CONFIG.lanes, int(bench.rng.integers(1, MOST + 1))):
            heads, rows = (int(bench.rng.integers(1, most)) for most in (3, 8))
            bench.head(heads=heads, rows=rows, keys=keys)
        await bench.drain()
        dut._log.info("%s done", name)


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def errors(dut: Any) -> None:
    """Too many keys or values, or other numbers of them, between heads that are right."""
    bench = await bench_of(dut, 2)
    bench.stall({"o": "light", "k": "single"})
    for keys, values in ((MOST, MOST), (MOST + 1, MOST + 1), (3, 3), (2 * MOST + 3, 1), (2, 2)):
        bench.head(heads=2, rows=3, keys=keys, values=values)
    for keys, values in ((MOST, MOST + 1), (5, 5), (MOST - 1, MOST), (1, 2), (MOST, MOST)):
        bench.head(heads=1, rows=2, keys=keys, values=values)
    await bench.drain()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def resets(dut: Any) -> None:
    """A reset at any time leaves nothing behind."""
    bench = await bench_of(dut, 3)
    # Icarus takes its time.
    for turn in range(0, 60, 1 if cocotb.SIM_NAME.startswith("Verilator") else 9):
        bench.head(heads=1, rows=40, keys=5)
        bench.head(heads=1, rows=40, keys=MOST)
        await ClockCycles(dut.aclk, 40 + 7 * turn)
        await bench.reset(1 + turn % 3)
        bench.head(heads=1, rows=2, keys=7)
        await bench.drain()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def a_sink_that_stops(dut: Any) -> None:
    """Everything backs up while nothing is taken, however long, and nothing is lost."""
    bench = await bench_of(dut, 4)
    bench.o.pause = True
    for turn in range(12):
        # Every other head is in error, so that a flag that is lost or comes twice shows.
        bench.head(heads=1, rows=20, keys=CONFIG.lanes, values=CONFIG.lanes + turn % 2)
    await ClockCycles(dut.aclk, 3000)
    assert not dut.s_axis_q_tready.value
    bench.o.pause = False
    await bench.drain()
