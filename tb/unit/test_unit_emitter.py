"""The emitter against a table looked up by code."""

import random
from itertools import chain, repeat

import pytest
from amaranth.hdl import Cat
from unit_bench import Bench, pack, stalls, truth_table, unpack

from exaq import SoftmaxConfig
from exaq_hdl.kernels.exaq.emitter import Emitter, choice_beat, choice_layout, choose
from exaq_hdl.kernels.exaq.layouts import row_table
from exaq_hdl.shell.streams import probability_beat

# A beat: for each lane its code, or None where nothing is live.
Beat = list[int | None]


def choice(config: SoftmaxConfig, code: int | None) -> dict[str, int]:
    """The coding as its layout describes it."""
    if code is None:
        fields = {"low": 0, "above": 1, "high": 0}
        return fields | ({"upper": 0} if config.bits > 2 else {})
    fields = {"low": code & 1, "above": code >> 1 & 1, "high": code >> 1 & 1}
    return fields | ({"upper": code >> 2} if config.bits > 2 else {})


class Run:
    """Emits rows, each a table and beats, and checks every beat, in order."""

    def __init__(self, config, rows, *, seed=None, late=None):
        rng = random.Random(seed)
        beats, expected = [], []
        for table, row in rows:
            for k, codes in enumerate(row):
                flags = {
                    "tail": rng.getrandbits(config.lanes),
                    "last": int(k == len(row) - 1),
                    "error": rng.getrandbits(1),
                }
                choices = [choice(config, code) for code in codes]
                beats.append(pack(choice_beat(config.kernel), flags | {"choices": choices}))
                values = [0 if code is None else table[code] for code in codes]
                expected.append(flags | {"probabilities": values})
        self.emitter = Emitter(config.kernel)
        bench = Bench(self.emitter)
        pauses = [None] * 3 if seed is None else [stalls(seed + k) for k in range(3)]
        self.beats = bench.feed(self.emitter.i, beats, pauses[0])
        layout = row_table(config.kernel)
        if config.row_results != "none":
            given = [pack(layout, {"table": t} | results(config, rng)) for t, _ in rows]
            given = [unpack(layout, word) for word in given]
        elif config.context_bits:
            numbers = [rng.randrange(config.contexts) for _ in rows]
            given = [{"table": t, "context": n} for (t, _), n in zip(rows, numbers, strict=True)]
            of_beats = [n for (_, row), n in zip(rows, numbers, strict=True) for _ in row]
            expected = [b | {"context": n} for b, n in zip(expected, of_beats, strict=True)]
        else:
            given = [table for table, _ in rows]
        tables = [pack(layout, table) for table in given]
        self.tables = bench.feed(self.emitter.table, tables, pauses[1] if late is None else late)
        self.drain = bench.drain(self.emitter.o, len(beats), pauses[2])
        if config.row_results != "none":
            sink = None if seed is None else stalls(seed + 3, 0.7)
            self.results = bench.drain(self.emitter.results, len(rows), sink)
        bench.run()
        if config.row_results != "none":
            assert self.results.items == tables
        found = [unpack(probability_beat(config.format), word) for word in self.drain.items]
        assert found == expected


def results(config: SoftmaxConfig, rng: random.Random) -> dict[str, int]:
    """Anything that goes with a table."""
    return {
        "maximum": rng.getrandbits(config.logit_width),
        "error": rng.getrandbits(1),
        "sum": rng.getrandbits(config.sum_bits),
    }


