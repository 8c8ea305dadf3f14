"""The whole design of a board: clock, link, station, unit, LED."""

from typing import Any

from amaranth.hdl import ClockDomain, Module
from amaranth.lib import io

from exaq_fpga.boards.specification import BoardSpec
from exaq_fpga.gateware.clock.clocking import Clocking
from exaq_fpga.gateware.linked_station import LinkedStation
from exaq_fpga.gateware.transports.board_transport import BoardTransport
from exaq_fpga.gateware.verilog_unit import VerilogUnit
from exaq_fpga.link.protocol import UnitConfig
from exaq_hdl.parts.component import Component


class BoardTop(Component):
    """``LinkedStation`` on a board's pins, in a domain ``sync`` of its own making.

    The unit's Verilog (see ``VerilogUnit``) is to be added to the platform's files.

    Parameters
    ----------
    spec
        The board: ``exaq_fpga.boards.BoardSpec``.
    config, identity
        As of ``LinkedStation``.
    unit
        As emitted.
    clock
        Of the unit, in Hz.
    pll
        That makes it, or None where it is that of the pin.
    transport
        The board's end of the link.
    """

    def __init__(
        self,
        spec: BoardSpec,
        config: UnitConfig,
        identity: bytes,
        unit: VerilogUnit,
        *,
        clock: int,
        pll: Any,
        transport: BoardTransport,
    ):
        self.spec = spec
        self.clock = clock
        self.pll = pll
        self.station = LinkedStation(config, identity, unit, transport)
        super().__init__({})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.domains.sync = ClockDomain()
        spec, station = self.spec, self.station
        pin = platform.request(platform.default_clk, dir="-")
        m.submodules.clocking = Clocking(pin, self.clock, self.pll, pad=spec.pll_pad)
        m.submodules.station = station
        station.transport.add_pads(m, platform, station)
        if spec.led is not None:
            name, part = spec.led
            led = platform.request(name, dir="-")
            m.submodules.led = led = io.Buffer(
                io.Direction.Output, getattr(led, part) if part else led
            )
            m.d.comb += led.o.eq(station.active)
        return m
