"""The row's sum against Python's ``sum``."""

import random
from itertools import chain, repeat

import pytest
from unit_bench import Bench, ceil_log2, pack, stalls, unpack
from unit_blocks import TARGETS, accumulator_for
from unit_tables import bank_tables, excess_words, exponential_words

from exaq import SoftmaxConfig, Tables
from exaq_hdl.kernels.exaq.accumulator import Accumulator
from exaq_hdl.kernels.exaq.layouts import code_beat, row_complement, summed_row
from exaq_hdl.kernels.exaq.tables.banks.sum_ram import SumRam
from exaq_hdl.kernels.exaq.tables.constants.sum_rom import SumRom
from exaq_hdl.kernels.exaq.tables.words import row_origin
from exaq_hdl.parts.memory import SIMULATED, Memories

# A beat: for each lane its code, or None where nothing is live.
Beat = list[int | None]


def tables(*exp_rom: int) -> Tables:
    return Tables(thresholds=tuple(range(1 - len(exp_rom), 0)), exp_rom=exp_rom)


def run(
    config: SoftmaxConfig,
    rows: list[list[Beat]],
    *,
    seed: int | None = None,
    memories: Memories = SIMULATED,
) -> Accumulator:
    """Streams rows and checks every sum and its time.

    Between beats the totals are noise, as are tail bits of configurations with masks.
    """
    rom = config.tables.exp_rom
    rng = random.Random(seed)
    origin = row_origin(config.kernel)
    words, totals, ends, reports, sinks = [], [], [], [], []
    for row in rows:
        sink = {"sink": rng.randrange(config.levels)} if config.sinks else {}
        sinks.append(rom[sink["sink"]] if sink else 0)
        for k, codes in enumerate(row):
            live = sum((code is not None) << lane for lane, code in enumerate(codes))
            beat = {"codes": [code or 0 for code in codes], "last": int(k == len(row) - 1)}
            beat |= {"tail": live, "error": rng.getrandbits(1)} | sink
            if config.masking:
                beat |= {"tail": rng.getrandbits(config.lanes), "live": live}
            of_row = {name: rng.getrandbits(width) for name, width in origin.items()}
            words.append(pack(code_beat(config.kernel), beat | of_row))
            groups = [
                codes[g * config.group : (g + 1) * config.group] for g in range(config.groups)
            ]
            totals.append([sum(rom[code or 0] for code in group) for group in groups])
        ends.append(len(words) - 1)
        reports.append(of_row | {"error": beat["error"]} if origin else {})
    accumulator = accumulator_for(config, memories)
    bench = Bench(accumulator)
    feed = bench.feed(accumulator.i, words, None if seed is None else stalls(seed))

    def give_totals(ctx, cycle: int) -> None:
        taken = cycle - SumRom.latency_in(memories)
        of_beat = [rng.getrandbits(config.group_sum_bits) for _ in range(config.groups)]
        if taken >= 0 and feed.offered[taken] is not None:
            of_beat = totals[sum(word is not None for word in feed.offered[:taken])]
        ctx.set(accumulator.totals.as_value(), pack(accumulator.totals.shape(), of_beat))

    bench.every(give_totals)
    drain = bench.drain(accumulator.o, len(rows))
    bench.run()
    everything = (1 << config.sum_bits) - 1
    sums = [
        sink + sum(rom[c] for beat in row for c in beat if c is not None)
        for row, sink in zip(rows, sinks, strict=True)
    ]
    if config.gives_probabilities:
        layout, sums = row_complement(config.kernel), [everything - s for s in sums]
    else:
        layout = summed_row(config.kernel)
    name = "complement" if config.gives_probabilities else "sum"
    expected = [{name: s} | report for s, report in zip(sums, reports, strict=True)]
    found = [unpack(layout, word) for word in drain.items]
    assert [item if origin else {name: item} for item in found] == expected
    assert drain.times == [feed.times[end] + accumulator.latency for end in ends]
    return accumulator


def random_beat(rng: random.Random, config: SoftmaxConfig, density: float) -> Beat:
    return [
        rng.randrange(config.levels) if rng.random() < density else None
        for _ in range(config.lanes)
    ]


