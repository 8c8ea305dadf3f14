"""The bench round the AXI top: drivers, the monitor, and what is common to all tests."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from zlib import crc32

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamSink, AxiStreamSource
from rtl_bins import Hits, context_bins, sequence_bins
from rtl_monitor import SEED, Monitor
from rtl_registers import Registers
from rtl_rows import Row, Rows
from rtl_seen import Seen
from rtl_stalls import STALLS

from exaq import SoftmaxConfig
from exaq_hdl.shell.register_map import COUNTERS

#: Names of the counters.
COUNTS = tuple(each.name for each in COUNTERS)


class Bench:
    """The harness with a cocotbext-axi source and sink, in reset until ``start`` returns."""

    def __init__(
        self,
        dut: Any,
        config: SoftmaxConfig,
        hits: Hits,
        test: str,
        boot_cycles: int,
        load_cycles: int,
        fields: Sequence[tuple[str, int]],
    ) -> None:
        self.dut = dut
        self.seen = Seen(dut.seen, fields)
        self.config = config
        self.boot_cycles = boot_cycles
        self.rng = np.random.default_rng([SEED, crc32(test.encode())])
        self.test = test
        self.hits = hits
        self.monitor = Monitor(dut, self.seen, config, hits, test.partition("[")[0], load_cycles)
        self.rows = Rows(config, self.rng, self.monitor.contexts)
        dut.aresetn.value = 0
        self.source = AxiStreamSource(
            AxiStreamBus.from_prefix(dut, "source"), dut.aclk, dut.aresetn, False, byte_lanes=1
        )
        self.sink = AxiStreamSink(
            AxiStreamBus.from_prefix(dut, "sink"), dut.aclk, dut.aresetn, False, byte_lanes=1
        )
        drivers = [self.source, self.sink]
        if config.row_results != "none":
            bus = AxiStreamBus.from_prefix(dut, "rows")
            self.results = AxiStreamSink(bus, dut.aclk, dut.aresetn, False, byte_lanes=1)
            drivers.append(self.results)
        for driver in drivers:
            driver.log.setLevel(logging.ERROR)
        if config.contexts:
            self.registers = Registers(dut, self.monitor.contexts, self.rng, self.monitor.fail)

    async def start(self) -> None:
        """Starts the clock and everything that watches, then resets the unit."""
        Clock(self.dut.aclk, 10, unit="ns").start(start_high=False)
        cocotb.start_soon(self.monitor.run())
        await self.reset(4)

    async def reset(self, cycles: int, *, boot: bool = True) -> None:
        """Resets the unit for some edges; whatever was on its way is gone.

        With ``boot`` waits until the unit takes beats, which must be when it has to.
        """
        self.dut.aresetn.value = 0
        self.source.clear()
        self.sink.clear()
        if self.config.row_results != "none":
            self.results.clear()
        await ClockCycles(self.dut.aclk, cycles)
        self.dut.aresetn.value = 1
        await ClockCycles(self.dut.aclk, 1)
        if boot and self.boot_cycles:
            await self._boot()

    async def _boot(self) -> None:
        waited = 0
        while not self.dut.s_axis_tready.value and waited <= self.boot_cycles:
            await RisingEdge(self.dut.aclk)
            waited += 1
        if waited != self.boot_cycles + 1:
            self.monitor.fail(
                f"s_axis_tready is low for {waited} cycles after reset, not for "
                f"{self.boot_cycles + 1}"
            )

    def stall(self, source: str = "never", sink: str = "never") -> None:
        """Sets the patterns of STALLS by which both sides pause from now on.

        Row results pause by any of them, where another side does.
        """
        sides = [("source", self.source, source), ("sink", self.sink, sink)]
        if self.config.row_results != "none":
            quiet = source == sink == "never"
            results = "never" if quiet else str(self.rng.choice(list(STALLS)))
            sides.append(("results", self.results, results))
        for side, driver, name in sides:
            pattern = STALLS[name]
            driver.set_pause_generator(None if pattern is None else pattern(self.rng))
            driver.pause = False
            self.monitor.hit(f"stall.{side}_{name}")

    def send(self, rows: Iterable[Row]) -> int:
        """Queues rows at the source and expects them back; the number of beats sent."""
        beats = 0
        for row in rows:
            self.source.send_nowait(row.frame(self.rng))
            self.monitor.expect(row)
            beats += row.beats_in
        return beats

    async def stream(self, make: Callable[[], Row]) -> None:
        """Sends rows for ever, so that the source always has the next one."""
        while True:
            while self.source.count() < 4:
                self.send([make()])
            await ClockCycles(self.dut.aclk, 2)

    async def taken(self) -> None:
        """Waits until every row that was sent is in the unit."""
        while self.monitor.waiting:
            await RisingEdge(self.dut.aclk)

    async def drain(self) -> None:
        """Waits until every row came back; fails where nothing moves any more."""
        patience = 2000 + 4 * self.config.beats
        self.monitor.last_progress = self.monitor.cycle
        while self.monitor.outstanding:
            await ClockCycles(self.dut.aclk, 8)
            if self.monitor.cycle - self.monitor.last_progress > patience:
                self.monitor.fail(
                    f"nothing moved for {patience} cycles, {self.monitor.outstanding} rows missing"
                )

    async def finish(self) -> None:
        """Drains; then nothing more may come, and the unit must be ready again."""
        await self.drain()
        self.stall()
        await ClockCycles(self.dut.aclk, 100)
        if not self.dut.s_axis_tready.value:
            self.monitor.fail("s_axis_tready is low though every row came back")
        if self.config.contexts:
            self.monitor.hit(*context_bins(self.config, self.monitor.returned))
            for name in COUNTS:
                await self.check_count(name)
        self.monitor.hit(*sequence_bins(self.config, self.monitor.returned))
        log = self.monitor.log
        self.dut._log.info(
            f"{self.test}: {len(self.monitor.returned)} rows, {len(log.given)} beats, "
            f"{self.monitor.cycle} cycles"
        )

    async def check_count(self, name: str) -> None:
        """Reads a counter, which must read what the monitor has seen."""
        first = self.monitor.cycle
        count = await self.registers.read(name)
        fewest, most = self.monitor.counts.bounds(name, first, self.monitor.cycle)
        if not fewest <= count <= most:
            self.monitor.fail(f"{name} reads {count}, not {fewest} to {most}")

    async def clear_count(self, name: str) -> None:
        """Clears a counter by writing anything."""
        await self.registers.write(name, int(self.rng.integers(2**32)))
