"""Loads of tables, good and bad, against what the words say; and every word that is written."""

import itertools
import random

import pytest
from amaranth.hdl import Value
from float_oracle import SHAPES as FLOAT_SHAPES
from unit_bench import Bench, pack, stalls, unpack
from unit_loads import Word, good, outcomes, timeline
from unit_tables import excess_words, exponential_words, lowest_threshold, lut_sum, threshold_words

from exaq import SoftmaxConfig, Tables
from exaq_hdl.kernels.exaq.tables.banks.table_loader import TableLoader
from exaq_hdl.kernels.exaq.tables.words import checked_word, sum_word
from exaq_hdl.shell.loads import LOAD_WORD, refusal

LARGEST, SMALLEST = 2**31 - 1, -(2**31)


class Run:
    """Gives a loader ``words``, and checks all that it does, in every cycle.

    ``wait``: cycles for which ``free`` is low after a commit. Boots with ``boot``, if any.
    """

    def __init__(self, config, words, *, pause=None, wait=lambda: 0, boot=()):
        self.config = config
        self.words = [*boot, *words]
        self.expected = outcomes(config, self.words)
        self.loader = loader = TableLoader(config.kernel)
        bench = Bench(loader, limit=60000)
        self.spare, self.blocked = 0, 0
        self.spares: list[int] = []
        self.banks: dict[str, dict[int, int]] = {}
        self.commits: list[tuple[int, int]] = []
        self.boots = len(outcomes(config, list(boot)))
        self._wait, self._rng = wait, random.Random(5)
        bench.every(self._drive)
        fits = [
            pack(checked_word(config.kernel), {"first": f, "fits": 1, "word": w}) for f, w in boot
        ]
        given = [pack(LOAD_WORD, {"first": f, "word": w}) for f, w in words]
        self.boot = bench.feed(loader.boot, fits)
        self.feed = bench.feed(loader.i, given, pause)
        stores = [loader.thresholds, loader.exponentials, loader.excesses, loader.sums]
        self.stores = [bench.probe(s.valid, s.payload) for s in stores]
        self.state = bench.probe(loader.commit, loader.target, loader.refused, loader.idle)
        self.gates = bench.probe(loader.i.ready, loader.boot.ready, loader.free, loader.booting)
        bench.run(more=loader.latency + 10)
        self._check()

    def _drive(self, ctx, now: int) -> None:
        loader = self.loader
        if self.commits and self.commits[-1][0] == now - 1:
            self.spare = self._rng.choice(
                [b for b in range(self.config.contexts + 1) if b != self.spare]
            )
            self.blocked = now + self._wait()
        ctx.set(loader.spare, self.spare)
        ctx.set(loader.free, int(now >= self.blocked))
        ctx.set(loader.booting, int(len(self.commits) < self.boots))
        self.spares.append(self.spare)
        if ctx.get(loader.commit):
            self.commits.append((now, ctx.get(loader.target)))

    def _check(self) -> None:
        times = [*self.boot.times, *self.feed.times]
        found = timeline(self.config, self.words, times, self.loader.latency)
        assert self.commits == [(now, o.context) for now, o in found.good]
        for now, (commit, _, reasons, idle) in enumerate(self.state.values):
            flags = unpack(refusal(self.config.format), reasons)
            assert {name for name in flags if flags[name]} == found.refused.get(now, set()), now
            assert commit == ((now, self.state.values[now][1]) in self.commits), now
            assert idle == (not found.busy(now)), now
        for ready, boot_ready, free, booting in self.gates.values:
            assert not (ready and booting)
            assert not (boot_ready and not booting)
            assert free or not (ready or boot_ready)
        self._check_written([o.tables for o in self.expected if o.tables])

    def _check_written(self, loads: list[Tables]) -> None:
        """All words of a load, each once since it began, into the bank that was spare."""
        times = [*self.boot.times, *self.feed.times]
        good = [o.word for o in self.expected if o.tables]
        for (end, _), tables, last in zip(self.commits, loads, good, strict=True):
            begin = times[last - self.config.load_length + 1]
            spare = self.spares[end]
            assert set(self.spares[begin : end + 1]) == {spare}
            written = [
                {now: payload for now, (valid, payload) in window if valid}
                for window in (list(enumerate(s.values))[begin : end + 1] for s in self.stores)
            ]
            thresholds, levels, excesses, sums = (list(words.values()) for words in written)
            assert thresholds == words_of(threshold_words, self.config, spare, tables)
            assert levels == words_of(exponential_words, self.config, spare, tables)
            assert excesses == words_of(excess_words, self.config, spare, tables)
            found = [unpack(sum_word(self.config.kernel), word) for word in sums]
            assert {word["bank"] for word in found} == {spare}
            assert {word["codes"]: word["total"] for word in found} == lut_sum(self.config, tables)
            assert len(found) == 2 ** (self.config.bits * self.config.group)
            for now in map(list, written[2:]):
                assert now == list(range(now[0], now[0] + len(now)))
        # A word of every store begins with its bank; nothing but the spare one is written.
        mask = (1 << self.config.bank_bits) - 1
        for store in self.stores:
            for spare, (valid, payload) in zip(self.spares, store.values, strict=True):
                assert not valid or payload & mask == spare