CONFIGS = {
    "1 lane": SoftmaxConfig(lanes=1, max_row=12),
    "1 group": SoftmaxConfig(lanes=4, max_row=48),
    "3 groups": SoftmaxConfig(lanes=12, max_row=144),
    "5 groups of 1": SoftmaxConfig(lanes=5, max_row=60, bits=3),
    "7 groups of 2": SoftmaxConfig(lanes=14, max_row=168, bits=4, group=2, exp_frac=7),
    "16 groups": SoftmaxConfig(lanes=64, max_row=768),
    "no masks": SoftmaxConfig(lanes=6, max_row=72, group=3, masking=False),
    "free": SoftmaxConfig(lanes=8, max_row=96, tables=tables(9000, 16383, 0, 1)),
    "sink": SoftmaxConfig(lanes=4, max_row=48, sink=0),
    "sink, 3 groups": SoftmaxConfig(lanes=12, max_row=144, bits=3, group=2, sink=0, masking=False),
    "lowest 0": SoftmaxConfig(lanes=8, max_row=96, tables=tables(0, 3, 5, 8192)),
    "codes and sums": SoftmaxConfig(
        lanes=8, max_row=96, logit_width=11, output="codes", row_results="sum"
    ),
    "codes and sums, one group": SoftmaxConfig(
        lanes=2, max_row=24, masking=False, output="codes", row_results="sum"
    ),
    "codes and tables": SoftmaxConfig(lanes=4, max_row=48, output="codes"),
    "sums": SoftmaxConfig(bits=3, lanes=3, max_row=36, row_results="sum"),
    "lowest 1": SoftmaxConfig(lanes=2, max_row=24, exp_frac=4, tables=tables(1, 0, 0, 31)),
}


@TARGETS
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", [None, 1])
def test_random_rows(name: str, seed: int | None, memories: Memories) -> None:
    config = CONFIGS[name]
    rng = random.Random(name)
    rows = []
    for _ in range(40):
        density = rng.choice([0.0, 0.2, 0.8, 1.0])
        beats = rng.choice([1, 1, 1, 2, 3, 12])
        rows.append([random_beat(rng, config, density) for _ in range(beats)])
    run(config, rows, seed=seed, memories=memories)


@TARGETS
@pytest.mark.parametrize("name", CONFIGS)
def test_rows_of_a_single_beat_back_to_back(name: str, memories: Memories) -> None:
    config = CONFIGS[name]
    rng = random.Random(name)
    run(config, [[random_beat(rng, config, 0.7)] for _ in range(60)], memories=memories)


@TARGETS
@pytest.mark.parametrize("lanes", [1, 4, 12])
@pytest.mark.parametrize("sink", [None, 0])
def test_extremes(lanes: int, sink: int | None, memories: Memories) -> None:
    """The longest row of nothing but the largest exponential there can be; and of nothing."""
    config = SoftmaxConfig(
        lanes=lanes, max_row=16 * lanes, exp_frac=6, tables=tables(127, 127, 127, 127), sink=sink
    )
    largest, nothing = [[3] * lanes] * 16, [[None] * lanes] * 16
    lowest, one = [[0] * lanes] * 16, [*[[None] * lanes] * 15, [None] * (lanes - 1) + [3]]
    rows = [largest, nothing, largest, largest, nothing, lowest, one, largest]
    run(config, rows, memories=memories)


def test_every_number_of_live_lanes() -> None:
    """Each lane alone, then one after the other, at the lowest level and above."""
    config = CONFIGS["16 groups"].replace(lanes=16, max_row=16)
    rows = []
    for code in (0, 3):
        for lane in range(16):
            rows.append([[code if k == lane else None for k in range(16)]])
            rows.append([[code if k <= lane else None for k in range(16)]])
    run(config, rows)


@TARGETS
@pytest.mark.parametrize(
    ("config", "latency"),
    [
        (SoftmaxConfig(lanes=4, max_row=4), 4),
        (SoftmaxConfig(lanes=8, max_row=8), 5),
        (SoftmaxConfig(lanes=12, max_row=12), 6),
        (SoftmaxConfig(lanes=16, max_row=16), 6),
        (SoftmaxConfig(lanes=9, max_row=9, group=1), 8),
    ],
    ids=lambda value: "" if isinstance(value, int) else f"{value.groups} groups",
)
def test_latency(config: SoftmaxConfig, latency: int, memories: Memories) -> None:
    """A cycle less in a chip, where LUT_sum takes one."""
    accumulator = run(config, [[[3] * config.lanes]], memories=memories)
    latency -= memories.chip
    assert accumulator.latency == latency == 4 - memories.chip + ceil_log2(config.groups)


