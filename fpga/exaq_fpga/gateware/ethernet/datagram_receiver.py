"""From Ethernet frames to the octets of the link, and to what asks for an answer."""

from ipaddress import IPv4Address
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import memory, stream
from amaranth.lib.wiring import In, Out

from exaq_fpga.gateware.ethernet.headers import (
    ETHERNET_OCTETS,
    IP_ADDRESSES,
    IP_LENGTH,
    IP_OCTETS,
    PAYLOAD,
    Headers,
    Role,
    add_header,
)
from exaq_fpga.gateware.ethernet.internet_sum import WHOLE, InternetSum
from exaq_fpga.gateware.ethernet.mac_receiver import FCS, FRAME_OCTET
from exaq_fpga.gateware.framing.octet_ram import OctetRam
from exaq_fpga.gateware.octets import OCTETS
from exaq_fpga.link.datagrams import LATE
from exaq_hdl.parts.component import Component

#: Octets of the buffer: a datagram that comes, and what is left of the one before.
BUFFER = 2048
#: Askers that are kept: of the frame that comes, of the last good datagram, of the last ARP
#: request, and the one that is being answered. Of each up to 16 octets.
BANKS, ASKER_OCTETS = 4, 16
# Start of UDP's sum where IP's length takes the place of UDP's: the protocol less IP's header.
UDP_START = (17 - IP_OCTETS) % WHOLE


