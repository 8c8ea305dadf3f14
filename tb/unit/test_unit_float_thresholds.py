"""A row's borders among floating-point numbers, against exact integers."""

import random
import re
from bisect import bisect_left
from fractions import Fraction
from itertools import chain, pairwise, repeat
from typing import Any

import pytest
from float_oracle import SHAPES, first_reached, ladder, unit
from unit_bench import Bench, pack, stalls, unpack

from exaq import Exaq, SoftmaxConfig, Tables
from exaq_hdl.kernels.exaq.tables.banks.row_thresholds import reached_layout
from exaq_hdl.kernels.exaq.tables.float_thresholds import FloatThresholds
from exaq_hdl.kernels.exaq.tables.words import row_origin, row_sink, row_tables, threshold_word
from exaq_hdl.shell.streams import with_fields

# A row: the word of its maximum, and its bank.
Row = tuple[int, int]
NAMES = pytest.mark.parametrize("name", SHAPES)
DEEPEST = -(2**31)
SETS = (
    (DEEPEST, -(2**24), 0),
    (DEEPEST + 1, -257, -256),
    (-(2**28) - 9, -43_369_103, -14_456_367),
    (-65_537, -65_536, -65_535),
    (-(2**30) + 1, -(2**20) - 1, -511),
    (-700_001, -5_003, -300),
    (0, 0, 0),
)


def tables(thresholds: tuple[int, ...], sink: float | None = None) -> Tables:
    return Tables(thresholds=thresholds, exp_rom=tuple(range(1, len(thresholds) + 2)), sink=sink)


def word_of(name: str, number: float) -> int:
    """The word of a number that the format has."""
    values, words = ladder(name)
    units = Fraction(number) * 2 ** unit(name)
    place = bisect_left(values, units)
    assert values[place] == units
    return words[place]


def bank_words(config: SoftmaxConfig, banks: list[Tables]) -> list[int]:
    """What fills the banks; the sink of each is its key, in the place of code 0."""
    words = []
    for bank, each in enumerate(banks):
        codes = dict(enumerate(each.thresholds, start=1))
        if config.sink is not None:
            word = word_of(config.logit_format, config.sink if each.sink is None else each.sink)
            codes[0] = ~(word - 32768) if word >= 32768 else word
        words += [
            pack(threshold_word(config.kernel), {"bank": bank, "code": code, "threshold": value})
            for code, value in codes.items()
        ]
    return words


def highest(name: str, *given: int) -> int:
    """The word of the largest number."""
    return max(given, key=ladder(name)[1].index)


def config_for(name: str, sets: tuple[tuple[int, ...], ...]) -> SoftmaxConfig:
    """A unit with these sets in contexts, or with one as a constant."""
    bits = len(sets[0]).bit_length()
    each = tuple(map(tables, sets))
    if len(each) == 1:
        return SoftmaxConfig(logit_format=name, bits=bits, tables=each[0])
    return SoftmaxConfig(logit_format=name, bits=bits, contexts=len(each), context_tables=each)


