# amaranth: UnusedElaboratable=no
"""The whole station: frames on the line in, frames out, by octets and by the bits of a UART."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from link_receive import CLOSEST
from station_bench import Drain, Drive, Feed, Watch, simulate, stalls
from station_frames import frame, messages_in
from station_rows import (
    ANSWER,
    DAMAGED,
    ERROR,
    IDENTIFY,
    LINE,
    LOAD_TABLES,
    STATUS,
    counts,
    load_message,
    random_row,
    rows_answer,
    rows_message,
)

from exaq import SoftmaxConfig
from exaq_fpga.gateware.linked_station import LinkedStation
from exaq_fpga.gateware.octets import OCTETS
from exaq_fpga.gateware.station import Station
from exaq_fpga.gateware.transports.board_transport import BoardTransport
from exaq_fpga.gateware.transports.line_pacer import LinePacer
from exaq_fpga.gateware.transports.uart_transport import UartTransport
from exaq_fpga.link.protocol import Identity, buffer_octets
from exaq_hdl.shell.row_shell import Softmax

CONFIGS = {
    "4 lanes": SoftmaxConfig(lanes=4, max_row=32),
    "1 lane": SoftmaxConfig(lanes=1, max_row=24, prob_bits=8, masking=False),
    "3 contexts": SoftmaxConfig(lanes=2, max_row=20, contexts=3, prob_bits=20, logit_width=12),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)
SMALL = CONFIGS["4 lanes"]


def identity(config: SoftmaxConfig) -> bytes:
    return Identity(
        board="test", config=config, clock=1, baud=1, buffer=buffer_octets(config)
    ).to_octets()


def spaced(seed: int, least: int, more: int = 60) -> Iterator[bool]:
    """Pauses so that octets are ``least`` cycles apart, sometimes up to ``more`` more."""
    rng = random.Random(seed)
    while True:
        yield False
        for _ in range(least - 1 + rng.choice([0, 0, 0, rng.randrange(more)])):
            yield True


def exchange(
    config: SoftmaxConfig,
    octets: bytes,
    count: int,
    *,
    source: Iterator[bool],
    sink: Iterator[bool] | None = None,
    errors: Sequence[int] = (),
) -> list[bytes]:
    """What comes back in frames, ``count`` of them, for ``octets`` on the line.

    ``errors``: cycles in which the line loses an octet.
    """
    station: Any = Station(config, identity(config), Softmax(config), line_cycles=CLOSEST)
    feed = Feed(station.rx, list(octets), source)
    drain = Drain(station.tx, sink)
    drive = Drive([station.line_error], lambda cycle: [int(cycle in errors)])

    def done() -> bool:
        return feed.done and drain.words.count(0) >= count

    simulate(station, [feed, drain, drive], done, more=600)
    messages = messages_in(drain.words)
    assert len(messages) == count
    return messages


@EVERY
def test_requests_of_every_type(name: str) -> None:
    config = CONFIGS[name]
    rng = random.Random(name)
    rows = [random_row(config, rng) for _ in range(3)]
    requests = [bytes([IDENTIFY, 1]), rows_message(config, 2, rows)]
    expected = [
        bytes([IDENTIFY | ANSWER, 1]) + identity(config),
        rows_answer(config, 2, rows),
    ]
    if config.contexts:
        words = config.load_words(1, config.tables)
        requests += [load_message(3, words), load_message(4, [5, *words[1:]])]
        expected += [bytes([LOAD_TABLES | ANSWER, 3, 0]), bytes([LOAD_TABLES | ANSWER, 4, 2])]
    requests.append(bytes([STATUS, 5]))
    octets = b"\0" + b"\0".join(map(frame, requests))
    answers = exchange(config, octets, len(requests), source=spaced(1, 4), sink=stalls(1, 0.5))
    assert answers[:-1] == expected
    found = counts(answers[-1])
    assert found["messages"] == len(requests)
    assert found["rows"] == 3
    assert found["loads"] == bool(config.contexts)
    assert found["damaged"] == found["overflows"] == found["line_errors"] == found["rejected"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_damaged_frames(seed: int) -> None:
    """They are not answered, but reported; the others are, each right and in order."""
    rng = random.Random(seed)
    octets = bytearray()
    expected = []
    damaged = 0
    for tag in range(1, 10):
        rows = [random_row(SMALL, rng, rng.randint(1, 9)) for _ in range(rng.randint(1, 2))]
        whole = bytearray(frame(rows_message(SMALL, tag, rows)))
        if rng.random() < 0.5:
            # The delimiter stays, and none is added, so that each frame is one.
            place = rng.randrange(len(whole) - 1)
            bit = rng.randrange(8)
            if whole[place] == 1 << bit:
                bit = (bit + 1) % 8
            whole[place] ^= 1 << bit
            damaged += 1
        else:
            expected.append(rows_answer(SMALL, tag, rows))
        octets += whole
    octets += frame(bytes([STATUS, 99]))
    octets = octets.rjust(len(octets) + 1, b"\0")

    station: Any = Station(SMALL, identity(SMALL), Softmax(SMALL), line_cycles=CLOSEST)
    feed = Feed(station.rx, list(octets), spaced(seed, 4))
    drain = Drain(station.tx, stalls(seed, 0.5))

    def done() -> bool:
        # STATUS is the last answer; a report may come behind it.
        frames = bytes(drain.words).split(b"\0")[:-1]
        return feed.done and any(part[1:3] == bytes([0x82, 99]) for part in frames)

    simulate(station, [feed, drain], done, more=600)
    found = messages_in(drain.words)
    reports = [message for message in found if message[0] == ERROR]
    answers = [message for message in found if message[0] != ERROR]
    assert answers[:-1] == expected
    assert counts(answers[-1])["damaged"] == damaged
    assert counts(answers[-1])["messages"] == len(expected) + 1
    assert all(report == bytes([ERROR, 0, DAMAGED]) for report in reports)
    assert (1 if damaged else 0) <= len(reports) <= damaged


def test_lost_octets_are_reported() -> None:
    octets = frame(bytes([STATUS, 1]))
    found = exchange(SMALL, octets, 3, source=spaced(1, 100), errors=[5, 4000])
    assert found[0] == found[2] == bytes([ERROR, 0, LINE])
    assert counts(found[1])["line_errors"] == 1


class WaitingTransport:
    """A transport whose octets can wait, as those of a USB core can: no UART is on the board."""

    def __init__(self) -> None:
        self.pins = {"octets": In(OCTETS), "answers": Out(OCTETS)}
        self._pacer: Any = LinePacer(Station.line_cycles)
        self.line_cycles = self._pacer.line_cycles

    def connect(self, m: Module, ports: Any, station: Any) -> None:
        m.submodules.pacer = self._pacer
        wiring.connect(m, wiring.flipped(ports.octets), self._pacer.i)
        wiring.connect(m, self._pacer.o, station.rx)
        wiring.connect(m, station.tx, wiring.flipped(ports.answers))

    def add_pads(self, m: Module, platform: Any, ports: Any) -> None:
        raise AssertionError("there are no pads in simulation")


@pytest.mark.parametrize("gap", [1, 2, 3, 4])
def test_a_line_that_waits_loses_nothing(gap: int) -> None:
    """Octets are offered in every cycle to every fourth, and taken in every fourth."""
    rng = random.Random(gap)
    rows = [random_row(SMALL, rng) for _ in range(3)]
    requests = [bytes([IDENTIFY, 1]), rows_message(SMALL, 2, rows), bytes([STATUS, 3])]
    transport: BoardTransport = WaitingTransport()
    board: Any = LinkedStation(SMALL, identity(SMALL), Softmax(SMALL), transport)
    feed = Feed(board.octets, list(b"".join(map(frame, requests))), spaced(gap, gap, more=1))
    drain = Drain(board.answers)
    simulate(board, [feed, drain], lambda: feed.done and drain.words.count(0) >= 3, more=600)
    *answers, status = messages_in(drain.words)
    assert answers == [
        bytes([IDENTIFY | ANSWER, 1]) + identity(SMALL),
        rows_answer(SMALL, 2, rows),
    ]
    found = counts(status)
    assert found["messages"] == 3
    assert found["damaged"] == found["overflows"] == found["line_errors"] == found["rejected"] == 0
    assert min(after - before for before, after in pairwise(feed.times)) == CLOSEST


@pytest.mark.parametrize("cycles", [1, 3])
def test_a_line_that_is_too_fast_is_refused(cycles: int) -> None:
    with pytest.raises(ValueError, match=r"^octets of the line ") as refusal:
        Station(SMALL, b"", None, line_cycles=cycles)
    assert str(refusal.value) == (
        f"octets of the line must be at least {CLOSEST} cycles apart, not {cycles}; "
        "LinePacer holds faster ones back"
    )


def test_codes_with_references_are_refused() -> None:
    config = SoftmaxConfig.preset("baps-x4", max_row=16)
    with pytest.raises(ValueError, match="link carries no references of beats"):
        Station(config, b"", None, line_cycles=Station.line_cycles)


def bits_of(octets: bytes, divisor: int) -> list[int]:
    """A UART's line, a level for each cycle."""
    levels = []
    for octet in octets:
        for bit in [0, *(octet >> k & 1 for k in range(8)), 1]:
            levels += [bit] * divisor
    return levels


