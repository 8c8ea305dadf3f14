"""The exponentials of the levels."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from exaq import SoftmaxConfig


class ExpRom(wiring.Component):
    """Looks up E_k, the exponential of level k, scaled by 2**exp_frac.

    Latency 0 (a handful of constants in logic); throughput 1 lookup per cycle.

    Members
    -------
    code : k
    exponential : E_k
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = config
        super().__init__({"code": In(config.bits), "exponential": Out(config.exp_bits)})

    def elaborate(self, platform):
        m = Module()
        with m.Switch(self.code):
            for code, exponential in enumerate(self.config.tables.exp_rom):
                with m.Case(code):
                    m.d.comb += self.exponential.eq(exponential)
        return m
