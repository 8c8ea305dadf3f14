"""Products of exponentials and reciprocals, against exact fractions."""

import random
from fractions import Fraction
from math import floor

import pytest
from baps_oracle import half_up
from unit_bench import Bench, pack, stalls, unpack
from unit_softermax import counted, references, softermax_config

from exaq import SoftmaxConfig
from exaq_hdl.kernels.softermax.softermax_emitter import SoftermaxEmitter
from exaq_hdl.kernels.softermax.softermax_layouts import exponential_beat, row_item
from exaq_hdl.shell.streams import probability_beat

# A row: mantissa, place, and beats of a counted reference and exponentials.
Beat = tuple[int, list[int]]
Row = tuple[int, int, list[Beat]]

CONFIGS = {
    "4 lanes": {},
    "few bits": {"exp_bits": 8, "prob_bits": 4, "lanes": 1, "max_row": 7, "masking": False},
    "many bits": {"exp_bits": 24, "prob_bits": 24, "lanes": 2, "logit_scale": 0.5},
    "one octave": {"logit_scale": 2.0**-60, "exp_bits": 11, "lanes": 3},
}
EVERY = pytest.mark.parametrize("name", CONFIGS)


def probability(config: SoftmaxConfig, mantissa: int, places: int, exponential: int) -> int:
    factor = floor(Fraction(mantissa, 2**places))
    exact = Fraction(exponential * factor, 2 ** (config.exp_bits + 1))
    return min(half_up(exact), 2**config.prob_bits - 1)


class Run:
    def __init__(
        self, config: SoftmaxConfig, rows: list[Row], *, pauses=(None, None), sink=None
    ) -> None:
        kernel, rng = config.kernel, random.Random(1)
        items, words, expected = [], [], []
        for mantissa, place, beats in rows:
            items.append(pack(row_item(kernel), {"mantissa": mantissa, "place": place}))
            for k, (reference, exponentials) in enumerate(beats):
                further = {"tail": rng.getrandbits(config.lanes), "error": rng.getrandbits(1)}
                further["last"] = int(k == len(beats) - 1)
                beat = {"exponentials": exponentials, "reference": reference} | further
                words.append(pack(exponential_beat(kernel), beat))
                given = [
                    probability(config, mantissa, place - reference, each) for each in exponentials
                ]
                expected.append({"probabilities": given} | further)
        self.block = block = SoftermaxEmitter(kernel)
        bench = Bench(block, limit=20 * len(words) + 400)
        self.beats = bench.feed(block.i, words, pauses[0])
        self.rows = bench.feed(block.row, items, pauses[1])
        self.drain = bench.drain(block.o, len(words), sink)
        bench.run()
        layout = probability_beat(config.format)
        assert [unpack(layout, word) for word in self.drain.items] == expected


def some_rows(config: SoftmaxConfig, count: int, seed: int, least: int = 1) -> list[Row]:
    """Rows of ``least`` beats and more, every place that there is, and extremes of all else."""
    rng, kernel = random.Random(seed), config.kernel
    places = row_item(kernel)["place"].shape
    each = [counted(config, reference) for reference in references(config)]
    one = 2**config.exp_bits - 1
    rows: list[Row] = []
    for k in range(count):
        low, high = sorted(rng.choice(each) for _ in range(2))
        place = max(high, places[k % len(places)])
        half = 2 ** (config.prob_bits + 1)
        mantissa = rng.choice([half, 2 * half - 1, rng.randrange(half, 2 * half)])
        beats = []
        for _ in range(rng.choice([least, least, least + 1, least + 5])):
            exponentials = [
                rng.choice([0, 1, one, rng.randint(0, one), rng.randint(0, one)])
                for _ in range(config.lanes)
            ]
            beats.append((rng.randint(low, high), exponentials))
        rows.append((mantissa, place, beats))
    return rows


@EVERY
def test_random_rows_at_full_rate(name: str) -> None:
    """Rows of two beats and more follow each other without a gap."""
    config = softermax_config(**CONFIGS[name])
    run = Run(config, some_rows(config, 150, 1, least=2))
    times = run.drain.times
    assert times == list(range(times[0], times[0] + len(times)))
    assert times[0] - run.rows.times[0] == run.block.latency == 7
    assert {b - a for a, b in zip(run.beats.times, times, strict=True)} == {run.block.beat_latency}
    assert run.block.beat_latency == 5


@EVERY
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_stalls_on_every_side(name: str, seed: int) -> None:
    config = softermax_config(**CONFIGS[name])
    pauses = stalls(seed), stalls(seed + 5, 0.8)
    Run(config, some_rows(config, 60, seed), pauses=pauses, sink=stalls(seed + 9))


def test_every_place_and_what_saturates() -> None:
    """An exponential of nearly 1 by every shift of the widest and the narrowest reciprocal."""
    config = softermax_config(lanes=2, logit_scale=0.5)
    places = row_item(config.kernel)["place"].shape
    one = 2**16 - 1
    rows: list[Row] = [
        (mantissa, place, [(reference, [one, 2**15]), (reference, [1, one - 1])])
        for mantissa in (2**17, 2**17 + 1, 2**17 + 2, 2**18 - 1)
        for place in places
        for reference in {0, min(place, counted(config, references(config)[-1]))}
    ]
    assert max(probability(config, *row[:2], one) for row in rows) == 2**16 - 1
    Run(config, rows)
