"""Messages for an attention head with the real unit: every octet, whatever the messages hold."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import chain, cycle, repeat
from typing import Any

import pytest
from head_bench import HeadBoard, HeadExchange
from head_messages import (
    BEGIN_HEAD,
    FINAL,
    KEYS_VALUES,
    NO_HEAD,
    QUERIES,
    ROW_ERROR,
    HeadModel,
    pairs_message,
    queries_message,
    random_vectors,
)
from link_receive import CLOSEST
from station_bench import Drain, Drive, Feed, simulate, stalls
from station_frames import frame, messages_in
from station_rows import ANSWER, DAMAGED, ERROR, LOAD_TABLES, ROWS, STATUS, counts

from exaq.attention import AttentionConfig
from exaq_fpga.gateware.station import Station
from exaq_fpga.link.protocol import Identity, buffer_octets
from exaq_hdl.attention.attention_head import AttentionHead

SMALL: dict[str, Any] = {"head_size": 16, "lanes": 2, "max_row": 8, "logit_scale": 2**-5}
CONFIGS = {
    "all keys": AttentionConfig(**SMALL),
    "causal": AttentionConfig(**SMALL, causal=True),
    "odd widths, causal": AttentionConfig(
        **SMALL | {"head_size": 17, "max_row": 6},
        keys="int8",
        value_width=4,
        output_width=8,
        causal=True,
    ),
    "3 bits, q longer": AttentionConfig(**SMALL | {"bits": 3}, value_width=4),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)
CAUSAL = CONFIGS["causal"]


def check(config: AttentionConfig, messages: Sequence[bytes], found: HeadExchange) -> HeadModel:
    """Every answer is that of the model; the model as it is then."""
    model = HeadModel(config)
    for message, answer in zip(messages, found.answers, strict=True):
        if message[0] == STATUS and len(message) == 2:
            assert answer[:2] == bytes([STATUS | ANSWER, message[1]])
            assert len(answer) == 2 + 36
        else:
            assert answer == model.answer(message), message[:6].hex()
    return model


def whole_head(config: AttentionConfig, rng: random.Random, keys: int, rows: int) -> list[bytes]:
    """Messages of a head: keys and values in parts of any size, then the rows."""
    q, k, v = random_vectors(config, rng, rows, keys)
    messages = [bytes([BEGIN_HEAD, rng.randint(1, 255)])]
    at = 0
    while at < keys:
        stop = min(keys, at + rng.randint(1, 9))
        messages.append(pairs_message(config, 1, k[at:stop], v[at:stop], at, final=stop == keys))
        at = stop
    while at < keys + rows:
        stop = min(keys + rows, at + rng.randint(1, 9))
        messages.append(queries_message(config, 2, q[at - keys : stop - keys], at - keys))
        at = stop
    return messages


@pytest.mark.parametrize(
    ("name", "rates"),
    [(name, None) for name in CONFIGS if name != "all keys"] + [("causal", (0.3, 0.6))],
)
def test_heads(name: str, rates: tuple[float, float] | None) -> None:
    """Of one key, of a few and of as many as there may be."""
    config = CONFIGS[name]
    rng = random.Random(name)
    most = config.softmax.max_row
    heads = [(most, most + 1), (1, 2), (config.lanes + 1, 3)]
    messages = [m for keys, rows in heads for m in whole_head(config, rng, keys, rows)]
    messages.append(bytes([STATUS, 9]))
    source, sink = (stalls(k, rate) for k, rate in enumerate(rates)) if rates else (None, None)
    found = HeadExchange(HeadBoard(config), messages, source=source, sink=sink)
    model = check(config, messages, found)
    # Beside its rows, each head but the last one has a row that gives its keys back.
    assert found.rows == model.rows + len(heads) - 1
    told = counts(found.answers[-1])
    per_row = found.beats // found.rows
    assert told["rows"] == model.rows == sum(rows for _, rows in heads)
    assert told["beats"] == model.rows * per_row
    assert told["loads"] == model.loads == len(heads)
    assert told["rejected"] == 0
    assert (found.stalled > 0) == (told["stalled"] > 0)


def test_rows_are_in_the_unit_together_but_not_too_many() -> None:
    config = CONFIGS["all keys"]
    q, k, v = random_vectors(config, random.Random(2), 24, 1)
    messages = [pairs_message(config, 1, k, v), queries_message(config, 2, q)]
    # Awake for the first answer, and not for the second one until all rows could be there.
    pauses = chain([False] * 150, [True] * 1000, repeat(False))
    board = HeadBoard(config)
    found = HeadExchange(board, messages, sink=pauses)
    check(config, messages, found)
    assert found.most_inside == board.responder.rows


def test_pairs_are_taken_once_and_in_their_order() -> None:
    """Messages that come again, before their time, overlapping, and behind the last."""
    config = CAUSAL
    rng = random.Random(1)
    keys = config.softmax.max_row
    q, k, v = random_vectors(config, rng, 3, keys)

    def part(start: int, stop: int) -> bytes:
        return pairs_message(
            config, start + 1, k[start:stop], v[start:stop], start, final=stop == keys
        )

    messages = [
        bytes([BEGIN_HEAD, 1]),
        part(0, 2),
        part(0, 2),
        part(3, 5),
        part(5, keys),
        queries_message(config, 3, q),
        part(2, 4),
        part(0, 6),
        part(keys - 1, keys),
        part(4, keys),
        part(4, keys),
        part(keys - 1, keys),
        queries_message(config, 3, q),
        pairs_message(config, 3, k[:2], v[:2], keys, final=True),
        part(0, 2),
        queries_message(config, 4, q),
    ]
    model = check(config, messages, HeadExchange(HeadBoard(config), messages, sink=stalls(1, 0.3)))
    assert model.complete
    assert len(model.keys) == keys


@pytest.mark.parametrize("name", ["all keys", "odd widths, causal"])
def test_rows_of_any_number_at_any_time(name: str) -> None:
    """As a host repeats them; the unit counts a causal head's rows by itself."""
    config = CONFIGS[name]
    rng = random.Random(name)
    keys = config.softmax.max_row
    q, k, v = random_vectors(config, rng, 3 * keys, keys)
    numbers = [0, 1, 1, 4, 3, 0, keys - 1, keys - 1, keys, keys + 7, 2, (1 << 23) - 3, 5, 5]
    messages = [pairs_message(config, 1, k, v)]
    for n, number in enumerate(numbers):
        messages.append(queries_message(config, n + 1, q[n : n + 1 + n % 3], number))
    messages.append(bytes([STATUS, 5]))
    found = HeadExchange(HeadBoard(config), messages)
    model = check(config, messages, found)
    # What brings a row into its place is not told of.
    assert counts(found.answers[-1])["rows"] == model.rows
    assert (found.rows > model.rows) == config.causal


