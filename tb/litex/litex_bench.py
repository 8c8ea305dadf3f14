"""CPU and memory of a SoC without either; runs inside the simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge
from litex_soc import MEMORY, MEMORY_BYTES
from numpy.typing import NDArray


class Bench:
    """The SoC, its clock, its memory and who writes its registers.

    Parameters
    ----------
    dut
        The SoC.
    registers
        Addresses by name.
    stall
        Share of the cycles in which the memory lets the bus wait.
    """

    def __init__(self, dut: Any, registers: dict[str, int], stall: float, seed: int = 0):
        self.dut = dut
        self.registers = registers
        self.stall = stall
        self.rng = np.random.default_rng(seed)
        self.memory = self.rng.integers(0, 256, MEMORY_BYTES, dtype=np.uint8)
        self.word_bytes = len(dut.host_dat_w) // 8

    async def start(self) -> None:
        dut = self.dut
        for name in ("adr", "dat_w", "sel", "cyc", "stb", "we", "cti", "bte"):
            getattr(dut, f"host_{name}").value = 0
        for name in ("dat_r", "ack", "err"):
            getattr(dut, f"memory_{name}").value = 0
        Clock(dut.sys_clk, 10, unit="ns").start()
        dut.sys_rst.value = 1
        await ClockCycles(dut.sys_clk, 4)
        dut.sys_rst.value = 0
        cocotb.start_soon(self._serve())

    async def _serve(self) -> None:
        """The memory: one transfer after the other, each acknowledged for a cycle."""
        dut, size = self.dut, self.word_bytes
        while True:
            await RisingEdge(dut.sys_clk)
            if dut.memory_ack.value == 1:
                dut.memory_ack.value = 0
                continue
            await ReadOnly()
            asked = dut.memory_cyc.value == 1 and dut.memory_stb.value == 1
            if not asked or self.rng.random() < self.stall:
                continue
            place = dut.memory_adr.value.to_unsigned() * size - MEMORY
            word = self.memory[place : place + size]
            if dut.memory_we.value == 1:
                given = dut.memory_dat_w.value.to_unsigned().to_bytes(size, "little")
                for byte in range(size):
                    if dut.memory_sel.value.to_unsigned() >> byte & 1:
                        word[byte] = given[byte]
            await RisingEdge(dut.sys_clk)
            dut.memory_dat_r.value = int.from_bytes(word.tobytes(), "little")
            dut.memory_ack.value = 1

    async def _transfer(self, address: int, word: int | None) -> int:
        dut, shift = self.dut, 8 * (address % self.word_bytes)
        dut.host_adr.value = address // self.word_bytes
        dut.host_sel.value = 0xF << (address % self.word_bytes)
        dut.host_we.value = int(word is not None)
        dut.host_dat_w.value = (word or 0) << shift
        dut.host_cyc.value = dut.host_stb.value = 1
        await RisingEdge(dut.sys_clk)
        while dut.host_ack.value != 1:
            await RisingEdge(dut.sys_clk)
        read = dut.host_dat_r.value
        dut.host_cyc.value = dut.host_stb.value = 0
        assert dut.host_err.value == 0
        await RisingEdge(dut.sys_clk)  # without it the bus would stay the host's
        return 0 if word is not None else read.to_unsigned() >> shift & 0xFFFF_FFFF

    async def write(self, register: str | int, word: int) -> None:
        await self._transfer(self._address(register), word & 0xFFFF_FFFF)

    async def read(self, register: str | int) -> int:
        return await self._transfer(self._address(register), None)

    def _address(self, register: str | int) -> int:
        return register if isinstance(register, int) else self.registers[f"row_dma_{register}"]

    async def until(self, register: str | int, holds: Callable[[int], object]) -> int:
        for _ in range(3000):
            word = await self.read(register)
            if holds(word):
                return word
        raise AssertionError(f"{register} stays {word}")

    def place(self, at: int, values: NDArray[Any]) -> None:
        """Puts values into the memory."""
        octets = np.frombuffer(values.tobytes(), np.uint8)
        self.memory[at : at + len(octets)] = octets
