"""The headers of the frames that a board takes and sends, octet by octet.

ARP (RFC 826) and UDP (RFC 768) over IPv4 (RFC 791) without options or fragments. The octets of a
header that comes and of the one that answers it stand in such an order that what was kept of the
first, its octets of role ``ASKER``, goes into the second as it came.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from itertools import chain, repeat
from typing import Any

from amaranth.hdl import Module, Signal, Value

from exaq_fpga.link.datagrams import PORT, hardware_address

#: Octets in front of the IP header, in front of UDP's, and of UDP's; then the datagram's number.
ETHERNET_OCTETS, IP_OCTETS, UDP_OCTETS, NUMBER_OCTETS = 14, 20, 8, 2
#: Place of the first octet that UDP's header and its checksum cover, and of the link's octets.
IP_ADDRESSES = 26
PAYLOAD = ETHERNET_OCTETS + IP_OCTETS + UDP_OCTETS + NUMBER_OCTETS
#: Place of the IP header's length.
IP_LENGTH = 16

_IPV4, _ARP, _UDP = (0x08, 0x00), (0x08, 0x06), 17
_HOPS = 64


class Role(IntEnum):
    """What an octet of a header is, where it is not always the same."""

    FIXED = 0
    #: Of who asks: its addresses and its port.
    ASKER = 1
    #: Of what stands behind Ethernet's header, and behind IP's.
    IP_LENGTH = 2
    UDP_LENGTH = 3
    IP_CHECKSUM = 4
    UDP_CHECKSUM = 5
    #: The datagram's number.
    NUMBER = 6


@dataclass(frozen=True)
class HeaderOctet:
    """An octet of a header: its role, and those of its bits that are always the same."""

    role: Role = Role.FIXED
    value: int = 0
    mask: int = 0


def _fixed(*octets: int) -> Iterator[HeaderOctet]:
    return (HeaderOctet(Role.FIXED, octet, 0xFF) for octet in octets)


def _some(count: int, role: Role = Role.FIXED) -> Iterator[HeaderOctet]:
    return repeat(HeaderOctet(role), count)


class Headers:
    """Those of the board at ``address``; each one a list of ``HeaderOctet``.

    Members
    -------
    station : the board's own hardware address, octets
    arp_request, arp_reply, udp_request, udp_answer
        Where a request is for the board, its octets of role FIXED are as here; the first six,
        its destination, are left to the receiver.
    """

    def __init__(self, address: IPv4Address) -> None:
        own = tuple(address.packed)
        port = divmod(PORT, 256)
        self.station = tuple(hardware_address(address))
        arp = (*_ARP, 0x00, 0x01, *_IPV4, 6, 4, 0x00)
        self.arp_request = _header(
            _some(6),
            _some(6, Role.ASKER),
            _fixed(*arp, 1),
            _some(10, Role.ASKER),
            _some(6),
            _fixed(*own),
        )
        self.arp_reply = _header(
            _some(6, Role.ASKER),
            _fixed(*self.station),
            _fixed(*arp, 2),
            _fixed(*self.station, *own),
            _some(10, Role.ASKER),
        )
        self.udp_request = _header(
            _some(6),
            _some(6, Role.ASKER),
            _fixed(*_IPV4, 0x45),
            _some(1),
            _some(2, Role.IP_LENGTH),
            _some(2),
            # Whatever may be fragmented: this is no fragment.
            [HeaderOctet(Role.FIXED, 0, 0xBF)],
            _fixed(0),
            _some(1),
            _fixed(_UDP),
            _some(2, Role.IP_CHECKSUM),
            _some(4, Role.ASKER),
            _fixed(*own),
            _some(2, Role.ASKER),
            _fixed(*port),
            _some(2, Role.UDP_LENGTH),
            _some(2, Role.UDP_CHECKSUM),
            _some(2, Role.NUMBER),
        )
        self.udp_answer = _header(
            _some(6, Role.ASKER),
            _fixed(*self.station),
            _fixed(*_IPV4, 0x45, 0),
            _some(2, Role.IP_LENGTH),
            _fixed(0, 0, 0x40, 0, _HOPS, _UDP),
            _some(2, Role.IP_CHECKSUM),
            _fixed(*own),
            _some(4, Role.ASKER),
            _fixed(*port),
            _some(2, Role.ASKER),
            _some(2, Role.UDP_LENGTH),
            _some(2, Role.UDP_CHECKSUM),
            _some(2, Role.NUMBER),
        )


def _header(*parts: Any) -> tuple[HeaderOctet, ...]:
    return tuple(chain(*parts))


def add_header(
    m: Module, name: str, header: Sequence[HeaderOctet], place: Value
) -> tuple[Signal, Signal, Signal]:
    """Add what looks up the octet of ``header`` at ``place``: its role, its value, its mask.

    Behind the header's end all are 0.
    """
    role = Signal(Role, name=f"{name}_role")
    value, mask = Signal(8, name=f"{name}_value"), Signal(8, name=f"{name}_mask")
    with m.Switch(place):
        for number, octet in enumerate(header):
            with m.Case(number):
                m.d.comb += [role.eq(octet.role), value.eq(octet.value), mask.eq(octet.mask)]
    return role, value, mask
