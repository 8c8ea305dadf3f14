"""A serial port as the way to a board: written and read at once, never waited for too long."""

from __future__ import annotations

import errno
import os
import select
from pathlib import Path
from typing import Any

from exaq.extras import needing
from exaq.scalars import integer
from exaq_fpga.link.errors import (
    LinkError,
    NoPortError,
    PortBusyError,
    PortError,
    PortPermissionError,
)

#: Baud rate where none is named: that of most boards.
BAUD = 1_000_000
#: Bits of an octet on the line: start, eight of data, stop.
OCTET_BITS = 10

# Octets handed over at once: a port takes what it has room for of them.
_CHUNK = 4096


class SerialPort:
    """A ``Transport`` by a serial port, 8N1 without handshake, open from the start.

    This process has the port for itself alone where the system allows that.

    Parameters
    ----------
    port
        A device (``/dev/ttyUSB1``, ``COM3``), a pseudo-terminal, or anything else that
        ``serial.serial_for_url`` takes.
    baud
        Baud rate, that which the board was built for.

    Raises
    ------
    TypeError, ValueError
        ``baud`` is no positive integer.
    PortError
        The port cannot be opened; the message says why and what helps.
    """

    #: See ``Transport``.
    settings = "baud rate"

    def __init__(self, port: str, *, baud: int = BAUD) -> None:
        baud = integer("baud", baud, 1)
        # Imported late: what else there is of the link needs no pyserial.
        with needing("the port of a board"):
            import serial

        self.name = f"{port} with {baud} baud"
        self._port = port
        self._octet_seconds = OCTET_BITS / baud
        try:
            self._serial: Any = serial.serial_for_url(
                port, baudrate=baud, timeout=0, write_timeout=0, exclusive=True
            )
        except (OSError, ValueError, OverflowError) as error:
            raise _open_error(port, baud, error) from error
        self._descriptor = _descriptor(self._serial)
        if self._descriptor is None:
            self._serial.write_timeout = None

    def discard(self) -> None:
        """See ``Transport``."""
        try:
            self._serial.reset_input_buffer()
        except OSError as error:
            raise self._lost(error) from error

    def exchange(self, pending: bytearray, seconds: float) -> bytes:
        """See ``Transport``."""
        try:
            if self._descriptor is None:
                return self._in_turn(pending, seconds)
            return self._at_once(self._descriptor, pending, seconds)
        except OSError as error:
            raise self._lost(error) from error

    def _at_once(self, descriptor: int, pending: bytearray, seconds: float) -> bytes:
        writers = [descriptor] if pending else []
        readable, writable, _ = select.select([descriptor], writers, [], seconds)
        if writable:
            del pending[: self._serial.write(pending[:_CHUNK])]
        return bytes(self._serial.read(2**16)) if readable else b""

    def _in_turn(self, pending: bytearray, seconds: float) -> bytes:
        if pending:
            self._serial.write(bytes(pending))
            pending.clear()
        self._serial.timeout = seconds
        return bytes(self._serial.read(max(1, self._serial.in_waiting)))

    def seconds(self, octets: int) -> float:
        """See ``Transport``; the line is never faster than its baud rate."""
        return octets * self._octet_seconds

    def close(self) -> None:
        """See ``Transport``."""
        self._serial.close()

    def _lost(self, error: Exception) -> LinkError:
        return LinkError(f"the port {self._port} went away: {_reason(error)}")


def _descriptor(port: Any) -> int | None:
    """What to wait for with ``select``, where there is such a thing."""
    if os.name != "posix":
        return None
    try:
        return int(port.fileno())
    except (AttributeError, OSError):
        return None


def _open_error(name: str, baud: int, error: Exception) -> PortError:
    number = getattr(error, "errno", None)
    if "exclusively lock" in str(error) or number == errno.EBUSY:
        return PortBusyError(f"the port {name} is in use by another program")
    if number == errno.ENOENT:
        return NoPortError(f"there is no port {name}{_others()}")
    if number in (errno.EACCES, errno.EPERM):
        return PortPermissionError(
            f"no permission to open {name}; on Linux, make yourself a member of the group that "
            f"owns it ({_group(name)}) and log in anew"
        )
    if number in (errno.ENXIO, errno.ENODEV, errno.EIO):
        return NoPortError(f"no device is behind the port {name}{_others()}")
    if number == errno.ENOTTY or "Could not configure port" in str(error):
        return PortError(f"{name} is no serial port{_others()}")
    if isinstance(error, OverflowError) or "baud" in str(error).lower():
        return PortError(f"the port {name} cannot do {baud} baud")
    return PortError(f"cannot open the port {name}: {_reason(error)}")


def _group(name: str) -> str:
    try:
        return Path(name).group()
    except (KeyError, OSError, NotImplementedError):
        return "dialout on Debian and Ubuntu"


def _others() -> str:
    """The end of a message: what ports there are."""
    # Imported late: it looks through the machine's devices.
    from serial.tools import list_ports

    found = sorted(port.device for port in list_ports.comports())
    return f"; there are {', '.join(found)}" if found else "; no serial port is connected"


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error)