def octets_of(levels: Sequence[int], divisor: int) -> tuple[list[int], list[int]]:
    """The octets on a UART's line, each bit looked at in its middle, and where each begins."""
    octets, begins = [], []
    place = 0
    while place < len(levels):
        if levels[place]:
            place += 1
            continue
        middle = place + divisor // 2
        bits = levels[middle : middle + 10 * divisor : divisor]
        assert (bits[0], bits[9]) == (0, 1)
        octets.append(sum(bit << k for k, bit in enumerate(bits[1:9])))
        begins.append(place)
        place += 10 * divisor - divisor // 4
    return octets, begins


def through_uart(named: bytes, rx: Sequence[int], divisor: int) -> list[int]:
    """Levels of the wire to the host, cycle by cycle, until the station is done with ``rx``."""
    board: Any = LinkedStation(SMALL, named, Softmax(SMALL), UartTransport(divisor))
    tx: list[int] = []
    drive = Drive([board.rx], lambda cycle: [rx[cycle] if cycle < len(rx) else 1])
    watch = Watch([board.tx], lambda cycle, level: tx.append(level))
    quiet = 50 * divisor

    def done() -> bool:
        return len(tx) > len(rx) and all(tx[-quiet:])

    simulate(board, [drive, watch], done, limit=60000, more=20)
    return tx


