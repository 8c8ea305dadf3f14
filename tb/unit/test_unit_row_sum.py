"""Sums of exponentials with rising references, against integers."""

import random

import pytest
from softermax_oracle import FOURS
from unit_baps import OCTAVE
from unit_bench import Bench, ceil_log2, pack, stalls, unpack
from unit_softermax import base, counted, references, softermax_config

from exaq import SoftmaxConfig
from exaq_hdl.kernels.softermax.row_sum import RowSum
from exaq_hdl.kernels.softermax.softermax_layouts import exponential_beat, summed_row

# A beat: its reference, and an exponential for each lane.
Beat = tuple[int, list[int]]


def fours(reference: int) -> int:
    """The least multiple of four that is not below."""
    return -(-reference // FOURS) * FOURS


def run(config: SoftmaxConfig, rows: list[list[Beat]], *, seed: int | None = None) -> RowSum:
    """Streams rows, and checks their sums, the references that leave with them, and the times."""
    rng = random.Random(seed)
    words, ends, expected = [], [], []
    for row in rows:
        total, before = 0, fours(row[0][0])
        for k, (reference, exponentials) in enumerate(row):
            coarse = fours(reference)
            total = (total >> coarse - before) + (
                sum(exponentials) << FOURS - 1 - (coarse - reference)
            )
            before = coarse
            beat = {"exponentials": exponentials, "reference": counted(config, reference)}
            beat |= {"tail": rng.getrandbits(config.lanes), "error": rng.getrandbits(1)}
            beat["last"] = int(k == len(row) - 1)
            words.append(pack(exponential_beat(config.kernel), beat))
        ends.append(len(words) - 1)
        # The lowest step is the one above the octave that is counted from.
        expected.append({"sum": total, "reference": (before - base(config)) // FOURS - 1})
    block = RowSum(config.kernel)
    bench = Bench(block, limit=4 * len(words) + 200)
    feed = bench.feed(block.i, words, None if seed is None else stalls(seed))
    drain = bench.drain(block.o, len(rows))
    bench.run()
    assert [unpack(summed_row(config.kernel), word) for word in drain.items] == expected
    assert drain.times == [feed.times[end] + block.latency for end in ends]
    if seed is None:
        assert feed.times == list(range(feed.times[0], feed.times[0] + len(words)))
    return block


@pytest.mark.parametrize("exp_bits", [8, 16])
@pytest.mark.parametrize("scale", [OCTAVE, 0.0625, 2.0**-8, 2.0**-60])
def test_every_rise(scale: float, exp_bits: int) -> None:
    """From every reference to every one above, of a sum with all its bits and of one with few."""
    config = softermax_config(lanes=1, logit_scale=scale, logit_width=7, exp_bits=exp_bits)
    each, most = references(config), 2**exp_bits - 1
    rows = []
    for low in each:
        for high in range(low, each[-1] + 1, 1 if len(each) < 40 or low == each[0] else 7):
            rows.append([(low, [most]), (low, [most]), (high, [0]), (high, [1])])
            rows.append([(low, [5]), (high, [most])])
    run(config, rows)


@pytest.mark.parametrize("lanes", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("seed", [None, 1])
def test_random_rows(lanes: int, seed: int | None) -> None:
    """Of one beat or many, of high numbers or of none, with references that rise or stay."""
    for exp_bits in (8, 16, 24):
        config = softermax_config(
            lanes=lanes, logit_scale=0.25, exp_bits=exp_bits, masking=exp_bits != 16
        )
        rng, each = random.Random(exp_bits), references(config)
        rows = []
        for _ in range(25):
            reference, row = rng.choice(each), []
            most = rng.choice([0, 3, 2**exp_bits - 1])
            for _ in range(rng.choice([1, 1, 2, 3, 20])):
                rise = rng.choice([0, 0, 0, 1, 2, 5, 40])
                reference = min(each[-1], reference + rise)
                row.append((reference, [rng.randint(0, most) for _ in range(lanes)]))
            rows.append(row)
        run(config, rows, seed=seed)


@pytest.mark.parametrize("lanes", [1, 3, 8])
def test_the_longest_row_of_ones(lanes: int) -> None:
    """The sum has every bit that it ever needs; the row behind it starts from nothing."""
    config = softermax_config(lanes=lanes)
    top = fours(references(config)[-1]) - FOURS
    assert top in references(config)
    ones, nothing = [(top, [2**16 - 1] * lanes)] * 40, [(top, [0] * lanes)] * 40
    run(config, [ones, nothing, ones, ones, nothing[:1], ones[:1], nothing])


@pytest.mark.parametrize(("lanes", "latency"), [(1, 2), (2, 3), (3, 4), (4, 4), (9, 6), (32, 7)])
def test_latency(lanes: int, latency: int) -> None:
    block = run(softermax_config(lanes=lanes), [[(0, [9] * lanes)]])
    assert block.latency == latency == ceil_log2(lanes) + 2
