"""The quantizer against thresholds counted in integers, for every logit where that is possible."""

import random

import pytest
from unit_bench import Bench, pack, stalls, unpack
from unit_blocks import TARGETS, quantizer_for
from unit_tables import bank_tables

from exaq import SoftmaxConfig, Tables
from exaq_hdl.kernels.exaq.layouts import code_beat
from exaq_hdl.kernels.exaq.tables.banks.row_thresholds import reached_layout
from exaq_hdl.kernels.exaq.tables.words import row_origin, row_tables
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.shell.streams import row_beat, with_fields

Row = tuple[int, list[tuple[int, bool]]]


def free(*thresholds: int) -> Tables:
    levels = len(thresholds) + 1
    return Tables(thresholds=thresholds, exp_rom=tuple(range(1, levels + 1)))


def run(
    config: SoftmaxConfig,
    rows: list[Row],
    *,
    seed: int | None = None,
    memories: Memories = SIMULATED,
) -> None:
    """Streams rows, each a maximum and its elements (logit, live), and checks every beat.

    Without a seed nothing stalls; the beats then have to follow each other in every cycle.
    """
    rng = random.Random(seed)
    beats, expected = [], []
    lanes = config.lanes
    for maximum, elements in rows:
        for k in range(0, len(elements), lanes):
            part = elements[k : k + lanes]
            present = len(part)
            part = part + [(0, False)] * (lanes - present)
            flags = {
                "tail": (1 << present) - 1,
                "last": int(k + lanes >= len(elements)),
                "error": rng.getrandbits(1),
            }
            if config.masking:
                flags["live"] = sum(live << lane for lane, (_, live) in enumerate(part))
            beats.append(pack(row_beat(config.format), flags | {"logits": [x for x, _ in part]}))
            codes = [
                sum(x - maximum >= t for t in config.tables.thresholds) if live else 0
                for x, live in part
            ]
            sink = {}
            if config.sink is not None:
                distance = config.sink + 2 ** (config.logit_width - 1) - maximum
                sink["sink"] = sum(distance >= t for t in config.tables.thresholds)
            expected.append(flags | {"codes": codes} | sink)
    origin = row_origin(config.kernel)
    if origin:
        ends = [k for k, beat in enumerate(expected) if beat["last"]]
        half = 2 ** (config.logit_width - 1)
        for k, beat in enumerate(expected):
            maximum = rows[sum(end < k for end in ends)][0]
            beat["maximum"] = maximum - half if maximum >= half else maximum + half
    quantizer = quantizer_for(config, memories)
    # In a chip logits of few bits take a cycle less to codes of few.
    few = config.logit_width <= 8 and config.bits <= 3
    assert quantizer.latency == (1 if memories.chip and few else 2)
    assert quantizer.reaction == quantizer.latency + 1
    bench = Bench(quantizer)
    pauses = [None] * 3 if seed is None else [stalls(seed + k, 0.5) for k in range(3)]
    feed = bench.feed(quantizer.i, beats, pauses[0])
    maxima = bench.feed(quantizer.maximum, [maximum for maximum, _ in rows], pauses[1])
    bench.every(
        lambda ctx, _: ctx.set(quantizer.room, int(pauses[2] is None or not next(pauses[2])))
    )
    room = bench.probe(quantizer.room)
    sink = stalls(seed + 3, 0.4) if seed is not None and config.output == "codes" else None
    drain = bench.drain(quantizer.o, len(beats), sink)
    bench.run()

    assert [unpack(code_beat(config.kernel), word) for word in drain.items] == expected
    ends = [time for time, b in zip(feed.times, expected, strict=True) if b["last"]]
    assert maxima.times == ends
    if sink is not None:
        # A beat a cycle is under way at most, and each was taken a cycle after a look at room.
        assert all(room.values[time - 1] for time in feed.times)
        behind = zip(feed.times[quantizer.latency :], drain.times, strict=False)
        assert all(taken >= given for taken, given in behind)
        return
    assert drain.times == [time + quantizer.latency for time in feed.times]
    assert all(room.values[time - quantizer.reaction] for time in drain.times)
    looked = [0, *room.values[:-1]]
    for now, ready in enumerate(feed.ready):
        assert ready == (looked[now] and maxima.offered[now] is not None)
    if seed is None:
        assert feed.times == list(range(1, 1 + len(beats)))


def every_pair(logit_width: int) -> list[Row]:
    return [(m, [(x, True) for x in range(m + 1)]) for m in range(1 << logit_width)]


