"""Masters and sinks that are not ours round the design with two units; run in the simulator."""

from __future__ import annotations

import itertools
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)
from numpy.typing import NDArray

import exaq
from exaq_hdl.shell.register_map import REGISTERS, constants
from exaq_litex.two_units.two_units import CODES, PROBABILITIES
from exaq_litex.two_units.two_units import REGISTERS as OF_A_UNIT

ROWS = 60
LOADED = PROBABILITIES.replace(clip=PROBABILITIES.clip / 2).tables


class Design:
    """The design with something at each of its ports."""

    def __init__(self, dut: Any):
        self.dut = dut
        self.rng = np.random.default_rng(1)
        sys, stream = dut.sys_clk, dut.stream_clk
        outer, inner = (stream, dut.stream_rst), (sys, dut.sys_rst)
        bus = AxiStreamBus.from_prefix
        self.logits = AxiStreamSource(bus(dut, "logits"), *outer)
        self.probabilities = AxiStreamSink(bus(dut, "probabilities"), *outer)
        self.scores = AxiStreamSource(bus(dut, "scores"), *inner)
        self.codes = AxiStreamSink(bus(dut, "codes"), *inner)
        self.sums = AxiStreamSink(bus(dut, "sums"), *inner)
        self.registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "bus"), *inner)

    async def start(self, stall: float) -> None:
        dut = self.dut
        Clock(dut.sys_clk, 10, unit="ns").start()
        Clock(dut.stream_clk, 7, unit="ns").start()
        dut.sys_rst.value = dut.stream_rst.value = 1
        await ClockCycles(dut.sys_clk, 8)
        dut.sys_rst.value = dut.stream_rst.value = 0
        ports = (self.logits, self.probabilities, self.scores, self.codes, self.sums)
        for port in ports if stall else ():
            rng = np.random.default_rng(self.rng.integers(1 << 30))
            port.set_pause_generator(bool(rng.random() < stall) for _ in itertools.count())
        for unit in range(2):
            await self.until(unit, "STATUS", 1 << 1)

    async def read(self, unit: int, register: str) -> int:
        return await self.registers.read_dword(unit * OF_A_UNIT + REGISTERS[register].offset)

    async def write(self, unit: int, register: str, word: int) -> None:
        address = unit * OF_A_UNIT + REGISTERS[register].offset
        await self.registers.write_dword(address, word & 0xFFFF_FFFF)

    async def until(self, unit: int, register: str, mask: int) -> int:
        for _ in range(1000):
            if (word := await self.read(unit, register)) & mask:
                return word
        raise AssertionError(f"{register} of unit {unit} stays {word}")

    def rows(self, config: exaq.SoftmaxConfig) -> list[NDArray[np.int8]]:
        """Rows of any length, some of them longer than the unit takes."""
        lengths = self.rng.integers(1, config.max_row + 2 * config.lanes, ROWS)
        return [self.rng.integers(-128, 128, length).astype(np.int8) for length in lengths]


@cocotb.test(timeout_time=3, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.4])
async def rows_through_both(dut: Any, stall: float) -> None:
    """Rows through both units at once, by two contexts, of which one is loaded over the bus."""
    design = Design(dut)
    await design.start(stall)
    for unit, config in enumerate((PROBABILITIES, CODES)):
        assert await design.read(unit, "BUILD") == constants(config)["BUILD"]["crc"]
    await design.write(0, "LOAD_BEGIN", 1)
    for word in (*LOADED.thresholds, *LOADED.exp_rom):
        await design.write(0, "LOAD_WORD", word)
    assert await design.until(0, "STATUS", 3 << 8) >> 8 & 3 == 1

    rows, scores = design.rows(PROBABILITIES), design.rows(CODES)
    contexts = design.rng.integers(0, 2, ROWS).tolist()
    for row, context in zip(rows, contexts, strict=True):
        await design.logits.send(AxiStreamFrame(row.tobytes(), tid=context))
    for row in scores:
        await design.scores.send(AxiStreamFrame(row.tobytes()))
    for row, context in zip(rows, contexts, strict=True):
        await probabilities_of(design, row, context)
    for row in scores:
        await codes_of(design, row)
    for unit, (config, sent) in enumerate(((PROBABILITIES, rows), (CODES, scores))):
        assert await design.read(unit, "ROWS") == ROWS
        long = sum(len(row) > config.max_row for row in sent)
        assert await design.read(unit, "LONG_ROWS") == long > 0


async def probabilities_of(design: Design, row: NDArray[np.int8], context: int) -> None:
    frame = await design.probabilities.recv()
    config = PROBABILITIES.replace(context_tables=[PROBABILITIES.context_tables[0], LOADED])
    wanted = exaq.softmax(row[: config.max_row], config, contexts=context)
    np.testing.assert_array_equal(np.frombuffer(bytes(frame.tdata), "<u2"), wanted)
    users = frame.tuser if isinstance(frame.tuser, list) else [frame.tuser]
    assert users[-1] == (len(row) > config.max_row)


async def codes_of(design: Design, row: NDArray[np.int8]) -> None:
    kept = row[: CODES.max_row]
    frame, results = await design.codes.recv(), await design.sums.recv()
    octets = np.frombuffer(bytes(frame.tdata), np.uint8)
    codes = (octets[:, None] >> np.arange(0, 8, CODES.bits) & (1 << CODES.bits) - 1).ravel()
    np.testing.assert_array_equal(codes[: len(kept)], exaq.quantize(kept, CODES, contexts=0))
    wanted = exaq.row_results(kept, CODES, contexts=0)
    told = bytes(results.tdata)
    assert int.from_bytes(told[:1], "little", signed=True) == wanted.maximum
    assert int.from_bytes(told[1:], "little") == wanted.sum
