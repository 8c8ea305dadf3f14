"""The link in UDP datagrams: what both sides share of it. docs/link.md is the specification."""

from __future__ import annotations

from ipaddress import IPv4Address

#: The board's port: "EX".
PORT = 0x4558
#: Octets of the link in a datagram, at most.
MOST_OCTETS = 1024
#: Octets of a datagram's number, which stands in front, lowest first.
NUMBER_OCTETS = 2
#: A datagram whose number is less than so many behind the last one's is late, and is dropped.
LATE = 256
_NUMBERS = 1 << 8 * NUMBER_OCTETS


def hardware_address(address: IPv4Address) -> bytes:
    """The board's Ethernet address: a locally administered one, made of its IP address."""
    return b"\x02\x00" + address.packed


class Numbering:
    """Numbers datagrams that are sent, and finds those that come late or twice.

    ``Numbering().take(datagram)`` is the datagram's octets of the link, or nothing where it is to
    be dropped.
    """

    def __init__(self, first: int = 0) -> None:
        self._next = first % _NUMBERS
        self._last: int | None = None

    def number(self, octets: bytes) -> bytes:
        """The datagram for ``octets``."""
        datagram = self._next.to_bytes(NUMBER_OCTETS, "little") + octets
        self._next = (self._next + 1) % _NUMBERS
        return datagram

    def take(self, datagram: bytes) -> bytes:
        """See above."""
        if len(datagram) <= NUMBER_OCTETS:
            return b""
        number = int.from_bytes(datagram[:NUMBER_OCTETS], "little")
        if self._last is not None and (self._last - number) % _NUMBERS < LATE:
            return b""
        self._last = number
        return datagram[NUMBER_OCTETS:]
