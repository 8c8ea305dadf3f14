"""The emitters, one for each place of the p-table, against a table looked up by code."""

import random
from itertools import chain, repeat

import pytest
from amaranth.hdl import Cat, Fragment
from unit_bench import Bench, pack, stalls, truth_table, unpack

from exaq import SoftmaxConfig
from exaq_hdl.kernels.exaq.emitters.emitter import emitter_of
from exaq_hdl.kernels.exaq.emitters.register_emitter import choice_layout, choose
from exaq_hdl.kernels.exaq.layouts import table_word
from exaq_hdl.parts.memory import SIMULATED, memories_of
from exaq_hdl.shell.streams import probability_beat

# A beat: for each lane its code, or None where nothing is live.
Beat = list[int | None]

PLACES = ("registers", "distributed", "block")
EVERY_PLACE = pytest.mark.parametrize("place", PLACES)
# Cycles from a table's last word to the row's first beat, and from beat to beat.
LATENCY = {"registers": (3, 1), "distributed": (3, 1), "block": (4, 2)}


def element(config: SoftmaxConfig, code: int | None) -> dict[str, int]:
    """A lane in the coding that its place's layout describes."""
    if config.p_table_place != "registers":
        return {"code": code or 0, "live": int(code is not None)}
    if code is None:
        fields = {"low": 0, "above": 1, "high": 0}
        return fields | ({"upper": 0} if config.bits > 2 else {})
    fields = {"low": code & 1, "above": code >> 1 & 1, "high": code >> 1 & 1}
    return fields | ({"upper": code >> 2} if config.bits > 2 else {})


def rows_of(config: SoftmaxConfig, lengths: list[int], seed: int | str) -> list:
    """Random tables, each with as many beats of random codes."""
    rng = random.Random(seed)
    codes = [None, *range(config.levels)]
    return [
        (
            [rng.getrandbits(config.prob_bits) for _ in range(config.levels)],
            [rng.choices(codes, k=config.lanes) for _ in range(beats)],
        )
        for beats in lengths
    ]


class Run:
    """Emits rows, each a table and beats, and checks every beat, in order."""

    def __init__(self, config, rows, *, seed=None, late=None, pauses=None):
        rng = random.Random(seed)
        beats, words, expected = [], [], []
        layout = table_word(config.kernel)
        self.emitter = emitter_of(config.kernel, SIMULATED)
        shape = self.emitter.i.payload.shape()
        for table, row in rows:
            number = rng.randrange(max(config.contexts, 1))
            context = {"context": number} if config.context_bits else {}
            for level, value in enumerate(table):
                of_row = {name: given if level == 0 else 0 for name, given in context.items()}
                words.append(pack(layout, {"level": level, "probability": value} | of_row))
            for k, codes in enumerate(row):
                flags = {
                    "tail": rng.getrandbits(config.lanes),
                    "last": int(k == len(row) - 1),
                    "error": rng.getrandbits(1),
                }
                elements = [element(config, code) for code in codes]
                beats.append(pack(shape, flags | {"elements": elements}))
                values = [0 if code is None else table[code] for code in codes]
                expected.append(flags | {"probabilities": values} | context)
        bench = Bench(self.emitter, limit=20000)
        if pauses is None:
            pauses = [None] * 3 if seed is None else [stalls(seed + k) for k in range(3)]
        self.beats = bench.feed(self.emitter.i, beats, pauses[0])
        # No table comes in the two cycles after reset.
        pause = chain([True] * 2, pauses[1] or repeat(False)) if late is None else late
        self.words = bench.feed(self.emitter.table, words, pause)
        self.drain = bench.drain(self.emitter.o, len(beats), pauses[2])
        bench.run()
        found = [unpack(probability_beat(config.format), word) for word in self.drain.items]
        assert found == expected


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6])
def test_choose(bits: int) -> None:
    """Every code, and a lane that is not live, whose code is 0."""
    config = SoftmaxConfig(bits=bits, p_table="registers")
    names = [name for name, _ in choice_layout(config.kernel)]

    def fields_in_order(word):
        fields = choose(word[1:], word[0])
        assert sorted(fields) == sorted(names)
        return Cat(fields[name] for name in names)

    every = [None, *range(2**bits)]
    words = [0 if code is None else code << 1 | 1 for code in every]
    found = truth_table(fields_in_order, bits + 1, words)
    assert found == [pack(choice_layout(config.kernel), element(config, code)) for code in every]


@EVERY_PLACE
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("lanes", [1, 3])
def test_every_code_in_every_lane(bits: int, lanes: int, place: str) -> None:
    """With tables in which each value, and each of its bits, stands out."""
    config = SoftmaxConfig(
        bits=bits, lanes=lanes, max_row=65 * lanes, prob_bits=11, group=1, p_table=place
    )
    rng = random.Random(bits)
    one_hot = [1 << k % 11 for k in range(config.levels)]
    spread = [rng.getrandbits(11) for _ in range(config.levels)]
    rows = []
    for table in (one_hot, [2047 - value for value in one_hot], spread, [2047] * config.levels):
        for lane in range(lanes):
            codes = [None, *range(config.levels)]
            others = [rng.choices(codes, k=lanes) for _ in codes]
            row = [
                [code if k == lane else other[k] for k in range(lanes)]
                for code, other in zip(codes, others, strict=True)
            ]
            rows.append((table, row))
    Run(config, rows)