class Run:
    """Gives ``rows`` and checks what comes, in order; with contexts the banks are stored first."""

    def __init__(
        self,
        config: SoftmaxConfig,
        rows: list[Row],
        *,
        pause: Any = None,
        sink: Any = None,
        rewrite: bool = False,
    ):
        self.unit = unit = FloatThresholds(config.kernel)
        bench = Bench(unit, limit=len(rows) * 40 + 3000)
        fields = row_tables(config.kernel)
        item = with_fields("maximum", 16, fields)
        banks = [*config.context_tables, config.tables]
        words = []
        if config.contexts:
            words = bank_words(config, banks)
            # The spare bank goes on being written while rows of the others pass.
            spare = words[-(config.levels - (config.sink is None)) :]
            more = (spare[k % len(spare)] for k in range(len(rows) * rewrite * 9))
            bench.feed(unit.store, chain(words, more))
        name, given, self.banks = config.logit_format, [], []
        self.sinks: list[int] = []
        for k, (word, bank) in enumerate(rows):
            if config.sink is not None:
                own = banks[bank].sink
                self.sinks.append(word_of(name, config.sink if own is None else own))
                # What all rows share has joined the maximum before.
                word = word if config.contexts else highest(name, word, self.sinks[-1])
            # From a word to its key in offset binary.
            key = 65535 - word if word >= 32768 else 32768 + word
            place = {"bank": bank, "context": k % config.contexts} if config.contexts else {}
            place = {name: place[name] for name in fields}
            given.append(pack(item, {"maximum": key} | place) if fields else key)
            self.banks.append(place)
        pause = chain(repeat(True, len(words)), pause or repeat(False))
        self.feed = bench.feed(unit.i, given, pause)
        self.drain = bench.drain(unit.o, len(rows), sink)
        bench.run()
        fields |= row_origin(config.kernel) | row_sink(config.kernel)
        layout = with_fields("reached", reached_layout(config.kernel), fields)
        for k, (out, place) in enumerate(zip(self.drain.items, self.banks, strict=True)):
            (word, bank), expected = rows[k], dict(place)
            borders = [first_reached(name, word, t) for t in banks[bank].thresholds]
            if config.sink is not None:
                word = highest(name, word, self.sinks[k])
                borders = [first_reached(name, word, t) for t in banks[bank].thresholds]
                there = ladder(name)[1].index(self.sinks[k])
                expected["sink"] = sum(border <= there for border in borders)
            if config.row_results != "none":
                expected["maximum"] = 65535 - word if word >= 32768 else 32768 + word
            found = unpack(layout, out)
            reached = found.pop("reached") if fields else found
            assert (found if fields else {}) == expected
            assert [self.reach(name, key) for key in reached] == borders, (hex(word), bank)

    @staticmethod
    def reach(name: str, key: int) -> int:
        """Place in the ladder of the first number whose key in offset binary is at least that."""
        words = ladder(name)[1]
        lowest = 65535 - words[0]
        return min(max(key - lowest, 0), len(words))


def maxima(name: str, rng: random.Random, count: int) -> list[int]:
    """Words: zeros, ends, each exponent's first and last numbers, and any others."""
    words = ladder(name)[1]
    mantissa = SHAPES[name][1]
    edges = [w for w in words if w % 2**mantissa in (0, 1, 2**mantissa - 1)]
    return [rng.choice(edges) if k % 2 else rng.choice(words) for k in range(count)]


def edges(name: str) -> list[int]:
    """Words of the first numbers of each exponent and the last ones, of either sign."""
    mantissa = SHAPES[name][1]
    return [w for w in ladder(name)[1] if w % 2**mantissa in (0, 1, 2, 2**mantissa - 1)]


@NAMES
@pytest.mark.parametrize("number", range(len(SETS)))
def test_constants(name: str, number: int) -> None:
    """Every exponent's ends, and numbers between."""
    rng = random.Random(number)
    words = rng.sample(edges(name), 240) + maxima(name, rng, 120)
    words += [w for t in SETS[number] for w in near(name, t)]
    Run(config_for(name, SETS[number : number + 1]), [(word, 0) for word in words])


def near(name: str, threshold: int) -> list[int]:
    """Words of the numbers next to a threshold's size, whose sums with it are small."""
    words = ladder(name)[1]
    place = first_reached(name, 0, -threshold)
    return words[max(place - 12, 0) : place + 12]


@NAMES
@pytest.mark.parametrize("seed", range(3))
def test_stalls(name: str, seed: int) -> None:
    """On both sides, with banks, the spare one being written."""
    rng = random.Random(seed)
    config = config_for(name, SETS)
    rows = [(word, rng.randrange(len(SETS))) for word in maxima(name, rng, 100)]
    rates = [(0.0, 0.6), (0.7, 0.0), (0.5, 0.7)][seed]
    pause, sink = (stalls(seed + k, rate) for k, rate in enumerate(rates))
    Run(config, rows, pause=pause, sink=sink, rewrite=True)


