"""Probability tables against exact fractions, and the choice of dividers."""

import random
from fractions import Fraction
from itertools import chain, cycle, repeat
from math import floor

import pytest
from unit_bench import Bench, pack, stalls, unpack
from unit_blocks import normalizer_for, rings_for
from unit_tables import bank_tables, exponential_words

from exaq import SoftmaxConfig, Tables
from exaq_hdl.kernels.division.divider import Divider
from exaq_hdl.kernels.exaq.layouts import division_of, row_complement, table_word

# Configuration, then units of a ring and rings that it should get: the period of one ring of u
# units is 2**bits / u batches of u * ceil(prob_bits / u) cycles.
CHOICES = {
    "default": (SoftmaxConfig(), 2, 1),
    "1 unit": (SoftmaxConfig(full_rate_row=4 * 64), 1, 1),
    "1 unit no more": (SoftmaxConfig(full_rate_row=4 * 63), 2, 1),
    "2 units no more": (SoftmaxConfig(full_rate_row=4 * 31), 4, 1),
    "4 units": (SoftmaxConfig(full_rate_row=4 * 16), 4, 1),
    "2 rings": (SoftmaxConfig(full_rate_row=4 * 15), 4, 2),
    "2 rings, just": (SoftmaxConfig(full_rate_row=4 * 8), 4, 2),
    "3 rings": (SoftmaxConfig(full_rate_row=32, prob_bits=24), 4, 3),
    "17 steps": (SoftmaxConfig(full_rate_row=4 * 20, prob_bits=17), 4, 1),
    "17 steps no more": (SoftmaxConfig(full_rate_row=4 * 19, prob_bits=17), 4, 2),
    "4 steps": (SoftmaxConfig(full_rate_row=4 * 8, prob_bits=4), 2, 1),
    "3 bits": (SoftmaxConfig(bits=3, full_rate_row=4 * 16), 8, 1),
    "2 rings of 8": (SoftmaxConfig(bits=3, full_rate_row=4 * 16, prob_bits=17), 8, 2),
    "rounded up": (SoftmaxConfig(full_rate_row=4 * 15 + 1), 4, 1),
    "4 bits, 8 steps": (SoftmaxConfig(bits=4, full_rate_row=4 * 32, prob_bits=8), 4, 1),
    "16 units": (SoftmaxConfig(bits=4, full_rate_row=4 * 32, prob_bits=24), 16, 1),
    "5 bits": (SoftmaxConfig(bits=5, full_rate_row=4 * 128), 4, 1),
    "5 bits no more": (SoftmaxConfig(bits=5, full_rate_row=4 * 127), 8, 1),
    "6 bits": (SoftmaxConfig(bits=6, full_rate_row=4 * 128), 8, 1),
}
EVERY = pytest.mark.parametrize("name", CHOICES)


def table(config: SoftmaxConfig, s: int) -> list[int]:
    """Round half up, saturated."""
    one = 1 << config.prob_bits
    exact = [Fraction(e * one, s) for e in config.tables.exp_rom]
    return [min(floor(p + Fraction(1, 2)), one - 1) for p in exact]


def tables_of_words(config: SoftmaxConfig, words: list[int]) -> list[dict]:
    """The p-tables that came word by word, each with the context of its first word, if any."""
    found = [unpack(table_word(config.kernel), word) for word in words]
    tables = []
    for k in range(0, len(found), config.levels):
        row = found[k : k + config.levels]
        assert [word["level"] for word in row] == list(range(config.levels))
        tables.append(
            {
                "table": [word["probability"] for word in row],
                "context": row[0].get("context"),
            }
        )
    return tables


class Run:
    """Makes the tables of the sums ``chosen`` and checks them, in order."""

    def __init__(self, config, chosen, *, pause=None, sink=None):
        self.normalizer = normalizer_for(config)
        bench = Bench(self.normalizer, limit=12000)
        everything = (1 << config.sum_bits) - 1
        self.feed = bench.feed(self.normalizer.i, [everything - s for s in chosen], pause)
        self.drain = bench.drain(self.normalizer.o, len(chosen) * config.levels, sink)
        bench.run(more=80)
        self.tables = [each["table"] for each in tables_of_words(config, self.drain.items)]
        #: When each table was complete.
        self.complete = self.drain.times[config.levels - 1 :: config.levels]
        assert self.tables == [table(config, s) for s in chosen]


