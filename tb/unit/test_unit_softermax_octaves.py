"""Logarithms and references of rows so far as Softermax counts them, against exact fractions."""

import itertools
import random
from fractions import Fraction

import pytest
from softermax_oracle import Softermax
from unit_baps import OCTAVE, flags
from unit_bench import Bench, ceil_log2, pack, stalls, unpack
from unit_softermax import counted, counted_t, references, softermax_config, steps

from exaq import SoftmaxConfig
from exaq_hdl.kernels.online.octaves import Octaves
from exaq_hdl.kernels.online.online_layouts import octave_beat, referred_beat
from exaq_hdl.kernels.online.running_reference import RunningReference
from exaq_hdl.shell.streams import row_beat


def run_octaves(config: SoftmaxConfig, beats: list[list[int]], seed: int | None = None) -> Octaves:
    """Streams beats of logits, and checks each t, what goes with it, and when it comes."""
    unit, rng = Softermax(config), random.Random(seed)
    half = 2 ** (config.logit_width - 1)
    others = [flags(config, rng, last=rng.getrandbits(1)) for _ in beats]
    given = [
        {"logits": [logit + half for logit in beat]} | other
        for beat, other in zip(beats, others, strict=True)
    ]
    block = Octaves(config.kernel, early=True)
    bench = Bench(block, limit=4 * len(beats) + 200)
    words = [pack(row_beat(config.format), beat) for beat in given]
    feed = bench.feed(block.i, words, None if seed is None else stalls(seed))
    drain = bench.drain(block.o, len(beats))
    bench.run()
    expected = [
        {"t": [counted_t(config, unit.t(logit)) for logit in beat]} | other
        for beat, other in zip(beats, others, strict=True)
    ]
    found = [unpack(octave_beat(config.kernel, True), word) for word in drain.items]
    assert found == expected
    assert drain.times == [taken + block.latency for taken in feed.times]
    return block


@pytest.mark.parametrize("scale", [0.0625, Fraction(1, 3), OCTAVE, OCTAVE / 256, 2.0**-60])
@pytest.mark.parametrize(("width", "lanes"), [(4, 3), (8, 2), (10, 8), (11, 8)])
def test_t_of_every_logit(width: int, lanes: int, scale: float | Fraction) -> None:
    """By table, by shift, and by a sum of shifted logits."""
    config = softermax_config(logit_width=width, lanes=lanes, logit_scale=scale)
    half = 2 ** (width - 1)
    beats = [
        [(at + k) % (2 * half) - half for k in range(lanes)] for at in range(0, 2 * half, lanes)
    ]
    block = run_octaves(config, beats)
    looked_up = scale in (0.0625, Fraction(1, 3)) and width <= 10
    assert block.latency == (2 if looked_up else 1)
    run_octaves(config, beats[:60], seed=width)


def run_references(
    config: SoftmaxConfig, rows: list[list[list[int]]], seed: int | None = None
) -> RunningReference:
    """Streams rows of beats of t, and checks each reference and its time."""
    unit, rng = Softermax(config), random.Random(seed)
    given, expected = [], []
    for row in rows:
        reference = unit.lowest
        for k, t in enumerate(row):
            before, reference = reference, max(reference, *(unit.ceiled(each) for each in t))
            expected.append((k and reference - before, counted(config, reference)))
            counts = [counted_t(config, each) for each in t]
            given.append({"t": counts} | flags(config, rng, last=int(k == len(row) - 1)))
    block = RunningReference(config.kernel, early=True)
    bench = Bench(block, limit=4 * len(given) + 200)
    words = [pack(octave_beat(config.kernel, True), beat) for beat in given]
    feed = bench.feed(block.i, words, None if seed is None else stalls(seed))
    drain = bench.drain(block.o, len(words))
    bench.run()
    found = [unpack(referred_beat(config.kernel, True), word) for word in drain.items]
    for beat, given_beat, (rise, reference) in zip(found, given, expected, strict=True):
        rose = beat.pop("rise")
        assert beat == given_beat | {"reference": reference}
        assert rise in (0, rose)
    assert drain.times == [taken + block.latency for taken in feed.times]
    if seed is None:
        assert feed.times == list(range(feed.times[0], feed.times[0] + len(words)))
    return block


def test_every_t_is_ceiled() -> None:
    config = softermax_config(lanes=1, logit_width=4, logit_scale=0.5)
    run_references(config, [[[t]] for t in steps(config)])
    near = [t for t in steps(config) if t % 256 in (0, 1, 255)]
    run_references(config, [[[a], [b]] for a in near for b in near])


def test_every_row_of_three_beats() -> None:
    config = softermax_config(lanes=1, logit_width=4, logit_scale=OCTAVE)
    each = [steps(config)[0] + 256 * k for k in (0, 1, 4, 7, 15)]
    run_references(config, [[[t] for t in row] for row in itertools.product(each, repeat=3)])


@pytest.mark.parametrize("lanes", [1, 2, 3, 5, 16])
@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("scale", [0.5, 2.0**-10, 2.0**-60])
def test_references_of_random_rows(lanes: int, seed: int | None, scale: float) -> None:
    config = softermax_config(lanes=lanes, logit_scale=scale, masking=lanes != 2)
    rng = random.Random(lanes)
    least, most = steps(config)[0], steps(config)[-1]
    rows = []
    for _ in range(30):
        top = rng.choice([least, (least + most) // 2, most])
        beats = rng.choice([1, 1, 2, 3, 12])
        rows.append([[rng.randint(least, top) for _ in range(lanes)] for _ in range(beats)])
    run_references(config, rows, seed)


@pytest.mark.parametrize(("lanes", "latency"), [(1, 1), (2, 2), (3, 3), (4, 3), (9, 5), (64, 7)])
def test_latency(lanes: int, latency: int) -> None:
    config = softermax_config(lanes=lanes)
    block = run_references(config, [[[steps(config)[-1]] * lanes]])
    assert block.latency == latency == ceil_log2(lanes) + 1
    assert counted(config, references(config)[-1]) < len(references(config)) + 3
