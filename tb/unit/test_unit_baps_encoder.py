"""Codes of elements, and HiF8, against exact fractions."""

import random
from fractions import Fraction

import hif8_oracle
import pytest
from amaranth.hdl import Cat
from baps_oracle import LIFT, Baps, e5m3_code, e5m3_number
from unit_baps import OCTAVE, STEPS, codes_config, flags, highest_step, lives, lowest
from unit_bench import Bench, pack, stalls, truth_table, unpack

from exaq import SoftmaxConfig
from exaq_hdl.kernels.baps import hif8
from exaq_hdl.kernels.baps.baps_layouts import coded_beat
from exaq_hdl.kernels.baps.encoder import Encoder
from exaq_hdl.kernels.online.online_layouts import reference_shape, referred_beat

FORMATS = ("e5m3", "hif8")
# Of e5m3, those that are numbers up to 1.
CODES = range(8, 249)


def run(config: SoftmaxConfig, beats: list[dict], *, seed: int | None = None) -> Encoder:
    """Streams beats of t and a reference, counted from ``lowest``, and checks codes and times."""
    unit, base = Baps(config), lowest(config)
    rng = random.Random(seed)
    given, expected = [], []
    for beat in beats:
        rise = rng.randrange(len(reference_shape(config.kernel)))
        live = beat.get("live")
        other = flags(config, rng, last=rng.getrandbits(1), live=live)
        other |= {"reference": beat["reference"], "rise": rise}
        reference = base + unit.step * beat["reference"]
        codes = [
            e5m3_code(unit.value(t + 16 * base, reference)) if lives(other) >> lane & 1 else 0
            for lane, t in enumerate(beat["t"])
        ]
        given.append(pack(referred_beat(config.kernel), other | {"t": beat["t"]}))
        expected.append(other | {"codes": codes})
    encoder = Encoder(config.kernel)
    bench = Bench(encoder, limit=4 * len(beats) + 200)
    feed = bench.feed(encoder.i, given, None if seed is None else stalls(seed))
    drain = bench.drain(encoder.o, len(given))
    bench.run()
    assert [unpack(coded_beat(config.kernel), word) for word in drain.items] == expected
    assert drain.times == [taken + encoder.latency for taken in feed.times]
    if seed is None:
        assert feed.times == list(range(feed.times[0], feed.times[0] + len(beats)))
    return encoder


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("code_format", FORMATS)
def test_every_distance_from_the_reference(code_format: str, step: int) -> None:
    """From 0 to 40 octaves, and the farthest, of references of every kind."""
    lanes = 16
    config = codes_config(
        lanes=lanes, logit_scale=OCTAVE / 2, code_format=code_format, reference_step=step
    )
    shape, most = reference_shape(config.kernel), highest_step(config)
    every = (1 << lanes) - 1
    beats = []
    for reference in {shape[0], shape[1], shape[len(shape) // 2], shape[-1]}:
        top = min(16 * step * reference, most)
        near = range(top, max(top - 640, -1), -1)
        t = [*near, *[0] * (-len(near) % lanes), *[k % (top + 1) for k in range(lanes)]]
        beats += [
            {"reference": reference, "t": t[at : at + lanes], "live": every}
            for at in range(0, len(t), lanes)
        ]
    encoder = run(config, beats)
    assert encoder.latency == 2


@pytest.mark.parametrize("masking", [False, True])
@pytest.mark.parametrize("code_format", FORMATS)
def test_lanes_that_are_not_live_have_code_0(code_format: str, masking: bool) -> None:
    """Each alone, all, and by chance; beats with gaps of noise between them."""
    config = codes_config(lanes=5, logit_scale=0.5, code_format=code_format, masking=masking)
    rng = random.Random(7)
    beats = []
    for live in [*range(32), *[None] * 100]:
        reference = rng.choice(reference_shape(config.kernel))
        most = min(16 * config.reference_step * reference, highest_step(config))
        low = max(0, most - rng.choice([20, 100, 1000]))
        t = [rng.randint(low, most) for _ in range(5)]
        beat = {"reference": reference, "t": t}
        beats.append(beat if live is None else beat | {"live": live})
    run(config, beats, seed=3)


@pytest.mark.parametrize("code_format", FORMATS)
@pytest.mark.parametrize("scale", [2.0**-60, 2.0**-9, 0.0625])
def test_narrow_ranges(scale: float, code_format: str) -> None:
    """Where t and the reference have few bits, or none."""
    for step in STEPS:
        config = codes_config(
            lanes=2,
            logit_width=4,
            logit_scale=scale,
            reference_step=step,
            code_format=code_format,
        )
        beats = []
        for reference in reference_shape(config.kernel):
            top = min(16 * step * reference, highest_step(config))
            beats += [{"reference": reference, "t": [t, top - t]} for t in range(top + 1)]
        run(config, beats, seed=step)


# --- HiF8


@pytest.mark.parametrize("width", [5, 6, 9])
@pytest.mark.parametrize("lift", [0, 3])
def test_every_number_as_hif8_has_it(lift: int, width: int) -> None:
    """Octaves below 1 of several widths; half away from zero."""
    found = truth_table(
        lambda word: Cat(*reversed(hif8.rounded(word[3:], word[:3], lift))),
        3 + width,
        range(2 ** (3 + width)),
    )
    for word, (below, eighths) in enumerate((w >> 3, w & 7) for w in found):
        value = Fraction(8 + (word & 7), 8 * 2 ** (word >> 3))
        nearest = hif8_oracle.nearest(value * 2**lift) / 2**lift
        if nearest:
            assert Fraction(8 + eighths, 8 * 2**below) == nearest
        else:
            assert below >= 31


def test_numbers_that_are_wide_enough_for_a_few_octaves_alone() -> None:
    """Fewer bits of octaves than those that the ends of HiF8 need."""
    for width in range(1, 5):
        found = truth_table(
            lambda word: Cat(*reversed(hif8.rounded(word[3:], word[:3], 3))),
            3 + width,
            range(2 ** (3 + width)),
        )
        for word, (below, eighths) in enumerate((w >> 3, w & 7) for w in found):
            value = Fraction(8 + (word & 7), 8 * 2 ** (word >> 3))
            nearest = hif8_oracle.nearest(value * LIFT) / LIFT
            assert Fraction(8 + eighths, 8 * 2**below) == nearest


@pytest.mark.parametrize("lift", [0, 3])
def test_the_bits_of_every_number_of_hif8(lift: int) -> None:
    """Of all that is e5m3 too, and of 0."""
    numbers = {code: e5m3_number(code) * 2**lift for code in CODES}
    legal = {0: 0} | {
        code: hif8_oracle.NUMBERS[number]
        for code, number in numbers.items()
        if number in hif8_oracle.NUMBERS
    }
    # Each from 2**-22 up to 1, or to 8 with a lift.
    assert len(legal) == len([n for n in hif8_oracle.NUMBERS if n <= 2**lift])
    found = truth_table(lambda code: hif8.bits(code, lift), 8, legal)
    assert found == list(legal.values())
