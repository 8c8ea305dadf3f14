"""A unit with one Verilog port for each field of its streams."""

from typing import Any, ClassVar

from amaranth.hdl import Module
from amaranth.lib.wiring import In

from exaq_hdl.parts.component import Component
from exaq_hdl.shell.ports import Ports, SignalPort, flat, flat_values, members


class FlatUnit(Component):
    """Core top of any unit: a port for each field, the first element lowest, no padding.

    Latency and throughput are the unit's. Clock ``clk``, synchronous reset ``rst``, active high.

    Parameters
    ----------
    unit
        A component with ``latency`` whose members are those of ``ports``.
    ports
        Its ports, each with what it is; a stream ``s`` becomes s_FIELD, s_valid and s_ready.
    """

    #: Ports that the domain of the unit gets in Verilog.
    clocking: ClassVar[dict[str, SignalPort]] = {
        "clk": SignalPort(In, 1, "clock"),
        "rst": SignalPort(In, 1, "synchronous reset, active high"),
    }

    def __init__(self, unit: Any, ports: Ports):
        self.unit = unit
        self.latency = unit.latency
        self._ports = ports
        #: Every port, each with what it is.
        self.ports = flat(ports)
        super().__init__(members(self.ports))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.core = self.unit
        inside = flat_values(self._ports, self.unit)
        for name, port in self.ports.items():
            near, far = getattr(self, name), inside[name]
            m.d.comb += far.eq(near) if port.flow is In else near.eq(far)
        return m
