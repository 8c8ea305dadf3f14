"""Sums of values by level against fractions, and against the golden model."""

import random
from itertools import chain, count, repeat
from typing import Any

import pytest
from level_rows import LevelRow, Run, random_row, run_rows, uniform_row
from unit_bench import Pause, stalls

from exaq import SoftmaxConfig, Tables
from exaq.attention import AttentionConfig
from exaq_hdl.attention.level_sums import LevelSums

pytestmark = pytest.mark.usefixtures("unused_components")

SMALL = AttentionConfig(head_size=16, max_row=32)

CONFIGS = {
    "2 bits": SMALL,
    "3 bits": AttentionConfig(head_size=17, max_row=30, bits=3, lanes=2, output_width=8),
    "4 bits": AttentionConfig(head_size=16, max_row=24, bits=4, lanes=8, value_width=4),
    "5 bits": AttentionConfig(
        head_size=18, max_row=12, bits=5, lanes=1, value_width=4, output_width=8
    ),
    "3 lanes": AttentionConfig(head_size=16, max_row=9, lanes=3),
    "7 lanes": AttentionConfig(head_size=16, max_row=35, lanes=7, value_width=4),
    "small sums": AttentionConfig(
        head_size=16,
        max_row=4,
        exp_frac=4,
        value_width=4,
        tables=Tables(thresholds=(-3, -2, -1), exp_rom=(0, 3, 0, 1)),
    ),
}


