"""A UART as a board's end of a link."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from exaq_fpga.boards.uart_link import UartLink
from exaq_fpga.gateware.transports.uart import UartReceiver, UartTransmitter
from exaq_hdl.parts.assembly import add_named


class UartTransport:
    """A ``BoardTransport`` over two wires: 8 data bits, no parity, 1 stop bit, idle high.

    Its pins are ``rx``, from the host, which needs no synchroniser, and ``tx``, to the host, a
    register, high while idle and in reset. An octet without a stop bit is a lost one.

    Parameters
    ----------
    divisor
        Clock cycles of a bit, at least 4.
    """

    def __init__(self, divisor: int) -> None:
        self._receiver = UartReceiver(divisor)
        self._transmitter = UartTransmitter(divisor)
        self.pins = {"rx": In(1), "tx": Out(1)}
        self.line_cycles = self._receiver.line_cycles

    @classmethod
    def of_link(cls, link: UartLink, clock: int) -> "UartTransport":
        """That of ``link`` in a design with a clock of ``clock`` Hz; errors as its ``divisor``."""
        return cls(link.divisor(clock))

    def connect(self, m: Module, ports: Any, station: Any) -> None:
        """See ``BoardTransport``."""
        receiver, transmitter = self._receiver, self._transmitter
        add_named(m, "uart_receiver", receiver)
        add_named(m, "uart_transmitter", transmitter)
        wiring.connect(m, receiver.o, station.rx)
        wiring.connect(m, station.tx, transmitter.i)
        m.d.comb += [
            receiver.rx.eq(ports.rx),
            station.line_error.eq(receiver.error),
            ports.tx.eq(transmitter.tx),
        ]

    def add_pads(self, m: Module, platform: Any, ports: Any) -> None:
        """See ``BoardTransport``; the pins are those of the platform's resource ``uart``."""
        pins = platform.request("uart", dir="-")
        m.submodules.rx = rx = io.Buffer(io.Direction.Input, pins.rx)
        m.submodules.tx = tx = io.Buffer(io.Direction.Output, pins.tx)
        m.d.comb += [ports.rx.eq(rx.i), tx.o.eq(ports.tx)]
