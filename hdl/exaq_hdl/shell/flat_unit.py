"""A unit with one Verilog port for each field of its streams."""

from typing import Any

from amaranth.hdl import ClockDomain, Module
from amaranth.lib.wiring import In

from exaq_hdl.parts.component import Component
from exaq_hdl.shell.ports import Ports, SignalPort, flat, flat_values, members


class FlatUnit(Component):
    """Core top of any unit: a port for each field, the first element lowest, no padding.

    Latency and throughput are the unit's. Clock ``clk``, reset ``rst``, active high.

    Parameters
    ----------
    unit
        A component with ``latency`` whose members are those of ``ports``.
    ports
        Its ports, each with what it is; a stream ``s`` becomes s_FIELD, s_valid and s_ready.
    async_reset
        Whether the reset acts without a clock.
    """

    def __init__(self, unit: Any, ports: Ports, *, async_reset: bool = False):
        self.unit = unit
        self.latency = unit.latency
        self._ports = ports
        self._async = async_reset
        kind = "asynchronous" if async_reset else "synchronous"
        clocking = {
            "clk": SignalPort(In, 1, "clock"),
            "rst": SignalPort(In, 1, f"{kind} reset, active high"),
        }
        #: Ports that Amaranth adds: those of its own domain, whose reset is synchronous.
        self.clocking = {} if async_reset else clocking
        #: Every other port, each with what it is.
        self.ports = (clocking if async_reset else {}) | flat(ports)
        super().__init__(members(self.ports))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if self._async:
            sync: Any = ClockDomain("sync", local=True, async_reset=True)
            m.domains.sync = sync
            m.d.comb += [sync.clk.eq(self.clk), sync.rst.eq(self.rst)]
        m.submodules.core = self.unit
        for name, far in flat_values(self._ports, self.unit).items():
            near = getattr(self, name)
            m.d.comb += far.eq(near) if self.ports[name].flow is In else near.eq(far)
        return m
