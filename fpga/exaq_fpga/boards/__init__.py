"""The boards that there are builds for, the devices that are measured, and reports on builds."""

from __future__ import annotations

from exaq_fpga.boards.catalogue import BOARDS
from exaq_fpga.boards.specification import BoardSpec, Capacity, Programmer
from exaq_fpga.boards.uart_link import UartLink

__all__ = ["BOARDS", "BoardSpec", "Capacity", "Programmer", "UartLink"]