def words_of(words, config: SoftmaxConfig, bank: int, tables: Tables) -> list[int]:
    """What ``words`` are of ``tables`` in ``bank``, the lowest field of each."""
    return [word | bank for word in words(config, [tables])]


SHAPES = [(2, g) for g in range(1, 7)] + [(3, g) for g in range(1, 5)] + [(4, g) for g in (1, 2, 3)]


@pytest.mark.parametrize(("bits", "group"), SHAPES)
def test_tables_and_latency(bits: int, group: int) -> None:
    """Two loads after one another, a word in 2 cycles, the second as soon as it may begin."""
    config = SoftmaxConfig(
        bits=bits, group=group, lanes=2 * group, max_row=8 * group, contexts=3, exp_frac=6
    )
    rng = random.Random(config.lanes)
    words = good(config, rng) + good(config, rng)
    run = Run(config, words)
    assert len(run.commits) == 2
    per_load = 2 * config.levels
    for k in (0, per_load):
        begin = run.feed.times[k]
        assert run.feed.times[k : k + per_load] == [begin + 2 * n for n in range(per_load)]
    assert run.feed.times[per_load] == run.commits[0][0] + 1
    entries = 2 ** (bits * group)
    assert run.loader.latency == config.lanes + 1 + 2**bits + entries + 5


BASE = {
    "bits": 2, "lanes": 3, "group": 1, "max_row": 9, "logit_width": 8, "exp_frac": 13,
    "contexts": 5,
}  # fmt: skip
CONFIGS = {
    "2 bits": SoftmaxConfig(**BASE),
    "3 bits": SoftmaxConfig(**BASE | {"bits": 3, "contexts": 1}),
    "4 bits": SoftmaxConfig(**BASE | {"bits": 4, "logit_width": 4, "contexts": 2}),
    "wide": SoftmaxConfig(**BASE | {"logit_width": 24, "exp_frac": 24, "contexts": 1024}),
    "short exponentials": SoftmaxConfig(**BASE | {"logit_width": 16, "exp_frac": 4}),
    "narrow logits": SoftmaxConfig(**BASE | {"logit_width": 4, "exp_frac": 24, "contexts": 3}),
    "sinks": SoftmaxConfig(**BASE | {"sink": 0}),
    "narrow sinks": SoftmaxConfig(
        **BASE | {"sink": 0, "logit_width": 4, "contexts": 3, "mask_value": "lowest", "bits": 3}
    ),
    "tables": SoftmaxConfig(**BASE | {"row_results": "table", "exp_frac": 5}),
    "many contexts": SoftmaxConfig(
        **BASE | {"logit_width": 4, "exp_frac": 4, "contexts": 1000, "lanes": 1}
    ),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)
FLOATS = {
    f"{name}, {sink}": SoftmaxConfig(
        **BASE | {"logit_width": 16, "logit_format": name, "sink": sink}
    )
    for name in FLOAT_SHAPES
    for sink in (None, 1.5)
}


