"""A serial port that is read and written at the same time, and never waited for too long."""

from __future__ import annotations

import errno
import os
import select
from pathlib import Path
from typing import Any

from exaq.extras import needing
from exaq_fpga.link.errors import (
    LinkError,
    NoPortError,
    PortBusyError,
    PortError,
    PortPermissionError,
)

# Octets handed over at once: a port takes what it has room for of them.
_CHUNK = 4096


class Port:
    """The serial port ``name``, 8N1 without handshake, for this process alone where possible.

    ``name`` is a device (``/dev/ttyUSB1``, ``COM3``), a pseudo-terminal or anything else that
    ``serial.serial_for_url`` takes.

    Raises
    ------
    PortError
        It cannot be opened; the message says why and what helps.
    """

    def __init__(self, name: str, baud: int) -> None:
        # Imported late: what else there is of the link needs no pyserial.
        with needing("the port of a board"):
            import serial

        self.name = name
        self.baud = baud
        try:
            self._serial: Any = serial.serial_for_url(
                name, baudrate=baud, timeout=0, write_timeout=0, exclusive=True
            )
        except (OSError, ValueError, OverflowError) as error:
            raise _open_error(name, baud, error) from error
        self._descriptor = _descriptor(self._serial)
        if self._descriptor is None:
            self._serial.write_timeout = None

    def discard(self) -> None:
        """Drop what has been received and not been read."""
        try:
            self._serial.reset_input_buffer()
        except OSError as error:
            raise self._lost(error) from error

    def exchange(self, pending: bytearray, seconds: float) -> bytes:
        """Send of ``pending`` what the port takes, and take that away; return what came.

        Waits until there is anything to do, for ``seconds`` at most.

        Raises
        ------
        LinkError
            The port is gone.
        """
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

    def close(self) -> None:
        """Give the port back. What was not sent yet may be lost."""
        self._serial.close()

    def _lost(self, error: Exception) -> LinkError:
        return LinkError(f"the port {self.name} went away: {_reason(error)}")


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
