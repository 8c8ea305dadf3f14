"""LUT_sum: the sum of a group's exponentials by one lookup."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In, Out

from exaq import Exaq
from exaq_hdl.kernels.exaq.kernel_checks import check_exaq
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import SIMULATED, Memories


class SumRom(Component):
    """Adds the exponentials of ``group`` codes by one lookup in 2**(bits * group) entries.

    Latency ``latency`` cycles; throughput 1 group per cycle. Exact. In block RAM that is 2 cycles,
    the second of which is its output register. In a chip ROMs are gates, and it is 1. Each half of
    the group has a table of its own there, and their entries are added: two tables of 16 entries
    and an adder are smaller than one of 256.
    Source: EXAQ (arXiv 2410.03185), LUT_sum.

    Members
    -------
    codes : the group's codes, that of its first lane lowest
    total : sum of their E_k, ``latency`` cycles later
    """

    @staticmethod
    def latency_in(memories: Memories) -> int:
        """The latency of one in ``memories``."""
        return 1 if memories.chip else 2

    def __init__(self, kernel: Exaq, *, memories: Memories = SIMULATED):
        self.kernel = check_exaq(kernel)
        self._memories = memories
        self.latency = self.latency_in(memories)
        super().__init__(
            {"codes": In(kernel.bits * kernel.group), "total": Out(kernel.group_sum_bits)}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        group, bits = self.kernel.group, self.kernel.bits
        chip = self._memories.chip
        halves = chip and group % 2 == 0
        parts = [group // 2] * 2 if halves else [group]
        found = []
        for k, lanes in enumerate(parts):
            init = [int(entry) for entry in self.kernel.tables.sum_rom(lanes)]
            width = max(init).bit_length() if halves else self.kernel.group_sum_bits
            table = self._memories.rom(width, init, holds=f"sums of {lanes} exponentials")
            m.submodules[f"rom{k}" if halves else "rom"] = table
            port = table.read_port(domain="comb") if chip else table.read_port()
            codes = self.codes.word_select(k, bits * lanes) if halves else self.codes
            m.d.comb += port.addr.eq(codes)
            found.append(port.data)
        output = Signal(self.kernel.group_sum_bits, reset_less=True)
        m.d.comb += self.total.eq(output)
        m.d.sync += output.eq(found[0] + found[1] if halves else found[0])
        return m