@TARGETS
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_every_pair_of_8_bits(bits: int, memories: Memories) -> None:
    config = SoftmaxConfig(bits=bits, lanes=64, max_row=256)
    assert config.logit_width == 8
    run(config, every_pair(8), memories=memories)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_every_pair_of_4_bits(bits: int) -> None:
    run(SoftmaxConfig(bits=bits, lanes=16, max_row=16, logit_width=4), every_pair(4))


@pytest.mark.parametrize(
    "thresholds",
    [
        (-16, -8, -1),
        (-15, -7, -1),
        (-9, -9, -9),
        (-9, -9, -4),
        (-9, -4, -4),
        (-5, -5, 0),
        (-3, 0, 0),
        (-1, -1, -1),
        (-1, 0, 0),
        (0, 0, 0),
        (-17, -17, -3),
        (-1000, -100, -40),
        (-1000, -17, 0),
        (-40, -13, -2, -2, -2, -1, 0),
        (-16, -12, -12, -8, -8, -4, -4),
        (-99, -31, -17, -16, -15, -15, -14, -12, -9, -8, -7, -5, -3, -1, 0),
    ],
    ids=str,
)
def test_free_tables(thresholds: tuple[int, ...]) -> None:
    """Equal thresholds, zeros, powers of two, and what no difference of 4 bits can reach."""
    tables = free(*thresholds)
    run(
        SoftmaxConfig(bits=tables.bits, lanes=8, max_row=16, logit_width=4, tables=tables),
        every_pair(4),
    )


@TARGETS
@pytest.mark.parametrize(
    "config",
    [
        SoftmaxConfig(lanes=16, max_row=64, logit_width=12),
        SoftmaxConfig(lanes=16, max_row=64, logit_width=12, bits=4, clip=-200.0),
        SoftmaxConfig(lanes=16, max_row=64, logit_width=24, bits=3, logit_scale=2**-20),
        SoftmaxConfig(
            lanes=8, max_row=64, logit_width=12, tables=free(-4096, -4095, -2048), exp_frac=5
        ),
    ],
    ids=["12 bits", "wide clip", "24 bits", "whole range"],
)
def test_wide_logits_round_each_threshold(config: SoftmaxConfig, memories: Memories) -> None:
    rng = random.Random(7)
    top = 2**config.logit_width - 1
    rows = []
    for maximum in [0, 1, top, top - 1, *(rng.randint(0, top) for _ in range(40))]:
        near = [maximum + t + d for t in config.tables.thresholds for d in (-1, 0, 1)]
        near += [0, maximum, maximum - 1, *(rng.randint(0, maximum) for _ in range(5))]
        rows.append((maximum, [(x, True) for x in near if 0 <= x <= maximum]))
    run(config, rows, memories=memories)


