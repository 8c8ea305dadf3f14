"""What can go wrong between a host and a board. Every message is one line for the user."""

from __future__ import annotations


class BoardError(Exception):
    """The base of all errors of a board and of its link."""


class PortError(BoardError):
    """The port cannot be opened."""


class NoPortError(PortError):
    """There is no such port."""


class PortPermissionError(PortError):
    """The port may not be opened by this user."""


class PortBusyError(PortError):
    """Another program has the port."""


class ConnectError(BoardError):
    """No board of this project is found at the port."""


class NoAnswerError(ConnectError):
    """Not an octet came."""


class GarbageError(ConnectError):
    """Octets came, but none of them made an answer."""


class WrongDeviceError(ConnectError):
    """What answers is no board of this project, or none that this version can read."""


class OtherVersionError(WrongDeviceError):
    """The board speaks another version of the link."""


class LinkError(BoardError):
    """The link to a board that has answered before is lost, or passes nothing any more."""


class RefusedError(BoardError):
    """The board refuses a request, or flags a row."""


class UnknownTablesError(BoardError):
    """A context that rows name holds tables that this program knows nothing of."""
