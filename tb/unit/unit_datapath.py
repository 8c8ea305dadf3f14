"""Runs what a kernel of two passes supplies: its lanes in either pass, and its finisher."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth.lib import data
from unit_bench import Bench, Pause, pack, stalls, unpack

from exaq import SoftmaxConfig
from exaq_hdl.kernels.weighted.weigher import Weigher
from exaq_hdl.kernels.weighted.weighted_emitter import WeightedEmitter
from exaq_hdl.kernels.weighted.weighted_layouts import row_item, stored_beat, weight_beat
from exaq_hdl.shell.streams import probability_beat, row_beat


def weigh(datapath: Any, distances: Sequence[int]) -> tuple[list[int], list[int]]:
    """Stored words and weights of distances, each of a beat of its own, with gaps between."""
    kernel = datapath.kernel
    format = kernel.format
    assert format.lanes == 1
    weigher = Weigher(datapath)
    bench = Bench(weigher, limit=10 * len(distances) + 200)
    layout = row_beat(format)
    highest = 2**format.logit_width - 1
    beats = []
    for distance in distances:
        values = {"logits": [highest - distance], "tail": 1, "last": 1, "error": 0}
        if format.partial_rows:
            values["live"] = 1
        beats.append(pack(layout, values))
    bench.feed(weigher.i, beats, stalls(3, 0.2))
    bench.feed(weigher.maximum, [highest] * len(beats))
    bench.every(lambda ctx, cycle: ctx.set(weigher.room, 1))
    stored = bench.drain(weigher.stored, len(beats))
    weights = bench.drain(weigher.weights, len(beats))
    bench.run()
    words = [unpack(stored_beat(kernel), item)["stored"][0] for item in stored.items]
    return words, [unpack(weight_beat(kernel), item)["weights"][0] for item in weights.items]


def check_every_distance(datapath: Any) -> None:
    """Against the golden model."""
    distances = np.arange(2**datapath.kernel.format.logit_width, dtype=np.int64)
    stored, weight = datapath.kernel.weigh(distances)
    assert weigh(datapath, distances.tolist()) == (stored.tolist(), weight.tolist())


def finish(
    component: Any, kernel: Any, sums: Sequence[int], *, pause: Pause = None, sink: Pause = None
) -> tuple[Any, Any]:
    """Feed and drain of a finisher that got these sums; what came is checked."""
    bench = Bench(component, limit=100 * len(sums) + 500)
    feed = bench.feed(component.i, sums, pause)
    drain = bench.drain(component.o, len(sums), sink)
    bench.run(more=60)
    found = [unpack(row_item(kernel), item) for item in drain.items]
    expected = kernel.finish(np.array(sums, np.int64))
    names = list(expected)
    for k, total in enumerate(sums):
        if total:
            values = {name: int(expected[name][k]) for name in names}
            assert found[k] == values, total
    return feed, drain


def check_finisher(component: Any, kernel: Any, sums: Sequence[int]) -> None:
    """Its results, under stalls on both sides and without any; its latency and its period."""
    finish(component, kernel, sums, pause=stalls(1, 0.5), sink=stalls(2, 0.5))
    feed, drain = finish(component, kernel, sums)
    gaps = {b - a for a, b in zip(feed.times, feed.times[1:], strict=False)}
    assert gaps == {component.period}
    assert {out - at for at, out in zip(feed.times, drain.times, strict=True)} == {
        component.latency
    }
    assert component.period <= kernel.finish_period(kernel.format)


def sums_of(kernel: Any, count: int) -> list[int]:
    """Sums of any size that a row can have, powers of two and their neighbours, and 0."""
    rng = random.Random(count)
    least, most = kernel.least_sum, kernel.format.max_row * int(kernel.least_sum)
    powers = [2**k + d for k in range(kernel.sum_bits) for d in (-1, 0, 1)]
    halves = [3 * 2**k + d for k in range(kernel.sum_bits) for d in (-1, 0, 1)]
    spread = [least * 2 ** rng.uniform(0, np.log2(most / least)) for _ in range(count)]
    chosen = [s for s in [*powers, *halves, *map(int, spread)] if least <= s <= most]
    rng.shuffle(chosen)
    for place in range(2, len(chosen), 9):
        chosen[place] = 0
    return [*chosen, most, least]


def check_emitter(datapath: Any, rows: Sequence[tuple[int, Sequence[int]]], seed: int) -> None:
    """Probabilities of rows of stored words, each with the sum of its row, under stalls."""
    kernel = datapath.kernel
    format = kernel.format
    assert format.lanes == 1
    emitter = WeightedEmitter(datapath)
    beats, items, expected = [], [], []
    for total, words in rows:
        row = kernel.finish(np.array([total], np.int64))
        items.append(pack(row_item(kernel), {name: int(v[0]) for name, v in row.items()}))
        fields = {name: values[:, None] for name, values in row.items()}
        expected += kernel.emit(np.array([words], np.int64), fields)[0].tolist()
        for k, word in enumerate(words):
            flags = {"tail": 1, "last": int(k == len(words) - 1), "error": 0}
            values: dict[str, Any] = {"stored": [word], **flags}
            if "live" in dict(stored_beat(kernel)):
                values["live"] = 1
            beats.append(pack(stored_beat(kernel), values))
    for busy, quiet in ((0.5, 0.5), (0.0, 0.0)):
        bench = Bench(emitter, limit=40 * len(beats) + 500)
        pauses = [stalls(seed + k, busy) if busy else None for k in range(2)]
        bench.feed(emitter.i, beats, pauses[0])
        bench.feed(emitter.row, items, pauses[1])
        drain = bench.drain(emitter.o, len(beats), stalls(seed, quiet) if quiet else None)
        bench.run()
        layout: data.StructLayout = probability_beat(format)
        found = [unpack(layout, item)["probabilities"][0] for item in drain.items]
        assert found == expected


def check_zero(datapath: Any) -> None:
    """The word for zero gives 0 with every row item, which rows without a live element can have."""
    kernel = datapath.kernel
    layout = row_item(kernel)
    width = layout.size
    rng = random.Random(width)
    items = [0, 2**width - 1, *(rng.getrandbits(width) for _ in range(300))]
    if width <= 8:
        items = list(range(2**width))
    beat = {"stored": [kernel.zero], "tail": 1, "last": 1, "error": 0}
    emitter = WeightedEmitter(datapath)
    bench = Bench(emitter, limit=20 * len(items) + 200)
    bench.feed(emitter.i, [pack(stored_beat(kernel), beat)] * len(items))
    bench.feed(emitter.row, items)
    drain = bench.drain(emitter.o, len(items))
    bench.run()
    for item in drain.items:
        assert unpack(probability_beat(kernel.format), item)["probabilities"] == [0]


def one_lane(**settings: Any) -> SoftmaxConfig:
    """A configuration of a lane, whose blocks a test feeds an element a beat."""
    return SoftmaxConfig(lanes=1, **settings)