BANKED = {
    "1 context": SoftmaxConfig(lanes=4, max_row=48, contexts=1),
    "3 contexts, 1 lane": SoftmaxConfig(lanes=1, max_row=12, contexts=3, exp_frac=24),
    "5 contexts, 5 groups": SoftmaxConfig(lanes=5, max_row=60, bits=3, contexts=5),
    "3 contexts, sinks": SoftmaxConfig(lanes=4, max_row=48, contexts=3, sink=0),
    "1 context, 3 groups, sinks": SoftmaxConfig(
        lanes=6, max_row=72, bits=3, contexts=1, sink=0, masking=False
    ),
    "2 contexts, 16 groups": SoftmaxConfig(lanes=64, max_row=768, contexts=2, masking=False),
}


@pytest.mark.parametrize("name", BANKED)
@pytest.mark.parametrize("seed", [None, 1])
def test_rows_of_banks(name: str, seed: int | None) -> None:
    """Each row by its bank, which goes on with the sum, as its context does; one cycle later.

    The last bank is spare, and written all the time.
    """
    config = BANKED[name]
    rng = random.Random(name)
    banks = bank_tables(config, 4)
    words, totals, ends, expected = [], [], [], []
    living: list[bool] = []
    everything = (1 << config.sum_bits) - 1
    for k in range(60):
        bank = rng.randrange(config.contexts)
        tables_of_row = {"bank": bank}
        if config.context_bits:
            tables_of_row["context"] = k % config.contexts
        rom = banks[bank].exp_rom
        sink = {"sink": rng.randrange(config.levels)} if config.sinks else {}
        density = rng.choice([0.0, 0.3, 1.0])
        row = [random_beat(rng, config, density) for _ in range(rng.choice([1, 1, 2, 12]))]
        for place, codes in enumerate(row):
            live = sum((code is not None) << lane for lane, code in enumerate(codes))
            beat = {"codes": [code or 0 for code in codes], "last": int(place == len(row) - 1)}
            beat |= {"tail": live, "error": rng.getrandbits(1)} | tables_of_row | sink
            if config.masking:
                beat |= {"tail": rng.getrandbits(config.lanes), "live": live}
            words.append(pack(code_beat(config.kernel), beat))
            totals.append(
                [
                    sum(rom[code or 0] for code in codes[at : at + config.group])
                    for at in range(0, config.lanes, config.group)
                ]
            )
        ends.append(len(words) - 1)
        total = sum(rom[code] for beat in row for code in beat if code is not None)
        total += rom[sink["sink"]] if sink else 0
        living.append(any(code is not None for beat in row for code in beat))
        expected.append({"complement": everything - total} | tables_of_row)
    accumulator = accumulator_for(config)
    bench = Bench(accumulator)
    stored = excess_words(config, banks)
    spare = stored[-(config.lanes + 1) :]
    bench.feed(accumulator.store, [*stored, *spare * 20])
    if config.sinks:
        levels = exponential_words(config, banks)
        bench.feed(accumulator.levels, [*levels, *levels[-config.levels :] * 20])
        stored = max(stored, levels, key=len)
    pause = repeat(False) if seed is None else stalls(seed)
    feed = bench.feed(accumulator.i, words, chain(repeat(True, len(stored)), pause))

    def give_totals(ctx, cycle: int) -> None:
        taken = cycle - SumRam.latency
        of_beat = [rng.getrandbits(config.group_sum_bits) for _ in range(config.groups)]
        if taken >= 0 and feed.offered[taken] is not None:
            of_beat = totals[sum(word is not None for word in feed.offered[:taken])]
        ctx.set(accumulator.totals.as_value(), pack(accumulator.totals.shape(), of_beat))

    bench.every(give_totals)
    drain = bench.drain(accumulator.o, len(ends))
    empty = bench.probe(accumulator.empty_row)
    bench.run()
    if config.sinks:
        # Else rows without an element of the highest code may have a sum of 0.
        assert [now for now, pulse in enumerate(empty.values) if pulse] == [
            now for now, live in zip(drain.times, living, strict=True) if not live
        ]
    layout = row_complement(config.kernel)
    assert [unpack(layout, word) for word in drain.items] == expected
    assert drain.times == [feed.times[end] + accumulator.latency for end in ends]
    assert accumulator.latency == 5 + ceil_log2(config.groups)