@EVERY_PLACE
def test_dead_lanes_before_any_other(place: str) -> None:
    """The very first rows, one in each place for tables, hold nothing live: all zeros."""
    config = SoftmaxConfig(lanes=2, max_row=20, p_table=place)
    ones = [2**config.prob_bits - 1] * config.levels
    Run(config, [(ones, [[None, None]] * 2) for _ in range(4)])


@EVERY_PLACE
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("bits", [2, 4])
def test_stalls(bits: int, seed: int, place: str) -> None:
    config = SoftmaxConfig(bits=bits, lanes=2, max_row=20, p_table=place)
    lengths = random.Random(seed).choices([1, 1, 2, 3, 10], k=60)
    Run(config, rows_of(config, lengths, seed), seed=seed)


@EVERY_PLACE
@pytest.mark.parametrize("seed", range(4))
def test_tables_in_advance(seed: int, place: str) -> None:
    """Two tables come while the beats and the sink are slow; the third waits, and none is lost."""
    config = SoftmaxConfig(lanes=2, max_row=20, p_table=place)
    rows = rows_of(config, [1, 3, 1, 2] * 8, seed)
    run = Run(config, rows, pauses=[stalls(seed, 0.9), None, stalls(seed + 9, 0.7)])
    levels = config.levels
    ends = [end for end, (_, row) in zip(run_ends(run, rows), rows, strict=True) if row]
    for k in range(2, len(rows)):
        assert run.words.times[k * levels] > ends[k - 2]


def run_ends(run: Run, rows: list) -> list[int]:
    """The cycle in which each row's last beat was taken."""
    last = -1
    ends = []
    for _, row in rows:
        last += len(row)
        ends.append(run.beats.times[last])
    return ends


@EVERY_PLACE
@pytest.mark.parametrize("contexts", [1, 2, 5])
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_each_row_has_its_context(contexts: int, seed: int | None, place: str) -> None:
    """On every beat; a single context needs no number."""
    config = SoftmaxConfig(lanes=2, max_row=20, contexts=contexts, p_table=place)
    lengths = random.Random(contexts).choices([1, 1, 2, 10], k=60)
    Run(config, rows_of(config, lengths, contexts), seed=seed)


@EVERY_PLACE
@pytest.mark.parametrize("bits", [2, 3])
def test_rows_back_to_back(bits: int, place: str) -> None:
    """A beat a cycle, the table changing from one row's last beat to the next row's first."""
    config = SoftmaxConfig(bits=bits, lanes=2, max_row=40, p_table=place)
    beats = 2 * config.levels
    run = Run(config, rows_of(config, [beats] * 8, beats))
    assert run.beats.times == list(range(run.beats.times[0], run.beats.times[0] + 8 * beats))
    assert run.drain.times == [time + LATENCY[place][1] for time in run.beats.times]


@EVERY_PLACE
def test_latency(place: str) -> None:
    """From a table's last word to the beat that waits for it."""
    config = SoftmaxConfig(lanes=1, max_row=4, p_table=place)
    late = chain([True] * 7, repeat(False))
    run = Run(config, rows_of(config, [2], 1), late=late)
    complete = 7 + config.levels - 1
    assert run.words.times[-1] == complete
    assert run.emitter.latency == LATENCY[place][0]
    assert run.drain.times == [complete + run.emitter.latency + k for k in range(2)]


def test_auto() -> None:
    """Registers for 2 bits, block RAM for more; whatever is asked for is given."""
    places = {bits: SoftmaxConfig(bits=bits).p_table_place for bits in range(2, 7)}
    assert places == {2: "registers"} | dict.fromkeys(range(3, 7), "block")
    for place in PLACES:
        assert SoftmaxConfig(bits=4, p_table=place).p_table_place == place


def test_memories() -> None:
    """A lane has two tables of distributed RAM, or a block RAM of twice as many words."""
    uses = {}
    for place in PLACES:
        config = SoftmaxConfig(bits=4, lanes=3, max_row=96, group=1, prob_bits=11, p_table=place)
        design = Fragment.get(emitter_of(config.kernel, SIMULATED), None)
        uses[place] = [
            (use.kind, use.place, use.width, use.depth, use.write_ports, use.read_ports)
            for use in memories_of(design)
        ]
    assert uses == {
        "registers": [],
        "distributed": [("ram", "logic", 11, 32, 1, 1)] * 3,
        "block": [("ram", "block", 11, 64, 1, 1)] * 3,
    }