@NAMES
@pytest.mark.parametrize("contexts", [0, 4])
@pytest.mark.parametrize("results", ["none", "sum"])
@pytest.mark.parametrize("stalled", [False, True])
def test_sinks(name: str, contexts: int, results: str, stalled: bool) -> None:
    """Below, within and above the maxima; each bank's own, and that of all."""
    rng = random.Random(contexts)
    chosen: tuple[float | None, ...] = (None, -3.0, 1024.0, -0.0)
    sets = tuple(map(tables, SETS, chosen)) if contexts else None
    config = SoftmaxConfig(
        logit_format=name,
        sink=0.75,
        contexts=contexts,
        row_results=results,
        **({"context_tables": sets} if contexts else {"tables": tables(SETS[0])}),
    )
    near = [word_of(name, number) for number in (*filter(None, chosen), 0.75, 0.0, -0.0)]
    words = [rng.choice([rng.choice(near), *maxima(name, rng, 2)]) for _ in range(150)]
    rows = [(word, rng.randrange(contexts or 1)) for word in words]
    pause, sink = (stalls(k, 0.5) if stalled else None for k in range(2))
    Run(config, rows, pause=pause, sink=sink, rewrite=bool(contexts))


@NAMES
@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("contexts", [0, 1, 3])
@pytest.mark.parametrize("sink", [None, 1.5])
def test_period_and_latency(name: str, bits: int, contexts: int, sink: float | None) -> None:
    """Rows back to back; fast enough for rows of the least full rate."""
    config = SoftmaxConfig(logit_format=name, bits=bits, contexts=contexts, sink=sink)
    rng = random.Random(bits)
    banks = contexts or 1
    run = Run(config, [(word, rng.randrange(banks)) for word in maxima(name, rng, 30)])
    offered = next(now for now, word in enumerate(run.feed.offered) if word is not None)
    out = run.drain.times
    assert out[0] - offered == run.unit.latency
    assert out == [out[0] + k * run.unit.period for k in range(30)]
    assert run.unit.period <= 2 * config.levels


@NAMES
def test_rows_close_up_behind_one_that_waits(name: str) -> None:
    """They fill the pipeline, and follow at the full rate once it moves."""
    config = config_for(name, SETS[:1])
    rows = [(word, 0) for word in maxima(name, random.Random(3), 12)]
    run = Run(config, rows, sink=chain([True] * 150, repeat(False)))
    depth = run.unit.latency - config.levels
    assert sum(time < 150 for time in run.feed.times) == 2 + depth // (config.levels - 1)
    out = run.drain.times
    assert out[:2] == [150, 151]
    # The row behind them needs a cycle for each threshold, and one to be complete.
    assert next(b - a for a, b in pairwise(out[1:])) == config.levels
    assert all(b - a <= config.levels for a, b in pairwise(out))


@NAMES
def test_a_gap_in_front_of_rows_that_wait_fills(name: str) -> None:
    """A row that comes while others wait is as far as it can be when these move."""
    config = config_for(name, SETS[:1])
    rows = [(word, 0) for word in maxima(name, random.Random(4), 3)]
    gap = chain([False] * 2, repeat(True, 60), repeat(False))
    run = Run(config, rows, pause=gap, sink=chain([True] * 150, repeat(False)))
    assert run.feed.times[2] < 100
    assert run.drain.times == [150, 151, 151 + config.levels]


@pytest.mark.usefixtures("unused_components")
def test_what_it_is_made_from() -> None:
    with pytest.raises(ValueError, match=r"\Alogit_format must be bf16 or fp16, not integer\Z"):
        FloatThresholds(SoftmaxConfig().kernel)
    for wrong in (12, None, SoftmaxConfig(), Exaq()):
        message = f"kernel must be an exaq.Exaq of a SoftmaxConfig, not {wrong!r}"
        with pytest.raises(TypeError, match=rf"\A{re.escape(message)}\Z"):
            FloatThresholds(wrong)
