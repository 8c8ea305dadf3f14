"""Ethernet frames as a host's own network code makes and reads them: the oracle of the gateware.

``Host(...).datagram(b"octets")`` is a frame with preamble; ``read(frame)`` takes one apart and
raises ValueError where anything in it is not as the standards have it.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from exaq_fpga.link.datagrams import PORT

BROADCAST = b"\xff" * 6
START = b"\x55" * 7 + b"\xd5"
BOARD, HOST = IPv4Address("10.1.2.3"), IPv4Address("10.1.2.200")
BOARD_STATION = bytes.fromhex("02000a010203")
_IPV4, _ARP, _UDP = 0x0800, 0x0806, 17


def ones_sum(octets: bytes) -> int:
    """Ones' complement sum of 16-bit words, as RFC 1071 has it: not folded on the way."""
    padded = octets + b"\0" * (len(octets) % 2)
    total = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def framed(octets: bytes) -> bytes:
    """With padding, check and preamble."""
    octets = octets.ljust(60, b"\0")
    return START + octets + struct.pack("<I", zlib.crc32(octets))


@dataclass(frozen=True, kw_only=True)
class Host:
    """A host, and how it writes its headers: each field as on the wire, for tests to get wrong."""

    station: bytes = bytes.fromhex("aabbcc112233")
    address: IPv4Address = HOST
    port: int = 51000
    to_station: bytes = BOARD_STATION
    to_address: IPv4Address = BOARD
    to_port: int = PORT
    ether_type: int = _IPV4
    version: int = 0x45
    service: int = 0
    fragment: int = 0x4000
    hops: int = 64
    protocol: int = _UDP
    ip_more: int = 0
    udp_more: int = 0
    ip_wrong: int = 0
    udp_wrong: int = 0
    summed: bool = True

    def but(self, **fields: object) -> Host:
        """The same host with other fields."""
        return replace(self, **fields)  # type: ignore[arg-type]

    def datagram(self, octets: bytes, number: int = 0) -> bytes:
        """The frame of a datagram of that number."""
        octets = struct.pack("<H", number) + octets
        length = 8 + len(octets) + self.udp_more
        addresses = self.address.packed + self.to_address.packed
        ports = struct.pack(">HHH", self.port, self.to_port, length)
        pseudo = addresses + struct.pack(">HH", self.protocol, length)
        check = 0xFFFF ^ ones_sum(pseudo + ports + b"\0\0" + octets) or 0xFFFF
        check = (check ^ self.udp_wrong) if self.summed else 0
        whole = 20 + 8 + len(octets) + self.ip_more
        header = struct.pack(
            ">BBHHHBB",
            self.version,
            self.service,
            whole,
            77,
            self.fragment,
            self.hops,
            self.protocol,
        )
        ip_check = 0xFFFF ^ ones_sum(header + addresses) ^ self.ip_wrong
        ip = header + struct.pack(">H", ip_check) + addresses
        ethernet = self.to_station + self.station + struct.pack(">H", self.ether_type)
        return framed(ethernet + ip + ports + struct.pack(">H", check) + octets)

    def arp(self, to_station: bytes = BROADCAST, operation: int = 1) -> bytes:
        """The frame that asks for the hardware address of ``to_address``."""
        head = struct.pack(">HHHBBH", _ARP, 1, _IPV4, 6, 4, operation)
        asker = self.station + self.address.packed
        return framed(to_station + self.station + head + asker + bytes(6) + self.to_address.packed)


@dataclass(frozen=True)
class Datagram:
    """What a board sent to a host."""

    host: Host
    number: int
    octets: bytes


@dataclass(frozen=True)
class Reply:
    """The answer to an ARP request: to whom, and what hardware address it tells."""

    host: Host
    station: bytes


def read(frame: bytes) -> Datagram | Reply:
    """What stands in a frame of the board at ``BOARD``, preamble included."""
    _check(frame[:8] == START, "preamble", frame[:8].hex())
    octets, check = frame[8:-4], frame[-4:]
    _check(zlib.crc32(octets) == int.from_bytes(check, "little"), "check", check.hex())
    _check(60 <= len(octets) <= 1514, "length", len(octets))
    to_station, station, kind = octets[:6], octets[6:12], int.from_bytes(octets[12:14], "big")
    _check(station == BOARD_STATION, "source", station.hex())
    body = octets[14:]
    if kind == _ARP:
        fields = struct.unpack_from(">HHBBH6s4s6s4s", body)
        hardware, protocol, six, four, operation, told, own, asker, address = fields
        _check((hardware, protocol, six, four, operation) == (1, _IPV4, 6, 4, 2), "ARP", fields)
        _check(own == BOARD.packed and asker == to_station, "ARP addresses", fields)
        _check(not any(body[28:]), "padding", body[28:])
        return Reply(Host(station=asker, address=IPv4Address(address)), told)
    _check(kind == _IPV4, "type", kind)
    version, _, whole, _, fragment, hops, protocol = struct.unpack_from(">BBHHHBB", body)
    _check((version, fragment, protocol) == (0x45, 0x4000, _UDP), "IP header", body[:20].hex())
    _check(hops > 0 and ones_sum(body[:20]) == 0xFFFF, "IP checksum", body[:20].hex())
    _check(whole <= len(body) and not any(body[whole:]), "IP length", whole)
    _check(body[12:16] == BOARD.packed, "IP source", body[12:16])
    udp = body[20:whole]
    port, to_port, length, checksum = struct.unpack_from(">HHHH", udp)
    _check(port == PORT and length == len(udp), "UDP header", udp[:8].hex())
    pseudo = body[12:20] + struct.pack(">HH", _UDP, length)
    _check(checksum != 0 and ones_sum(pseudo + udp) == 0xFFFF, "UDP checksum", checksum)
    host = Host(station=to_station, address=IPv4Address(body[16:20]), port=to_port)
    return Datagram(host, int.from_bytes(udp[8:10], "little"), udp[10:])


def _check(holds: bool, what: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{what}: {value}")
