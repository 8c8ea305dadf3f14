"""The boards that there are builds for, the devices that are measured, and reports on builds."""

from __future__ import annotations

from exaq_fpga.boards.catalogue import BOARDS
from exaq_fpga.boards.specification import BoardLink, BoardSpec, Capacity, Programmer
from exaq_fpga.boards.uart_link import UartLink
from exaq_fpga.boards.udp_link import EthernetPhy, UdpLink

__all__ = [
    "BOARDS",
    "BoardLink",
    "BoardSpec",
    "Capacity",
    "EthernetPhy",
    "Programmer",
    "UartLink",
    "UdpLink",
]
