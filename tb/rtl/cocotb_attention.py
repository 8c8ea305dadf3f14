"""Heads through the emitted attention unit; runs inside the simulator.

The environment names EXAQ_ATTENTION, a JSON with settings of the head and what its manifest says,
and EXAQ_HITS, where the bins of attention_bins go that were hit.
"""

from __future__ import annotations

import json
import logging
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource
from rtl_stalls import STALLS

from exaq.attention import AttentionConfig, attend, scores

# As of rtl_simulation: a simulator that hangs within one time step reaches no other timeout.
signal.setitimer(signal.ITIMER_PROF, 300)

_TOLD = json.loads(Path(os.environ["EXAQ_ATTENTION"]).read_text(encoding="utf-8"))
CONFIG = AttentionConfig(**_TOLD["settings"])
PER_BEAT: int = _TOLD["outputs_per_beat"]
STREAMED: bool = _TOLD["operands"] == "streamed"
SIZE, MOST, LANES = CONFIG.head_size, CONFIG.softmax.max_row, CONFIG.lanes
HITS: set[str] = set()


@dataclass(frozen=True)
class Expected:
    """A row's outputs, its error flag, and the bins that it hits if it is as expected."""

    outputs: list[int]
    error: int
    bins: frozenset[str]


@dataclass
class Load:
    """A head's keys: the number of its first row, and when the first key was offered."""

    row: int
    begun: float | None = None

    def complete(self, frame: Any) -> None:
        self.begun = frame.sim_time_start