def late_sums(run: Run, rows: list[LevelRow], lanes: int) -> list[int]:
    """Cycles from each row's last beat to its sum."""
    ends, last = [], -1
    for row in rows:
        last += -(-len(row.codes) // lanes)
        ends.append(run.beats.times[last])
    return [taken - end for taken, end in zip(run.sums.times, ends, strict=True)]


@pytest.mark.parametrize("name", CONFIGS)
def test_rows_with_stalls_everywhere(name: str) -> None:
    config = CONFIGS[name]
    rng = random.Random(name)
    most, levels = config.softmax.max_row, config.softmax.levels
    keys = [
        1,
        most,
        1,
        1,
        config.lanes,
        *(rng.randint(1, most) for _ in range(5 if levels < 16 else 1)),
    ]
    rows = [
        random_row(config, n, rng, live=rng.choice((0.3, 0.9, 1)), sink=rng.choice((0, 0, 1)))
        for n in keys
    ]
    pauses = stalls(1), stalls(2), stalls(3)
    run_rows(config, rows, pauses=pauses)


@pytest.mark.parametrize("per_beat", [1, 2, 4, 8, 16])
def test_outputs_of_a_beat(per_beat: int) -> None:
    rng = random.Random(per_beat)
    rows = [random_row(SMALL, rng.randint(1, 32), rng) for _ in range(6)]
    run = run_rows(SMALL, rows, per_beat=per_beat, pauses=(None, stalls(4, 0.2), stalls(5, 0.2)))
    assert run.unit.steps == 16 // per_beat


@pytest.mark.parametrize("value_width", [4, 8])
@pytest.mark.parametrize("output_width", [8, 16])
def test_extremes(value_width: int, output_width: int) -> None:
    config = AttentionConfig(
        head_size=16, max_row=32, value_width=value_width, output_width=output_width
    )
    half = 1 << value_width - 1
    most = 32
    rows = [
        uniform_row(config, keys, code, value)
        for keys in (1, most)
        for code in (0, 3)
        for value in (-half, half - 1, -1, 0)
    ]
    # The largest exponential of every key there can be, and a sink as large.
    largest = config.softmax.tables.exp_rom[-1]
    rows.append(LevelRow([3] * most, [True] * most, [[-half] * 16] * most, sink=largest))
    rows.append(LevelRow([3] * most, [True] * most, [[half - 1] * 16] * most, sink=largest))
    run_rows(config, rows)


def test_dead_rows_give_zeros() -> None:
    rng = random.Random(1)
    dead = random_row(SMALL, 9, rng, live=0)
    lively = random_row(SMALL, 32, rng)
    run_rows(SMALL, [dead, lively, dead, dead, random_row(SMALL, 3, rng), dead])


def test_a_sum_of_zero_gives_zeros_whatever_the_values() -> None:
    """Live keys whose exponentials are all 0 leave level sums behind, and no sum."""
    config = CONFIGS["small sums"]
    assert config.softmax.tables.exp_rom[2] == 0
    rows = [uniform_row(config, 3, 2, -8), uniform_row(config, 3, 1, 7)]
    assert rows[0].total(config) == 0
    run_rows(config, rows)


def test_a_sink_dilutes() -> None:
    config = AttentionConfig(head_size=16, max_row=32, sink=100)
    rng = random.Random(2)
    most = config.softmax.tables.exp_rom[-1]
    keys = (1, 2, 31, 32)
    rows = [random_row(config, n, rng, live=live, sink=most) for n in keys for live in (0, 1)]
    run_rows(config, rows)


def test_latency_and_full_rate() -> None:
    rng = random.Random(3)
    unit = LevelSums(SMALL, outputs_per_beat=4)
    shortest = unit.steps * SMALL.lanes
    alone = run_rows(SMALL, [random_row(SMALL, 7, rng)], per_beat=4)
    assert alone.beats.times[0] == unit.boot_cycles
    assert alone.outputs.times[0] - alone.beats.times[-1] == unit.latency
    assert [t - alone.outputs.times[0] for t in alone.outputs.times] == list(range(4))

    full = [random_row(SMALL, shortest, rng) for _ in range(12)]
    run = run_rows(SMALL, full, per_beat=4)
    for times in (run.beats.times, run.outputs.times):
        assert times == list(range(times[0], times[0] + 48))

    mixed = [random_row(SMALL, rng.randint(shortest, 32), rng) for _ in range(12)]
    run = run_rows(SMALL, mixed, per_beat=4)
    taken = run.beats.times
    assert taken == list(range(taken[0], taken[0] + len(taken)))

    # Rows of one beat wait for their outputs.
    short = [random_row(SMALL, 4, rng) for _ in range(20)]
    run = run_rows(SMALL, short, per_beat=4)
    times = run.outputs.times
    assert times == list(range(times[0], times[0] + 80))


def test_rows_of_one_beat_at_full_rate() -> None:
    rng = random.Random(4)
    rows = [random_row(SMALL, rng.randint(1, 4), rng) for _ in range(30)]
    run = run_rows(SMALL, rows, per_beat=16)
    for times in (run.beats.times, run.outputs.times):
        assert times == list(range(times[0], times[0] + 30))


@pytest.mark.parametrize("wait", [0, 1])
def test_sums_that_come_late_enough_to_wait_for(wait: int) -> None:
    """The latest sum that delays nothing, and one that is a cycle later."""
    rng = random.Random(5)
    unit = LevelSums(SMALL, outputs_per_beat=4)
    after = unit.latency - unit.sum_latency
    row = random_row(SMALL, 4, rng)
    pause = chain(repeat(True, unit.boot_cycles + after + wait), repeat(False))
    run = run_rows(SMALL, [row], per_beat=4, pauses=(None, pause, None))
    assert run.sums.times[0] - run.beats.times[0] == after + wait
    assert run.outputs.times[0] - run.sums.times[0] == unit.sum_latency
    assert run.outputs.times[0] - run.beats.times[0] == unit.latency + wait


def test_late_sums_leave_no_bubble() -> None:
    rng = random.Random(6)
    unit = LevelSums(SMALL, outputs_per_beat=4)
    rows = [random_row(SMALL, 16, rng) for _ in range(12)]
    allowed = unit.latency - unit.sum_latency + unit.steps
    # The first row's last beat is the fourth one taken, and so on.
    first = unit.boot_cycles + 3 + allowed

    def pause() -> Pause:
        for cycle in count():
            yield cycle < first or (cycle - first) % 4 != 0

    run = run_rows(SMALL, rows, per_beat=4, pauses=(None, pause(), None))
    assert late_sums(run, rows, 4) == [allowed] * 12
    times = run.beats.times
    assert times == list(range(times[0], times[0] + 48))


def test_early_sums_wait() -> None:
    rng = random.Random(7)
    rows = [random_row(SMALL, rng.randint(1, 32), rng) for _ in range(5)]
    held = chain(repeat(True, 60), repeat(False))
    run = run_rows(SMALL, rows, pauses=(held, None, None))
    assert run.sums.times[0] < 5
    assert run.beats.times[0] == 60


@pytest.mark.parametrize("what", ["sums", "outputs"])
def test_nothing_is_lost_while_nothing_is_taken(what: str) -> None:
    rng = random.Random(8)
    rows = [random_row(SMALL, rng.choice((1, 8, 32)), rng) for _ in range(12)]
    held = chain(repeat(True, 400), repeat(False))
    pauses = (None, held, None) if what == "sums" else (None, None, held)
    run = run_rows(SMALL, rows, per_beat=2, pauses=pauses)
    assert run.beats.ready[399] == 0
    assert run.outputs.times[0] > 399


def test_outputs_per_beat_by_default() -> None:
    def per_beat(**settings: Any) -> int:
        return LevelSums(AttentionConfig(**settings)).outputs_per_beat

    assert per_beat(head_size=64, max_row=256) == 2
    assert per_beat(head_size=64, max_row=256, full_rate_row=16) == 16
    assert per_beat(head_size=64, max_row=64, full_rate_row=1024) == 4
    assert per_beat(head_size=64, max_row=1024, bits=4) == 1
    assert per_beat(head_size=17, max_row=256, full_rate_row=16) == 1
    assert per_beat(head_size=24, max_row=256, full_rate_row=8) == 8


@pytest.mark.parametrize("given", [3, 32, 0])
def test_outputs_per_beat_that_do_not_divide_are_refused(given: int) -> None:
    with pytest.raises(ValueError, match="outputs_per_beat must be "):
        LevelSums(SMALL, outputs_per_beat=given)


def test_a_configuration_of_something_else_is_refused() -> None:
    with pytest.raises(TypeError, match=r"config must be an exaq\.attention\.Attention"):
        LevelSums(SoftmaxConfig())  # type: ignore[arg-type]
