"""The whole unit against the slow softmax in integers: every bit, and when it comes."""

import random
from itertools import chain, cycle, repeat

import pytest
from amaranth.hdl import ResetInserter, Signal
from oracle import softmax_row
from unit_bench import Bench, pack, stalls, unpack

from exaq import SoftmaxConfig, Tables
from exaq_hdl.shell.row_shell import Softmax
from exaq_hdl.shell.streams import logit_beat, probability_beat

# An element: its logit and whether it is live.
Row = list[tuple[int, bool]]

SMALL = SoftmaxConfig(lanes=4, max_row=64, full_rate_row=32)
CONFIGS = {
    "1 lane": SoftmaxConfig(lanes=1, max_row=24, prob_bits=8),
    "2 lanes": SoftmaxConfig(lanes=2, max_row=48, full_rate_row=16, prob_bits=24),
    "4 lanes": SMALL,
    "16 lanes": SoftmaxConfig(lanes=16, max_row=16 * 12),
    "3 bits": SoftmaxConfig(bits=3, lanes=4, max_row=80, logit_width=10, prob_bits=9),
    "4 bits": SoftmaxConfig(bits=4, lanes=2, max_row=80, exp_frac=20),
    "no masks": SoftmaxConfig(lanes=3, max_row=60, masking=False, logit_width=5),
    "1 beat": SoftmaxConfig(lanes=4, max_row=4, full_rate_row=32),
    "windows": SoftmaxConfig(
        lanes=4, max_row=64, full_rate_row=32, masking=False, window=True, logit_width=6
    ),
    "lowest masks": SoftmaxConfig(
        lanes=3, max_row=60, masking=False, mask_value="lowest", logit_width=5
    ),
    "sink": SoftmaxConfig(lanes=4, max_row=64, full_rate_row=32, sink=11),
    "sink below": SoftmaxConfig(lanes=1, max_row=1, prob_bits=8, sink=-128),
    "sink above, 3 bits": SoftmaxConfig(
        bits=3, lanes=2, max_row=48, logit_width=10, sink=400, masking=False
    ),
    "2 contexts, sinks": SoftmaxConfig(
        lanes=4,
        max_row=64,
        full_rate_row=32,
        contexts=2,
        sink=0,
        context_tables=(
            Tables(thresholds=(-40, -3, -3), exp_rom=(0, 300, 17, 511)),
            Tables(thresholds=(-256, -100, 0), exp_rom=(511, 1, 2, 16383), sink=-100),
        ),
    ),
    "1 context": SoftmaxConfig(lanes=4, max_row=64, full_rate_row=32, contexts=1),
    "3 contexts": SoftmaxConfig(
        lanes=2,
        max_row=48,
        exp_frac=8,
        contexts=3,
        context_tables=(
            Tables(thresholds=(-40, -3, -3), exp_rom=(0, 300, 17, 511)),
            Tables(thresholds=(-256, -100, 0), exp_rom=(511, 1, 2, 1)),
            Tables(thresholds=(-1000, -255, -20), exp_rom=(7, 0, 300, 40)),
        ),
    ),
    "2 contexts, 3 bits": SoftmaxConfig(bits=3, lanes=8, max_row=160, logit_width=10, contexts=2),
    "5 contexts, 4 bits": SoftmaxConfig(bits=4, lanes=1, max_row=40, masking=False, contexts=5),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)


def context_of(config: SoftmaxConfig, row: Row) -> int:
    """A context for each row, known or not, that follows from its length."""
    return len(row) % 2**config.context_bits


def random_row(config: SoftmaxConfig, rng: random.Random, length: int) -> Row:
    """Logits around a level of their own, as scores are, or anywhere; all live, some or none."""
    low, high = config.logit_range
    centre, width = rng.randint(low, high), rng.choice([1, 2, 30, high])
    density = rng.choice([1.0, 1.0, 0.5, 0.0]) if config.masking else 1.0
    row = [
        (
            min(max(centre + rng.randint(-width, width), low), high),
            rng.random() < density,
        )
        for _ in range(length)
    ]
    if config.window:
        start, stop = rng.randint(0, config.max_row), rng.randint(0, config.max_row)
        return [(logit, start <= k < stop) for k, (logit, _) in enumerate(row)]
    if config.mask_value == "lowest":
        return [(logit, logit != low) for logit, _ in row]
    return row