def random_rows(config: SoftmaxConfig, rng: random.Random, lengths: list[int]) -> list:
    codes = [None, *range(config.levels)]
    return [
        (
            [rng.getrandbits(config.prob_bits) for _ in range(config.levels)],
            [rng.choices(codes, k=config.lanes) for _ in range(beats)],
        )
        for beats in lengths
    ]


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_choose(bits: int) -> None:
    """Every code, and a lane that is not live, whose code is 0."""
    config = SoftmaxConfig(bits=bits)
    names = [name for name, _ in choice_layout(config.kernel)]

    def fields_in_order(word):
        fields = choose(word[1:], word[0])
        assert sorted(fields) == sorted(names)
        return Cat(fields[name] for name in names)

    every = [None, *range(2**bits)]
    words = [0 if code is None else code << 1 | 1 for code in every]
    found = truth_table(fields_in_order, bits + 1, words)
    assert found == [pack(choice_layout(config.kernel), choice(config, code)) for code in every]


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("lanes", [1, 3])
def test_every_code_in_every_lane(bits: int, lanes: int) -> None:
    """With tables in which each value, and each of its bits, stands out."""
    config = SoftmaxConfig(bits=bits, lanes=lanes, max_row=3 * lanes, prob_bits=11)
    rng = random.Random(bits)
    one_hot = [1 << k % 11 for k in range(config.levels)]
    spread = [rng.getrandbits(11) for _ in range(config.levels)]
    rows = []
    for table in (one_hot, [2047 - value for value in one_hot], spread, [2047] * config.levels):
        for lane in range(lanes):
            for code in [None, *range(config.levels)]:
                others = rng.choices([None, *range(config.levels)], k=lanes)
                rows.append((table, [[code if k == lane else others[k] for k in range(lanes)]]))
    Run(config, rows)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("bits", [2, 4])
def test_stalls(bits: int, seed: int) -> None:
    config = SoftmaxConfig(bits=bits, lanes=2, max_row=20)
    rng = random.Random(seed)
    Run(config, random_rows(config, rng, rng.choices([1, 1, 2, 3, 10], k=60)), seed=seed)


@pytest.mark.parametrize("contexts", [1, 2, 5])
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_each_row_has_its_context(contexts: int, seed: int | None) -> None:
    """On every beat; a single context needs no number."""
    config = SoftmaxConfig(lanes=2, max_row=20, contexts=contexts)
    rng = random.Random(contexts)
    Run(config, random_rows(config, rng, rng.choices([1, 1, 2, 10], k=60)), seed=seed)


@pytest.mark.parametrize("seed", [None, *range(4)])
def test_tables_are_row_results(seed: int | None) -> None:
    """Each is offered with its row, and the next is taken once it has been taken too."""
    config = SoftmaxConfig(lanes=2, max_row=20, row_results="table")
    rng = random.Random(seed)
    run = Run(config, random_rows(config, rng, rng.choices([1, 1, 2, 10], k=60)), seed=seed)
    taken, given = run.tables.times, run.results.times
    assert all(a < b for a, b in zip(taken, given, strict=True))
    assert all(b <= a for a, b in zip(taken[1:], given, strict=False))
    if seed is None:
        assert given == [time + 1 for time in taken]


@pytest.mark.parametrize("beats", [1, 2, 5])
def test_rows_back_to_back(beats: int) -> None:
    """A beat a cycle, the table changing from one row's last beat to the next row's first."""
    config = SoftmaxConfig(lanes=2, max_row=20)
    run = Run(config, random_rows(config, random.Random(beats), [beats] * 20))
    assert run.beats.times == list(range(run.beats.times[0], run.beats.times[0] + 20 * beats))
    assert run.drain.times == [time + 1 for time in run.beats.times]
    # A table is taken with its predecessor's last beat.
    assert run.tables.times[1:] == run.beats.times[beats - 1 : -1 : beats]


def test_latency() -> None:
    """Two cycles from table to beat where the beat waits for it."""
    config = SoftmaxConfig(lanes=1, max_row=4)
    late = chain([True] * 7, repeat(False))
    run = Run(config, random_rows(config, random.Random(1), [2]), late=late)
    assert run.tables.times == [7]
    assert run.drain.times == [7 + Emitter.latency, 8 + Emitter.latency]
    assert Emitter.latency == 2