class DatagramReceiver(Component):
    """Takes UDP datagrams to ``address`` and its port of the link, and ARP requests for it.

    A datagram's octets come out once its frame has ended and all of it was right: the frame's
    check, its addresses, both lengths, IP's checksum, and UDP's where there is one. All other
    frames leave nothing. Of datagrams from one host and port, late and doubled ones are dropped
    (see ``exaq_fpga.link.datagrams``), and a gap in their numbers is reported.

    ``o`` must take an octet in every 4 cycles at least; then no datagram finds the buffer full.

    Members
    -------
    i, ended, good : as of ``MacReceiver``
    o : stream of octets
    missing : pulse: datagrams are missing in front of the one that came
    peer : bank of the host whose datagram came last; valid once there was one
    arp : bank of the last ARP request
    arp_asked : pulse: there was one
    answering : In, bank that must stay as it is, beside those two
    asker_address : In, bank and number of an octet of an asker
    asker_octet : Out, that octet, in the same cycle
    """

    def __init__(self, address: IPv4Address) -> None:
        self.headers = Headers(address)
        super().__init__(
            {
                "i": In(stream.Signature(FRAME_OCTET, always_ready=True)),
                "ended": In(1),
                "good": In(1),
                "o": Out(OCTETS),
                "missing": Out(1),
                "peer": Out(range(BANKS)),
                "arp": Out(range(BANKS)),
                "arp_asked": Out(1),
                "answering": In(range(BANKS)),
                "asker_address": In(range(BANKS * ASKER_OCTETS)),
                "asker_octet": Out(8),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        # Each octet is looked at in the cycle after it came: by then its place has told what it
        # should be. What was found wrong stays so until the frame ends.
        m = Module()
        place = self.i.payload.place
        now, begins = Signal(), Signal()
        m.d.sync += [now.eq(self.i.valid), begins.eq(place == 0)]

        to_station, to_all = Signal(), Signal()
        is_arp, is_udp = Signal(), Signal()
        self._compare_headers(m, now, begins, to_station, to_all, is_arp, is_udp)
        covered, sums_right = self._check_lengths_and_sums(m, now, begins, is_udp)
        udp_taken, arp_taken = Signal(), Signal()
        late, gap = self._keep_asker(m, now, begins, is_arp, udp_taken)
        enough = place >= covered + (FCS - 1)
        m.d.comb += [
            udp_taken.eq(
                self.ended & self.good & to_station & is_udp & sums_right & enough & ~late
            ),
            arp_taken.eq(self.ended & self.good & (to_station | to_all) & is_arp),
        ]
        m.d.sync += [self.missing.eq(udp_taken & gap), self.arp_asked.eq(arp_taken)]
        with m.If(arp_taken):
            m.d.sync += self.arp.eq(self._bank)
        inside = (place >= PAYLOAD) & (place < covered)
        self._buffer(m, now & inside & is_udp & to_station, udp_taken)
        return m

    def _compare_headers(
        self,
        m: Module,
        now: Signal,
        begins: Signal,
        to_station: Signal,
        to_all: Signal,
        is_arp: Signal,
        is_udp: Signal,
    ) -> None:
        octet, place = self.i.payload.data, self.i.payload.place
        own = Signal(8)
        in_destination = Signal()
        with m.Switch(place):
            for number, part in enumerate(self.headers.station):
                with m.Case(number):
                    m.d.comb += [own.eq(part), in_destination.eq(1)]
        with m.If(now & in_destination):
            m.d.sync += [
                to_station.eq((begins | to_station) & (octet == own)),
                to_all.eq((begins | to_all) & octet.all()),
            ]
        self._arp_role, self._udp_role = Signal(Role), Signal(Role)
        for name, header, found, role in (
            ("arp", self.headers.arp_request, is_arp, self._arp_role),
            ("udp", self.headers.udp_request, is_udp, self._udp_role),
        ):
            found_role, value, mask = add_header(m, name, header, place)
            want, care = Signal(8, name=f"{name}_want"), Signal(8, name=f"{name}_care")
            m.d.sync += [role.eq(found_role), want.eq(value), care.eq(mask)]
            with m.If(now):
                m.d.sync += found.eq((begins | found) & ((octet ^ want) & care == 0))

    def _check_lengths_and_sums(
        self, m: Module, now: Signal, begins: Signal, is_udp: Signal
    ) -> tuple[Signal, Signal]:
        """How many octets of the frame IP's length covers; whether all of it is right."""
        octet, place = self.i.payload.data, self.i.payload.place
        high, length = Signal(), Signal(11)
        udp_length = Signal(11)
        covered = Signal(12)
        fits, unsummed = Signal(), Signal()
        m.d.comb += high.eq(~place[0])
        m.d.sync += [
            udp_length.eq(length - IP_OCTETS),
            covered.eq(length + ETHERNET_OCTETS),
        ]
        with m.If(now):
            with m.If(begins):
                m.d.sync += [fits.eq(1), unsummed.eq(1)]
            with m.If(self._udp_role == Role.IP_LENGTH):
                with m.If(high):
                    m.d.sync += [length[8:].eq(octet), fits.eq(octet[3:] == 0)]
                with m.Else():
                    m.d.sync += length[:8].eq(octet)
            with m.If(self._udp_role == Role.UDP_LENGTH):
                told = Mux(high, udp_length[8:], udp_length[:8])
                m.d.sync += fits.eq(fits & (octet == told))
            with m.If(self._udp_role == Role.UDP_CHECKSUM):
                m.d.sync += unsummed.eq(unsummed & (octet == 0))

        m.submodules.ip_sum = ip_sum = InternetSum()
        m.submodules.udp_sum = udp_sum = InternetSum()
        in_length = (place == IP_LENGTH) | (place == IP_LENGTH + 1)
        in_ip = (place >= ETHERNET_OCTETS) & (place < ETHERNET_OCTETS + IP_OCTETS)
        in_udp = in_length | ((place >= IP_ADDRESSES) & (place < covered))
        for total, start, inside in ((ip_sum, 0, in_ip), (udp_sum, UDP_START, in_udp)):
            m.d.comb += [
                total.restart.eq(now & begins),
                total.start.eq(start),
                total.valid.eq(now & inside),
                total.octet.eq(octet),
                total.high.eq(high),
            ]
        right = Signal()
        m.d.sync += right.eq(
            fits
            & (covered > PAYLOAD)
            & (ip_sum.total == WHOLE)
            & (unsummed | (udp_sum.total == WHOLE))
        )
        return covered, right

    def _keep_asker(
        self, m: Module, now: Signal, begins: Signal, is_arp: Signal, udp_taken: Signal
    ) -> tuple[Signal, Signal]:
        """Whether the datagram is late, and whether there is a gap in front of it."""
        octet = self.i.payload.data
        askers: Any = memory.Memory(shape=8, depth=BANKS * ASKER_OCTETS, init=[])
        m.submodules.askers = askers
        write = askers.write_port()
        peers, asked = askers.read_port(domain="comb"), askers.read_port(domain="comb")
        self._bank = bank = Signal(range(BANKS))
        kept = Signal(range(ASKER_OCTETS))
        known, same = Signal(), Signal()
        role = Mux(is_arp, self._arp_role, self._udp_role)
        is_asker = Signal()
        m.d.comb += [
            is_asker.eq(now & (role == Role.ASKER)),
            write.addr.eq(Cat(kept, bank)),
            write.data.eq(octet),
            write.en.eq(is_asker),
            peers.addr.eq(Cat(kept, self.peer)),
            asked.addr.eq(self.asker_address),
            self.asker_octet.eq(asked.data),
        ]
        with m.If(now & begins):
            m.d.sync += [kept.eq(0), same.eq(known)]
            for free in reversed(range(BANKS)):
                with m.If((self.peer != free) & (self.arp != free) & (self.answering != free)):
                    m.d.sync += bank.eq(free)
        with m.If(is_asker):
            m.d.sync += [kept.eq(kept + 1), same.eq(same & (octet == peers.data))]

        number, last = Signal(16), Signal(16)
        behind = Signal(16)
        m.d.sync += behind.eq(last - number)
        with m.If(now & (self._udp_role == Role.NUMBER)):
            m.d.sync += number.eq(Cat(number[8:], octet))
        late, gap = Signal(), Signal()
        m.d.comb += [
            late.eq(same & (behind < LATE)),
            gap.eq(same & ~behind.all()),
        ]
        with m.If(udp_taken):
            m.d.sync += [self.peer.eq(bank), known.eq(1), last.eq(number)]
        return late, gap

    def _buffer(self, m: Module, store: Any, keep: Signal) -> None:
        m.submodules.buffer = buffer = OctetRam(BUFFER)
        write, head, read = (Signal(range(BUFFER), name=name) for name in ("write", "head", "read"))
        fetch, fetched = Signal(), Signal()
        m.d.sync += fetched.eq(fetch)
        m.d.comb += [
            buffer.write_enable.eq(store),
            buffer.write_address.eq(write),
            buffer.write_data.eq(self.i.payload.data),
            buffer.read_enable.eq(fetch),
            buffer.read_address.eq(read),
            fetch.eq(~self.o.valid & ~fetched & (read != head)),
        ]
        with m.If(store):
            m.d.sync += write.eq(write + 1)
        with m.If(self.ended):
            m.d.sync += write.eq(head)
        with m.If(keep):
            m.d.sync += [head.eq(write), write.eq(write)]
        with m.If(fetch):
            m.d.sync += read.eq(read + 1)
        # Block RAM gives its octet late in the cycle: a register of ours takes it.
        with m.If(fetched):
            m.d.sync += [self.o.payload.eq(buffer.read_data), self.o.valid.eq(1)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
