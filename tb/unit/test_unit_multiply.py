"""What the lanes of the kernel multiply compute, against exact fractions."""

import random
from fractions import Fraction

import multiply_oracle as oracle
import pytest
from unit_bench import Bench, pack, stalls, unpack

from exaq import SoftmaxConfig
from exaq.kernels.multiply import EXPONENTIALS
from exaq_hdl.kernels.multiply.multiply_unit import MultiplyDatapath, MultiplyUnit
from exaq_hdl.kernels.weighted.weigher import Weigher
from exaq_hdl.kernels.weighted.weighted_emitter import WeightedEmitter
from exaq_hdl.kernels.weighted.weighted_layouts import row_item, stored_beat, weight_beat
from exaq_hdl.parts.memory import SIMULATED
from exaq_hdl.shell.streams import probability_beat, row_beat

#: Settings, each with distances of its own: all within reach, most beyond it, none but 0 and 1.
SETTINGS = {
    "8 bits": {},
    "wide": {"exp_bits": 24, "prob_bits": 24},
    "narrow": {"exp_bits": 8, "prob_bits": 4, "logit_width": 9, "logit_scale": 0.3},
    "steep": {"logit_width": 6, "logit_scale": 9.0},
    "flat": {"logit_width": 7, "logit_scale": 2.0**-30},
}
EVERY = pytest.mark.parametrize("name", SETTINGS)


def multiply(name: str, **settings) -> SoftmaxConfig:
    return SoftmaxConfig(kernel="multiply", lanes=8, max_row=64, **SETTINGS[name] | settings)


@EVERY
@pytest.mark.parametrize("exponential", EXPONENTIALS)
def test_every_distance(name: str, exponential: str) -> None:
    """The greatest logit is the maximum; so each distance comes once, in some lane."""
    config = multiply(name, exponential=exponential)
    count = 1 << config.logit_width
    order = random.Random(name).sample(range(count), count)
    table = oracle.weights(
        exponential, config.exp_bits, config.logit_width, Fraction(config.logit_scale)
    )
    beats = []
    for k in range(0, count, 8):
        # Every other beat has a lane that is not live.
        flags = {"tail": 255, "live": 255 - k % 16 // 2, "last": int(k == count - 8), "error": 0}
        beats.append(pack(row_beat(config.format), flags | {"logits": order[k : k + 8]}))
    weigher = Weigher(MultiplyDatapath(config.kernel))
    bench = Bench(weigher)
    feed = bench.feed(weigher.i, beats, stalls(1, 0.2))
    bench.feed(weigher.maximum, [count - 1])
    bench.every(lambda ctx, _: ctx.set(weigher.room, 1))
    words = bench.drain(weigher.stored, len(beats))
    sums = bench.drain(weigher.weights, len(beats))
    bench.run()
    assert words.times == [time + weigher.latency for time in feed.times]
    for k, (word, each) in enumerate(zip(words.items, sums.items, strict=True)):
        expected = [table[count - 1 - x] for x in order[8 * k : 8 * k + 8]]
        if k % 2:
            expected[2] = 0
        assert unpack(stored_beat(config.kernel), word)["stored"] == expected
        assert unpack(weight_beat(config.kernel), each)["weights"] == expected


@EVERY
def test_every_row_item(name: str) -> None:
    """Exponentials up to their row's sum, sums of every width, zeros with any item."""
    config = multiply(name)
    rng, kernel = random.Random(name), config.kernel
    least, most = 1 << (config.exp_bits - 1), (1 << config.exp_bits) - 1
    totals = [least, most, 64 * most, most + 1, 2 * most, *(1 << k for k in range(30))]
    totals += [rng.randrange(least, 64 * most + 1) for _ in range(40)]
    totals = [total for total in totals if least <= total <= 64 * most]
    items, beats, expected = [], [], []
    for total in totals:
        mantissa, exponent = oracle.reciprocal(total, config.prob_bits + 2)
        fields = {"mantissa": mantissa, "exponent": exponent - (config.exp_bits - 1)}
        items.append(pack(row_item(kernel), fields))
        top = min(total, most)
        words = [0, 1, top, top - 1, top // 2, *(rng.randint(0, top) for _ in range(11))]
        for k in (0, 8):
            beat = {"stored": words[k : k + 8], "tail": 255, "last": int(k == 8), "error": 0}
            beats.append(pack(stored_beat(kernel), beat))
        exact = [Fraction(w * mantissa, 4 << exponent) for w in words]
        expected += [min(oracle.half_up(p), (1 << config.prob_bits) - 1) for p in exact]
    emitter = WeightedEmitter(MultiplyDatapath(kernel))
    bench = Bench(emitter)
    bench.feed(emitter.i, beats)
    bench.feed(emitter.row, items)
    drain = bench.drain(emitter.o, len(beats), stalls(2, 0.3))
    bench.run()
    layout = probability_beat(config.format)
    found = [p for word in drain.items for p in unpack(layout, word)["probabilities"]]
    assert found == expected
    assert (1 << config.prob_bits) - 1 in found


@EVERY
@pytest.mark.parametrize("lanes", [1, 8])
@pytest.mark.parametrize("rows", [1, 8, 1024])
@pytest.mark.usefixtures("unused_components")
def test_the_finisher_keeps_the_declared_period(name: str, lanes: int, rows: int) -> None:
    config = multiply(name).replace(lanes=lanes, max_row=lanes * rows)
    finisher = MultiplyDatapath(config.kernel).finisher()
    assert finisher.period == config.kernel.finish_period(config.format)
    assert config.full_rate_row == max(2, finisher.period) * lanes
    assert dict(finisher.o.payload.shape().members) == dict(config.kernel.row_fields)
    unit = MultiplyUnit(config.kernel, SIMULATED)
    assert unit.hold < unit.latency < unit.hold + 12
