"""The whole unit while tables are loaded at any time, against the slow softmax in integers.

The rule, to the cycle: a row goes by the tables that its context has when its last beat is taken
(of a row that is too long, the beat that closes it). A load is in effect for rows whose last beat
is taken in the cycle of its ``loaded``, or later.
"""

import functools
import random
from collections import deque
from itertools import chain, repeat

import pytest
from amaranth.hdl import Assert, Module, ResetInserter, Signal
from test_unit_softmax import context_of, expected_beats, lengths, random_row, row_words
from unit_bench import Bench, pack, stalls, unpack
from unit_blocks import rings_for
from unit_loads import Word, good, timeline
from unit_tables import random_tables

from exaq import SoftmaxConfig, Tables
from exaq_hdl.kernels.exaq.tables.banks.exp_ram import ExpRam
from exaq_hdl.kernels.exaq.tables.banks.row_thresholds import RowThresholds
from exaq_hdl.kernels.exaq.tables.banks.sum_ram import ExcessRam, SinkRam, SumRam
from exaq_hdl.parts.memory import Ram
from exaq_hdl.shell.loads import LOAD_WORD, refusal
from exaq_hdl.shell.row_shell import Softmax
from exaq_hdl.shell.streams import events, probability_beat


def different(**changes) -> SoftmaxConfig:
    """Tables of its own after reset for each context."""
    config = SoftmaxConfig(**changes)
    rng = random.Random(config.lanes)
    each = tuple(random_tables(config, rng) for _ in range(config.contexts))
    return config.replace(context_tables=each)


CONFIGS = {
    "1 context": different(lanes=2, group=2, max_row=32, full_rate_row=16, contexts=1),
    "2 contexts": different(lanes=4, group=2, max_row=64, full_rate_row=32, contexts=2),
    "3 contexts": different(
        lanes=3, group=1, max_row=36, full_rate_row=24, exp_frac=8, prob_bits=8, contexts=3
    ),
    "one beat": different(lanes=2, group=1, max_row=2, full_rate_row=16, contexts=2),
    "5 contexts, 3 bits": different(
        bits=3, lanes=2, group=2, max_row=48, logit_width=11, masking=False, contexts=5
    ),
    "4 contexts, 4 bits": different(bits=4, lanes=1, group=1, max_row=40, prob_bits=24, contexts=4),
    "2 contexts, sinks": different(
        lanes=2, group=2, max_row=32, full_rate_row=16, contexts=2, sink=0
    ),
    "one beat, sinks": different(
        lanes=4, group=2, max_row=4, full_rate_row=32, contexts=3, sink=-9, masking=False
    ),
    "serial divider": different(
        lanes=1, group=1, max_row=40, full_rate_row=62, prob_bits=12, contexts=2
    ),
    "3 rings": different(
        lanes=4, group=1, max_row=64, full_rate_row=32, prob_bits=24, exp_frac=4, contexts=3
    ),
    "windows": different(
        lanes=2, group=2, max_row=32, full_rate_row=16, contexts=2, masking=False, window=True
    ),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)


