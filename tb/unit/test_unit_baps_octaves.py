"""Binary logarithms of logits, against exact fractions."""

import math
import random
from fractions import Fraction
from itertools import pairwise

import pytest
from baps_oracle import Baps
from unit_baps import OCTAVE, STEPS, codes_config, flags, lowest
from unit_bench import Bench, pack, stalls, unpack

from exaq import SoftmaxConfig
from exaq_hdl.kernels.online.octaves import Octaves, digits
from exaq_hdl.kernels.online.online_layouts import octave_beat
from exaq_hdl.shell.streams import row_beat

SCALES = {
    "1/16": 0.0625,
    "ln 2 / 16": math.log(2) / 16,
    "ln 2": OCTAVE,
    "ln 2 / 2": OCTAVE / 2,
    "1/3": Fraction(1, 3),
}


def run(config: SoftmaxConfig, beats: list[list[int]], *, seed: int | None = None) -> Octaves:
    """Streams beats of logits, and checks each t, what goes with it, and when it comes.

    A logit here is as in offset binary, the lowest 0.
    """
    unit, rng = Baps(config), random.Random(seed)
    least = -(2 ** (config.logit_width - 1))
    given = [{"logits": beat} | flags(config, rng, last=rng.getrandbits(1)) for beat in beats]
    octaves = Octaves(config.kernel)
    bench = Bench(octaves, limit=4 * len(beats) + 200)
    words = [pack(row_beat(config.format), beat) for beat in given]
    feed = bench.feed(octaves.i, words, None if seed is None else stalls(seed))
    drain = bench.drain(octaves.o, len(beats))
    bench.run()
    steps = [[unit.t(x + least) - 16 * lowest(config) for x in beat] for beat in beats]
    expected = [
        {name: beat[name] for name in beat if name != "logits"} | {"t": t}
        for beat, t in zip(given, steps, strict=True)
    ]
    assert [unpack(octave_beat(config.kernel), word) for word in drain.items] == expected
    assert drain.times == [taken + octaves.latency for taken in feed.times]
    if seed is None:
        assert feed.times == list(range(feed.times[0], feed.times[0] + len(beats)))
    return octaves


def every_logit(config: SoftmaxConfig) -> list[list[int]]:
    """Beats of all logits, each in every lane where they are few."""
    count = 2**config.logit_width
    return [
        [(at + k) % count for k in range(config.lanes)]
        for at in range(0, count, config.lanes if count > 256 else 1)
    ]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("width", "lanes"), [(4, 3), (8, 2), (10, 8), (11, 8), (12, 16)])
def test_every_logit(width: int, lanes: int, scale: str) -> None:
    """By table, by shift, and by a sum of shifted logits."""
    config = codes_config(logit_width=width, lanes=lanes, logit_scale=SCALES[scale])
    octaves = run(config, every_logit(config))
    looked_up = "ln" not in scale and width <= 10
    assert octaves.latency == (2 if looked_up else 1)


def test_every_logit_of_16_bits() -> None:
    config = codes_config(logit_width=16, lanes=32)
    beats = every_logit(config)
    assert {x for beat in beats for x in beat} == set(range(2**16))
    run(config, beats)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("scale", ["1/16", "ln 2", "1/3"])
@pytest.mark.parametrize("width", [5, 11])
def test_the_octave_that_t_is_counted_from(width: int, scale: str, step: int) -> None:
    """A multiple of the reference's step. Beats come with gaps; masks are there or not."""
    for masking in (False, True):
        config = codes_config(
            logit_width=width,
            lanes=5,
            logit_scale=SCALES[scale],
            reference_step=step,
            masking=masking,
        )
        rng = random.Random(step)
        top = 2**width - 1
        beats = [[rng.choice([0, 1, top - 1, top, rng.randint(0, top)]) for _ in range(5)]] * 3
        beats += [[rng.randint(0, top) for _ in range(5)] for _ in range(80)]
        run(config, [[0] * 5, [top] * 5, *beats], seed=step)


def test_the_widest_logits() -> None:
    rng = random.Random(1)
    for scale in (2.0**-20, Fraction(1, 10), OCTAVE / 16, OCTAVE):
        config = codes_config(logit_width=24, lanes=2, logit_scale=scale)
        edges = [0, 1, 2**23 - 1, 2**23, 2**23 + 1, 2**24 - 2, 2**24 - 1]
        beats = [[a, b] for a in edges for b in edges]
        run(config, beats + [[rng.getrandbits(24), rng.getrandbits(24)] for _ in range(200)])


def test_a_step_next_to_nothing() -> None:
    """t is 0 or 1 above its octave, and never reaches another one."""
    for step, scale in ((1, 2.0**-60), (8, 2.0**-60), (8, 2.0**-8)):
        config = codes_config(lanes=1, logit_scale=scale, reference_step=step)
        run(config, [[x] for x in range(256)])


def test_digits_make_their_number_and_no_two_stand_beside_each_other() -> None:
    for number in (*range(1, 600), 23637, 2**24 - 1, 0b101010101):
        found = digits(number)
        assert sum(digit << place for place, digit in found) == number
        assert {digit for _, digit in found} <= {-1, 1}
        assert all(a - b >= 2 for (a, _), (b, _) in pairwise(found))
