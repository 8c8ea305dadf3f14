"""The blocks of kernels of two passes, one by one, with arithmetic that tests can see through."""

import random

import numpy as np
import pytest
from unit_bench import Bench, ceil_log2, pack, stalls, unpack
from unit_weighted import OddDatapath, ZeroDatapath, odd_config, rows_of

from exaq import SoftmaxConfig
from exaq_hdl.kernels.weighted.weigher import Weigher
from exaq_hdl.kernels.weighted.weight_sum import WeightSum
from exaq_hdl.kernels.weighted.weighted_emitter import WeightedEmitter
from exaq_hdl.kernels.weighted.weighted_layouts import row_item, stored_beat, weight_beat
from exaq_hdl.shell.streams import probability_beat, row_beat

CONFIGS = {
    "1 lane": odd_config(lanes=1, max_row=12),
    "4 lanes": odd_config(lanes=4, max_row=48),
    "5 lanes": odd_config(lanes=5, max_row=40, logit_width=4),
    "no masks": odd_config(lanes=3, max_row=24, masking=False),
    "8 lanes": odd_config(lanes=8, max_row=64, prob_bits=9),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)
DATAPATHS = pytest.mark.parametrize("kind", [OddDatapath, ZeroDatapath])
SEEDS = pytest.mark.parametrize("seed", [None, 1, 2])


def beats_of(config: SoftmaxConfig, logits: np.ndarray, live: np.ndarray, rng: random.Random):
    """The row_beats of a row, as dictionaries; lanes that are not live hold 0."""
    lanes = config.lanes
    for k in range(0, len(logits), lanes):
        flags = live[k : k + lanes].tolist()
        present = len(flags)
        values = [int(x) if flag else 0 for x, flag in zip(logits[k:], flags, strict=False)]
        beat = {
            "logits": values + [0] * (lanes - present),
            "tail": (1 << present) - 1,
            "last": int(k + lanes >= len(logits)),
            "error": rng.getrandbits(1),
        }
        if config.partial_rows:
            beat["live"] = sum(flag << lane for lane, flag in enumerate(flags))
        yield beat


def alive(config: SoftmaxConfig, beat: dict, lane: int) -> bool:
    return bool(beat["live" if config.partial_rows else "tail"] >> lane & 1)