@pytest.fixture(autouse=True)
def _watch_rams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every RAM of every unit asserts that no word is read in the cycle in which it is written.

    Those of tables assert so much of a whole bank.
    """

    def watch(owner, clash) -> None:
        elaborate = owner.elaborate

        def watched(self, platform):
            m = elaborate(self, platform)
            m.d.sync += Assert(~clash(self), f"{owner.__name__} read and written at one place")
            return m

        monkeypatch.setattr(owner, "elaborate", watched)

    def of_bank(reads, bank):
        def clash(ram):
            return ram.store.valid & reads(ram) & (ram.store.payload.bank == bank(ram))

        return clash

    watch(
        Ram,
        lambda ram: ram.write_enable & ram.read_enable & (ram.write_address == ram.read_address),
    )
    for looked_up in (SumRam, ExcessRam, SinkRam):
        watch(looked_up, of_bank(lambda ram: ram.enable, lambda ram: ram.bank))
    watch(ExpRam, of_bank(lambda ram: ram.step, lambda ram: ram.bank))
    watch(RowThresholds, of_bank(lambda ram: ram.i.valid, lambda ram: ram.i.payload.bank))


class Run:
    """Streams rows through a unit and loads ``words``, and checks all that comes of it."""

    def __init__(self, config, rows, words, *, pause=None, sink=None, load_pause=None):
        self.config, self.rows, self.words = config, rows, words
        self.unit = unit = Softmax(config)
        boot = unit.boot_cycles
        bench = Bench(unit, limit=12000 + boot)
        beats = [word for row in rows for word in row_words(config, row)]
        count = sum(len(expected_beats(config, row)) for row in rows)
        self.feed = bench.feed(unit.i, beats, chain(repeat(True, boot), pause or repeat(False)))
        given = [pack(LOAD_WORD, {"first": f, "word": w}) for f, w in words]
        self.load = bench.feed(unit.load, given, load_pause)
        self.drain = bench.drain(unit.o, count, sink)
        self.state = bench.probe(unit.loaded, unit.refused, unit.busy)
        self.events = bench.probe(unit.events)
        self.ports = bench.probe(unit.i.valid, unit.i.ready, unit.o.valid, unit.o.ready)
        table_map, loader = unit.kernel.tables.context_map, unit.kernel.tables.table_loader
        self.map = bench.probe(table_map.row_in, table_map.row_out, table_map.bank)
        stores = (loader.thresholds, loader.exponentials, loader.excesses, loader.sums)
        self.stores = [bench.probe(store.valid, store.payload.bank) for store in stores]
        bench.run(more=unit.kernel.tables.table_loader.latency + 150)
        self.timeline = timeline(
            config, words, self.load.times, unit.kernel.tables.table_loader.latency
        )
        self._check_beats()
        self._check_loads()
        self._check_banks()
        self._check_events()

    @property
    def ends(self) -> list[int]:
        """The cycle in which each row's last beat, or the one that closes it, was taken."""
        ends, begin = [], 0
        for row in self.rows:
            beats = -(-len(row) // self.config.lanes)
            ends.append(self.feed.times[begin + min(beats, self.config.beats) - 1])
            begin += beats
        return ends

    def _check_beats(self) -> None:
        expected = []
        for row, end in zip(self.rows, self.ends, strict=True):
            held = dict(enumerate(self.config.context_tables))
            held |= {o.context: o.tables for now, o in self.timeline.good if now <= end}
            tables = held.get(context_of(self.config, row), held[0])
            expected += expected_beats(self.config, row, tables)
        found = [unpack(probability_beat(self.config.format), word) for word in self.drain.items]
        assert found == expected

    def _check_loads(self) -> None:
        loads = {now for now, _ in self.timeline.good}
        for now, (loaded, reasons, busy) in enumerate(self.state.values):
            flags = unpack(refusal(self.config.format), reasons)
            assert loaded == (now in loads), now
            assert {n for n in flags if flags[n]} == self.timeline.refused.get(now, set()), now
            assert busy == (now < self.unit.boot_cycles or self.timeline.busy(now)), now

    def _check_banks(self) -> None:
        """No bank is written while a row that was given it is inside; nor are there too many."""
        inside: deque[int] = deque()
        came = False
        for now, (row_in, row_out, bank) in enumerate(self.map.values):
            if came:
                inside.append(bank)
            if row_out:
                inside.popleft()
            came = bool(row_in)
            assert len(inside) + came <= self.unit.kernel.tables.context_map.rows
            written = {store.values[now][1] for store in self.stores if store.values[now][0]}
            assert not written & set(inside), now
        assert not inside

    def _check_events(self) -> None:
        config = self.config
        found = [unpack(events(config.format), word) for word in self.events.values]
        last = [unpack(probability_beat(config.format), word)["last"] for word in self.drain.items]
        lasts = {now for now, is_last in zip(self.drain.times, last, strict=True) if is_last}
        late = zip(found[1:], self.ports.values, strict=False)
        for now, (event, (i_valid, i_ready, o_valid, o_ready)) in enumerate(late):
            assert event["row"] == (now in lasts), now
            assert event["beat"] == (o_valid and o_ready), now
            assert event["input_stalled"] == (i_valid and not i_ready), now
            assert event["output_stalled"] == (o_valid and not o_ready), now
        long_rows = sum(len(row) > config.max_row for row in self.rows)
        kept = [row[: config.max_row] for row in self.rows]
        masked = sum(not any(live for _, live in row) for row in kept)
        assert sum(event["long_row"] for event in found) == long_rows
        assert sum(event["masked_row"] for event in found) == masked


def bad(config: SoftmaxConfig, rng: random.Random) -> list:
    """A load with a word too wide, too many or too few."""
    words = good(config, rng)
    kind = rng.choice(["word", "word", "more", "fewer"])
    if kind == "word":
        place = rng.randrange(len(words))
        words[place] = (place == 0, rng.choice([2**31 - 1, -(2**31)]))
    if kind == "more":
        words.append((False, 0))
    return words[:-1] if kind == "fewer" else words


@EVERY
@pytest.mark.parametrize("seed", range(2))
def test_random_loads(name: str, seed: int) -> None:
    """At any time, with stalls on all sides: the first starts while the unit boots."""
    config = CONFIGS[name]
    rng = random.Random(f"{name}{seed}")
    count = 200 if config.beats == 1 else 50
    rows = [random_row(config, rng, n) for n in lengths(config, rng, count)]
    words = []
    for _ in range(14):
        words += good(config, rng) if rng.random() < 0.7 else bad(config, rng)
    every_rate = [(0.0, 0.0, 0.3), (0.3, 0.5, 0.0), (0.6, 0.1, 0.6)]
    rates = every_rate[(list(CONFIGS).index(name) + seed) % 3]
    pause, sink, load_pause = (stalls(seed + k, rate) for k, rate in enumerate(rates))
    run = Run(config, rows, words, pause=pause, sink=sink, load_pause=load_pause)
    assert run.timeline.refused
    assert sum(now < run.ends[-1] for now, _ in run.timeline.good) >= 4


def test_every_kind_of_divider_is_there() -> None:
    """Units of a ring, and rings."""
    kinds = {rings_for(config) for config in CONFIGS.values()}
    assert {units for units, _ in kinds} >= {1, 4}
    assert max(rings for _, rings in kinds) >= 3


ONE_BEAT = CONFIGS["one beat"]
LEVELS = {
    "old": Tables(thresholds=(-3, -2, -1), exp_rom=(1, 1, 1, 1)),
    "new": Tables(thresholds=(-3, -2, -1), exp_rom=(0, 0, 0, 1)),
}


@functools.cache
def loaded_alone(config: SoftmaxConfig) -> int:
    """When a load of context 0, given from the beginning, is in effect."""
    run = Run(config, [[(0, True)]], new_tables(config))
    ((loaded, _),) = run.timeline.good
    return loaded - run.unit.boot_cycles


def new_tables(config: SoftmaxConfig) -> list[Word]:
    return [(k == 0, word) for k, word in enumerate(config.load_words(0, LEVELS["new"]))]


@pytest.mark.parametrize("window", [False, True])
@pytest.mark.parametrize("distance", range(-2, 3))
def test_the_cycle_from_which_a_load_counts(distance: int, window: bool) -> None:
    """A row taken beside ``loaded`` is the first that goes by the new tables.

    With windows too, whose receiver takes a cycle more.
    """
    config = ONE_BEAT.replace(context_tables=(LEVELS["old"],) * 2, window=window)
    row = [(0, True), (-100, True)]
    wait = loaded_alone(config) + distance
    pause = chain(repeat(True, wait), repeat(False))
    run = Run(config, [row], new_tables(config), pause=pause)
    assert run.ends == [run.timeline.good[0][0] + distance]
    beat = unpack(probability_beat(config.format), run.drain.items[0])
    half, one = 2**15, 2**16 - 1
    assert beat["probabilities"] == ([one, 0] if distance >= 0 else [half, half])


@pytest.mark.parametrize(
    "name", ["2 contexts", "one beat", "5 contexts, 3 bits", "windows", "one beat, sinks"]
)
def test_loads_hold_no_row_back(name: str) -> None:
    """Each beat goes in and comes out in the cycle in which it would without any load."""
    config = CONFIGS[name]
    rng = random.Random(name)
    length = min(config.full_rate_row, config.max_row)
    rows = [random_row(config, rng, length) for _ in range(200 if config.beats == 1 else 40)]
    words = [word for _ in range(12) for word in good(config, rng)]
    without = Run(config, rows, [])
    loaded = Run(config, rows, words, load_pause=stalls(2, 0.2))
    assert loaded.feed.times == without.feed.times
    assert loaded.drain.times == without.drain.times
    assert sum(now < loaded.ends[-1] for now, _ in loaded.timeline.good) > 2


@pytest.mark.parametrize("name", ["1 context", "3 rings"])
def test_a_load_waits_for_rows_of_the_tables_that_the_one_before_replaced(name: str) -> None:
    """While the output sleeps with such rows inside, one load is made and the next not taken."""
    config = CONFIGS[name]
    rng = random.Random(name)
    rows = [random_row(config, rng, config.max_row) for _ in range(3)]
    words = good(config, rng) + good(config, rng)
    late, wake = 150, 700
    run = Run(
        config,
        rows,
        words,
        sink=chain(repeat(True, wake), repeat(False)),
        load_pause=chain(repeat(True, late), repeat(False)),
    )
    assert run.unit.boot_cycles < late - 40
    (first, _), _ = run.timeline.good
    assert (
        first == run.load.times[2 * config.levels - 1] + run.unit.kernel.tables.table_loader.latency
    )
    assert first < wake - 300
    assert run.load.times[2 * config.levels] > wake


@pytest.mark.parametrize("changes", [{}, {"bits": 3}, {"contexts": 7, "group": 1}], ids=str)
def test_boot_cycles(changes: dict) -> None:
    """A unit without contexts takes beats from cycle 1 on, this one so much later."""
    config = SoftmaxConfig(**{"lanes": 4, "max_row": 32, "contexts": 1} | changes)
    firsts = []
    for each in (config, config.replace(contexts=0)):
        unit = Softmax(each)
        bench = Bench(unit)
        ready = bench.probe(unit.i.ready)
        busy = bench.probe(unit.busy if each.contexts else unit.i.ready)
        bench.run(cycles=unit.boot_cycles + 20)
        firsts.append(ready.values.index(1))
        assert all(ready.values[firsts[-1] :])
        if each.contexts:
            # Busy is over a cycle before `ready`, which is a register.
            assert busy.values == [1] * unit.boot_cycles + [0] * 20
            assert firsts == [unit.boot_cycles + 1]
    assert firsts[1] == 1


@pytest.mark.parametrize("when", [2, 61, 150, 190, 300])
def test_reset(when: int) -> None:
    """In boot, in a load or between loads: the tables are again those of reset."""
    config = CONFIGS["3 contexts"]
    rng = random.Random(when)
    before = [random_row(config, rng, n) for n in lengths(config, rng, 40)]
    after = [random_row(config, rng, n) for n in lengths(config, rng, 12)]
    expected = [beat for row in after for beat in expected_beats(config, row)]
    words = [word for _ in range(40) for word in good(config, rng)]
    unit = Softmax(config)
    reset = Signal()
    bench = Bench(ResetInserter(reset)(unit))

    def drive(ctx, now: int) -> None:
        ctx.set(reset, int(now == when))
        if now == when + 1:
            feed.restart(word for row in after for word in row_words(config, row))
            drain.restart(len(expected))
            load.restart([])

    bench.every(drive)
    feed = bench.feed(unit.i, (w for row in before * 9 for w in row_words(config, row)))
    given = [pack(LOAD_WORD, {"first": f, "word": w}) for f, w in words]
    load = bench.feed(unit.load, given)
    drain = bench.drain(unit.o, 10000, stalls(when, 0.3))
    bench.run(more=150)
    assert [unpack(probability_beat(config.format), word) for word in drain.items] == expected


@pytest.mark.parametrize("owner", [Ram, SumRam, ExcessRam, ExpRam, RowThresholds, SinkRam])
def test_the_watch_on_rams_would_see_a_clash(owner: type) -> None:
    config = CONFIGS["1 context"]
    component = Ram(width=3, depth=4) if owner is Ram else owner(config.kernel)
    top = Module()
    top.submodules.component = component
    names = {
        Ram: ["write_enable", "read_enable"],
        ExpRam: ["step"],
        RowThresholds: [],
    }
    top.d.comb += [getattr(component, n).eq(1) for n in names.get(owner, ["enable"])]
    if owner is RowThresholds:
        top.d.comb += component.i.valid.eq(1)
    if owner is not Ram:
        top.d.comb += component.store.valid.eq(1)
    bench = Bench(top)
    with pytest.raises(AssertionError, match="read and written at one place"):
        bench.run(cycles=5)