def row_words(config: SoftmaxConfig, row: Row) -> list[int]:
    """The beats of a row; absent lanes hold noise, and so do tail bits before the last beat."""
    rng = random.Random(len(row))
    words = []
    for k in range(0, len(row), config.lanes):
        part = row[k : k + config.lanes]
        last = k + config.lanes >= len(row)
        noise = [(rng.randint(*config.logit_range), True) for _ in range(config.lanes - len(part))]
        lanes = [*part, *noise]
        beat = {
            "logits": [x for x, _ in lanes],
            "tail": (1 << len(part)) - 1 if last else rng.getrandbits(config.lanes),
            "last": int(last),
        }
        if config.masking:
            beat["live"] = sum(live << lane for lane, (_, live) in enumerate(lanes))
        if config.window:
            # That of the live elements; behind the first beat it is noise.
            within = [place for place, (_, live) in enumerate(row) if live] or [1, -1]
            most = (1 << config.format.index_bits) - 1
            beat["start"] = rng.randint(0, most) if k else within[0]
            beat["stop"] = rng.randint(0, most) if k else within[-1] + 1
        if config.context_bits:
            noise = rng.getrandbits(config.context_bits)
            beat["context"] = context_of(config, row) if last or at_end(config, k) else noise
        words.append(pack(logit_beat(config.format), beat))
    return words


def at_end(config: SoftmaxConfig, place: int) -> bool:
    """Whether the beat from element ``place`` on is the last of a longest row."""
    return place == config.max_row - config.lanes


def expected_beats(config: SoftmaxConfig, row: Row, tables: Tables | None = None) -> list[dict]:
    """What has to come back, for absent lanes a 0. ``tables``: what the row's context holds."""
    error = len(row) > config.max_row
    context = context_of(config, row)
    used = config
    if config.contexts:
        known = context < config.contexts
        error |= not known
        held = config.context_tables[context if known else 0]
        used = config.replace(contexts=0, tables=tables or held)
    row = row[: config.max_row]
    logits, live = [x for x, _ in row], [flag for _, flag in row]
    if config.sink is not None:
        # A sink is one more element, of which nothing comes back.
        own = used.tables.sink
        logits, live = [*logits, config.sink if own is None else own], [*live, True]
    probabilities = softmax_row(logits, live, used)[: len(row)]
    beats = []
    for k in range(0, len(row), config.lanes):
        part = probabilities[k : k + config.lanes]
        last = k + config.lanes >= len(row)
        beat = {
            "probabilities": part + [0] * (config.lanes - len(part)),
            "tail": (1 << len(part)) - 1,
            "last": int(last),
            "error": int(error and last),
        }
        beats.append(beat | ({"context": context} if config.context_bits else {}))
    return beats


class Run:
    """Streams ``rows`` through a unit and checks every beat that leaves it."""

    def __init__(self, config, rows, *, pause=None, sink=None, limit=6000):
        self.unit = Softmax(config)
        expected = [beat for row in rows for beat in expected_beats(config, row)]
        words = [word for row in rows for word in row_words(config, row)]
        boot = self.unit.boot_cycles
        bench = Bench(self.unit, limit=limit + boot)
        pause = chain(repeat(True, boot), pause or repeat(False))
        self.feed = bench.feed(self.unit.i, words, pause)
        self.drain = bench.drain(self.unit.o, len(expected), sink)
        bench.run(more=150)
        assert [
            unpack(probability_beat(config.format), word) for word in self.drain.items
        ] == expected


def lengths(config: SoftmaxConfig, rng: random.Random, count: int) -> list[int]:
    """Of one beat and of many, with tails and without, the longest and some that are too long."""
    most, lanes = config.max_row, config.lanes
    special = [1, lanes, lanes + 1, 2 * lanes, most, most - 1, most + 1, 2 * most + 3]
    return [max(1, rng.choice([*special, rng.randint(1, most)])) for _ in range(count)]


@EVERY
@pytest.mark.parametrize("rates", [None, (0.5, 0.0), (0.0, 0.6), (0.4, 0.4)])
def test_random_rows(name: str, rates: tuple[float, float] | None) -> None:
    config = CONFIGS[name]
    rng = random.Random(name)
    rows = [random_row(config, rng, n) for n in lengths(config, rng, 16)]
    pause, sink = (stalls(k, rate) for k, rate in enumerate(rates)) if rates else (None, None)
    Run(config, rows, pause=pause, sink=sink)


