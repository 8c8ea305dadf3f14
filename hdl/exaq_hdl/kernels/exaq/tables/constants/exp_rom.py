"""The exponentials of the codes."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib.wiring import In, Out

from exaq import Exaq
from exaq_hdl.kernels.exaq.kernel_checks import check_exaq
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.lookup import lookup


class ExpRom(Component):
    """Looks up E_k, the exponential of level k, scaled by 2**exp_frac.

    Latency 0 (a handful of constants in logic); throughput 1 lookup per cycle.

    Members
    -------
    code : k
    exponential : E_k
    """

    def __init__(self, kernel: Exaq):
        self.kernel = check_exaq(kernel)
        super().__init__({"code": In(kernel.bits), "exponential": Out(kernel.exp_bits)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += self.exponential.eq(lookup(self.code, self.kernel.tables.exp_rom))
        return m