class Bench:
    """Sources of q, keys and values, a sink of outputs, and what is to come."""

    def __init__(self, dut: Any, seed: int) -> None:
        self.dut, self.rng = dut, np.random.default_rng(seed)
        dut.aresetn.value = 0

        def driver(kind: Any, prefix: str) -> Any:
            bus = AxiStreamBus.from_prefix(dut, prefix)
            # A word is an item, where none of its bytes is left out.
            lanes = None if STREAMED and prefix == "s_axis_k" else 1
            made = kind(bus, dut.aclk, dut.aresetn, False, byte_lanes=lanes)
            made.log.setLevel(logging.ERROR)
            return made

        self.q, self.k, self.v = (driver(AxiStreamSource, f"s_axis_{name}") for name in "qkv")
        self.o = driver(AxiStreamSink, "m_axis")
        self.want: list[Expected] = []
        self.loads: list[Load] = []
        self.stalls: frozenset[str] = frozenset()
        self._before = 0
        self._failed = False

    async def start(self) -> None:
        Clock(self.dut.aclk, 10, unit="ns").start(start_high=False)
        await self.reset()

    async def reset(self, edges: int = 1) -> None:
        """Whatever is inside is gone."""
        self.dut.aresetn.value = 0
        for each in (self.q, self.k, self.v, self.o):
            each.clear()
        self.want.clear()
        self.loads.clear()
        self._before, self._failed = 0, False
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
        self.stalls = frozenset(f"stall.{side}.{name}" for side, name in names.items())

    def operands(self, heads: int, rows: int, keys: int, values: int) -> tuple[Any, Any, Any]:
        """Random ones; of some heads values are extreme, or keys or rows of q alike, or zero."""
        rng = self.rng
        q = rng.integers(-128, 128, (heads, rows, SIZE))
        q[rng.random((heads, rows)) < 0.5] //= 16
        if CONFIG.keys == "int8":
            k = rng.integers(-128, 128, (keys, SIZE))
        else:
            k = rng.integers(0, 16, (keys, SIZE))
            k[k == 8] = 8 if CONFIG.keys == "dint4" else 0
        half = 2 ** (CONFIG.value_width - 1)
        v = rng.integers(-half, half, (values, SIZE))
        match rng.integers(0, 5):
            case 0:
                v[:, 0], v[:, -1] = -half, half - 1
            case 1:
                q[:] = 0
            case 2:
                k[1:] = 0
            case 3:
                k[keys // 2] = k[0]
        return q, k, v

    def head(self, *, heads: int, rows: int, keys: int, values: int | None = None) -> None:
        """Sends heads of q on one set of keys and values, and expects their outputs.

        ``values``: how many, if others than keys; of streamed operands, how many beats of them.
        """
        rng = self.rng
        if STREAMED:
            for _ in range(heads * rows):
                self._streamed(keys, values)
            return
        others = keys if values is None else values
        q, k, v = self.operands(heads, rows, keys, others)
        load = Load(len(self.want))
        self.loads.append(load)
        self.k.send_nowait(
            AxiStreamFrame(words(k, CONFIG.key_format.width), tx_complete=load.complete)
        )
        self.v.send_nowait(AxiStreamFrame(words(v, CONFIG.value_width)))
        for number, each in enumerate(q):
            # Looked at with a head's last row only.
            release = rng.integers(0, 2, rows).tolist()
            release[-1] = int(number == heads - 1)
            self.q.send_nowait(AxiStreamFrame(words(each, 8), tuser=release))
        if keys != others or keys > MOST:
            self._fails(keys, others, heads * rows)
            return
        bins = {"rows.one" if rows == 1 else "rows.several"} | (
            {"groups.several"} if heads > 1 else set()
        )
        bins |= {"keys.fewer_than_before"} if keys < self._before else set()
        for each in q:
            self._expects(each, k, v, frozenset(bins))
        self._before = keys

    def _streamed(self, keys: int, beats: int | None) -> None:
        """A row with keys and values of its own."""
        ((q,),), k, v = self.operands(1, 1, keys, keys)
        whole = -(-keys // LANES)
        given = whole if beats is None else beats
        self.q.send_nowait(AxiStreamFrame(words(q[None], 8)))
        pitch = whole_bytes(CONFIG.key_format.width)
        packed = words(k, CONFIG.key_format.width)
        self.k.send_nowait(AxiStreamFrame(b"".join(x.to_bytes(pitch, "little") for x in packed)))
        values = beats_of(words(v, CONFIG.value_width), 8 * whole_bytes(CONFIG.value_width))
        self.v.send_nowait(AxiStreamFrame((values * (given + 1))[:given]))
        if given != whole or keys > MOST:
            self._fails(whole, given, 1)
        else:
            self._expects(q[None], k, v, frozenset())

    def _fails(self, keys: int, values: int, rows: int) -> None:
        kind = "long_keys" if keys == values else ("short", "long")[values > keys] + "_values"
        self.want += [Expected([], 1, frozenset({f"error.{kind}"}))] * rows
        self._failed = True

    def _expects(self, q: Any, k: Any, v: Any, bins: frozenset[str]) -> None:
        found = attend(q, k, v, CONFIG)
        logits = scores(q, k, CONFIG)
        step = CONFIG.softmax.logit_scale / 2**CONFIG.score_shift
        half = 2 ** (CONFIG.output_width - 1)
        lowest, highest = -half, (2 ** (CONFIG.value_width - 1) - 1) * 2**CONFIG.output_frac
        for number, row in enumerate(found):
            met = min(number + 1, len(k)) if CONFIG.causal else len(k)
            mine = set(bins)
            top = logits[number, :met] == logits[number, :met].max()
            others = logits[number, :met][~top]
            hit = {
                "keys.one": met == 1,
                "keys.whole_beats": met % LANES == 0,
                "keys.part_of_a_beat": met % LANES > 0,
                "keys.max_row": met == MOST,
                "scores.tie": top.sum() > 1 and bool((np.diff(v[:met][top], axis=0) != 0).any()),
                "scores.apart": top.sum() == 1 < met
                and (logits[number, :met].max() - others.max()) * step > 8,
                "outputs.lowest": row.min() == lowest,
                "outputs.highest": row.max() == highest,
                "error.between": self._failed,
            }
            mine |= {name for name, yes in hit.items() if yes}
            self.want.append(Expected(row.tolist(), 0, frozenset(mine)))
            self._failed = False

    async def drain(self, *bins: str) -> None:
        """All outputs that were expected, and none else, which hits ``bins`` too."""
        width, mask = CONFIG.output_width, 2**CONFIG.output_width - 1
        times = []
        for number, want in enumerate(self.want):
            frame = await with_timeout(self.o.recv(), 400, "us")
            flags = frame.tuser if isinstance(frame.tuser, list) else [frame.tuser]
            assert [int(flag) for flag in flags] == [0] * (len(flags) - 1) + [want.error], number
            assert len(frame.tdata) == SIZE // PER_BEAT
            if not want.error:
                given = [
                    word >> width * k & mask
                    for word in map(int, frame.tdata)
                    for k in range(PER_BEAT)
                ]
                wanted = [each & mask for each in want.outputs]
                assert given == wanted, f"row {number} of {len(self.want)}"
            HITS.update(want.bins | self.stalls)
            times.append(frame.sim_time_end)
        for load, behind in zip(self.loads[1:], self.loads[2:], strict=False):
            # What is behind a head's keys begins when the last of them was taken.
            if behind.begun is not None and behind.begun < times[load.row - 1]:
                HITS.add("loads.ahead")
        self.want.clear()
        self.loads.clear()
        await ClockCycles(self.dut.aclk, 100)
        assert self.o.empty()
        HITS.update(bins)
        # What is told at the end of any coroutine is of all of them before it.
        Path(os.environ["EXAQ_HITS"]).write_text(json.dumps(sorted(HITS)), encoding="utf-8")


def words(vectors: Any, width: int) -> list[int]:
    """A word for each vector, its first element lowest."""
    mask = 2**width - 1
    return [sum((int(x) & mask) << width * k for k, x in enumerate(row)) for row in vectors]


def whole_bytes(width: int) -> int:
    """Bytes of a vector of elements of so many bits."""
    return -(-SIZE * width // 8)


def beats_of(vectors: list[int], size: int) -> list[int]:
    """Beats of ``LANES`` vectors, each in so many bits, lane 0 lowest."""
    return [
        sum(word << size * lane for lane, word in enumerate(vectors[n : n + LANES]))
        for n in range(0, len(vectors), LANES)
    ]


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
            # Five patterns and four sides: each side has each of them once.
            {side: others[turn * (n + 1) % len(others)] for n, side in enumerate("qkvo")}
        )
        for keys in (1, MOST, LANES, int(bench.rng.integers(1, MOST + 1))):
            heads, rows = (int(bench.rng.integers(1, most)) for most in (3, 8))
            # A causal row with number n meets n + 1 keys.
            longest = CONFIG.causal and keys == MOST
            bench.head(heads=heads, rows=MOST + 2 if longest else rows, keys=keys)
        bench.head(heads=2, rows=1, keys=2)
        await bench.drain()
        dut._log.info("%s done", name)


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def errors(dut: Any) -> None:
    """Too many keys or values, or other numbers of them, between heads that are right."""
    bench = await bench_of(dut, 2)
    bench.stall({"o": "light", "k": "single"})
    unit = LANES if STREAMED else 1
    for keys, others in ((MOST, 0), (MOST + 1, 0), (3, 0), (2 * MOST + 3, -MOST), (2, 0)):
        bench.head(heads=2, rows=3, keys=keys, values=-(-keys // unit) + others // unit)
    for keys, others in ((MOST, 1), (5, 0), (MOST - 1, 1), (1, 1), (MOST, 0)):
        bench.head(heads=1, rows=2, keys=keys, values=-(-keys // unit) + others)
    await bench.drain()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def resets(dut: Any) -> None:
    """A reset at any time leaves nothing behind."""
    bench = await bench_of(dut, 3)
    # Icarus takes its time.
    for turn in range(0, 60, 1 if cocotb.SIM_NAME.startswith("Verilator") else 9):
        bench.head(heads=1, rows=40, keys=5)
        bench.head(heads=1, rows=40, keys=MOST)
        await ClockCycles(dut.aclk, 3 + 7 * turn)
        hit = {"reset.loading": bench.k.current_frame, "reset.leaving": bench.o.active}
        await bench.reset(1 + turn % 3)
        bench.head(heads=1, rows=2, keys=7)
        await bench.drain(*(name for name, yes in hit.items() if yes))


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def a_sink_that_stops(dut: Any) -> None:
    """Everything backs up while nothing is taken, however long, and nothing is lost."""
    bench = await bench_of(dut, 4)
    bench.o.pause = True
    for turn in range(12):
        # Every other head is in error, so that a flag that is lost or comes twice shows.
        bench.head(heads=1, rows=20, keys=LANES, values=(1 if STREAMED else LANES) + turn % 2)
    await ClockCycles(dut.aclk, 3000)
    assert not dut.s_axis_q_tready.value
    waits = [f"waits.{side}" for side in "qkv" if not getattr(dut, f"s_axis_{side}_tready").value]
    bench.o.pause = False
    await bench.drain(*waits)
