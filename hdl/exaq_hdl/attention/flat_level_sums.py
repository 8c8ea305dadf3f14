"""The sums of values by level with one Verilog port for each field of their streams."""

from typing import Any, ClassVar

from amaranth.hdl import Module
from amaranth.lib.wiring import In

from exaq.attention import AttentionConfig
from exaq_hdl.attention.level_sums import LevelSums, level_sums_ports
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.shell.core import FlatSoftmax
from exaq_hdl.shell.ports import SignalPort, flat, flat_values, members


class FlatLevelSums(Component):
    """Core top: ``LevelSums`` with a port for each field; lane 0 and element 0 lowest, no padding.

    Latency and throughput are the unit's. Clock ``clk``, synchronous reset ``rst``, active high.
    Parameters as of ``LevelSums``.

    Members
    -------
    i_FIELD, i_valid, i_ready : the stream ``i`` of ``LevelSums``, in
    sum_FIELD, sum_valid, sum_ready : the stream ``sum``, in
    o_FIELD, o_valid, o_ready : the stream ``o``, out
    """

    clocking: ClassVar[dict[str, SignalPort]] = FlatSoftmax.clocking

    def __init__(
        self,
        config: AttentionConfig,
        *,
        outputs_per_beat: int | None = None,
        memories: Memories = SIMULATED,
    ):
        self.unit = LevelSums(config, outputs_per_beat=outputs_per_beat, memories=memories)
        self.latency = self.unit.latency
        self._ports = level_sums_ports(config, self.unit.outputs_per_beat)
        #: Every port, each with what it is.
        self.ports = flat(self._ports)
        super().__init__(members(self.ports))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.core = self.unit
        inside = flat_values(self._ports, self.unit)
        for name, port in self.ports.items():
            near, far = getattr(self, name), inside[name]
            m.d.comb += far.eq(near) if port.flow is In else near.eq(far)
        return m
