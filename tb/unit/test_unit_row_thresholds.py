"""A row's thresholds, every one for small logits, against sums in integers."""

import random
from itertools import chain, repeat

import pytest
from unit_bench import Bench, pack, stalls, unpack
from unit_tables import bank_tables, threshold_words

from exaq import SoftmaxConfig, Tables
from exaq_hdl.kernels.exaq.tables.banks.row_thresholds import RowThresholds, reached_layout
from exaq_hdl.kernels.exaq.tables.words import row_origin, row_sink, row_tables
from exaq_hdl.shell.streams import with_fields

# A row: its maximum in offset binary, and its bank.
Row = tuple[int, int]

CONFIGS = {
    "2 bits": SoftmaxConfig(contexts=3),
    "3 bits": SoftmaxConfig(bits=3, contexts=1, logit_width=13),
    "4 bits": SoftmaxConfig(bits=4, contexts=8, logit_width=24),
    "row results": SoftmaxConfig(contexts=4, logit_width=11, row_results="sum"),
    "narrow": SoftmaxConfig(contexts=5, logit_width=4),
    "sinks": SoftmaxConfig(contexts=3, sink=0),
    "4 bits, sinks": SoftmaxConfig(bits=4, contexts=2, logit_width=24, sink=0),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)


class Run:
    """Stores the tables of ``banks``, then gives ``rows`` and checks what comes, in order."""

    def __init__(self, config, banks, rows, *, pause=None, sink=None, rewrite=False):
        self.unit = unit = RowThresholds(config.kernel)
        bench = Bench(unit, limit=20000)
        words = threshold_words(config, banks)
        item = with_fields("maximum", config.logit_width, row_tables(config.kernel))
        context = {"context": 0} if config.context_bits else {}
        given, expected = [], []
        for k, (maximum, bank) in enumerate(rows):
            if config.context_bits:
                context = {"context": k % config.contexts}
            given.append(pack(item, {"maximum": maximum, "bank": bank} | context))
            code = {}
            if config.sink is not None:
                # The code of one more element, in a row whose maximum it may be.
                offset = banks[bank].sink + 2 ** (config.logit_width - 1)
                maximum = max(maximum, offset)
                code["sink"] = sum(offset - maximum >= t for t in banks[bank].thresholds)
            reached = [max(maximum + t, 0) for t in banks[bank].thresholds]
            origin = {"maximum": maximum} if row_origin(config.kernel) else {}
            expected.append({"reached": reached, "bank": bank} | context | origin | code)
        # The spare bank goes on being written while rows of the others pass.
        spare = threshold_words(config, banks)[-(config.levels - (config.sink is None)) :]
        stored = chain(words, (spare[k % len(spare)] for k in range(len(rows) * rewrite * 9)))
        bench.feed(unit.store, stored)
        pause = chain(repeat(True, len(words)), pause or repeat(False))
        self.feed = bench.feed(unit.i, given, pause)
        self.drain = bench.drain(unit.o, len(rows), sink)
        bench.run()
        fields = row_tables(config.kernel) | row_origin(config.kernel) | row_sink(config.kernel)
        layout = with_fields("reached", reached_layout(config.kernel), fields)
        assert [unpack(layout, word) for word in self.drain.items] == expected


def random_rows(config: SoftmaxConfig, rng: random.Random, count: int, banks: int) -> list[Row]:
    top = 2**config.logit_width - 1
    edges = [0, 1, top, top - 1, top // 2]
    return [
        (rng.choice([*edges, rng.randint(0, top), rng.randint(0, 40) & top]), rng.randrange(banks))
        for _ in range(count)
    ]


def test_every_maximum_and_threshold_of_4_bits() -> None:
    """Those below the lowest logit become that one; equal ones stay equal."""
    config = SoftmaxConfig(contexts=8, logit_width=4)
    every = list(range(-16, 1))
    places = [*every, 0, *every, *every[:1] * 2][: 3 * 9]
    banks = [
        Tables(thresholds=tuple(sorted(places[3 * b : 3 * b + 3])), exp_rom=(1, 1, 1, 1))
        for b in range(9)
    ]
    assert {t for tables in banks for t in tables.thresholds} == set(every)
    Run(config, banks, [(maximum, bank) for maximum in range(16) for bank in range(9)])


def test_every_maximum_and_sink_of_4_bits() -> None:
    config = SoftmaxConfig(contexts=8, logit_width=4, sink=0)
    for begin in (-8, 0):
        banks = [
            Tables(thresholds=(-9, -4, -b % 3 - 2), exp_rom=(1, 1, 1, 1), sink=begin + b % 8)
            for b in range(9)
        ]
        Run(config, banks, [(maximum, bank) for maximum in range(16) for bank in range(9)])


@EVERY
@pytest.mark.parametrize("seed", range(3))
def test_stalls(name: str, seed: int) -> None:
    """On both sides, with the spare bank being written."""
    config = CONFIGS[name]
    rng = random.Random(seed)
    rows = random_rows(config, rng, 60, config.contexts)
    rates = [(0.0, 0.6), (0.7, 0.0), (0.5, 0.7)][seed]
    pause, sink = (stalls(seed + k, rate) for k, rate in enumerate(rates))
    Run(config, bank_tables(config, seed), rows, pause=pause, sink=sink, rewrite=True)


@EVERY
def test_period_and_latency(name: str) -> None:
    """Rows of different banks back to back; fast enough for rows of the least full rate."""
    config = CONFIGS[name]
    rng = random.Random(name)
    run = Run(config, bank_tables(config, 1), random_rows(config, rng, 30, config.contexts + 1))
    offered = next(now for now, word in enumerate(run.feed.offered) if word is not None)
    out = run.drain.times
    assert out[0] - offered == run.unit.latency
    assert out == [out[0] + k * run.unit.period for k in range(30)]
    assert run.unit.period <= 2 * config.levels


def test_a_waiting_row_holds_its_payload_and_the_next_two_back() -> None:
    """One on ``o`` and one behind it; then the input refuses."""
    config = CONFIGS["2 bits"]
    rows = random_rows(config, random.Random(4), 8, 4)
    sink = chain([True] * 150, repeat(False))
    run = Run(config, bank_tables(config, 4), rows, sink=sink)
    assert sum(time < 150 for time in run.feed.times) == 2
    assert run.drain.times[0] == 150