def edges(config: SoftmaxConfig, rng: random.Random) -> list[int]:
    """Words at and beside what is legal for anything, and those that equal it when cut."""
    legal = [0, config.contexts, lowest_threshold(config), 2 ** (config.exp_frac + 1)]
    if config.logit_format != "integer":
        exponent, mantissa = FLOAT_SHAPES[config.logit_format]
        infinity = (2**exponent - 1) << mantissa
        legal += [-256, -128, infinity, ~infinity, 2**15, -(2**15)]
    if config.sink is not None:
        legal += [-(2 ** (config.logit_width - 1)), 2 ** (config.logit_width - 1)]
    near = [value + d for value in legal for d in (-1, 0, 1)]
    bits = range(4, 32)
    aliases = [rng.choice(near) + rng.choice([-1, 1]) * 2**bit for bit in bits]
    words = [*near, *aliases, LARGEST, LARGEST - 1, SMALLEST, SMALLEST + 1]
    return [min(max(word, SMALLEST), LARGEST) for word in words]


@pytest.mark.parametrize("name", [*CONFIGS, *FLOATS])
def test_every_place_with_every_edge(name: str) -> None:
    """Each word of a good load in turn is something else, legal or not."""
    config = (CONFIGS | FLOATS)[name]
    rng = random.Random(name)
    words = []
    each = 1000 // config.levels**2
    for place in range(config.load_length):
        for edge in rng.sample(edges(config, rng), min(each, 28)):
            load = good(config, rng)
            load[place] = (place == 0, edge)
            words += load
    run = Run(config, words)
    reasons = {reason for o in run.expected for reason in o.reasons}
    assert {"thresholds", "exponentials", *(["sink"] if config.sinks else [])} <= reasons
    assert run.commits


@pytest.mark.parametrize("name", [each for each in FLOATS if FLOATS[each].sinks])
def test_sinks_are_finite_numbers(name: str) -> None:
    """The least key, the greatest one, and those beside them."""
    config = FLOATS[name]
    rng = random.Random(name)
    exponent, mantissa = FLOAT_SHAPES[config.logit_format]
    infinity = (2**exponent - 1) << mantissa
    legal = (~infinity + 1, infinity - 1, 0, -1)
    bad = (~infinity, infinity, 2**15 - 1, -(2**15), 2**15, 2**16, LARGEST, SMALLEST)
    words = []
    for sink in (*legal, *bad):
        words += [*good(config, rng)[:-1], (False, sink)]
    run = Run(config, words)
    assert [o.reasons for o in run.expected] == [set()] * len(legal) + [{"sink"}] * len(bad)


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_the_highest_code_has_the_greatest_exponential_of_a_table(seed: int | None) -> None:
    """Where tables leave the unit; each exponential one below, equal to, or above the last.

    Words come at once or in gaps, whose noise is not taken for exponentials.
    """
    config = CONFIGS["tables"]
    words, above = [], []
    for place, last, beside in itertools.product(range(3), (1, 20, 63), (-1, 0, 1)):
        levels = [0, 0, 0, last]
        levels[place] = min(last + beside, 63)
        load = [1, -9, -5, -2, *levels]
        words += [(k == 0, word) for k, word in enumerate(load)]
        above.append(levels[place] > last)
    run = Run(config, words, pause=None if seed is None else stalls(seed))
    assert [o.reasons for o in run.expected] == [{"exponentials"} if a else set() for a in above]
    assert len(run.commits) == above.count(False)
    free = outcomes(config.replace(row_results="none"), words)
    assert not any(o.reasons for o in free)