def weight(distance: int) -> int:
    return {0: 10, 1: 7, 2: 4, 3: 1}[distance // 2 % 4]


@EVERY
@DATAPATHS
@SEEDS
def test_weigher(name: str, kind: type, seed: int | None) -> None:
    """Stored words and weights, and that a beat needs a look at room and its maximum alone."""
    config = CONFIGS[name]
    rng, rows = random.Random(seed), rows_of(config, np.random.default_rng(seed), 25)
    beats, maxima, stored, weights = [], [], [], []
    for logits, live in rows:
        maximum = int(max(logits[live], default=0))
        maxima.append(maximum)
        for beat in beats_of(config, logits, live, rng):
            beats.append(pack(row_beat(config.format), beat))
            lanes = range(config.lanes)
            distances = [maximum - beat["logits"][lane] for lane in lanes]
            words = [d % 4 for d in distances]
            each = [weight(d) * alive(config, beat, k) for k, d in enumerate(distances)]
            flags = {key: value for key, value in beat.items() if key != "logits"}
            stored.append(flags | {"stored": words})
            weights.append({"weights": each, "last": beat["last"]})
    weigher = Weigher(kind(config.kernel))
    bench = Bench(weigher)
    pauses = [None] * 3 if seed is None else [stalls(seed + k, 0.5) for k in range(3)]
    feed = bench.feed(weigher.i, beats, pauses[0])
    bench.feed(weigher.maximum, maxima, pauses[1])
    bench.every(lambda ctx, _: ctx.set(weigher.room, int(pauses[2] is None or not next(pauses[2]))))
    room = bench.probe(weigher.room)
    words = bench.drain(weigher.stored, len(beats))
    sums = bench.drain(weigher.weights, len(beats))
    bench.run()
    assert [unpack(stored_beat(config.kernel), word) for word in words.items] == stored
    assert [unpack(weight_beat(config.kernel), word) for word in sums.items] == weights
    assert weigher.latency == 2 + kind.weigh_latency
    assert words.times == sums.times == [time + weigher.latency for time in feed.times]
    assert all(room.values[time - weigher.reaction] for time in words.times)
    if seed is None:
        assert feed.times == list(range(1, 1 + len(beats)))


@EVERY
@SEEDS
def test_weight_sum(name: str, seed: int | None) -> None:
    """Exact sums, those of rows of nothing but zeros and of the greatest weights too."""
    config = CONFIGS[name]
    rng = random.Random(seed)
    beats, ends, expected = [], [], []
    for kind in [*"mmzmzzr" * 2, *"r" * 20]:
        count = config.beats if kind == "m" else rng.randint(1, config.beats)
        total = 0
        for k in range(count):
            choice = {"m": lambda: 15, "z": lambda: 0, "r": lambda: rng.randrange(16)}[kind]
            each = [choice() for _ in range(config.lanes)]
            total += sum(each)
            beats.append(
                pack(weight_beat(config.kernel), {"weights": each, "last": k == count - 1})
            )
        ends.append(len(beats) - 1)
        expected.append(total)
    block = WeightSum(OddDatapath(config.kernel))
    bench = Bench(block)
    feed = bench.feed(block.i, beats, None if seed is None else stalls(seed))
    drain = bench.drain(block.o, len(expected))
    bench.run()
    assert drain.items == expected
    assert block.latency == ceil_log2(config.lanes) + 1
    assert drain.times == [feed.times[end] + block.latency for end in ends]


class Emitted:
    """Emits rows of random words, with random items, and checks every beat."""

    def __init__(self, config, kind, lengths, *, seed=None, sink=None, late=None):
        rng = random.Random(seed)
        kernel = config.kernel
        beats, items, expected, self.ends = [], [], [], []
        for count in lengths:
            low = rng.randrange(4)
            items.append(pack(row_item(kernel), {"low": low}))
            for k in range(count):
                words = [rng.randrange(4) for _ in range(config.lanes)]
                flags = {
                    "tail": rng.getrandbits(config.lanes),
                    "last": int(k == count - 1),
                    "error": rng.getrandbits(1),
                }
                beat = {"stored": words} | flags
                if config.partial_rows:
                    beat["live"] = rng.getrandbits(config.lanes)
                beats.append(pack(stored_beat(kernel), beat))
                found = [
                    (word + low) * alive(config, beat, lane) for lane, word in enumerate(words)
                ]
                expected.append(flags | {"probabilities": found})
            self.ends.append(len(beats) - 1)
        self.emitter = WeightedEmitter(kind(kernel))
        bench = Bench(self.emitter)
        self.feed = bench.feed(self.emitter.i, beats, None if seed is None else stalls(seed, 0.3))
        self.rows = bench.feed(self.emitter.row, items, late)
        self.drain = bench.drain(self.emitter.o, len(beats), sink)
        bench.run()
        layout = probability_beat(config.format)
        assert [unpack(layout, word) for word in self.drain.items] == expected


@EVERY
@DATAPATHS
@pytest.mark.parametrize("seed", [1, 2])
def test_emitter_with_stalls(name: str, kind: type, seed: int) -> None:
    config = CONFIGS[name]
    lengths = [random.Random(seed + k).randint(1, config.beats) for k in range(40)]
    late, sink = stalls(seed + 5, 0.8), stalls(seed + 6, 0.4)
    Emitted(config, kind, lengths, seed=seed, sink=sink, late=late)


@EVERY
@DATAPATHS
def test_emitter_gives_a_beat_a_cycle(name: str, kind: type) -> None:
    """Rows of two beats and more, whose items are there: back to back."""
    config = CONFIGS[name]
    run = Emitted(config, kind, [2, 2, 2, 5, 2, 2, 3, 2, 7])
    first = run.drain.times[0]
    assert run.drain.times == list(range(first, first + 27))
    assert first == run.emitter.latency
    taken = run.feed.times[0]
    assert first - taken == run.emitter.beat_latency == kind.emit_latency + 1


@EVERY
def test_emitter_closes_up_against_a_closed_sink(name: str) -> None:
    """As many beats go in as there are places, and they wait there without change."""
    config = CONFIGS[name]
    pause = iter([True] * 30 + [False] * 200)
    run = Emitted(config, OddDatapath, [6, 6], sink=pause)
    assert sum(time < 30 for time in run.feed.times) == run.emitter.beat_latency


@pytest.mark.usefixtures("unused_components")
def test_what_is_no_datapath_is_refused() -> None:
    for block in (Weigher, WeightSum, WeightedEmitter):
        with pytest.raises(TypeError, match=r"\Adatapath must be a Datapath of a kernel, not 3\Z"):
            block(3)
    for kernel in (3, odd_config().kernel.__class__(), SoftmaxConfig().kernel):
        message = r"\Akernel must be an exaq.kernels.weighted.Weighted of a SoftmaxConfig, not "
        with pytest.raises(TypeError, match=message):
            OddDatapath(kernel)
