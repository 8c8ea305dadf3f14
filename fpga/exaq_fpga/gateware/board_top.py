"""The whole design of a board: clock, serial port, station, unit, LED."""

from amaranth.hdl import ClockDomain, Module
from amaranth.lib import io, wiring

from exaq import SoftmaxConfig
from exaq_fpga.gateware.clock.clocking import Clocking
from exaq_fpga.gateware.transports.uart_station import UartStation
from exaq_fpga.gateware.verilog_unit import VerilogUnit


class BoardTop(wiring.Component):
    """``UartStation`` on a board's pins, in a domain ``sync`` of its own making.

    The unit is the emitted Verilog (see ``VerilogUnit``), to be added to the platform's files.

    Parameters
    ----------
    spec
        The board: ``exaq_fpga.boards.BoardSpec``.
    config, identity
        As of ``UartStation``.
    clock
        Of the unit, in Hz.
    pll
        That makes it, or None where it is that of the pin.
    divisor
        Clock cycles of a bit on the serial port.
    """

    def __init__(self, spec, config: SoftmaxConfig, identity: bytes, *, clock, pll, divisor):
        self.spec = spec
        self.clock = clock
        self.pll = pll
        self.station = UartStation(config, identity, VerilogUnit(config), divisor)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain()
        spec, station = self.spec, self.station
        pin = platform.request(platform.default_clk, dir="-")
        m.submodules.clocking = Clocking(pin, self.clock, self.pll, pad=spec.pll_pad)
        m.submodules.station = station
        link = platform.request("uart", dir="-")
        m.submodules.rx = rx = io.Buffer(io.Direction.Input, link.rx)
        m.submodules.tx = tx = io.Buffer(io.Direction.Output, link.tx)
        m.d.comb += [station.rx.eq(rx.i), tx.o.eq(station.tx)]
        if spec.led is not None:
            name, part = spec.led
            led = platform.request(name, dir="-")
            m.submodules.led = led = io.Buffer(
                io.Direction.Output, getattr(led, part) if part else led
            )
            m.d.comb += led.o.eq(station.active)
        return m
