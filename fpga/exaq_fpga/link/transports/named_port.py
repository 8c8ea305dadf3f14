"""The transport to a board by the name that a user gives of its port."""

from __future__ import annotations

from exaq_fpga.link.transports.serial_port import BAUD, SerialPort
from exaq_fpga.link.transports.transport import Transport
from exaq_fpga.link.transports.udp_socket import SCHEME, UdpSocket


def open_port(name: str, *, baud: int | None = None) -> Transport:
    """The way to the board at ``name``: ``udp:HOST`` or ``udp:HOST:PORT``, or else a serial port.

    Parameters
    ----------
    baud
        Baud rate of a serial port; None: that of most boards.

    Raises
    ------
    ValueError
        There is a baud rate for what has none, or an error as of the transports.
    PortError
        See the transports.
    """
    if not name.startswith(SCHEME):
        return SerialPort(name, baud=BAUD if baud is None else baud)
    if baud is not None:
        raise ValueError(f"a baud rate is for serial ports, and {name} is none")
    return UdpSocket(name)
