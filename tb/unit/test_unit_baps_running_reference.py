"""References of rows so far, against the definition in exact fractions."""

import itertools
import random

import pytest
from baps_oracle import Baps
from unit_baps import OCTAVE, STEPS, codes_config, flags, highest_step, lowest
from unit_bench import Bench, ceil_log2, pack, stalls, unpack

from exaq import SoftmaxConfig
from exaq_hdl.kernels.online.online_layouts import octave_beat, referred_beat
from exaq_hdl.kernels.online.running_reference import RunningReference

Row = list[list[int]]


def run(config: SoftmaxConfig, rows: list[Row], *, seed: int | None = None) -> RunningReference:
    """Streams rows of beats of t, counted from ``lowest``, and checks each reference and its time.

    How much a reference rises does not matter where a row begins.
    """
    unit, rng = Baps(config), random.Random(seed)
    given, references = [], []
    base = lowest(config)
    for row in rows:
        reference = unit.lowest
        for k, t in enumerate(row):
            reference = max(reference, *(unit.ceiled(each + 16 * base) for each in t))
            references.append((k, (reference - base) // unit.step))
            given.append({"t": t} | flags(config, rng, last=int(k == len(row) - 1)))
    block = RunningReference(config.kernel)
    bench = Bench(block, limit=4 * len(given) + 200)
    words = [pack(octave_beat(config.kernel), beat) for beat in given]
    feed = bench.feed(block.i, words, None if seed is None else stalls(seed))
    drain = bench.drain(block.o, len(words))
    bench.run()
    found = [unpack(referred_beat(config.kernel), word) for word in drain.items]
    for place, (beat, (k, reference)) in enumerate(zip(given, references, strict=True)):
        rise = found[place].pop("rise")
        assert found[place] == beat | {"reference": reference}, place
        assert k == 0 or rise == reference - references[place - 1][1], place
    assert drain.times == [taken + block.latency for taken in feed.times]
    if seed is None:
        assert feed.times == list(range(feed.times[0], feed.times[0] + len(words)))
    return block


@pytest.mark.parametrize("step", STEPS)
def test_every_pair_of_beats(step: int) -> None:
    """A row each, back to back; and every beat alone."""
    config = codes_config(lanes=1, logit_width=4, logit_scale=0.5, reference_step=step)
    least = Baps(config).t(-8) - 16 * lowest(config)
    each = [*range(least, highest_step(config) + 1)]
    near = [t for t in each if t % 16 in (0, 1, 15) or t in (least, each[-1])]
    run(config, [[[t]] for t in each])
    run(config, [[[a], [b]] for a in near for b in near])


@pytest.mark.parametrize("step", [1, 4])
def test_every_row_of_three_beats(step: int) -> None:
    config = codes_config(lanes=1, logit_width=4, logit_scale=OCTAVE, reference_step=step)
    least = Baps(config).t(-8) - 16 * lowest(config)
    each = [least + 16 * k for k in (0, 1, 4, 7, 15)]
    run(config, [[[t] for t in row] for row in itertools.product(each, repeat=3)])


@pytest.mark.parametrize("lanes", [1, 2, 3, 5, 8, 16])
@pytest.mark.parametrize("seed", [None, 1])
def test_random_rows(lanes: int, seed: int | None) -> None:
    """Of one beat or many; high and low ones, and those that have nothing but the least t."""
    for step in STEPS:
        config = codes_config(lanes=lanes, logit_scale=0.5, reference_step=step, masking=step != 2)
        rng = random.Random(step)
        least, most = Baps(config).t(-128) - 16 * lowest(config), highest_step(config)
        rows = []
        for _ in range(20):
            top = rng.choice([least, least + 20, most // 2, most])
            beats = rng.choice([1, 1, 2, 3, 12])
            rows.append([[rng.randint(least, top) for _ in range(lanes)] for _ in range(beats)])
        run(config, rows, seed=seed)


@pytest.mark.parametrize("place", range(9))
def test_each_lane_alone(place: int) -> None:
    """One lane is a step above a ceiling, in the first beat, between and in the last."""
    config = codes_config(lanes=9, logit_scale=0.25, reference_step=1)
    least = Baps(config).t(-128) - 16 * lowest(config)
    low, high = [least] * 9, [least] * 9
    high[place] = 16 * (least // 16 + 3) + 1
    run(config, [[high, low, low], [low, high, low], [low, low, high], [low], [high], [low]])


@pytest.mark.parametrize("scale", [2.0**-60, 2.0**-10])
def test_t_that_is_narrower_than_an_octave(scale: float) -> None:
    for step in STEPS:
        config = codes_config(lanes=2, logit_scale=scale, reference_step=step)
        least, most = Baps(config).t(-128) - 16 * lowest(config), highest_step(config)
        rng = random.Random(step)
        run(config, [[[rng.randint(least, most) for _ in range(2)] for _ in range(3)]] * 9)


@pytest.mark.parametrize(("lanes", "latency"), [(1, 2), (2, 3), (3, 4), (4, 4), (9, 6), (64, 8)])
def test_latency(lanes: int, latency: int) -> None:
    config = codes_config(lanes=lanes)
    block = run(config, [[[highest_step(config)] * lanes]])
    assert block.latency == latency == ceil_log2(lanes) + 2