@EVERY
def test_reasons_together(name: str) -> None:
    """Every set of reasons at once; a good load after each is not touched by it."""
    config = CONFIGS[name]
    rng = random.Random(name)
    words = []
    names = ("context", "thresholds", "exponentials", *(["sink"] if config.sinks else []))
    for choice in range(2 ** len(names)):
        load = good(config, rng)
        if choice & 1:
            load[0] = (True, rng.choice([-1, config.contexts, LARGEST, SMALLEST]))
        if choice & 2:
            load[rng.randrange(1, config.levels)] = (False, rng.choice([1, SMALLEST]))
        if choice & 4:
            load[rng.randrange(config.levels, 2 * config.levels)] = (False, rng.choice([-1, 2**25]))
        if choice & 8:
            load[-1] = (False, rng.choice([2 ** (config.logit_width - 1), SMALLEST, LARGEST]))
        words += load + good(config, rng)
    run = Run(config, words)
    found = [frozenset(o.reasons) for o in run.expected[::2]]
    assert found == [
        frozenset(name for k, name in enumerate(names) if choice >> k & 1)
        for choice in range(2 ** len(names))
    ]
    assert len(run.commits) == 2 ** len(names) + 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["2 bits", "3 bits", "narrow logits", "sinks"])
def test_wrong_lengths_and_stalls(name: str, seed: int) -> None:
    """Loads cut short, with words too many, or begun inside another, and good ones between.

    Words come in gaps or at once, and the spare bank is not free for a while after a load.
    """
    config = CONFIGS[name]
    rng = random.Random(seed)
    words: list[Word] = []
    for _ in range(60):
        load = good(config, rng)
        kind = rng.choice(["good", "good", "short", "long", "stray", "bad and short", "all first"])
        if kind == "bad and short":
            load = [(first, LARGEST) for first, _ in load]
        if "short" in kind:
            load = load[: rng.randrange(1, len(load))]
        if kind == "long":
            load += [(False, rng.choice([0, 1, LARGEST]))] * rng.choice([1, 2, len(load)])
        if kind == "stray":
            load = load[1:]
        if kind == "all first":
            load = [(True, word) for _, word in load]
        words += load
    pause = stalls(seed, 0.6) if seed else None
    run = Run(config, words, pause=pause, wait=lambda: rng.choice([0, 1, 30]))
    assert sum(o.reasons == {"length"} for o in run.expected) > 60
    assert len(run.commits) > 8


@pytest.mark.parametrize("missing", range(1, 8))
def test_length_forms(missing: int) -> None:
    """A load that lacks its last words is over when the next one begins; so says the refusal."""
    config = CONFIGS["2 bits"]
    rng = random.Random(missing)
    load, extra = good(config, rng), good(config, rng)
    run = Run(config, load[:-missing] + extra + load[-missing:])
    assert [(o.word, o.reasons) for o in run.expected] == [
        (8 - missing, {"length"}),
        (15 - missing, set()),
        *((16 - missing + k, {"length"}) for k in range(missing)),
    ]


def test_boot_comes_first() -> None:
    """While booting only the boot stream is taken, afterwards only the other."""
    config = CONFIGS["3 bits"]
    rng = random.Random(3)
    boot = good(config, rng) + good(config, rng)
    run = Run(config, good(config, rng), boot=boot)
    assert len(run.commits) == 3
    assert max(run.boot.times) < run.commits[1][0] < min(run.feed.times)


def test_target_is_steady_before_the_commit() -> None:
    """From when the load is judged on, however fast the next one comes."""
    config = CONFIGS["2 bits"]
    rng = random.Random(8)
    run = Run(config, [word for _ in range(6) for word in good(config, rng)])
    targets = [target for _, target, _, _ in run.state.values]
    for end, context in run.commits:
        assert targets[end - run.loader.latency + 2 : end + 1] == [context] * (
            run.loader.latency - 1
        )


def test_extremes_of_sums() -> None:
    """The largest entries that there can be, with as many lanes as there can be, and zeros."""
    config = SoftmaxConfig(bits=2, lanes=64, group=4, max_row=64, exp_frac=24, contexts=1)
    largest = 2**25 - 1
    loads = [
        Tables(thresholds=(-256, -256, -256), exp_rom=(largest,) * 4),
        Tables(thresholds=(0, 0, 0), exp_rom=(0, 0, 0, 1)),
    ]
    words = [
        (k == 0, word) for tables in loads for k, word in enumerate(config.load_words(0, tables))
    ]
    run = Run(config, words)
    assert [o.tables for o in run.expected] == loads
    assert len(Value.cast(run.loader.sums.payload.total)) == 27