def test_rows_that_follow_each_other_cost_no_others() -> None:
    q, k, v = random_vectors(CAUSAL, random.Random(1), 12, 8)
    messages = [pairs_message(CAUSAL, 1, k, v)]
    messages += [queries_message(CAUSAL, 1, q[n : n + 4], n) for n in range(0, 12, 4)]
    found = HeadExchange(HeadBoard(CAUSAL), messages)
    check(CAUSAL, messages, found)
    assert found.rows == 12


def test_a_head_begins_anew_whatever_was_there() -> None:
    """Nothing, a few keys, all of them, rows too, keys that are too many; and that twice."""
    config = CONFIGS["odd widths, causal"]
    rng = random.Random(7)
    most = config.softmax.max_row
    q, k, v = random_vectors(config, rng, 2, most + 5)
    begin = bytes([BEGIN_HEAD, 7])
    before: list[list[bytes]] = [
        [],
        [pairs_message(config, 1, k[:1], v[:1], final=False)],
        [pairs_message(config, 1, k[:most], v[:most], final=False)],
        [pairs_message(config, 1, k[:3], v[:3])],
        [pairs_message(config, 1, k[:most], v[:most]), queries_message(config, 1, q)],
        [pairs_message(config, 1, k, v), queries_message(config, 1, q)],
        [pairs_message(config, 1, k, v, final=False)],
    ]
    messages = []
    for parts in before:
        messages += [*parts, begin, begin, queries_message(config, 2, q[:1])]
        k, v = k[::-1], v[::-1]
        messages += [pairs_message(config, 3, k[:4], v[:4]), queries_message(config, 4, q), begin]
    found = HeadExchange(HeadBoard(config), messages)
    check(config, messages, found)
    states = {answer[-1] for answer in found.answers if answer[0] == QUERIES | ANSWER}
    assert states == {0, NO_HEAD, ROW_ERROR}


