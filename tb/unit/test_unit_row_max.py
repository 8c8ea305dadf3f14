"""The row maximum against Python's ``max``."""

import random

import pytest
from unit_bench import Bench, ceil_log2, pack, stalls

from exaq import SoftmaxConfig
from exaq_hdl.parts.fifo import FallThroughFifo, Fifo
from exaq_hdl.shell.row_max import RowMax
from exaq_hdl.shell.streams import row_beat


def run(
    config: SoftmaxConfig, rows: list[list[list[int]]], *, stalled: bool = False, least: int = 0
) -> RowMax:
    """Streams rows (lists of beats, lists of lanes) and checks every maximum and its time."""
    layout = row_beat(config.format)
    words = []
    ends = []
    for row in rows:
        for k, logits in enumerate(row):
            beat = {"logits": logits, "tail": 0, "last": int(k == len(row) - 1), "error": 0}
            words.append(pack(layout, beat | ({"live": 0} if config.masking else {})))
        ends.append(len(words) - 1)
    row_max = RowMax(config.format, least=least)
    bench = Bench(row_max)
    feed = bench.feed(row_max.i, words, stalls(len(words)) if stalled else None)
    drain = bench.drain(row_max.o, len(rows))
    bench.run()
    assert drain.items == [max(least, *(max(beat) for beat in row)) for row in rows]
    assert drain.times == [feed.times[end] + row_max.latency for end in ends]
    return row_max


def test_every_pair_of_lanes() -> None:
    """Rows of a single beat, back to back."""
    config = SoftmaxConfig(lanes=2, max_row=2, logit_width=5)
    run(config, [[[a, b]] for a in range(32) for b in range(32)])


def test_every_pair_of_beats() -> None:
    config = SoftmaxConfig(lanes=1, max_row=4, logit_width=4)
    run(config, [[[a], [b]] for a in range(16) for b in range(16)])


@pytest.mark.parametrize("place", range(16))
def test_maximum_in_every_lane(place: int) -> None:
    """Each lane decides alone, by a single bit of each weight."""
    config = SoftmaxConfig(lanes=16, max_row=16, logit_width=6)
    rows = []
    for bit in range(6):
        base = 63 ^ (1 << bit)
        rows.append([[(1 << bit) * (lane == place) for lane in range(16)]])
        rows.append([[base + (1 << bit) * (lane == place) for lane in range(16)]])
    run(config, rows)


@pytest.mark.parametrize("lanes", [*range(1, 10), 16])
@pytest.mark.parametrize("stalled", [False, True])
def test_random_rows(lanes: int, stalled: bool) -> None:
    config = SoftmaxConfig(lanes=lanes, max_row=8 * lanes, logit_width=8)
    rng = random.Random(lanes)
    rows = []
    for _ in range(60):
        top = rng.choice([1, 3, 255])
        beats = rng.choice([1, 1, 1, 2, 3, 8])
        rows.append([[rng.randint(0, top) for _ in range(lanes)] for _ in range(beats)])
    run(config, rows, stalled=stalled)


def test_row_without_a_live_element_gives_the_lowest_logit() -> None:
    """Nothing of the row before it is left."""
    config = SoftmaxConfig(lanes=4, max_row=8, logit_width=12)
    high, none = [4095, 1, 2, 3], [0, 0, 0, 0]
    run(config, [[high], [none], [high, high], [none, none], [none], [high]])


@pytest.mark.parametrize("least", [0, 1, 77, 254, 255])
def test_no_maximum_is_below_the_least(least: int) -> None:
    """Of rows of a beat, back to back, and of many."""
    config = SoftmaxConfig(lanes=4, max_row=32)
    rng = random.Random(least)
    rows = [[[0] * 4], [[255] * 4], [[least] * 4]]
    for _ in range(60):
        top = rng.choice([3, least, 255])
        beats = rng.choice([1, 1, 2, 8])
        rows.append([[rng.randint(0, top) for _ in range(4)] for _ in range(beats)])
    run(config, rows, stalled=bool(least & 1), least=least)


@pytest.mark.parametrize(
    ("lanes", "latency"), [(1, 2), (2, 2), (4, 2), (5, 3), (8, 3), (9, 4), (16, 4), (64, 6)]
)
def test_latency(lanes: int, latency: int) -> None:
    """Of the tree over the lanes, but never shorter than the row buffer takes longer."""
    row_max = run(SoftmaxConfig(lanes=lanes, max_row=lanes), [[list(range(lanes))]])
    assert row_max.latency == latency
    assert latency == max(ceil_log2(lanes), Fifo.latency - FallThroughFifo.latency)
