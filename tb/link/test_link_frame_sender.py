"""From messages to the line: CRC against zlib, stalls, rates, no idle line."""

from __future__ import annotations

import random
from itertools import islice, pairwise, product
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from link_frames import apart, framed, message_items, random_message
from link_ram import checked_memories
from unit.unit_bench import Bench, Drain, Feed, Pause, stalls

from exaq_fpga.gateware.framing.frame_sender import FrameSender
from exaq_fpga.gateware.transports.uart import UartTransmitter

__all__ = ["checked_memories"]


def sent(
    messages: list[bytes], source: Pause = None, sink: Pause = None, limit: int = 60_000
) -> tuple[Feed, Drain]:
    """Sends ``messages`` in one run, which must give their frames and nothing else."""
    sender: Any = FrameSender()
    line = b"".join(framed(message) for message in messages)
    bench = Bench(sender, limit=limit)
    feed = bench.feed(sender.i, message_items(messages), source)
    drain = bench.drain(sender.o, len(line), sink)
    bench.run()
    assert bytes(drain.items) == line
    return feed, drain


def test_known_frames() -> None:
    """The check value of CRC-32 (of "123456789": cbf43926), and a frame worked by hand."""
    assert framed(b"123456789").hex() == "0e3132333435363738392639f4cb00"
    # CRC-32 of 01 00 is 58c223be.
    assert framed(b"\x01\x00").hex() == "020105be23c25800"
    sent([b"123456789", b"\x01\x00"])


@pytest.mark.parametrize("length", [1, 2, 3])
def test_every_short_message(length: int) -> None:
    octets = range(256) if length == 1 else [0x00, 0x01, 0x80, 0xFF]
    sent([bytes(message) for message in product(octets, repeat=length)])


@pytest.mark.parametrize("rates", [(0, 0), (0.2, 0.8), (0.9, 0.2), (0.6, 0.6)])
def test_random_messages(rates: tuple[float, float]) -> None:
    rng = random.Random(str(rates))
    messages = [random_message(rng, rng.choice([1, 2, 7, 60, 250, 254, 520])) for _ in range(9)]
    sent(messages, stalls(1, rates[0]), stalls(2, rates[1]))


def test_a_check_with_zeros() -> None:
    """Messages whose CRC holds each of its octets as a zero, and two zeros at its end."""
    rng = random.Random(3)
    found: dict[tuple[int, ...], bytes] = {}
    for message in iter(lambda: rng.randbytes(5), None):
        zeros = tuple(k for k, octet in enumerate(crc_octets(message)) if octet == 0)
        if zeros:
            found.setdefault(zeros, message)
        if {(0,), (1,), (2,), (3,), (2, 3)} <= found.keys():
            break
    sent(list(found.values()))


def crc_octets(message: bytes) -> bytes:
    """The CRC-32 of ``message``, bit by bit from its polynomial."""
    state = 0xFFFFFFFF
    for octet in message:
        state ^= octet
        for _ in range(8):
            state = state >> 1 ^ (0xEDB88320 if state & 1 else 0)
    return (state ^ 0xFFFFFFFF).to_bytes(4, "little")


def test_rate() -> None:
    """An octet in ``cycles_per_octet`` cycles, the check's 4 alike, and a cycle a message."""
    octets = [9, 1, 4]
    feed, _ = sent([b"\x07" * count for count in octets])
    octet = FrameSender.cycles_per_octet
    steps = [after - before for before, after in pairwise(feed.times)]
    between = octet * (1 + 4) + 1
    assert steps == [octet] * 8 + [between] + [between] + [octet] * 3


def mixed_messages(seed: int) -> list[bytes]:
    """Long ones behind short ones, some of zeros: what a line could starve of."""
    rng = random.Random(seed)
    lengths = [300, 2, 253, 3, 2, 520, 2, 2, 9]
    return [bytes([7] * 260), *(random_message(rng, length) for length in lengths)]


def test_a_sink_that_takes_an_octet_in_40_cycles_never_waits() -> None:
    _, drain = sent(mixed_messages(1), None, apart(40), limit=100_000)
    assert {after - before for before, after in pairwise(drain.times)} == {40}


def test_the_fastest_uart_is_kept_busy() -> None:
    """Octets follow each other without a gap, over frames and blocks of every length."""
    sender: Any = FrameSender()
    uart: Any = UartTransmitter(4)
    m = Module()
    m.submodules.sender = sender
    m.submodules.uart = uart
    wiring.connect(m, sender.o, uart.i)
    messages = mixed_messages(2)[:4]
    octets = sum(len(framed(message)) for message in messages)
    bench = Bench(m)
    bench.feed(sender.i, message_items(messages))
    given = bench.probe(uart.i.valid & uart.i.ready)
    bench.run(cycles=42 * octets + 500)
    times = [cycle for cycle, value in enumerate(given.values) if value]
    assert len(times) == octets
    assert {after - before for before, after in pairwise(times)} == {40}


def test_back_pressure_holds_messages_back() -> None:
    """With nobody to take octets, messages stop; then all of them come."""

    def sink() -> Pause:
        yield from [True] * 8000
        while True:
            yield False

    feed, _ = sent([bytes(islice(iter(lambda: 5, None), 400))] * 4, None, sink())
    held = sum(time < 8000 for time in feed.times)
    assert 257 <= held < 520
