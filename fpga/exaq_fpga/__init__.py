"""The unit on FPGA boards: synthesis and builds, the link, and the host's side of it."""

from exaq_fpga.link.board import Board
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

__all__ = [
    "Board",
    "BoardError",
    "ConnectError",
    "GarbageError",
    "LinkError",
    "NoAnswerError",
    "NoPortError",
    "OtherVersionError",
    "PortBusyError",
    "PortError",
    "PortPermissionError",
    "RefusedError",
    "UnknownTablesError",
    "WrongDeviceError",
]
