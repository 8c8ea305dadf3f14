"""The units whose mutants are tried, and why each is there."""

from __future__ import annotations

from exaq import SoftmaxConfig, Tables

#: Mutants of each unit that ``make mutate`` tries, and the seed by which they are drawn.
COUNT, SEED = 1000, 7

#: Name to configuration.
#: Exponentials are free where a unit is small: each is then greater than the last one, so that a
#: probability of any level takes any value, and no bit of a division stays what it is.
UNITS: dict[str, SoftmaxConfig] = {
    # The default size: rows of hundreds of beats.
    "2bit-x4-default": SoftmaxConfig(),
    # Small: queues of a few items, several rows inside at once.
    "2bit-x2": SoftmaxConfig(
        lanes=2,
        max_row=16,
        full_rate_row=32,
        prob_bits=9,
        tables=Tables(thresholds=(-120, -70, -9), exp_rom=(12000, 16383, 7001, 5)),
    ),
    # Windows and a sink, two groups of lanes.
    "2bit-x4-window-sink": SoftmaxConfig(
        max_row=24,
        full_rate_row=32,
        prob_bits=10,
        group=2,
        window=True,
        sink=17,
        tables=Tables(thresholds=(-99, -60, -5), exp_rom=(16383, 9001, 14000, 3)),
    ),
    "3bit-x4": SoftmaxConfig(
        bits=3,
        max_row=32,
        full_rate_row=64,
        prob_bits=12,
        tables=Tables(
            thresholds=(-150, -127, -100, -64, -20, -9, 0),
            exp_rom=(9001, 16383, 12000, 8191, 15000, 10922, 16000, 1),
        ),
    ),
    "4bit-x2": SoftmaxConfig(
        bits=4,
        lanes=2,
        max_row=24,
        full_rate_row=80,
        prob_bits=10,
        tables=Tables(
            thresholds=tuple(range(-150, 0, 10)),
            exp_rom=(*range(16383, 8883, -500), 2),
        ),
    ),
    # Tables that are loaded, registers, an unknown context.
    "2bit-x2-contexts3": SoftmaxConfig(
        lanes=2,
        max_row=16,
        full_rate_row=32,
        prob_bits=9,
        contexts=3,
        context_tables=(
            Tables(thresholds=(-60, -30, -2), exp_rom=(1, 300, 5000, 16383)),
            Tables(thresholds=(-256, -9, -9), exp_rom=(16000, 77, 0, 4096)),
            Tables(thresholds=(-100, -50, 0), exp_rom=(16383, 15000, 12222, 1)),
        ),
    ),
    # Codes, and results of rows in the place of divisions.
    "2bit-x4-codes": SoftmaxConfig(
        output="codes", row_results="sum", max_row=32, full_rate_row=32, prob_bits=10
    ),
    "baps-x2": SoftmaxConfig(kernel="baps", output="codes", row_results="sum", lanes=2, max_row=24),
}
#: The unit of which ``make test`` tries a sample.
QUICK = "2bit-x2"
