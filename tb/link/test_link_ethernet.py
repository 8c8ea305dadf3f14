# amaranth: UnusedElaboratable=no
"""The gateware of the link by UDP: whole frames in at the PHY's pins, whole frames out."""

from __future__ import annotations

import random
import struct
import zlib
from ipaddress import IPv4Address
from typing import Any

import pytest
from amaranth.sim import Simulator
from ethernet_bench import GAP, Phy, Seen, nibbles_of, run
from ethernet_frames import BOARD_STATION, START, Datagram, Host, Reply, framed, read

from exaq_fpga.gateware.ethernet.phy_setup import BIT_CYCLES, FRAME_BITS, PhySetup
from exaq_fpga.gateware.ethernet.rgmii import RgmiiReceiver
from exaq_fpga.link.datagrams import LATE, PORT, Numbering

HOST = Host()
#: Of the addresses that PHYs may have, how many the setup's test waits for.
TOLD = 2
OTHER = Host(station=bytes.fromhex("0a0b0c0d0e0f"), address=IPv4Address("10.1.2.9"), port=4000)


def same_host(a: Host, b: Host) -> bool:
    return (a.station, a.address, a.port) == (b.station, b.address, b.port)


def steady(seen: Seen) -> Seen:
    """``seen``, after the rules of the pins were kept."""
    assert seen.unsteady == 0
    assert all(gap >= GAP for gap in seen.gaps)
    return seen


def test_arp_is_answered_to_who_asks_for_this_board_alone() -> None:
    frames = [
        HOST.but(to_address=IPv4Address("10.1.2.4")).arp(),
        HOST.arp(operation=2),
        HOST.arp(to_station=bytes(6)),
        HOST.arp(),
        OTHER.arp(to_station=BOARD_STATION),
    ]
    first, second = steady(run(frames)).read
    for reply, host in ((first, HOST), (second, OTHER)):
        assert isinstance(reply, Reply)
        assert reply.station == BOARD_STATION
        assert (reply.host.station, reply.host.address) == (host.station, host.address)


def test_octets_come_back_to_their_host_in_numbered_datagrams() -> None:
    parts = [b"\0", b"ab\0", b"c" * 60 + b"\0", b"no end", b" yet\0"]
    frames = [
        HOST.datagram(part, number)
        for number, part in enumerate(parts, start=65534)
        if number < 65536
    ]
    frames += [HOST.datagram(part, number) for number, part in enumerate(parts[2:])]
    seen = steady(run(frames))
    assert seen.octets == [b"\0", b"ab\0", b"c" * 60 + b"\0", b"no end yet\0"]
    datagrams = [each for each in seen.read if isinstance(each, Datagram)]
    assert [each.number for each in datagrams] == [0, 1, 2, 3]
    assert all(same_host(each.host, HOST) for each in datagrams)
    assert seen.missing == 0


def test_whoever_asks_last_is_answered() -> None:
    frames = [
        HOST.datagram(b"1\0", 7),
        OTHER.datagram(b"2\0", 500),
        OTHER.but(port=4001).datagram(b"3\0"),
        OTHER.arp(),
        HOST.datagram(b"4\0", 3),
    ]
    seen = steady(run(frames))
    hosts = [each.host for each in seen.read if isinstance(each, Datagram)]
    assert len(seen.frames) == len(frames)
    assert seen.octets == [b"1\0", b"2\0", b"3\0", b"4\0"]
    for host, sender in zip(hosts, [HOST, OTHER, OTHER.but(port=4001), HOST], strict=True):
        assert same_host(host, sender)
    assert seen.missing == 0


def test_an_answer_goes_to_its_host_whatever_comes_before_it_is_sent() -> None:
    """The second host's waits while a long one is sent; other frames come meanwhile."""
    others = [OTHER.but(to_port=9).datagram(b"z\0"), OTHER.but(port=5, ip_wrong=1).datagram(b"z\0")]
    long = b"x" * 300 + b"\0"
    seen = steady(run([OTHER.datagram(long), *others, HOST.datagram(b"h\0"), *others], rest=2500))
    first, second = (each for each in seen.read if isinstance(each, Datagram))
    assert same_host(first.host, OTHER)
    assert same_host(second.host, HOST)
    assert seen.octets == [long, b"h\0"]


def cut(frame: bytes, octets: int) -> bytes:
    """``frame`` shorter, its check right."""
    body = frame[8 : 8 + octets]
    return START + body + struct.pack("<I", zlib.crc32(body))


LONG = b"x" * 20 + b"\0"
#: A number that would be taken, and reported.
NEXT = 9
STRANGE = {
    "runt": cut(HOST.datagram(b"\0", NEXT), 56),
    "to another station": HOST.but(to_station=BOARD_STATION[:-1] + b"\0").datagram(LONG, NEXT),
    "to all": HOST.but(to_station=b"\xff" * 6).datagram(LONG, NEXT),
    "to another address": HOST.but(to_address=IPv4Address("10.1.2.4")).datagram(LONG, NEXT),
    "to another port": HOST.but(to_port=PORT ^ 0x100).datagram(LONG, NEXT),
    "of another type": HOST.but(ether_type=0x86DD).datagram(LONG, NEXT),
    "of another version": HOST.but(version=0x65).datagram(LONG, NEXT),
    "with options": HOST.but(version=0x46).datagram(LONG, NEXT),
    "of another protocol": HOST.but(protocol=6).datagram(LONG, NEXT),
    "a first fragment": HOST.but(fragment=0x2000).datagram(LONG, NEXT),
    "a last fragment": HOST.but(fragment=0x0001).datagram(LONG, NEXT),
    "a wrong IP checksum": HOST.but(ip_wrong=0x0100).datagram(LONG, NEXT),
    "a wrong UDP checksum": HOST.but(udp_wrong=0x0001).datagram(LONG, NEXT),
    "IP longer than UDP": HOST.but(ip_more=1).datagram(LONG, NEXT),
    "UDP longer than IP": HOST.but(udp_more=1).datagram(LONG, NEXT),
    "longer than its frame": HOST.but(ip_more=200, udp_more=200).datagram(LONG, NEXT),
    "longer, and not summed": HOST.but(ip_more=3, udp_more=3, summed=False).datagram(LONG, NEXT),
    "far longer": HOST.but(ip_more=0x800, udp_more=0x800).datagram(LONG, NEXT),
    "cut off": cut(HOST.datagram(b"y" * 60 + b"\0", NEXT), 90),
    "without octets": HOST.datagram(b"", NEXT),
    "empty": START,
    "only a preamble": START[:3],
}


