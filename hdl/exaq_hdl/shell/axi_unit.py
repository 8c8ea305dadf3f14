"""What every AXI4-Stream top of a unit has: its clock, its reset, and the unit."""

from collections.abc import Mapping
from typing import Any, ClassVar

from amaranth.hdl import ClockDomain, Module
from amaranth.lib.wiring import In

from exaq_hdl.parts.component import Component
from exaq_hdl.shell.ports import SignalPort, members


class AxiUnit(Component):
    """A top with ``aclk`` and ``aresetn``, active low, whose streams a subclass
    connects in what ``elaborate`` gives. Latency and throughput are the unit's.

    Parameters
    ----------
    unit
        A component with ``latency``; the submodule ``core``.
    ports
        Those of all streams.
    async_reset
        Whether the reset acts without a clock.
    """

    clocking: ClassVar[dict[str, SignalPort]] = {}

    def __init__(self, unit: Any, ports: Mapping[str, SignalPort], *, async_reset: bool = False):
        self.unit = unit
        self._async = async_reset
        kind = "asynchronous" if async_reset else "synchronous"
        self.latency = unit.latency
        #: Every port, each with what it is.
        self.ports = {
            "aclk": SignalPort(In, 1, "clock"),
            "aresetn": SignalPort(In, 1, f"{kind} reset, active low"),
            **ports,
        }
        super().__init__(members(self.ports))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        sync: Any = ClockDomain("sync", local=True, async_reset=self._async)
        m.domains.sync = sync
        m.d.comb += [sync.clk.eq(self.aclk), sync.rst.eq(~self.aresetn)]
        m.submodules.core = self.unit
        return m


def whole_bytes(bits: int) -> int:
    """Bytes that hold so many bits."""
    return -(-bits // 8)
