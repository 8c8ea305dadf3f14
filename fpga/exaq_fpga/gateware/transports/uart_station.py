"""A station on the two wires of a serial port."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq_fpga.gateware.station import Station
from exaq_fpga.gateware.transports.uart import UartReceiver, UartTransmitter
from exaq_hdl.checks import check_config
from exaq_hdl.shell.row_shell import add_named


class UartStation(wiring.Component):
    """``Station`` behind a UART: 8 data bits, no parity, 1 stop bit, idle high.

    Parameters
    ----------
    config, identity, unit
        See ``Station``.
    divisor
        Clock cycles of a bit, at least 4.

    Members
    -------
    rx : pin from the host; needs no synchroniser
    tx : pin to the host, a register, high while idle and in reset
    active : an answer is under way
    """

    def __init__(self, config: SoftmaxConfig, identity: bytes, unit: Any, divisor: int):
        self.config = check_config(config)
        self.receiver = UartReceiver(divisor)
        self.transmitter = UartTransmitter(divisor)
        self.station = Station(config, identity, unit, line_cycles=self.receiver.line_cycles)
        super().__init__({"rx": In(1), "tx": Out(1), "active": Out(1)})

    def elaborate(self, platform):
        m = Module()
        receiver, transmitter, station = self.receiver, self.transmitter, self.station
        add_named(m, "uart_receiver", receiver)
        add_named(m, "uart_transmitter", transmitter)
        add_named(m, "station", station)
        wiring.connect(m, receiver.o, station.rx)
        wiring.connect(m, station.tx, transmitter.i)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            station.line_error.eq(receiver.error),
            self.tx.eq(transmitter.tx),
            self.active.eq(station.active),
        ]
        return m
