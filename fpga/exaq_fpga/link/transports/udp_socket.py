"""A UDP socket as the way to a board: one that has an Ethernet link."""

from __future__ import annotations

import secrets
import select
import socket

from exaq_fpga.link.datagrams import MOST_OCTETS, NUMBER_OCTETS, PORT, Numbering
from exaq_fpga.link.errors import LinkError, NoPortError, PortError

#: How the name of a port begins that is a board's address.
SCHEME = "udp:"

# Of 100 Mbit/s, with the octets that Ethernet, IP and UDP put round a datagram.
_OCTET_SECONDS = 8 / 100e6
_ROUND = 66 + NUMBER_OCTETS
_LONGEST = 2**16


class UdpSocket:
    """A ``Transport`` in UDP datagrams, to one address alone: that which is named.

    Parameters
    ----------
    port
        ``udp:HOST`` or ``udp:HOST:PORT``: the board's address or name, and its UDP port where
        something between stands for the board.

    Raises
    ------
    ValueError
        ``port`` is no such name.
    PortError
        There is no such host, or no way to it.
    """

    #: See ``Transport``: the address alone decides.
    settings = ""

    def __init__(self, port: str) -> None:
        host, number = _parts(port)
        self.name = port
        self._numbering = Numbering(secrets.randbelow(2**16))
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.connect((host, number))
            self._socket.setblocking(False)
        except OSError as error:
            self._socket.close()
            if isinstance(error, socket.gaierror):
                raise NoPortError(f"there is no host {host}: {error.strerror}") from error
            raise PortError(f"cannot reach {port}: {error.strerror}") from error

    def discard(self) -> None:
        """See ``Transport``."""
        while self.exchange(bytearray(), 0):
            pass

    def exchange(self, pending: bytearray, seconds: float) -> bytes:
        """See ``Transport``; one datagram each way at most."""
        writers = [self._socket] if pending else []
        readable, writable, _ = select.select([self._socket], writers, [], seconds)
        try:
            if writable:
                octets = bytes(pending[:MOST_OCTETS])
                del pending[: len(octets)]
                self._socket.send(self._numbering.number(octets))
            return self._numbering.take(self._socket.recv(_LONGEST)) if readable else b""
        except BlockingIOError:
            # The system has dropped the datagram, as the network may.
            return b""
        except ConnectionRefusedError as error:
            raise LinkError(f"nobody listens at {self.name}") from error
        except OSError as error:
            raise LinkError(f"the way to {self.name} is gone: {error.strerror}") from error

    def seconds(self, octets: int) -> float:
        """See ``Transport``."""
        return (octets + _ROUND * -(-octets // MOST_OCTETS)) * _OCTET_SECONDS

    def close(self) -> None:
        """See ``Transport``."""
        self._socket.close()


def _parts(port: str) -> tuple[str, int]:
    host, _, number = port.removeprefix(SCHEME).partition(":")
    legal = not number or (number.isascii() and number.isdecimal() and 0 < int(number) < 2**16)
    if not port.startswith(SCHEME) or not host or not legal or port.endswith(":"):
        raise ValueError(
            f"{port!r} is no address of a board: it is {SCHEME}HOST or {SCHEME}HOST:PORT, a port "
            "being 1 to 65535"
        )
    return host, int(number) if number else PORT