def test_strange_frames_leave_nothing() -> None:
    """Taken, one would come back, or something would be missing between the two good ones."""
    frames = [HOST.datagram(b"0\0", 0), *STRANGE.values(), HOST.datagram(b"1\0", 1)]
    seen = steady(run(frames))
    assert seen.octets == [b"0\0", b"1\0"]
    assert (len(seen.frames), seen.missing) == (2, 0)


def test_any_flipped_bit_loses_its_frame_alone() -> None:
    rng = random.Random(9)
    frames = []
    for number in range(6):
        frame = bytearray(HOST.datagram(b"0123456789\0", 2 * number))
        frame[rng.randrange(8, len(frame))] ^= 1 << rng.randrange(8)
        frames += [bytes(frame), HOST.datagram(b"+\0", 2 * number + 1)]
    seen = steady(run(frames))
    assert seen.octets == [b"+\0"] * 6
    # In front of the first nothing was known yet.
    assert seen.missing == 5


def test_what_a_receiver_has_to_put_up_with() -> None:
    """No checksum of UDP, a preamble longer or shorter, half an octet at the end."""
    frames = [
        HOST.but(summed=False).datagram(b"a\0", 0),
        b"\x55" * 5 + HOST.datagram(b"b\0", 1),
        HOST.datagram(b"c\0", 2)[6:],
    ]
    nibbles = nibbles_of(frames)
    for end in range(1, len(nibbles)):
        if nibbles[end - 1][0] and not nibbles[end][0]:
            nibbles[end - 1 : end + 1] = [nibbles[end - 1], (1, 9)]
            break
    assert run(frames, nibbles=nibbles).octets == [b"a\0", b"b\0", b"c\0"]


def test_late_and_doubled_datagrams_are_dropped_as_the_host_drops_them() -> None:
    numbers = [300, 301, 301, 303, 302, 304, 304 - LATE + 1, 304 - LATE, 60000, 3, 2]
    model = Numbering()
    want = []
    for number in numbers:
        octets = model.take(struct.pack("<H", number) + b"%d\0" % number)
        want += [octets] if octets else []
    seen = steady(run([HOST.datagram(b"%d\0" % number, number) for number in numbers]))
    assert seen.octets == want
    # In front of 303, of the jump back, of 60000 and of 3.
    assert seen.missing == 4


@pytest.mark.parametrize(
    "phy",
    [
        Phy(phase=phase / 8, ppm=ppm, skew=skew, hold=hold)
        for phase in (0, 3, 9, 14, 21, 30)
        for ppm in (100,)
        for skew, hold in ((0.05, 1), (-0.2, 0.6), (0.45, 0.28))
    ],
    ids=repr,
)
def test_nibbles_are_taken_at_any_phase(phy: Phy) -> None:
    nibbles = nibbles_of([bytes(range(64))])
    receiver: Any = RgmiiReceiver()
    taken: list[int] = []
    ticks = 0

    async def test(ctx: Any) -> None:
        nonlocal ticks
        samples = phy.samples(nibbles, seed=1)
        for early, late in zip(samples[::2], samples[1::2], strict=False):
            ctx.set(receiver.clk, early[0] | late[0] << 1)
            ctx.set(receiver.ctl, early[1] | late[1] << 1)
            ctx.set(receiver.data, early[2] | late[2] << 4)
            _, _, valid, item = await ctx.tick().sample(receiver.o.valid, receiver.o.payload)
            ticks += 1
            # The clock's first edge is only where the samples begin.
            if valid and item.frame and ticks > GAP:
                taken.append(int(item.data))

    simulator: Any = Simulator(receiver)
    simulator.add_clock(1e-8)
    simulator.add_testbench(test)
    simulator.run()
    assert taken == [nibble for control, nibble in nibbles if control]


def test_phy_is_reset_and_then_told_not_to_offer_1000_mbit() -> None:
    setup: Any = PhySetup(64)
    words: list[str] = [""]
    resets = 0

    async def test(ctx: Any) -> None:
        nonlocal resets
        before = 0
        for _ in range(2 * setup.reset_cycles + TOLD * 2 * FRAME_BITS * BIT_CYCLES + 8):
            _, _, reset, mdc, mdio = await ctx.tick().sample(setup.reset, setup.mdc, setup.mdio)
            resets += reset
            if mdc and not before:
                assert not reset
                words[-1] += str(mdio)
                if len(words[-1]) == 64:
                    words.append("")
            before = mdc

    simulator: Any = Simulator(setup)
    simulator.add_clock(1e-8)
    simulator.add_testbench(test)
    simulator.run()
    assert abs(resets - setup.reset_cycles) <= 2
    assert words == [
        "1" * 32 + f"0101{address:05b}{register:05b}10{value:016b}"
        for address in range(TOLD)
        for register, value in ((9, 0), (0, 0x1200))
    ] + [""]


def test_oracle_refuses_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"^check: "):
        read(framed(bytes(60))[:-1] + b"\0")