def sums(config: SoftmaxConfig, rng: random.Random, count: int) -> list[int]:
    least, bits = max(config.tables.exp_rom), config.sum_bits
    edges = [least, least + 1, 2 * least - 1, 2 * least, 2 * least + 1, (1 << bits) - 1]
    spread = [max(least, rng.getrandbits(rng.randint(1, bits))) for _ in range(count)]
    return [*edges, *spread]


@EVERY
def test_choose(name: str) -> None:
    config, units, rings = CHOICES[name]
    assert rings_for(config) == (units, rings)


def test_a_ring_as_long_as_its_divisions_has_no_time_for_the_change() -> None:
    """A row of a ring whose batch has one round waits for its sum: 6 cycles of 4 steps."""
    division = division_of(SoftmaxConfig(prob_bits=4).kernel)
    assert Divider.row_period(division, 4, 1) == 6
    assert Divider.row_period(division, 2, 1) == 8


@EVERY
def test_tables_keep_their_order_under_back_pressure(name: str) -> None:
    config = CHOICES[name][0]
    rng = random.Random(name)
    Run(config, sums(config, rng, 14), pause=stalls(1, 0.5), sink=stalls(2, 0.8))


@EVERY
def test_throughput_and_latency(name: str) -> None:
    """A row in ``full_rate_row / lanes`` cycles or fewer; a lonely row after ``latency``."""
    config = CHOICES[name][0]
    rng = random.Random(name)
    lonely = Run(config, [(1 << config.sum_bits) - 1])
    assert lonely.complete[0] - lonely.feed.times[0] == lonely.normalizer.latency

    run = Run(config, sums(config, rng, 12))
    rings = run.normalizer.rings
    out = run.complete
    for k in range(len(out) - rings):
        assert out[k + rings] - out[k] <= rings * config.full_rate_beats


def test_paced_sums_are_never_refused() -> None:
    """Sums as a full-rate stream of shortest rows brings them: each table in the same time."""
    for name in ("default", "2 rings, just", "3 rings", "17 steps", "3 bits"):
        config = CHOICES[name][0]
        beats = config.full_rate_beats
        chosen = sums(config, random.Random(name), 10)
        run = Run(config, chosen, pause=cycle([False] + [True] * (beats - 1)))
        delays = [b - a for a, b in zip(run.feed.times, run.complete, strict=True)]
        assert run.feed.times == [k * beats for k in range(len(chosen))]
        assert set(delays) == {run.normalizer.latency}


def test_rounding_half_up_and_saturation() -> None:
    """Quotients that end in exactly a half go up; 1 becomes the largest probability."""
    config = SoftmaxConfig(
        prob_bits=4,
        exp_frac=4,
        max_row=64,
        tables=Tables(thresholds=(-3, -2, -1), exp_rom=(1, 3, 5, 31)),
    )
    # 16 * (1, 3, 5, 31) / 32 = 0.5, 1.5, 2.5, 15.5 and 16 * 3 / 96 = 0.5.
    halves = Run(config, [32, 96]).tables
    assert halves[0] == [1, 2, 3, 15]
    assert halves[1][1] == 1
    whole = Run(config, [31, 33, 31])
    assert [each[3] for each in whole.tables] == [15, 15, 15]


def test_every_sum_of_a_small_unit() -> None:
    config = SoftmaxConfig(
        prob_bits=5,
        exp_frac=4,
        lanes=1,
        max_row=8,
        full_rate_row=8,
        tables=Tables(thresholds=(-3, -2, -1), exp_rom=(0, 3, 8, 16)),
    )
    Run(config, list(range(16, 1 << config.sum_bits)))


def test_masked_rows_disturb_nobody() -> None:
    """A sum of 0 gives a table that nobody looks at, in its turn."""
    config = CHOICES["3 rings"][0]
    rng = random.Random(5)
    chosen = [s for pair in zip(sums(config, rng, 4), [0] * 10, strict=True) for s in pair]
    normalizer = normalizer_for(config)
    bench = Bench(normalizer)
    bench.feed(normalizer.i, [(1 << config.sum_bits) - 1 - s for s in chosen])
    drain = bench.drain(normalizer.o, len(chosen) * config.levels, stalls(3, 0.3))
    bench.run()
    found = [each["table"] for each in tables_of_words(config, drain.items)]
    assert found[::2] == [table(config, s) for s in chosen[::2]]


