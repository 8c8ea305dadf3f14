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

    Latency 2 cycles (block RAM and its output register); throughput 1 group per cycle. Exact.
    Source: EXAQ (arXiv 2410.03185), LUT_sum.

    Members
    -------
    codes : the group's codes, that of its first lane lowest
    total : sum of their E_k, ``latency`` cycles later
    """

    latency = 2

    def __init__(self, kernel: Exaq, *, memories: Memories = SIMULATED):
        self.kernel = check_exaq(kernel)
        self._memories = memories
        super().__init__(
            {"codes": In(kernel.bits * kernel.group), "total": Out(kernel.group_sum_bits)}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        init = [int(entry) for entry in self.kernel.tables.sum_rom(self.kernel.group)]
        width = self.kernel.group_sum_bits
        m.submodules.rom = table = self._memories.rom(width, init)
        port = table.read_port()
        output = Signal(width, reset_less=True)
        m.d.comb += [port.addr.eq(self.codes), self.total.eq(output)]
        m.d.sync += output.eq(port.data)
        return m
