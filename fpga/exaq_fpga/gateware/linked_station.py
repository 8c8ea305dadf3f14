"""A station with its transport: all that is between a link's pins and the unit."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib.wiring import Out

from exaq_fpga.gateware.station import Station
from exaq_fpga.gateware.transports.board_transport import BoardTransport
from exaq_fpga.link.protocol import UnitConfig
from exaq_hdl.parts.assembly import add_named
from exaq_hdl.parts.component import Component


class LinkedStation(Component):
    """``Station`` at the board's end of ``transport``.

    Parameters
    ----------
    config, identity, unit
        See ``Station``.
    transport
        Where octets come from and go to. One whose octets come closer than the station takes them
        is a ValueError.

    Members
    -------
    the transport's ``pins``
    active : an answer is under way
    """

    def __init__(self, config: UnitConfig, identity: bytes, unit: Any, transport: BoardTransport):
        self.config = config
        self.transport = transport
        self.station = Station(config, identity, unit, line_cycles=transport.line_cycles)
        super().__init__(dict(transport.pins) | {"active": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self.transport.connect(m, self, self.station)
        add_named(m, "station", self.station)
        m.d.comb += self.active.eq(self.station.active)
        return m
