"""The memory of the link's buffers."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import memory
from amaranth.lib.wiring import In, Out

from exaq.scalars import integer
from exaq_hdl.parts.component import Component


class OctetRam(Component):
    """Simple dual-port RAM of octets. Latency 1 cycle; throughput 1 octet per cycle.

    ``read_data`` holds its octet while ``read_enable`` is low. An octet may be read from the
    cycle after its write on. Contents are undefined before they are written; reading and writing
    one address in one cycle is not allowed.

    Parameters
    ----------
    depth
        Number of octets, at least 2.
    """

    latency = 1

    def __init__(self, depth: int):
        self.depth = depth = integer("depth", depth, 2)
        super().__init__(
            {
                "write_enable": In(1),
                "write_address": In(range(depth)),
                "write_data": In(8),
                "read_enable": In(1),
                "read_address": In(range(depth)),
                "read_data": Out(8),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        # A port without clock and a register: synthesis makes one clocked port of them. Of a
        # clocked port in the first place it would not believe ``no_rw_check``, and add logic that
        # finds the old octet where reading and writing meet.
        m = Module()
        attributes: Any = {"no_rw_check": 1, "ram_style": "block"}
        octets: Any = memory.Memory(shape=8, depth=self.depth, init=[], attrs=attributes)
        m.submodules.octets = octets
        write, read = octets.write_port(), octets.read_port(domain="comb")
        latch = Signal(8, reset_less=True)
        m.d.comb += [
            write.en.eq(self.write_enable),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            read.addr.eq(self.read_address),
            self.read_data.eq(latch),
        ]
        with m.If(self.read_enable):
            m.d.sync += latch.eq(read.data)
        return m