def test_a_waiting_table_stops_the_divisions() -> None:
    """Nothing is overwritten while the sink sleeps, and the input refuses in the end."""
    config = CHOICES["3 rings"][0]
    chosen = sums(config, random.Random(9), 14)
    asleep = 600
    run = Run(config, chosen, sink=chain([True] * asleep, repeat(False)))
    assert sum(time < asleep for time in run.feed.times) <= 2 * run.normalizer.rings
    assert run.drain.times[0] == asleep


# As CHOICES, with contexts: exponentials are looked up while the row before is divided.
BANKED = {
    "1 context": (SoftmaxConfig(contexts=1), 2, 1),
    "2 contexts": (SoftmaxConfig(contexts=2, full_rate_row=4 * 64), 1, 1),
    "1 unit no more": (SoftmaxConfig(contexts=3, full_rate_row=4 * 63), 2, 1),
    "2 rings": (SoftmaxConfig(contexts=3, full_rate_row=4 * 8), 4, 2),
    "3 rings": (SoftmaxConfig(contexts=5, full_rate_row=32, prob_bits=24), 4, 3),
    "4 steps": (SoftmaxConfig(contexts=2, full_rate_row=4 * 8, prob_bits=4), 4, 1),
    "3 bits": (SoftmaxConfig(contexts=9, bits=3, full_rate_row=4 * 16), 8, 1),
}


class BankedRun:
    """Makes the tables of ``rows``, a bank and a sum each, and checks them, in order.

    Contexts are others than banks. The last bank is spare, and written all the time.
    """

    def __init__(self, config, rows, banks, *, pause=None, sink=None):
        self.normalizer = normalizer = normalizer_for(config)
        everything = (1 << config.sum_bits) - 1
        layout = row_complement(config.kernel)
        given, expected = [], []
        for k, (bank, s) in enumerate(rows):
            context = {"context": k % config.contexts} if config.context_bits else {}
            word = {"complement": everything - s, "bank": bank} | context
            given.append(pack(layout, word))
            probabilities = table(config.replace(contexts=0, tables=banks[bank]), s) if s else None
            expected.append((probabilities, context.get("context")))
        bench = Bench(normalizer, limit=12000)
        words = exponential_words(config, banks)
        bench.feed(normalizer.store, [*words, *words[-config.levels :] * 60])
        pause = chain(repeat(True, len(words)), pause or repeat(False))
        self.feed = bench.feed(normalizer.i, given, pause)
        self.drain = bench.drain(normalizer.o, len(rows) * config.levels, sink)
        bench.run(more=80)
        self.complete = self.drain.times[config.levels - 1 :: config.levels]
        found = tables_of_words(config, self.drain.items)
        for each, (probabilities, context) in zip(found, expected, strict=True):
            assert each["context"] == context
            assert probabilities in (None, each["table"])


def banked_rows(config, rng: random.Random, count: int, banks) -> list[tuple[int, int]]:
    """Sums that hold every level of their bank; some of masked rows."""
    rows = []
    for _ in range(count):
        bank = rng.randrange(config.contexts)
        of_bank = config.replace(contexts=0, tables=banks[bank])
        rows.append((bank, rng.choice([0, *sums(of_bank, rng, 14)])))
    return rows


@pytest.mark.parametrize("name", BANKED)
def test_choose_with_contexts(name: str) -> None:
    config, units, rings = BANKED[name]
    assert rings_for(config) == (units, rings)


@pytest.mark.parametrize("name", BANKED)
def test_tables_of_banks_under_back_pressure(name: str) -> None:
    """In order, each with its own context."""
    config = BANKED[name][0]
    banks = bank_tables(config, 1)
    rows = banked_rows(config, random.Random(name), 30, banks)
    BankedRun(config, rows, banks, pause=stalls(1, 0.5), sink=stalls(2, 0.8))


@pytest.mark.parametrize("name", BANKED)
def test_paced_rows_of_banks_are_never_refused(name: str) -> None:
    """As a full-rate stream of shortest rows brings them: each table in ``latency`` cycles."""
    config = BANKED[name][0]
    beats = config.full_rate_beats
    banks = bank_tables(config, 2)
    rows = banked_rows(config, random.Random(name), 12, banks)
    run = BankedRun(config, rows, banks, pause=cycle([False] + [True] * (beats - 1)))
    begin = run.feed.times[0]
    assert run.feed.times == [begin + k * beats for k in range(len(rows))]
    delays = {b - a for a, b in zip(run.feed.times, run.complete, strict=True)}
    assert delays == {run.normalizer.latency}
