"""The unit with one Verilog port for each field of its streams."""

from typing import Any, ClassVar

from amaranth.hdl import Module
from amaranth.lib.wiring import In

from exaq import SoftmaxConfig
from exaq_hdl.checks import check_config
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.shell.ports import SignalPort, flat, flat_values, members
from exaq_hdl.shell.row_shell import Softmax, unit_ports
from exaq_hdl.shell.tops import top


@top("core")
class FlatSoftmax(Component):
    """Core top: ``Softmax`` with a port for each field; lane 0 lowest, no padding.

    Latency and throughput are the unit's. Clock ``clk``, synchronous reset ``rst``, active high.

    Members
    -------
    i_FIELD, i_valid, i_ready : the stream ``i`` of ``Softmax``, in
    o_FIELD, o_valid, o_ready : the stream ``o``, out
    ... : likewise the other ports of ``Softmax``
    """

    #: Ports that the domain of the unit gets in Verilog.
    clocking: ClassVar = {
        "clk": SignalPort(In, 1, "clock"),
        "rst": SignalPort(In, 1, "synchronous reset, active high"),
    }

    def __init__(self, config: SoftmaxConfig, *, memories: Memories = SIMULATED):
        self.config = check_config(config)
        self.softmax = Softmax(config, memories=memories)
        self.latency = self.softmax.latency
        #: Every port, each with what it is.
        self.ports = flat(unit_ports(config))
        super().__init__(members(self.ports))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.core = self.softmax
        inside = flat_values(unit_ports(self.config), self.softmax)
        for name, port in self.ports.items():
            near, far = getattr(self, name), inside[name]
            m.d.comb += far.eq(near) if port.flow is In else near.eq(far)
        return m
