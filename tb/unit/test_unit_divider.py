"""The divider's ring against exact fractions."""

import random
from fractions import Fraction
from itertools import chain, pairwise, repeat
from math import floor

import pytest
from unit_bench import Bench, pack, stalls, unpack
from unit_blocks import TARGETS, divider_for
from unit_tables import bank_tables, exponential_words

from exaq import SoftmaxConfig, Tables
from exaq_hdl.kernels.exaq.layouts import division_of, row_complement
from exaq_hdl.parts.memory import SIMULATED, Memories

CONFIGS = {
    "2 bits": SoftmaxConfig(),
    "3 bits": SoftmaxConfig(bits=3, prob_bits=9, max_row=64),
    "4 bits": SoftmaxConfig(bits=4, prob_bits=8, exp_frac=10, max_row=256),
    "narrow": SoftmaxConfig(prob_bits=4, exp_frac=4, max_row=8),
    "wide": SoftmaxConfig(prob_bits=24, exp_frac=24, max_row=65536),
    "odd": SoftmaxConfig(bits=3, prob_bits=5, max_row=4, exp_frac=6),
    "one": SoftmaxConfig(
        prob_bits=7,
        lanes=1,
        max_row=1,
        exp_frac=4,
        tables=Tables(thresholds=(-3, -2, -1), exp_rom=(0, 0, 1, 1)),
    ),
    "greatest": SoftmaxConfig(
        prob_bits=7,
        lanes=1,
        max_row=1,
        exp_frac=4,
        tables=Tables(thresholds=(-3, -2, -1), exp_rom=(31, 30, 1, 31)),
    ),
    "not ascending": SoftmaxConfig(
        prob_bits=10,
        max_row=32,
        exp_frac=5,
        tables=Tables(thresholds=(-3, -2, -1), exp_rom=(63, 2, 40, 7)),
    ),
}
CASES = [(name, 2**k) for name, c in CONFIGS.items() for k in range(c.bits + 1)]
EVERY = pytest.mark.parametrize(("name", "units"), CASES)


def sums(config: SoftmaxConfig, rng: random.Random, count: int) -> list[int]:
    """Around every exponential, the largest there can be, and anything; 0 for masked rows."""
    most = (1 << config.sum_bits) - 1
    near = [e + d for e in config.tables.exp_rom for d in (-1, 0, 1)]
    double = [2 * e + d for e in config.tables.exp_rom for d in (-1, 0, 1)]
    spread = [rng.getrandbits(rng.randint(1, config.sum_bits)) for _ in range(count)]
    chosen = [s for s in [*near, *double, *spread, most, most - 1, 1] if 0 < s <= most]
    chosen = rng.sample(chosen, min(count, len(chosen)))
    for place in range(2, len(chosen), 5):
        chosen[place] = 0
    return chosen


def check(config: SoftmaxConfig, chosen: list[int], words: list[int]) -> None:
    """Exact where the level can occur: S holds at least its own exponential."""
    one = 1 << config.prob_bits
    pairs = [(s, k) for s in chosen for k in range(config.levels)]
    checked = 0
    for (s, k), word in zip(pairs, words, strict=True):
        e = config.tables.exp_rom[k]
        found = unpack(division_of(config.kernel).quotient, word)
        if s == 0:
            # A row without a live element, whose results hold these.
            assert found["probability"] == one - 1, k
            continue
        if s < e:
            continue
        rounded = min(floor(Fraction(e * one, s) + Fraction(1, 2)), one - 1)
        assert found["probability"] == rounded, (s, k)
        checked += 1
    assert checked


class Run:
    """Divides by ``chosen`` and keeps what came when."""

    def __init__(self, config, units, chosen, *, pause=None, sink=None, memories=SIMULATED):
        self.divider = divider_for(config, units=units, memories=memories)
        self._everything = (1 << config.sum_bits) - 1
        bench = Bench(self.divider, limit=20000)
        self.feed = bench.feed(self.divider.i, [self._everything - s for s in chosen], pause)
        self.drain = bench.drain(self.divider.o, config.levels * len(chosen), sink)
        bench.run(more=60)
        check(config, chosen, self.drain.items)


