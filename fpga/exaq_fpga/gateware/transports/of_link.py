"""Which gateware a board's link takes."""

from typing import Any

from exaq_fpga.boards import BoardLink, UartLink, UdpLink
from exaq_fpga.gateware.transports.board_transport import BoardTransport
from exaq_fpga.gateware.transports.uart_transport import UartTransport
from exaq_fpga.gateware.transports.udp_transport import UdpTransport

#: The transport of each kind of link.
TRANSPORTS: dict[type, Any] = {UartLink: UartTransport, UdpLink: UdpTransport}


def transport_of(link: BoardLink, clock: int) -> BoardTransport:
    """The board's end of ``link`` in a design with a clock of ``clock`` Hz.

    Raises
    ------
    ValueError
        The link cannot have its rate with this clock.
    """
    transport: BoardTransport = TRANSPORTS[type(link)].of_link(link, clock)
    return transport
