"""The unit on FPGA boards: synthesis and builds, the link, and the host's side of it."""

from exaq_fpga.link.board import Board, StreamedRows
from exaq_fpga.link.errors import (
    BoardError,
    ConnectError,
    GarbageError,
    LinkError,
    NoAnswerError,
    NoPortError,
    OtherVersionError,
    PortBusyError,
    PortError,
    PortPermissionError,
    RefusedError,
    UnknownTablesError,
    WrongDeviceError,
)
from exaq_fpga.link.head_board import HeadBoard
from exaq_fpga.link.transports.serial_port import SerialPort
from exaq_fpga.link.transports.transport import Transport
from exaq_fpga.link.transports.udp_socket import UdpSocket

__all__ = [
    "Board",
    "BoardError",
    "ConnectError",
    "GarbageError",
    "HeadBoard",
    "LinkError",
    "NoAnswerError",
    "NoPortError",
    "OtherVersionError",
    "PortBusyError",
    "PortError",
    "PortPermissionError",
    "RefusedError",
    "SerialPort",
    "StreamedRows",
    "Transport",
    "UdpSocket",
    "UnknownTablesError",
    "WrongDeviceError",
]