@TARGETS
@pytest.mark.parametrize("masking", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_stalls_masks_and_tails(masking: bool, seed: int, memories: Memories) -> None:
    """Rows of one beat and of many; lanes that are not live hold the lowest logit, as ever."""
    config = SoftmaxConfig(lanes=4, max_row=64, logit_width=6, masking=masking)
    rng = random.Random(seed)
    rows = []
    for _ in range(60):
        length = rng.choice([1, 2, 3, 4, 4, 5, 8, 13, 64])
        density = rng.choice([0.0, 0.3, 1.0]) if masking else 1.0
        maximum = rng.randint(0, 63)
        live = [rng.random() < density for _ in range(length)]
        rows.append((maximum, [(rng.randint(0, maximum) if k else 0, k) for k in live]))
    run(config, rows, seed=seed, memories=memories)


@TARGETS
@pytest.mark.parametrize("seed", [None, 1, 2, 3])
@pytest.mark.parametrize("row_results", ["sum", "table"])
@pytest.mark.parametrize("masking", [True, False])
def test_codes_that_leave_the_unit_stall(
    masking: bool, row_results: str, seed: int | None, memories: Memories
) -> None:
    """By ``o``; every beat then goes with its row's maximum, as a logit."""
    config = SoftmaxConfig(
        lanes=4, max_row=64, logit_width=6, masking=masking, output="codes", row_results=row_results
    )
    rng = random.Random(seed)
    rows = []
    for _ in range(60):
        length = rng.choice([1, 2, 3, 4, 4, 5, 8, 13, 64])
        maximum = rng.randint(0, rng.choice([20, 63]))
        live = [not masking or rng.random() < 0.7 for _ in range(length)]
        rows.append((maximum, [(rng.randint(0, maximum) if k else 0, k) for k in live]))
    run(config, rows, seed=seed, memories=memories)


def run_banked(config: SoftmaxConfig, rows: list[tuple], *, seed: int | None = None) -> None:
    """As ``run``; each row also has the tables that its logits are compared with."""
    rng = random.Random(seed)
    beats, expected, items = [], [], []
    for k, (tables, maximum, elements) in enumerate(rows):
        of_row_tables = {"bank": k % (config.contexts + 1)}
        if config.context_bits:
            of_row_tables["context"] = rng.randrange(config.contexts)
        reached = [max(maximum + t, 0) for t in tables.thresholds]
        layout = with_fields("reached", reached_layout(config.kernel), row_tables(config.kernel))
        items.append(pack(layout, {"reached": reached} | of_row_tables))
        for begin in range(0, len(elements), config.lanes):
            part = elements[begin : begin + config.lanes]
            part = part + [(0, False)] * (config.lanes - len(part))
            flags = {
                "tail": (1 << len(elements[begin : begin + config.lanes])) - 1,
                "last": int(begin + config.lanes >= len(elements)),
                "error": rng.getrandbits(1),
            }
            if config.masking:
                flags["live"] = sum(live << lane for lane, (_, live) in enumerate(part))
            beats.append(pack(row_beat(config.format), flags | {"logits": [x for x, _ in part]}))
            codes = [
                sum(x - maximum >= t for t in tables.thresholds) if live else 0 for x, live in part
            ]
            expected.append(flags | {"codes": codes} | of_row_tables)
    quantizer = quantizer_for(config)
    bench = Bench(quantizer)
    pauses = [None] * 3 if seed is None else [stalls(seed + k, 0.5) for k in range(3)]
    feed = bench.feed(quantizer.i, beats, pauses[0])
    reached_rows = bench.feed(quantizer.reached, items, pauses[1])
    bench.every(
        lambda ctx, _: ctx.set(quantizer.room, int(pauses[2] is None or not next(pauses[2])))
    )
    room = bench.probe(quantizer.room)
    drain = bench.drain(quantizer.o, len(beats))
    bench.run()
    assert [unpack(code_beat(config.kernel), word) for word in drain.items] == expected
    assert drain.times == [time + quantizer.latency for time in feed.times]
    assert all(room.values[time - quantizer.reaction] for time in drain.times)
    ends = [time for time, b in zip(feed.times, expected, strict=True) if b["last"]]
    assert reached_rows.times == ends
    if seed is None:
        assert feed.times == list(range(1, 1 + len(beats)))


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_every_pair_of_4_bits_with_tables_of_banks(bits: int) -> None:
    """Every maximum and logit, with thresholds at both ends, equal ones and any."""
    config = SoftmaxConfig(bits=bits, lanes=16, max_row=16, logit_width=4, contexts=3)
    rows = [
        (tables, maximum, elements)
        for seed in range(3)
        for tables in bank_tables(config, seed)
        for maximum, elements in every_pair(4)
    ]
    run_banked(config, rows)


@pytest.mark.parametrize("masking", [True, False])
@pytest.mark.parametrize("contexts", [1, 5])
def test_stalls_masks_and_tails_with_tables_of_banks(masking: bool, contexts: int) -> None:
    config = SoftmaxConfig(
        bits=3, lanes=4, max_row=64, logit_width=9, masking=masking, contexts=contexts
    )
    rng = random.Random(contexts)
    banks = bank_tables(config, 7)
    rows = []
    for _ in range(60):
        length = rng.choice([1, 2, 3, 4, 4, 5, 8, 13, 64])
        maximum = rng.randint(0, rng.choice([20, 511]))
        live = [not masking or rng.random() < 0.7 for _ in range(length)]
        rows.append(
            (rng.choice(banks), maximum, [(rng.randint(0, maximum) if k else 0, k) for k in live])
        )
    run_banked(config, rows, seed=contexts)


@TARGETS
@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("sink", [-128, -60, 0, 127])
def test_a_sink_below_every_maximum_of_8_bits(bits: int, sink: int, memories: Memories) -> None:
    """The sink is never above the maximum, which it joins before."""
    maxima = range(sink + 128, 256)
    rows = [(m, [(m, True)]) for m in maxima]
    run(SoftmaxConfig(bits=bits, lanes=1, max_row=256, sink=sink), rows, memories=memories)


@TARGETS
@pytest.mark.parametrize("thresholds", [(-1000, -9, 0), (-16, -15, -15), (-3, -1, -1)])
def test_a_sink_and_free_thresholds(thresholds: tuple[int, ...], memories: Memories) -> None:
    config = SoftmaxConfig(
        lanes=2, max_row=16, logit_width=4, sink=-8, tables=free(*thresholds), masking=False
    )
    run(config, [(m, [(m, True), (0, True)]) for m in range(16)], seed=5, memories=memories)
