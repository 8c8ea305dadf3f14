"""Random tables, and the words that bring them into a bank, for tests of run-time tables."""

import itertools
import random

from unit_bench import pack

from exaq import SoftmaxConfig, Tables
from exaq_hdl.kernels.exaq.tables.words import (
    excess_word,
    exponential_word,
    sum_word,
    threshold_word,
)


def lowest_threshold(config: SoftmaxConfig) -> int:
    """The lowest that a unit takes."""
    return -(2**config.logit_width) if config.logit_format == "integer" else -(2**31)


def random_tables(config: SoftmaxConfig, rng: random.Random) -> Tables:
    """Legal ones of every kind: thresholds equal, at either end, near 0; exponentials anyhow, but
    with tables among row results none above the last.
    """
    lowest, largest = lowest_threshold(config), 2**config.exp_bits - 1
    depth = rng.choice([-lowest, -lowest, 40, 4, 0])
    thresholds = sorted(max(lowest, -rng.randint(0, depth)) for _ in range(config.levels - 1))
    if rng.random() < 0.2:
        thresholds[0] = lowest
    if config.logit_format == "bf16":
        thresholds = [0 if -256 < each < 0 else each for each in thresholds]
    edge = rng.choice([0, largest])
    exponentials = [rng.choice([edge, rng.randint(0, largest)]) for _ in range(config.levels)]
    below = exponentials if config.row_results == "table" else exponentials[-1:]
    exponentials[-1] = max(1, *below)
    sink: float | None = None
    if config.logit_format != "integer" and config.sink is not None:
        sink = rng.choice([-65280.0, -1.5, -0.0, 0.0, 2.0**-10, 65280.0])
    elif config.sink is not None:
        low, high = config.logit_range
        low += config.mask_value == "lowest"
        sink = rng.choice([low, high, rng.randint(low, high), rng.randint(-2, 2)])
    return Tables(thresholds=tuple(thresholds), exp_rom=tuple(exponentials), sink=sink)


def bank_tables(config: SoftmaxConfig, seed: int) -> list[Tables]:
    """Tables for each bank, the spare one included."""
    rng = random.Random(seed)
    return [random_tables(config, rng) for _ in range(config.contexts + 1)]


def threshold_words(config: SoftmaxConfig, banks: list[Tables]) -> list[int]:
    return [
        pack(threshold_word(config.kernel), {"bank": bank, "code": code, "threshold": threshold})
        for bank, tables in enumerate(banks)
        for code, threshold in [
            *enumerate(tables.thresholds, start=1),
            *([] if tables.sink is None else [(0, tables.sink)]),
        ]
    ]


def exponential_words(config: SoftmaxConfig, banks: list[Tables]) -> list[int]:
    return [
        pack(
            exponential_word(config.kernel),
            {"bank": bank, "code": code, "exponential": exponential},
        )
        for bank, tables in enumerate(banks)
        for code, exponential in enumerate(tables.exp_rom)
    ]


def excess_words(config: SoftmaxConfig, banks: list[Tables]) -> list[int]:
    return [
        pack(
            excess_word(config.kernel), {"bank": bank, "lanes": n, "excess": n * tables.exp_rom[0]}
        )
        for bank, tables in enumerate(banks)
        for n in range(config.lanes + 1)
    ]


def lut_sum(config: SoftmaxConfig, tables: Tables) -> dict[int, int]:
    """LUT_sum by address; the code of a group's first lane is the lowest."""
    return {
        sum(code << k * config.bits for k, code in enumerate(codes)): sum(
            tables.exp_rom[code] for code in codes
        )
        for codes in itertools.product(range(config.levels), repeat=config.group)
    }


def sum_words(config: SoftmaxConfig, banks: list[Tables]) -> list[int]:
    return [
        pack(sum_word(config.kernel), {"bank": bank, "codes": codes, "total": total})
        for bank, tables in enumerate(banks)
        for codes, total in lut_sum(config, tables).items()
    ]
