"""From the octets of the link to Ethernet frames: UDP datagrams, and answers to ARP."""

from ipaddress import IPv4Address
from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from exaq_fpga.gateware.ethernet.datagram_receiver import ASKER_OCTETS, BANKS, UDP_START
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
from exaq_fpga.gateware.ethernet.internet_sum import InternetSum
from exaq_fpga.gateware.framing.octet_ram import OctetRam
from exaq_fpga.gateware.octets import MESSAGES, OCTETS
from exaq_fpga.link.datagrams import MOST_OCTETS
from exaq_fpga.link.frames import DELIMITER
from exaq_hdl.parts.component import Component

# Parts of the buffer: one is filled while the other is sent.
_PARTS = 2


class DatagramSender(Component):
    """Sends the octets of the link to the host that asked last, and answers ARP requests.

    A datagram ends with a delimiter, or where it holds ``MOST_OCTETS``. Throughput is that of
    ``o``; octets are taken one in two cycles while a part of the buffer is free.

    Members
    -------
    i : stream of octets
    o : stream of MESSAGE_OCTET, frames without their check; pauses only in front of a frame
    peer, arp, arp_asked, answering, asker_address, asker_octet : as of ``DatagramReceiver``
    """

    def __init__(self, address: IPv4Address) -> None:
        self.headers = Headers(address)
        super().__init__(
            {
                "i": In(OCTETS),
                "o": Out(MESSAGES),
                "peer": In(range(BANKS)),
                "arp": In(range(BANKS)),
                "arp_asked": In(1),
                "answering": Out(range(BANKS)),
                "asker_address": Out(range(BANKS * ASKER_OCTETS)),
                "asker_octet": In(8),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.buffer = buffer = OctetRam(_PARTS * MOST_OCTETS)
        m.submodules.ip_sum = self._ip_sum = InternetSum()
        m.submodules.udp_sum = self._udp_sum = InternetSum()
        #: Of each part: whether it waits to be sent, its last octet's number, its octets' sum.
        full = Signal(_PARTS)
        last = Array(Signal(range(MOST_OCTETS), name=f"last{k}") for k in range(_PARTS))
        sums = Array(Signal(16, name=f"sum{k}") for k in range(_PARTS))
        sent = Signal()
        part = Signal(range(_PARTS))
        self._fill(m, buffer, full, last, sums)
        self._send(m, buffer, full.bit_select(part, 1), last[part], sums[part], part, sent)
        with m.If(sent):
            m.d.sync += [full.bit_select(part, 1).eq(0), part.eq(part + 1)]
        return m

    def _fill(self, m: Module, buffer: OctetRam, full: Signal, last: Any, sums: Any) -> None:
        m.submodules.fill_sum = fill_sum = InternetSum(UDP_START)
        part, count = Signal(range(_PARTS)), Signal(range(MOST_OCTETS))
        octet, taken, ends, ended = Signal(8), Signal(), Signal(), Signal()
        m.d.sync += [octet.eq(self.i.payload), taken.eq(self.i.valid & self.i.ready)]
        m.d.comb += [
            self.i.ready.eq(~full.bit_select(part, 1) & ~taken & ~ended),
            ends.eq((octet == DELIMITER[0]) | count.all()),
            buffer.write_enable.eq(taken),
            buffer.write_address.eq(Cat(count, part)),
            buffer.write_data.eq(octet),
            fill_sum.valid.eq(taken),
            fill_sum.octet.eq(octet),
            fill_sum.high.eq(~count[0]),
            fill_sum.restart.eq(ended),
            fill_sum.start.eq(UDP_START),
        ]
        m.d.sync += ended.eq(taken & ends)
        with m.If(taken):
            m.d.sync += [count.eq(count + 1), last[part].eq(count)]
        with m.If(ended):
            m.d.sync += [
                sums[part].eq(fill_sum.total),
                full.bit_select(part, 1).eq(1),
                part.eq(part + 1),
                count.eq(0),
            ]

    def _send(
        self,
        m: Module,
        buffer: OctetRam,
        waits: Any,
        last: Any,
        payload_sum: Any,
        part: Signal,
        sent: Signal,
    ) -> None:
        # A frame's header is gone through twice: for its checksums, which stand in it, and to be
        # sent. An octet is looked up in one cycle and given from the next on.
        is_arp, arp_waits = Signal(), Signal()
        summing = Signal()
        place = Signal(range(PAYLOAD + MOST_OCTETS))
        kept = Signal(range(ASKER_OCTETS))
        role, fixed = self._look_up(m, is_arp, place)
        octet, is_payload, is_last, is_asker = Signal(8), Signal(), Signal(), Signal()
        number = Signal(16)
        end = Signal.like(place)
        m.d.comb += end.eq(
            Mux(
                is_arp,
                len(self.headers.arp_reply) - 1,
                Mux(summing, PAYLOAD - 1, PAYLOAD + last),
            )
        )
        ip_length, udp_length = Signal(16), Signal(16)
        m.d.sync += [
            ip_length.eq(PAYLOAD - ETHERNET_OCTETS + 1 + last),
            udp_length.eq(PAYLOAD - ETHERNET_OCTETS - IP_OCTETS + 1 + last),
        ]

        ip_check, udp_check = Signal(16), Signal(16)
        m.d.comb += [
            ip_check.eq(Mux(summing, 0, ~self._ip_sum.total)),
            # 0 would say that there is no checksum.
            udp_check.eq(Mux(summing, 0, Mux(self._udp_sum.total.all(), -1, ~self._udp_sum.total))),
        ]
        offset = Signal(range(MOST_OCTETS))
        word = Signal(16)
        with m.Switch(role):
            for what, value in (
                (Role.IP_LENGTH, ip_length),
                (Role.UDP_LENGTH, udp_length),
                (Role.IP_CHECKSUM, ip_check),
                (Role.UDP_CHECKSUM, udp_check),
                # The one that stands lowest octet first.
                (Role.NUMBER, Cat(number[8:], number[:8])),
            ):
                with m.Case(what):
                    m.d.comb += word.eq(value)
        looked = Mux(place[0], word[:8], word[8:])

        m.d.comb += [
            self.asker_address.eq(Cat(kept, self.answering)),
            offset.eq(place - PAYLOAD),
            buffer.read_address.eq(Cat(offset, part)),
            self.o.payload.data.eq(Mux(is_payload, buffer.read_data, octet)),
            self.o.payload.last.eq(is_last),
        ]
        self._sum_header(m, summing, place, octet, payload_sum)
        with m.If(self.arp_asked):
            m.d.sync += arp_waits.eq(1)

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [place.eq(0), kept.eq(0), summing.eq(1), is_arp.eq(arp_waits)]
                with m.If(arp_waits):
                    m.d.sync += [arp_waits.eq(0), self.answering.eq(self.arp)]
                    m.next = "RESTART"
                with m.Elif(waits):
                    m.d.sync += self.answering.eq(self.peer)
                    m.next = "RESTART"
            with m.State("RESTART"):
                m.d.comb += [self._ip_sum.restart.eq(1), self._udp_sum.restart.eq(1)]
                m.next = "LOOK"
            with m.State("LOOK"):
                m.d.comb += buffer.read_enable.eq(1)
                m.d.sync += [
                    octet.eq(
                        Mux(
                            role == Role.ASKER,
                            self.asker_octet,
                            Mux(role == Role.FIXED, fixed, looked),
                        )
                    ),
                    is_asker.eq(role == Role.ASKER),
                    is_payload.eq(place >= PAYLOAD),
                    is_last.eq(place == end),
                ]
                m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += self.o.valid.eq(~summing)
                with m.If(summing | self.o.ready):
                    m.d.sync += [place.eq(place + 1), kept.eq(kept + is_asker)]
                    m.next = "LOOK"
                    with m.If(is_last):
                        m.d.sync += [place.eq(0), kept.eq(0), summing.eq(0)]
                        with m.If(~summing):
                            m.d.comb += sent.eq(~is_arp)
                            m.d.sync += number.eq(number + ~is_arp)
                            m.next = "IDLE"
                m.d.comb += [
                    self._ip_sum.valid.eq(summing & self._in_ip),
                    self._udp_sum.valid.eq(summing & self._in_udp),
                ]

    def _look_up(self, m: Module, is_arp: Signal, place: Signal) -> tuple[Any, Any]:
        arp_role, arp_value, _ = add_header(m, "arp", self.headers.arp_reply, place)
        udp_role, udp_value, _ = add_header(m, "udp", self.headers.udp_answer, place)
        return Mux(is_arp, arp_role, udp_role), Mux(is_arp, arp_value, udp_value)

    def _sum_header(
        self, m: Module, summing: Signal, place: Signal, octet: Signal, payload_sum: Any
    ) -> None:
        self._in_ip, self._in_udp = Signal(), Signal()
        in_length = (place == IP_LENGTH) | (place == IP_LENGTH + 1)
        m.d.comb += [
            self._in_ip.eq((place >= ETHERNET_OCTETS) & (place < ETHERNET_OCTETS + IP_OCTETS)),
            self._in_udp.eq(in_length | (place >= IP_ADDRESSES)),
            self._ip_sum.start.eq(0),
            self._udp_sum.start.eq(payload_sum),
        ]
        for total in (self._ip_sum, self._udp_sum):
            m.d.comb += [total.octet.eq(octet), total.high.eq(~place[0])]
