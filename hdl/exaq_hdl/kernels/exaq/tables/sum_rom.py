"""LUT_sum: the sum of a group's exponentials by one lookup."""

from amaranth.hdl import Module, Shape, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq_hdl.checks import check_config

# Smaller tables are cheaper in logic than in a block RAM.
_BLOCK_BITS = 1024


def rom(shape, words):
    """A memory that holds ``words``, in block RAM where that is the cheaper place."""
    bits = len(words) * Shape.cast(shape).width
    style = {"ram_style": "block"} if bits >= _BLOCK_BITS else {}
    return memory.Memory(shape=shape, depth=len(words), init=words, attrs=style)


class SumRom(wiring.Component):
    """Adds the exponentials of ``group`` codes by one lookup in 2**(bits * group) entries.

    Latency 2 cycles (block RAM and its output register); throughput 1 group per cycle. Exact.
    Source: EXAQ (arXiv 2410.03185), LUT_sum.

    Members
    -------
    codes : the group's codes, that of its first lane lowest
    total : sum of their E_k, ``latency`` cycles later
    """

    latency = 2

    def __init__(self, config: SoftmaxConfig):
        self.config = check_config(config)
        super().__init__(
            {"codes": In(config.bits * config.group), "total": Out(config.group_sum_bits)}
        )

    def elaborate(self, platform):
        m = Module()
        init = [int(entry) for entry in self.config.tables.sum_rom(self.config.group)]
        width = self.config.group_sum_bits
        m.submodules.rom = table = rom(width, init)
        port = table.read_port()
        output = Signal(width, reset_less=True)
        m.d.comb += [port.addr.eq(self.codes), self.total.eq(output)]
        m.d.sync += output.eq(port.data)
        return m
