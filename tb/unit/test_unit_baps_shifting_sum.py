"""Sums of codes with rising references, against exact fractions."""

import random
from math import floor

import pytest
from baps_oracle import Baps, e5m3_number
from unit_baps import OCTAVE, STEPS, codes_config, flags
from unit_bench import Bench, ceil_log2, pack, stalls, unpack

from exaq import SoftmaxConfig
from exaq_hdl.kernels.baps.baps_layouts import coded_beat
from exaq_hdl.kernels.baps.shifting_sum import ShiftingSum
from exaq_hdl.kernels.online.online_layouts import reference_shape, summed_row

# A beat: by how many steps the reference rises, and a code for each lane.
Beat = tuple[int, list[int]]
CODES = (0, *range(8, 249))


def run(config: SoftmaxConfig, rows: list[list[Beat]], *, seed: int | None = None) -> ShiftingSum:
    """Streams rows, and checks their sums, the references that leave with them, and the times.

    What the reference rises by at a row's first beat does not matter. Beats but a row's last say
    nothing of errors.
    """
    unit = Baps(config)
    rng = random.Random(seed)
    shape = reference_shape(config.kernel)
    words, ends, expected = [], [], []
    for row in rows:
        reference = rng.randrange(shape[0], shape[-1] + 1 - sum(rise for rise, _ in row[1:]))
        total = 0
        for k, (rise, codes) in enumerate(row):
            if k:
                total >>= rise * unit.step
                reference += rise
            else:
                rise = rng.randrange(len(shape))
            total += sum(floor(e5m3_number(code) * 2**unit.sum_frac) for code in codes)
            beat = {"codes": codes, "reference": reference, "rise": rise}
            beat |= flags(config, rng, last=int(k == len(row) - 1))
            words.append(pack(coded_beat(config.kernel), beat))
        ends.append(len(words) - 1)
        expected.append({"sum": total, "reference": reference, "error": beat["error"]})
    block = ShiftingSum(config.kernel)
    bench = Bench(block, limit=4 * len(words) + 200)
    feed = bench.feed(block.i, words, None if seed is None else stalls(seed))
    drain = bench.drain(block.o, len(rows))
    bench.run()
    assert [unpack(summed_row(config.kernel), word) for word in drain.items] == expected
    assert drain.times == [feed.times[end] + block.latency for end in ends]
    if seed is None:
        assert feed.times == list(range(feed.times[0], feed.times[0] + len(words)))
    return block


@pytest.mark.parametrize("step", STEPS)
def test_every_code(step: int) -> None:
    """Alone, twice, and beside the largest one; rows back to back."""
    config = codes_config(lanes=2, reference_step=step, logit_scale=OCTAVE)
    rows = [[(0, [code, 0])] for code in CODES]
    rows += [[(0, [248, code])] for code in CODES]
    rows += [[(0, [0, code]), (0, [code, code])] for code in CODES]
    run(config, rows)


@pytest.mark.parametrize("step", STEPS)
def test_every_rise(step: int) -> None:
    """Of a sum that has all its bits, and of one that is next to nothing."""
    config = codes_config(lanes=1, reference_step=step, logit_scale=OCTAVE, logit_width=7)
    rows = []
    most = len(reference_shape(config.kernel)) - 1
    for rise in range(most + 1):
        for code in (247, 8 * 31 - 8 * 16 + 7, 0):
            rows.append([(0, [code]), (0, [247]), (rise, [0])])
            rows.append([(0, [247]), (rise, [code]), (most - rise, [8 * 20 + 5])])
    run(config, rows)


@pytest.mark.parametrize("lanes", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("seed", [None, 1])
def test_random_rows(lanes: int, seed: int | None) -> None:
    """Of one beat or many, of all codes or none, with references that rise or stay."""
    for step in STEPS:
        config = codes_config(
            lanes=lanes,
            logit_scale=0.25,
            reference_step=step,
            code_format="hif8" if step == 2 else "e5m3",
            masking=step != 4,
        )
        rng = random.Random(step)
        most = len(reference_shape(config.kernel)) - 1
        rows = []
        for _ in range(20):
            beats, left, row = rng.choice([1, 1, 2, 3, 16]), most, []
            share = rng.choice([0.0, 0.5, 1.0])
            low = rng.choice([0, 200])
            for _ in range(beats):
                rise = min(left, rng.choice([0, 0, 0, 1, 2, most]))
                left -= rise
                codes = [
                    rng.choice([c for c in CODES if c >= low]) if rng.random() < share else 0
                    for _ in range(lanes)
                ]
                row.append((rise, codes))
            rows.append(row)
        # The first rise is made up where a row begins.
        run(config, [[(0, row[0][1]), *row[1:]] for row in rows], seed=seed)


@pytest.mark.parametrize("lanes", [1, 3, 8])
@pytest.mark.parametrize("step", [1, 8])
def test_the_longest_row_of_ones(step: int, lanes: int) -> None:
    """The sum has every bit that it ever needs; the row behind it starts from nothing."""
    config = codes_config(lanes=lanes, reference_step=step)
    ones, nothing = [(0, [248] * lanes)] * 16, [(0, [0] * lanes)] * 16
    run(config, [ones, nothing, ones, ones, [(0, [0] * lanes)], [(0, [248] * lanes)], nothing])


@pytest.mark.parametrize("scale", [2.0**-60, 2.0**-9])
def test_references_that_never_rise(scale: float) -> None:
    for step in STEPS:
        config = codes_config(lanes=2, logit_width=4, logit_scale=scale, reference_step=step)
        run(config, [[(0, [248, 240])] * k for k in range(1, 9)])


@pytest.mark.parametrize(("lanes", "latency"), [(1, 3), (2, 4), (3, 5), (4, 5), (9, 7), (32, 8)])
def test_latency(lanes: int, latency: int) -> None:
    block = run(codes_config(lanes=lanes), [[(0, [248] * lanes)]])
    assert block.latency == latency == ceil_log2(lanes) + 3