@EVERY
def test_latency(name: str) -> None:
    """Of lonely rows: as many cycles more than beats, whatever the length and the lanes."""
    config = CONFIGS[name]
    beats = config.max_row // config.lanes
    counts = sorted({1, min(2, beats), min(3, beats), (beats + 1) // 2, beats})
    rng = random.Random(name)
    rows = [random_row(config, rng, n * config.lanes) for n in counts]
    silence = 2 * beats + 150
    pattern = (flag for n in counts for flag in [*[False] * n, *[True] * silence])
    run = Run(config, rows, pause=chain(pattern, repeat(True)))
    begin = 0
    for n in counts:
        taken, left = run.feed.times[begin : begin + n], run.drain.times[begin : begin + n]
        assert left[0] == taken[-1] + n + run.unit.latency
        assert left == list(range(left[0], left[0] + n))
        begin += n


def full_rate(name: str) -> SoftmaxConfig:
    """``name`` with a longest row of at least twice ``full_rate_row``."""
    config = CONFIGS[name]
    return config.replace(max_row=max(config.max_row, 2 * config.full_rate_beats * config.lanes))


@EVERY
def test_no_bubble_in_rows_of_full_rate(name: str) -> None:
    """A beat a cycle comes in, and a beat a cycle goes out."""
    config = full_rate(name)
    beats = 12 * config.full_rate_beats
    rng = random.Random(name)
    rows = [random_row(config, rng, config.full_rate_row) for _ in range(12)]
    run = Run(config, rows)
    for times in (run.feed.times, run.drain.times):
        assert times == list(range(times[0], times[0] + beats))


@EVERY
def test_rows_of_full_rate_and_longer_are_never_refused(name: str) -> None:
    """The output pauses where a longer row follows a shorter one; the input never does."""
    config = full_rate(name)
    rng = random.Random(name)
    least, most = config.full_rate_beats, config.max_row // config.lanes
    counts = [least, most, *(rng.randint(least, most) for _ in range(6)), least, least]
    rows = [random_row(config, rng, n * config.lanes) for n in counts]
    run = Run(config, rows)
    begin = run.feed.times[0]
    assert run.feed.times == list(range(begin, begin + sum(counts)))
    assert begin <= run.unit.boot_cycles + 1


def test_longest_rows_back_to_back_are_never_refused() -> None:
    """The row buffer drains as the next row fills it, and so does the code FIFO."""
    config = CONFIGS["4 bits"]
    rng = random.Random(1)
    rows = [random_row(config, rng, config.max_row) for _ in range(6)]
    run = Run(config, rows)
    assert run.feed.times == list(range(run.feed.times[0], run.feed.times[0] + 6 * 40))


@pytest.mark.parametrize("name", ["1 beat", "2 lanes"])
def test_a_sink_that_sleeps_stops_the_input_and_loses_nothing(name: str) -> None:
    """Rows of a single beat fill the queues of maxima and sums first, long rows the buffers."""
    config = CONFIGS[name]
    rng = random.Random(name)
    asleep = 700
    counts = [1] * 150 if config.max_row == config.lanes else [24] * 5 + [1] * 60 + [24] * 3
    rows = [random_row(config, rng, n * config.lanes) for n in counts]
    run = Run(config, rows, sink=chain([True] * asleep, repeat(False)))
    waiting = sum(time < asleep for time in run.feed.times)
    assert waiting < len(run.feed.times)
    assert not any(run.feed.ready[asleep - 50 : asleep])


@pytest.mark.parametrize("name", ["4 lanes", "2 lanes", "4 bits"])
@pytest.mark.parametrize("when", [3, 9, 20, 37, 61, 88, 140, 141])
def test_reset_in_mid_row(name: str, when: int) -> None:
    """What went in before is gone; the rows after it come out as if they were the first."""
    config = CONFIGS[name]
    rng = random.Random(when)
    before = [random_row(config, rng, n) for n in lengths(config, rng, 12)]
    after = [random_row(config, rng, n) for n in lengths(config, rng, 5)]
    expected = [beat for row in after for beat in expected_beats(config, row)]
    unit = Softmax(config)
    reset = Signal()
    bench = Bench(ResetInserter(reset)(unit))

    def drive(ctx, now: int) -> None:
        ctx.set(reset, int(now == when))
        if now == when + 1:
            feed.restart(word for row in after for word in row_words(config, row))
            drain.restart(len(expected))

    bench.every(drive)
    feed = bench.feed(unit.i, cycle(w for row in before for w in row_words(config, row)))
    drain = bench.drain(unit.o, 10000, stalls(when, 0.3))
    bench.run(more=150)
    assert [unpack(probability_beat(config.format), word) for word in drain.items] == expected
