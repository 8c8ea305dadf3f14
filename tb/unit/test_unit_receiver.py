"""The receiver against rows written out by hand: which beats leave it, and when."""

import random

import pytest
from float_oracle import SHAPES, decoded, ladder
from unit_bench import Bench, pack, stalls, unpack

from exaq import SoftmaxConfig
from exaq_hdl.shell.receiver import Receiver
from exaq_hdl.shell.streams import logit_beat, row_beat

CONFIGS = [
    SoftmaxConfig(lanes=4, max_row=16),
    SoftmaxConfig(lanes=1, max_row=7, logit_width=4),
    SoftmaxConfig(lanes=3, max_row=3, logit_width=11),
    SoftmaxConfig(lanes=2, max_row=4, logit_width=24, masking=False),
    SoftmaxConfig(lanes=16, max_row=16 * 33),
    SoftmaxConfig(lanes=4, max_row=16, window=True),
    SoftmaxConfig(lanes=3, max_row=12, logit_width=4, masking=False, window=True),
    SoftmaxConfig(lanes=1, max_row=1, window=True, mask_value="lowest"),
    SoftmaxConfig(lanes=2, max_row=6, logit_width=5, masking=False, mask_value="lowest"),
    SoftmaxConfig(lanes=4, max_row=8, logit_width=4, mask_value="lowest"),
]


def random_row(rng: random.Random, config: SoftmaxConfig, beats: int) -> list[dict]:
    """Beats as they come in; tail bits before the last beat mean nothing."""
    low, high = config.logit_range
    row = []
    for k in range(beats):
        edge = rng.choice([low, high, -1, 0])
        beat = {
            "logits": [rng.choice([edge, rng.randint(low, high)]) for _ in range(config.lanes)],
            "tail": rng.getrandbits(config.lanes),
            "last": int(k == beats - 1),
        }
        if config.masking:
            beat["live"] = rng.choice([0, -1, rng.getrandbits(config.lanes)])
            beat["live"] &= (1 << config.lanes) - 1
        if config.window:
            # Those of all beats but the first mean nothing.
            most = (1 << config.format.index_bits) - 1
            edges = [0, config.lanes, config.max_row, rng.randint(0, most), rng.randint(0, most)]
            beat["start"], beat["stop"] = rng.choice(edges), rng.choice(edges)
        row.append(beat)
    present = rng.randint(1, config.lanes)
    row[-1]["tail"] = rng.choice([(1 << config.lanes) - 1, (1 << present) - 1])
    return row


def expected_row(config: SoftmaxConfig, row: list[dict]) -> list[dict]:
    """The same row as it has to come out."""
    everyone = (1 << config.lanes) - 1
    most = config.max_row // config.lanes
    out = []
    for k, beat in enumerate(row[:most]):
        tail = beat["tail"] if k == len(row) - 1 else everyone
        live = tail & beat["live"] if config.masking else tail
        for lane, logit in enumerate(beat["logits"]):
            place = k * config.lanes + lane
            outside = config.window and not row[0]["start"] <= place < row[0]["stop"]
            lowest = config.mask_value == "lowest" and logit == config.logit_range[0]
            if outside or lowest:
                live &= ~(1 << lane)
        lifted = [x + 2 ** (config.logit_width - 1) for x in beat["logits"]]
        expected = {
            "logits": [x if live >> lane & 1 else 0 for lane, x in enumerate(lifted)],
            "tail": tail,
            "last": int(k == min(len(row), most) - 1),
            "error": int(k == most - 1 and len(row) > most),
        }
        partial = config.masking or config.window or config.mask_value == "lowest"
        out.append(expected | ({"live": live} if partial else {}))
    return out


def lengths(config: SoftmaxConfig, rng: random.Random) -> list[int]:
    """Beats of rows: every kind follows every other at some place."""
    most = config.max_row // config.lanes
    special = [1, most, most + 1, 2 * most, 2 * most + 1, 3 * most + 2, max(1, most - 1)]
    return [rng.choice(special) if rng.random() < 0.7 else rng.randint(1, most) for _ in range(40)]