@TARGETS
@EVERY
def test_quotients_and_period(name: str, units: int, memories: Memories) -> None:
    """Back to back: rows follow each other in ``period`` cycles."""
    config = CONFIGS[name]
    chosen = sums(config, random.Random(units), 400 // config.levels**2 + 8)
    run = Run(config, units, chosen, memories=memories)
    gaps = {b - a for a, b in zip(run.feed.times, run.feed.times[1:], strict=False)}
    assert gaps == {run.divider.period}
    batch = units * -(-config.prob_bits // units)
    # The next row's first exponential is fetched when this row's last has entered.
    last = max(batch, units + 1)
    assert run.divider.period == batch * (config.levels // units - 1) + last


@TARGETS
@EVERY
def test_stalls(name: str, units: int, memories: Memories) -> None:
    """On either side; the ring also stands empty at times."""
    config = CONFIGS[name]
    pause = stalls(units, 0.9)
    sink = stalls(config.levels, 0.4)
    Run(
        config,
        units,
        sums(config, random.Random(name), 8),
        pause=pause,
        sink=sink,
        memories=memories,
    )


@TARGETS
@EVERY
def test_latency(name: str, units: int, memories: Memories) -> None:
    config = CONFIGS[name]
    most = (1 << config.sum_bits) - 1
    run = Run(config, units, [most], memories=memories)
    offered = next(c for c, word in enumerate(run.feed.offered) if word is not None)
    assert run.drain.times[-1] - offered == run.divider.latency
    burst = run.drain.times[-units:]
    assert burst == list(range(burst[0], burst[0] + units))


BANKED = {
    "2 bits, 1 context": SoftmaxConfig(contexts=1, prob_bits=9),
    "3 bits": SoftmaxConfig(bits=3, prob_bits=8, max_row=64, contexts=3),
    "4 bits, wide": SoftmaxConfig(bits=4, prob_bits=24, exp_frac=24, max_row=64, contexts=2),
    "narrow": SoftmaxConfig(prob_bits=4, exp_frac=4, max_row=8, contexts=5),
}
BANKED_CASES = [(name, 2**k) for name, c in BANKED.items() for k in range(c.bits + 1)]


class BankedRun:
    """Divides the exponentials of a bank by each of ``rows``, a bank and a sum; checks them.

    The last bank is spare: it is written for as long as rows are divided.
    """

    def __init__(self, config, units, banks, rows, *, pause=None, sink=None):
        self.divider = divider = divider_for(config, units=units)
        everything = (1 << config.sum_bits) - 1
        layout = row_complement(config.kernel)
        context = {"context": 0} if config.context_bits else {}
        sums = [{"complement": everything - s, "bank": bank} | context for bank, s in rows]
        bench = Bench(divider, limit=20000)
        words = exponential_words(config, banks)
        spare = words[-config.levels :]
        bench.feed(divider.store, [*words, *spare * 40])
        pause = chain(repeat(True, len(words)), pause or repeat(False))
        self.feed = bench.feed(divider.i, [pack(layout, word) for word in sums], pause)
        self.drain = bench.drain(divider.o, config.levels * len(rows), sink)
        bench.run(more=60)
        for k, (bank, s) in enumerate(rows):
            of_bank = config.replace(contexts=0, tables=banks[bank])
            found = self.drain.items[k * config.levels : (k + 1) * config.levels]
            if s >= max(1, min(of_bank.tables.exp_rom)):
                check(of_bank, [s], found)


def banked_rows(config, banks, rng: random.Random, count: int) -> list[tuple[int, int]]:
    """Banks change from row to row, mostly; sums as ``sums`` has them, masked rows too."""
    rows = []
    for _ in range(count):
        bank = rng.randrange(config.contexts)
        of_bank = config.replace(contexts=0, tables=banks[bank])
        rows.append((bank, rng.choice([0, *(sums(of_bank, rng, 9))])))
    return rows


@pytest.mark.parametrize(("name", "units"), BANKED_CASES)
def test_each_row_has_its_bank(name: str, units: int) -> None:
    """Back to back, in ``period`` cycles a row: nothing of one row's bank gets into the next."""
    config, rng = BANKED[name], random.Random(units)
    banks = bank_tables(config, units)
    rows = banked_rows(config, banks, rng, 120 // config.levels + 6)
    run = BankedRun(config, units, banks, rows)
    times = run.feed.times
    assert {b - a for a, b in pairwise(times)} == {run.divider.period}
    begin = next(now for now, word in enumerate(run.feed.offered) if word is not None)
    # The last quotient comes `latency` cycles after the sum.
    last = run.drain.times[config.levels - 1 :: config.levels]
    assert last == [begin + run.divider.latency + k * run.divider.period for k in range(len(rows))]


@pytest.mark.parametrize(("name", "units"), BANKED_CASES)
def test_each_row_has_its_bank_under_stalls(name: str, units: int) -> None:
    config, rng = BANKED[name], random.Random(name)
    banks = bank_tables(config, units + 1)
    rows = banked_rows(config, banks, rng, 9)
    BankedRun(config, units, banks, rows, pause=stalls(units, 0.9), sink=stalls(2, 0.4))
