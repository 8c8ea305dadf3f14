"""The softmax unit as emitted, in a design that is elaborated here."""

from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib.wiring import Flow, In

from exaq import SoftmaxConfig
from exaq_hdl.checks import check_config
from exaq_hdl.parts.component import Component
from exaq_hdl.shell.ports import flat, flat_values, members
from exaq_hdl.shell.row_shell import unit_ports

#: Name of the Verilog module; that of ``exaq_hdl.emit.verilog.emit_verilog`` by default.
MODULE = "exaq_softmax"


class VerilogUnit(Component):
    """Ports of ``exaq_hdl.shell.row_shell.Softmax`` round the Verilog module ``MODULE``.

    Its text is that of ``emit_verilog(config, top="core")``, which has to be put beside the
    design's own. It runs in domain ``sync``, whose reset must come once after power-up.
    Amaranth's simulator has no Verilog: simulate with ``Softmax`` in its place.

    Members
    -------
    i, o, load, loaded, refused, busy, events : as of ``Softmax``
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = check_config(config)
        super().__init__(members(unit_ports(config)))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.core = Instance(
            MODULE,
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
        ports = unit_ports(self.config)
        values = flat_values(ports, self)
        return {name: (port.flow, Value.cast(values[name])) for name, port in flat(ports).items()}