@pytest.mark.parametrize(
    "config",
    CONFIGS,
    ids=lambda c: (
        f"{c.lanes}of{c.max_row}{'-window' * c.window}{'-lowest' * (c.mask_value == 'lowest')}"
    ),
)
@pytest.mark.parametrize("stalled", [False, True])
def test_rows(config: SoftmaxConfig, stalled: bool) -> None:
    rng = random.Random(config.lanes)
    count = 40 if config.max_row < 100 else 8
    rows = [random_row(rng, config, n) for n in lengths(config, rng)[:count]]
    expected = [beat for row in rows for beat in expected_row(config, row)]
    assert any(beat["error"] for beat in expected)

    receiver = Receiver(config.format)
    bench = Bench(receiver)
    words = [pack(logit_beat(config.format), beat) for row in rows for beat in row]
    feed = bench.feed(receiver.i, words, stalls(1) if stalled else None)
    closed = stalls(2)
    bench.every(lambda ctx, _: ctx.set(receiver.room, int(not (stalled and next(closed)))))
    room = bench.probe(receiver.room)
    ready = bench.probe(receiver.i.ready)
    drain = bench.drain(receiver.o, len(expected))
    bench.run()

    assert [unpack(row_beat(config.format), word) for word in drain.items] == expected
    assert ready.values == [0, *room.values[:-1]]
    # Each beat that is not dropped leaves as many cycles after it was taken as the latency says.
    kept = [k < config.max_row // config.lanes for row in rows for k, _ in enumerate(row)]
    times = [time for time, keep in zip(feed.times, kept, strict=True) if keep]
    assert receiver.latency == (2 if config.window else 1)
    assert drain.times == [time + receiver.latency for time in times]
    assert receiver.reaction == receiver.latency + 1
    assert all(room.values[time - receiver.reaction] for time in drain.times)
    if not stalled:
        assert feed.times == list(range(1, 1 + len(words)))


def test_row_of_exactly_max_row_is_no_error() -> None:
    """With the last beat full or not; and one more beat, even without an element, is one."""
    config = SoftmaxConfig(lanes=2, max_row=6, masking=False)

    def beats(*tails: int) -> list[dict]:
        last = len(tails) - 1
        return [
            {"logits": [k, -k], "tail": tail, "last": int(k == last)}
            for k, tail in enumerate(tails)
        ]

    rows = [beats(3, 3, 3), beats(3, 3, 1), beats(3, 3, 3, 0), beats(3), beats(3, 3, 3, 3, 1)]
    receiver = Receiver(config.format)
    bench = Bench(receiver)
    bench.feed(receiver.i, [pack(logit_beat(config.format), b) for row in rows for b in row])
    bench.every(lambda ctx, _: ctx.set(receiver.room, 1))
    drain = bench.drain(receiver.o, 13)
    bench.run()
    found = [unpack(row_beat(config.format), word) for word in drain.items]
    flags = [(beat["tail"], beat["last"], beat["error"]) for beat in found]
    plain = [(3, 0, 0), (3, 0, 0)]
    assert flags == [
        *plain, (3, 1, 0),
        *plain, (1, 1, 0),
        *plain, (3, 1, 1),
        (3, 1, 0),
        *plain, (3, 1, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("contexts", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("max_row", [2, 6])
@pytest.mark.parametrize("stalled", [False, True])
def test_contexts(contexts: int, max_row: int, stalled: bool) -> None:
    """The number beside a row's last beat counts, also where that closes a row too long.

    A row of a context that does not exist is marked; rows too long are told apart from it.
    """
    config = SoftmaxConfig(lanes=2, max_row=max_row, contexts=contexts)
    rng = random.Random(contexts)
    rows = [random_row(rng, config, n) for n in lengths(config, rng)]
    receiver = Receiver(config.format)
    assert hasattr(receiver, "context") == (contexts > 1)
    assert hasattr(receiver, "unknown") == (contexts in (3, 5))
    words, expected, last_beats = [], [], []
    for row in rows:
        out = expected_row(config, row)
        for k, beat in enumerate(row):
            if config.context_bits:
                beat["context"] = rng.getrandbits(config.context_bits)
            words.append(pack(logit_beat(config.format), beat))
            if k != len(out) - 1:
                continue
            context = beat.get("context", 0)
            unknown = context >= contexts
            last_beats.append((context, unknown, len(row) > len(out)))
            out[-1]["error"] |= unknown
        expected += out
    bench = Bench(receiver)
    bench.feed(receiver.i, words, stalls(1) if stalled else None)
    closed = stalls(2)
    bench.every(lambda ctx, _: ctx.set(receiver.room, int(not (stalled and next(closed)))))
    drain = bench.drain(receiver.o, len(expected))
    long_row = bench.probe(receiver.long_row)
    context = bench.probe(receiver.context) if contexts > 1 else None
    unknown = bench.probe(receiver.unknown) if contexts in (3, 5) else None
    bench.run()
    found = [unpack(row_beat(config.format), word) for word in drain.items]
    assert found == expected
    ends = [time for time, beat in zip(drain.times, found, strict=True) if beat["last"]]
    for time, of_row in zip(ends, last_beats, strict=True):
        seen = (
            context.values[time] if context else 0,
            bool(unknown and unknown.values[time]),
            bool(long_row.values[time]),
        )
        assert seen == of_row
    assert sum(long_row.values) == sum(is_long for _, _, is_long in last_beats) > 0


@pytest.mark.parametrize("name", SHAPES)
def test_every_number(name: str) -> None:
    """All 65536 words: their keys, what masks, and what puts its row in error."""
    config = SoftmaxConfig(lanes=4, max_row=65536, logit_format=name)
    receiver = Receiver(config.format)
    words = range(65536)
    beats = [
        {"logits": list(words[k : k + 4]), "live": 15, "tail": 0, "last": 0}
        for k in range(0, 65536, 4)
    ]
    # A row for each 64 words, so that few rows have errors.
    for beat in beats[15::16]:
        beat.update(tail=15, last=1)
    bench = Bench(receiver, limit=20000)
    bench.feed(receiver.i, [pack(logit_beat(config.format), beat) for beat in beats])
    bench.every(lambda ctx, _: ctx.set(receiver.room, 1))
    drain = bench.drain(receiver.o, len(beats))
    bench.run()
    meant = decoded(name)
    order = {word: place for place, word in enumerate(ladder(name)[1], 1)}
    lowest = 2**15 - 1 - len(order) // 2
    for k, word in enumerate(drain.items):
        out = unpack(row_beat(config.format), word)
        part = words[4 * k : 4 * k + 4]
        assert out["logits"] == [lowest + order.get(each, 0) for each in part]
        assert out["live"] == sum((each in order) << lane for lane, each in enumerate(part))
        row = words[64 * (k // 16) : 64 * (k // 16) + 64]
        assert out["error"] == (k % 16 == 15 and any(meant[each].bad for each in row))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("masking", [True, False])
@pytest.mark.parametrize("contexts", [0, 3])
def test_numbers_that_put_a_row_in_error(name: str, masking: bool, contexts: int) -> None:
    """Anywhere in the row, where they are live; none that is masked, absent or dropped, and the
    rows behind are as they would be.
    """
    config = SoftmaxConfig(
        lanes=2, max_row=8, logit_format=name, masking=masking, contexts=contexts
    )
    exponent, mantissa = SHAPES[name]
    infinity = (2**exponent - 1) << mantissa
    bad = [infinity, infinity + 1, 0x7FFF, 0x8000 + infinity + 1, 0xFFFF]
    rng = random.Random(name)
    meant = decoded(name)
    words, expected, causes = [], [], set()
    for _ in range(400):
        beats = rng.choice([1, 2, 3, 4, 4, 5, 7])
        error = int(beats > 4)
        share = rng.choice([0, 0, 0.1, 0.4])
        for k in range(beats):
            last = k == beats - 1
            row = [
                rng.choice(bad)
                if rng.random() < share
                else rng.choice([0, 0x3C00, 0x8000 + infinity])
                for _ in range(2)
            ]
            tail = rng.choice([1, 3]) if last else rng.getrandbits(2)
            live = rng.choice([3, 3, 1, 2, 0])
            beat = {"logits": row, "tail": tail, "last": int(last)}
            beat |= {"live": live} if masking else {}
            context = rng.randrange(4)
            beat |= {"context": context} if contexts else {}
            words.append(pack(logit_beat(config.format), beat))
            present = (tail if last else 3) & (live if masking else 3)
            here = any(meant[each].bad and present >> lane & 1 for lane, each in enumerate(row))
            if any(meant[each].bad for each in row) and not here:
                causes.add("masked or absent")
            if k < 4:
                error |= here
                ends = last or k == 3
                unknown = contexts and context >= contexts
                expected.append((int(ends), int(ends and (error or unknown))))
                causes |= {f"beat {k}"} if here else set()
            elif here:
                causes.add("dropped")
    assert causes == {"masked or absent", "dropped", *(f"beat {k}" for k in range(4))}
    receiver = Receiver(config.format)
    bench = Bench(receiver, limit=20000)
    bench.feed(receiver.i, words, stalls(1, 0.3))
    closed = stalls(2, 0.3)
    bench.every(lambda ctx, _: ctx.set(receiver.room, int(not next(closed))))
    drain = bench.drain(receiver.o, len(expected))
    bench.run()
    found = [unpack(row_beat(config.format), word) for word in drain.items]
    assert [(beat["last"], beat["error"]) for beat in found] == expected
