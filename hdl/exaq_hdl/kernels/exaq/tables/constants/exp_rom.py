"""The exponentials of the codes."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Mux, Value
from amaranth.lib.wiring import In, Out

from exaq import Exaq
from exaq_hdl.kernels.exaq.kernel_checks import check_exaq
from exaq_hdl.parts.component import Component


def lookup(address: Value, constants: Sequence[int]) -> Any:
    """constants[address] by a tree of multiplexers, for few constants; else undefined."""
    if len(constants) == 1:
        return constants[0]
    half = 1 << (len(address) - 1)
    if len(constants) <= half:
        return lookup(address[:-1], constants)
    low, high = constants[:half], constants[half:]
    return Mux(address[-1], lookup(address[:-1], high), lookup(address[:-1], low))


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
