"""Exponentials relative to references, against exact fractions."""

import random
from fractions import Fraction

import pytest
from softermax_oracle import Softermax
from unit_baps import OCTAVE, flags, lives
from unit_bench import Bench, pack, stalls, unpack
from unit_softermax import counted, counted_t, references, softermax_config, steps

from exaq import SoftmaxConfig
from exaq_hdl.kernels.online.online_layouts import referred_beat
from exaq_hdl.kernels.softermax.power_of_two import PowerOfTwo
from exaq_hdl.kernels.softermax.softermax_layouts import exponential_beat

# A beat: its reference, and t of each lane.
Beat = tuple[int, list[int]]


def run(
    config: SoftmaxConfig, beats: list[Beat], *, live: int | None = None, seed: int | None = None
) -> PowerOfTwo:
    """Streams beats, and checks each exponential, what goes with it, and when it comes."""
    unit, rng = Softermax(config), random.Random(seed)
    given, expected = [], []
    for reference, t in beats:
        beat = flags(config, rng, last=rng.getrandbits(1), live=live)
        exponentials = [
            unit.exponential(each, reference) if lives(beat) >> k & 1 else 0
            for k, each in enumerate(t)
        ]
        further = {name: beat[name] for name in ("tail", "last", "error")}
        further["reference"] = counted(config, reference)
        expected.append(further | {"exponentials": exponentials})
        beat |= {"reference": counted(config, reference)}
        beat |= {"t": [counted_t(config, each) for each in t]}
        # What a reference rises by is no matter here.
        beat["rise"] = rng.randrange(len(references(config)))
        given.append(pack(referred_beat(config.kernel, True), beat))
    block = PowerOfTwo(config.kernel)
    bench = Bench(block, limit=4 * len(given) + 200)
    feed = bench.feed(block.i, given, None if seed is None else stalls(seed))
    drain = bench.drain(block.o, len(given))
    bench.run()
    assert [unpack(exponential_beat(config.kernel), word) for word in drain.items] == expected
    assert drain.times == [taken + block.latency for taken in feed.times]
    if seed is None:
        assert feed.times == list(range(feed.times[0], feed.times[0] + len(given)))
    return block


@pytest.mark.parametrize("exp_bits", [8, 11, 16, 17, 24])
def test_every_fraction_and_every_shift(exp_bits: int) -> None:
    """Each step of an octave with references on and above it, up to those that leave nothing."""
    config = softermax_config(
        lanes=2, logit_width=6, logit_scale=OCTAVE / 2, exp_bits=exp_bits, masking=False
    )
    highest = references(config)[-1]
    unit, beats = Softermax(config), []
    for t in steps(config):
        octave = unit.ceiled(t)
        # All of an octave where nothing is shifted; of the others some.
        if octave == highest or t % 23 == 0 or t % 256 in (0, 1, 255):
            beats.append((max(octave, highest - t % 3), [t, steps(config)[-1]]))
    beats = [(highest, t) for _, t in beats]
    beats += [
        (r, [256 * r, 256 * r - 255]) for r in references(config) if r > references(config)[0]
    ]
    assert run(config, beats, live=3).latency == 5


@pytest.mark.parametrize("lanes", [1, 3, 8])
@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("scale", [Fraction(1, 3), 0.0625, 2.0**-12, 2.0**-60])
def test_random_beats(lanes: int, seed: int | None, scale: float | Fraction) -> None:
    """With lanes that are not live, whose t may be above the reference."""
    for masking in (False, True):
        config = softermax_config(lanes=lanes, logit_scale=scale, masking=masking, exp_bits=13)
        rng = random.Random(lanes)
        unit, each, beats = Softermax(config), steps(config), []
        for _ in range(150):
            t = [rng.choice(each) for _ in range(lanes)]
            least = max(map(unit.ceiled, t))
            beats.append((rng.randint(least, max(least, references(config)[-1])), t))
        run(config, beats, seed=seed)


def test_lanes_that_are_not_live_are_of_no_matter() -> None:
    """The least t, which they have, and any other, give 0 with every reference."""
    config = softermax_config(lanes=1, logit_scale=0.5)
    beats = [(r, [t]) for r in references(config) for t in (steps(config)[0], steps(config)[-1])]
    run(config, beats, live=0)
