"""Reciprocals of sums with the references of their rows, against exact fractions."""

import random
from itertools import pairwise

import pytest
from multiply_oracle import reciprocal
from unit_bench import Bench, pack, stalls, unpack
from unit_softermax import softermax_config

from exaq import SoftmaxConfig
from exaq_hdl.kernels.softermax.row_reciprocal import RowReciprocal
from exaq_hdl.kernels.softermax.softermax_layouts import row_item, sum_references, summed_row

CONFIGS = {
    "4 lanes": {},
    "few bits": {"exp_bits": 8, "prob_bits": 4, "lanes": 1, "max_row": 7},
    "many bits": {"exp_bits": 24, "prob_bits": 24, "logit_scale": 0.5},
    "one octave": {"logit_scale": 2.0**-60, "exp_bits": 11},
}
EVERY = pytest.mark.parametrize("name", CONFIGS)


class Run:
    """Sums from the least one on, each with some reference; between them sums of 0."""

    def __init__(self, config: SoftmaxConfig, count: int, *, pause=None, sink=None) -> None:
        rng, kernel = random.Random(count), config.kernel
        least, most = 2 ** (config.exp_bits - 1), 2**config.sum_bits - 1
        sums = [least, most, 0, least + 1, 2 * least, 2 * least - 1]
        sums += [min(most, least << rng.randrange(config.sum_bits)) for _ in range(count // 2)]
        sums += [rng.randint(least, most) for _ in range(count // 2)]
        rows = [{"sum": each, "reference": rng.choice(sum_references(kernel))} for each in sums]
        self.block = block = RowReciprocal(kernel)
        bench = Bench(block, limit=200 * len(rows))
        self.feed = bench.feed(block.i, [pack(summed_row(kernel), row) for row in rows], pause)
        self.drain = bench.drain(block.o, len(rows), sink)
        bench.run()
        for row, word in zip(rows, self.drain.items, strict=True):
            if row["sum"] >= least:
                mantissa, exponent = reciprocal(row["sum"], config.prob_bits + 2)
                place = exponent - (config.exp_bits - 1) + 4 * row["reference"]
                expected = {"mantissa": mantissa, "place": place}
                assert unpack(row_item(kernel), word) == expected, row


@EVERY
def test_items_period_and_latency(name: str) -> None:
    config = softermax_config(**CONFIGS[name])
    run = Run(config, 60)
    assert {b - a for a, b in pairwise(run.feed.times)} == {run.block.period}
    spans = {b - a for a, b in zip(run.feed.times, run.drain.times, strict=True)}
    assert spans == {run.block.latency}
    # What rows at full rate have as beats at least.
    assert run.block.period * config.lanes == config.kernel.least_full_rate_row(config.format)


@EVERY
@pytest.mark.parametrize("seed", [1, 2])
def test_stalls_on_both_sides(name: str, seed: int) -> None:
    """A reference stays with its sum while the item waits."""
    Run(softermax_config(**CONFIGS[name]), 40, pause=stalls(seed), sink=stalls(seed + 9, 0.9))
