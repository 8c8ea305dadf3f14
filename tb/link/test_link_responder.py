"""Messages in, answers out, with the real unit: every octet, whatever the messages hold."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from itertools import chain, pairwise, repeat

import pytest
from station_bench import Board, Drive, Exchange, Watch, stalls
from station_rows import (
    ANSWER,
    ERROR,
    IDENTIFY,
    LOAD_TABLES,
    STATUS,
    Row,
    check_answer,
    counts,
    garbage,
    load_message,
    random_row,
    rows_answer,
    rows_message,
)

from exaq import SoftmaxConfig, Tables

CONFIGS = {
    "4 lanes": SoftmaxConfig(lanes=4, max_row=32),
    "1 lane": SoftmaxConfig(lanes=1, max_row=24, prob_bits=8),
    "8 lanes": SoftmaxConfig(lanes=8, max_row=40, logit_width=12, prob_bits=20),
    "3 bits": SoftmaxConfig(bits=3, lanes=4, max_row=40, logit_width=12, masking=False),
    "1 context": SoftmaxConfig(lanes=4, max_row=32, contexts=1),
    "3 contexts": SoftmaxConfig(lanes=1, max_row=20, contexts=3, exp_frac=8),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)
SMALL = CONFIGS["4 lanes"]


def check(config: SoftmaxConfig, messages: Sequence[bytes], found: Exchange) -> None:
    for message, answer in zip(messages, found.answers, strict=True):
        check_answer(config, message, answer, b"identity")


@EVERY
@pytest.mark.parametrize("rates", [None, (0.3, 0.6)])
def test_rows(name: str, rates: tuple[float, float] | None) -> None:
    """Of different lengths, contexts and masks in one message."""
    config = CONFIGS[name]
    rng = random.Random(name)
    messages, expected = [], []
    for tag in (7, 255, 8, 1):
        rows = [random_row(config, rng) for _ in range(rng.randint(1, 6))]
        messages.append(rows_message(config, tag, rows))
        expected.append(rows_answer(config, tag, rows))
    source, sink = (stalls(k, rate) for k, rate in enumerate(rates)) if rates else (None, None)
    found = Exchange(Board(config), messages, source=source, sink=sink)
    assert found.answers == expected
    assert not found.reports


@EVERY
def test_every_length(name: str) -> None:
    config = CONFIGS[name]
    rng = random.Random(name)
    rows = [random_row(config, rng, length) for length in range(1, config.max_row + 1)]
    found = Exchange(Board(config), [rows_message(config, 3, rows)])
    assert found.answers == [rows_answer(config, 3, rows)]


def test_rows_in_flight_are_limited() -> None:
    """Rows of one element, each a beat: the unit would hold all of them."""
    config = CONFIGS["1 lane"]
    board = Board(config)
    rng = random.Random(1)
    rows = [random_row(config, rng, 1) for _ in range(40)]
    held = [0]
    unit = board.unit

    def count(cycle: int, taken: int, given: int) -> None:
        held.append(held[-1] + taken - given)

    watch = Watch([unit.i.valid & unit.i.ready, unit.o.valid & unit.o.ready], count)
    asleep = chain([True] * 800, repeat(False))
    found = Exchange(board, [rows_message(config, 3, rows)], sink=asleep, parts=[watch])
    assert found.answers == [rows_answer(config, 3, rows)]
    assert max(held) == board.responder.rows


@pytest.mark.parametrize("identity", [b"\0", bytes(range(256)) + b"!"])
def test_identity(identity: bytes) -> None:
    messages = [bytes([IDENTIFY, tag]) for tag in (1, 2, 3)]
    found = Exchange(Board(SMALL, identity), messages, sink=stalls(1, 0.3))
    assert found.answers == [bytes([IDENTIFY | ANSWER, tag]) + identity for tag in (1, 2, 3)]


@pytest.mark.parametrize("length", [2, 3, 6])
@pytest.mark.parametrize("name", ["4 lanes", "1 context"])
def test_every_type(name: str, length: int) -> None:
    """Those that are none, and those that take no body: refused, and counted."""
    config = CONFIGS[name]
    rng = random.Random(length)
    messages = [bytes([kind, 1 + kind % 255]) + rng.randbytes(length - 2) for kind in range(256)]
    messages.append(bytes([STATUS, 1]))
    found = Exchange(Board(config), messages)
    check(config, messages, found)
    refused = sum(answer[0] == ERROR for answer in found.answers)
    assert counts(found.answers[-1])["rejected"] == refused


def two_rows(config: SoftmaxConfig) -> list[Row]:
    """A masked row of several runs and one of another kind, neither of full beats."""
    rng = random.Random(5)
    lengths = (9, 2 * config.lanes - 1)
    rows = [random_row(config, rng, length) for length in lengths]
    if config.masking:
        live = tuple(rng.random() < 0.5 for _ in range(9))
        rows[0] = Row(rows[0].logits, live, rows[0].context)
    return rows


@pytest.mark.parametrize("name", ["4 lanes", "3 bits"])
def test_cut_at_every_octet(name: str) -> None:
    """A good message goes through behind each message that has been cut off."""
    config = CONFIGS[name]
    whole = rows_message(config, 1, two_rows(config))
    good = rows_message(config, 9, [random_row(config, random.Random(2), 3)])
    messages = [m for end in range(2, len(whole)) for m in (whole[:end], good)]
    found = Exchange(Board(config), messages, sink=stalls(1, 0.3))
    check(config, messages, found)


def headers(config: SoftmaxConfig) -> list[tuple[int, int]]:
    """Length - 1 and word of rows that no board takes."""
    contexts = max(config.contexts, 1)
    longer = [config.max_row, config.max_row + 256, 0x0100, 0x8000, 0xFFFF]
    unknown = [contexts, 0x0100, 0x03FF, 0x0400, 0x1000, 0x4000, 0x7FFF]
    found = [(less, 0) for less in longer] + [(2, word) for word in unknown]
    if not config.masking:
        found += [(2, 0x8000)]
    return found


@EVERY
def test_rows_that_no_unit_takes(name: str) -> None:
    """What follows in their message is dropped, be it a good row."""
    config = CONFIGS[name]
    rng = random.Random(name)
    messages = []
    for less, word in headers(config):
        before = [random_row(config, rng, 3) for _ in range(rng.randint(0, 2))]
        bad = struct.pack("<HH", less, word) + rng.randbytes(rng.choice([0, 1, 9]))
        after = random_row(config, rng, 5).octets(config)
        messages.append(rows_message(config, 4, before) + bad + after)
        messages.append(rows_message(config, 5, before) + bad)
    found = Exchange(Board(config), messages)
    check(config, messages, found)


@EVERY
def test_garbage(name: str) -> None:
    """Any messages, with stalls of both sides: each has the one answer that it must have."""
    config = CONFIGS[name]
    rng = random.Random(name)
    messages = []
    for _ in range(30):
        messages.append(garbage(config, rng))
        if rng.random() < 0.3:
            messages.append(rows_message(config, 1, [random_row(config, rng, 7)]))
    source, sink = stalls(1, 0.3), stalls(2, 0.3)
    found = Exchange(Board(config), messages, source=source, sink=sink, limit=60000)
    check(config, messages, found)


def test_counters() -> None:
    """All of them, after a known past, each compared with what was seen at the ports."""
    rng = random.Random(3)
    messages = []
    for tag in range(1, 20):
        rows = [random_row(SMALL, rng) for _ in range(2)]
        messages += [rows_message(SMALL, tag, rows), bytes([9, tag]), bytes([STATUS, tag])]
    board = Board(SMALL)
    unit = board.unit
    now = [0]
    seen = dict.fromkeys(("rows", "beats", "stalled", *Board.pulses), 0)

    def count(cycle: int, valid: int, ready: int, last: int, *pulses: int) -> None:
        now[0] = cycle
        seen["beats"] += valid & ready
        seen["rows"] += valid & ready & last
        seen["stalled"] += int(valid and not ready)
        for name, pulse in zip(Board.pulses, pulses, strict=True):
            seen[name] += pulse

    ports = [getattr(board, name) for name in Board.pulses]
    watch = Watch([unit.o.valid, unit.o.ready, unit.o.payload.last, *ports], count)
    drive = Drive(ports, lambda cycle: [int(cycle < 4000 and rng.random() < 0.1) for _ in ports])
    # The last request comes when all is quiet.
    last_request = sum(map(len, messages)) - 2
    quiet = Exchange(
        board,
        messages,
        sink=stalls(1, 0.3),
        gate=lambda place: place < last_request or now[0] > 4200,
        parts=[watch, drive],
    )
    before = [counts(answer) for answer in quiet.answers if answer[0] == STATUS | ANSWER]
    for earlier, later in pairwise(before):
        assert all(earlier[name] <= later[name] for name in earlier)
    last = before[-1]
    assert last["rows"] == 2 * 19 == seen["rows"]
    assert last["rejected"] == 19
    assert last["beats"] == seen["beats"]
    assert last["stalled"] == seen["stalled"] > 100
    assert last["messages"] == seen["taken"] > 100
    assert last["damaged"] == seen["damaged"] > 100
    assert last["overflows"] == seen["overflow"] > 100
    assert last["line_errors"] == seen["line_error"] > 100
    assert last["loads"] == 0


@pytest.mark.parametrize("seed", range(4))
def test_reports(seed: int) -> None:
    """Each fault is in a report that begins after it; no report tells of what was not."""
    rng = random.Random(seed)
    rate = [0.5, 0.05, 0.005, 0.002][seed]
    board = Board(SMALL)
    names = ("damaged", "overflow", "line_error")
    ports = [getattr(board, name) for name in names]
    pulses: list[tuple[int, int]] = []

    def drive(cycle: int) -> list[int]:
        values = [int(cycle < 2500 and rng.random() < rate) for _ in names]
        pulses.extend((cycle, 1 << k) for k, value in enumerate(values) if value)
        return values

    rows = [random_row(SMALL, rng) for _ in range(3)]
    messages = [rows_message(SMALL, tag, rows) for tag in range(1, 12)]
    found = Exchange(
        board, messages, source=stalls(seed, 0.6), parts=[Drive(ports, drive)], more=400
    )
    assert found.answers == [rows_answer(SMALL, tag, rows) for tag in range(1, 12)]
    assert pulses
    assert found.reports
    # Nothing holds an octet back here: what a report tells of was kept 2 cycles before its first
    # octet, and pulses are kept from the cycle after them on.
    begin = 0
    for time, report in found.reports:
        told = {bit for cycle, bit in pulses if begin <= cycle < time - 2}
        assert told
        assert report == bytes([ERROR, 0, sum(told)])
        begin = time - 2
    assert all(cycle < begin for cycle, _ in pulses)


def new_tables(config: SoftmaxConfig, rng: random.Random) -> Tables:
    thresholds = sorted(rng.randint(-(2**config.logit_width), 0) for _ in range(config.levels - 1))
    levels = [rng.randrange(2**config.exp_bits) for _ in range(config.levels)]
    levels[-1] = max(levels[-1], 1)
    return Tables(thresholds=tuple(thresholds), exp_rom=tuple(levels))


@pytest.mark.parametrize("name", ["1 context", "3 contexts"])
def test_loads(name: str) -> None:
    """Good and bad loads among rows, the first while the unit still fills its tables."""
    config = CONFIGS[name]
    rng = random.Random(name)
    held = list(config.context_tables)
    messages, expected = [], []
    loads = 0
    for tag in range(1, 25):
        tables = new_tables(config, rng)
        context = rng.randrange(config.contexts)
        words = config.load_words(context, tables)
        message = load_message(tag, words)
        status = 0
        flaw = rng.choice(["", "", "", "length", "context", "thresholds", "exponentials", "both"])
        if flaw == "length":
            message += b"\0" * rng.randint(1, 9)
            if rng.random() < 0.7:
                message = message[: rng.randrange(2, 2 + 8 * config.levels)]
            status = 1
        if flaw in ("context", "both"):
            words[0] = rng.choice([config.contexts, -1, 1 << 30])
            status |= 2
        if flaw in ("thresholds", "both"):
            words[2] = rng.choice([1, -(2**config.logit_width) - 1])
            status |= 4
        if flaw in ("exponentials", "both"):
            words[-1] = rng.choice([0, -5, 2**config.exp_bits])
            status |= 8
        if flaw != "length":
            message = load_message(tag, words)
        messages.append(message)
        expected.append(bytes([LOAD_TABLES | ANSWER, tag, status]))
        if not status:
            held[context] = tables
            loads += 1
        rows = [random_row(config, rng, rng.randint(1, 9)) for _ in range(2)]
        messages.append(rows_message(config, tag, rows))
        expected.append(rows_answer(config, tag, rows, held))
    messages.append(bytes([STATUS, 99]))
    found = Exchange(Board(config), messages, source=stalls(1, 0.1), sink=stalls(2, 0.1))
    assert found.answers[:-1] == expected
    assert counts(found.answers[-1])["loads"] == loads > 4
    assert len({answer[2] for answer in expected if answer[0] == LOAD_TABLES | ANSWER}) > 4


@EVERY
def test_throughput(name: str) -> None:
    """Octets out follow each other at 2 cycles at most on the average, rows that are long."""
    config = CONFIGS[name]
    rng = random.Random(name)
    rows = [random_row(config, rng, config.max_row) for _ in range(8)]
    message = rows_message(config, 1, rows)
    found = Exchange(Board(config), [bytes([STATUS, 1]), message, bytes([STATUS, 2])])
    taken = found.feed.times[2:-2]
    given = found.drain.times[2 + 36 : -(2 + 36)]
    assert len(given) == len(found.answers[1])
    assert taken[-1] - taken[0] < 2 * len(message) + 100
    assert given[-1] - given[2] < 2 * max(len(given), len(message)) + 100