def test_messages_that_are_cut_off() -> None:
    """What is whole counts; a good message goes through behind each."""
    config = CAUSAL
    q, k, v = random_vectors(config, random.Random(3), 2, 3)
    whole = pairs_message(config, 1, k[:2], v[:2])
    rows = queries_message(config, 1, q)
    messages = []
    for message, size in ((whole, (len(whole) - 5) // 2), (rows, config.head_size)):
        for end in (2, 3, 5, 6, 4 + size, 5 + size, 6 + size, len(message) - 1):
            messages += [message[:end], queries_message(config, 2, q[:1], end % 4)]
            if message is whole:
                messages.append(bytes([BEGIN_HEAD, 1]))
        messages.append(whole)
    found = HeadExchange(HeadBoard(config), messages, sink=stalls(1, 0.2))
    check(config, messages, found)


@pytest.mark.parametrize("length", [2, 4])
def test_every_type(length: int) -> None:
    """Those that are none, and those that take no body: refused, and counted."""
    rng = random.Random(length)
    kinds = [*range(16), *(1 << bit | kind for bit in range(4, 8) for kind in range(8)), 0xFF]
    messages = [bytes([kind, 1 + kind % 255]) + rng.randbytes(length - 2) for kind in kinds]
    messages.append(bytes([STATUS, 1]))
    found = HeadExchange(HeadBoard(CAUSAL), messages)
    model = HeadModel(CAUSAL)
    for message, answer in zip(messages, found.answers, strict=True):
        if message[0] != STATUS:
            assert answer == model.answer(message)
    refused = [answer for answer in found.answers if answer[0] == ERROR]
    assert counts(found.answers[-1])["rejected"] == len(refused)
    assert {answer[1] - 1 for answer in refused} >= {ROWS, LOAD_TABLES, 8, 0x87}


@pytest.mark.parametrize("seed", [1, 2])
def test_any_messages(seed: int) -> None:
    """Good ones, damaged ones and ones of anything, with stalls of both sides."""
    config = CONFIGS["odd widths, causal"]
    rng = random.Random(seed)
    messages: list[bytes] = []
    for _ in range(3):
        good = whole_head(config, rng, rng.randint(1, config.softmax.max_row), rng.randint(1, 6))
        for message in good:
            damaged = bytearray(message)
            how = rng.randrange(10)
            if how == 0:
                damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
            elif how == 1:
                del damaged[rng.randrange(2, len(damaged) + 1) :]
            elif how == 2:
                messages.append(message)
            elif how == 3:
                kind = rng.choice([KEYS_VALUES, QUERIES, rng.randrange(256)])
                damaged = bytearray([kind, 1]) + rng.randbytes(rng.randrange(50))
            elif how == 4:
                continue
            messages.append(bytes(damaged))
    messages += whole_head(config, rng, 3, 6)
    found = HeadExchange(HeadBoard(config), messages, source=stalls(1, 0.2), sink=stalls(2, 0.2))
    model = check(config, messages, found)
    assert model.rows > 5


def test_what_the_line_lost_is_reported_and_counted() -> None:
    q, k, v = random_vectors(CAUSAL, random.Random(4), 8, 8)
    messages = [pairs_message(CAUSAL, 1, k, v)]
    messages += [queries_message(CAUSAL, 1, q[n : n + 1], n) for n in range(8)]
    messages += [bytes([STATUS, 9])]
    board = HeadBoard(CAUSAL)
    rng = random.Random(4)
    seen = dict.fromkeys(board.pulses, 0)

    def drive(cycle: int) -> list[int]:
        values = [int(cycle < 900 and rng.random() < 0.01) for _ in board.pulses]
        for name, value in zip(board.pulses, values, strict=True):
            seen[name] += value
        return values

    drives = Drive([getattr(board, name) for name in board.pulses], drive)
    found = HeadExchange(board, messages, source=stalls(1, 0.5), parts=[drives])
    check(CAUSAL, messages, found)
    told = counts(found.answers[-1])
    names = ("messages", "damaged", "overflows", "line_errors")
    assert [told[name] for name in names] == list(seen.values())
    assert found.reports
    bits = {report[2] for report in found.reports}
    assert all(0 < each < 8 for each in bits)


def test_damaged_frames() -> None:
    """At the station: what a damaged frame held is missing, until the host sends it again."""
    config = CAUSAL
    q, k, v = random_vectors(config, random.Random(8), 2, 3)
    parts = [
        pairs_message(config, n + 1, k[n : n + 1], v[n : n + 1], n, final=n == 2) for n in range(3)
    ]
    rows = queries_message(config, 7, q)
    sent = [bytes([BEGIN_HEAD, 9]), parts[0], parts[1], parts[2], rows, parts[1], parts[2], rows]
    octets = [frame(message) for message in sent]
    octets[2] = octets[2][:9] + bytes([octets[2][9] ^ 0x11 or 1]) + octets[2][10:]
    unit: Any = AttentionHead(config)
    named = Identity(
        board="b", config=config, clock=1, baud=1, buffer=buffer_octets(config)
    ).to_octets()
    station: Any = Station(config, named, unit, line_cycles=CLOSEST)
    paced = cycle([False] + [True] * (CLOSEST - 1))
    feed, drain = Feed(station.rx, list(b"".join(octets)), paced), Drain(station.tx)
    simulate(
        station, [feed, drain], lambda: feed.done and drain.words.count(0) == len(sent), more=200
    )
    model = HeadModel(config)
    expected = [model.answer(message) for message in sent[:2] + sent[3:]]
    expected.insert(2, bytes([ERROR, 0, DAMAGED]))
    assert messages_in(drain.words) == expected
    assert expected[-1][-1] == 0
    assert expected[4][-1] == NO_HEAD


def test_throughput() -> None:
    """Octets come and go at 2 cycles at most on the average, where rows are no longer."""
    config = CONFIGS["all keys"]
    q, k, v = random_vectors(config, random.Random(5), 16, 8)
    messages = [pairs_message(config, 1, k, v), queries_message(config, 2, q)]
    found = HeadExchange(HeadBoard(config), messages)
    check(config, messages, found)
    taken, given = found.taken, found.times
    load = len(messages[0])
    assert taken[load - 1] - taken[0] < 2 * load + 10
    outputs = given[len(found.answers[0]) :]
    assert outputs[-1] - taken[load] < 2 * len(outputs) + 200


def test_number_and_end_stand_in_one_word() -> None:
    """The head's last key is told by the same octets that the board tells it by."""
    _, k, v = random_vectors(CAUSAL, random.Random(6), 1, 5)
    messages = [
        pairs_message(CAUSAL, 1, k[:3], v[:3], 0, final=False),
        pairs_message(CAUSAL, 2, k[3:], v[3:], 3),
    ]
    found = HeadExchange(HeadBoard(CAUSAL), messages)
    first, second = (int.from_bytes(answer[2:5], "little") for answer in found.answers)
    assert (first, second) == (3, 5 | FINAL)
