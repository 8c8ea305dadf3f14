"""A unit as emitted, in a design that is elaborated here."""

from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib.wiring import Flow, In

from exaq_hdl.parts.component import Component
from exaq_hdl.shell.ports import Ports, flat, flat_values, members

#: Name of the softmax's Verilog module; that of ``exaq_hdl.emit.verilog.emit_verilog`` by default.
MODULE = "exaq_softmax"
#: Of the attention head's; that of ``exaq_hdl.emit.attention_verilog.emit_attention``.
HEAD_MODULE = "exaq_attention"


class VerilogUnit(Component):
    """A unit's ports round its Verilog module.

    The text is that of its core top, which has to be put beside the design's own. It runs in domain
    ``sync``, whose reset must come once after power-up. Amaranth's simulator has no Verilog:
    simulate with the unit itself in its place.

    Parameters
    ----------
    ports
        Of the unit, such as ``exaq_hdl.shell.row_shell.unit_ports`` of a configuration.
    module
        Name of the Verilog module.

    Members
    -------
    those of ``ports``
    """

    def __init__(self, ports: Ports, module: str = MODULE):
        self._ports = ports
        self._module = module
        super().__init__(members(ports))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.core = Instance(
            self._module,
            ("i", "clk", ClockSignal()),
            ("i", "rst", ResetSignal()),
            *(
                ("i" if flow is In else "o", name, value)
                for name, (flow, value) in self.verilog_ports().items()
            ),
        )
        return m

    def verilog_ports(self) -> dict[str, tuple[Flow, Value]]:
        """For each port of the module, clock and reset apart, its direction and value here."""
        values = flat_values(self._ports, self)
        return {
            name: (port.flow, Value.cast(values[name])) for name, port in flat(self._ports).items()
        }