def test_a_break_is_reported() -> None:
    divisor = 5
    rx = [1] * 20 + [0] * 17 * divisor + [1] * 9 + bits_of(frame(bytes([STATUS, 1])), divisor)
    octets, _ = octets_of(through_uart(b"name", rx, divisor), divisor)
    report, answer = messages_in(octets)
    assert report == bytes([ERROR, 0, LINE])
    assert counts(answer)["line_errors"] == counts(answer)["messages"] == 1


def test_uart_is_never_idle() -> None:
    """While requests wait, octets leave without a gap, between answers and within them."""
    config, divisor = SMALL, 4
    rng = random.Random(4)
    # Long enough for the first rows to arrive meanwhile.
    named = rng.randbytes(90)
    requests, expected = [bytes([IDENTIFY, 9])], [bytes([IDENTIFY | ANSWER, 9]) + named]
    for tag, length in enumerate([32, 1, 1, 17, 2], start=1):
        rows = [random_row(config, rng, length) for _ in range(2)]
        requests.append(rows_message(config, tag, rows))
        expected.append(rows_answer(config, tag, rows))
    octets = b"".join(map(frame, requests))
    # All of it is within what the receive buffer holds.
    assert sum(len(request) + 6 for request in requests) <= buffer_octets(config) - 64
    found, begins = octets_of(through_uart(named, bits_of(octets, divisor), divisor), divisor)
    assert messages_in(found) == expected
    idle = begins[-1] - begins[0] - 10 * divisor * (len(begins) - 1)
    assert idle < 0.01 * (begins[-1] - begins[0])
