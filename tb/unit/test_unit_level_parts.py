"""The blocks of the sums of values by level, each by itself."""

import random
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Any

import pytest
from amaranth.hdl import Signal, Value
from unit_bench import Bench, pack, stalls, truth_table, unpack

from exaq.attention import AttentionConfig
from exaq_hdl.attention.dimension_sums import DimensionSums
from exaq_hdl.attention.level_products import LevelProducts, signed_digits
from exaq_hdl.attention.row_divider import RowDivider
from exaq_hdl.attention.sum_reader import SumReader
from exaq_hdl.parts.arithmetic import gated_sum, sum_or_difference

pytestmark = pytest.mark.usefixtures("unused_components")

WIDTH = 3


def test_gated_adders_every_case() -> None:
    def add(word: Value) -> Value:
        a, b = word[:WIDTH], word[WIDTH : 2 * WIDTH]
        return gated_sum(a, word[-2], b, word[-1])

    inputs = range(1 << 2 * WIDTH + 2)
    for word, found in zip(inputs, truth_table(add, 2 * WIDTH + 2, inputs), strict=True):
        a, b, x, y = word & 7, word >> 3 & 7, word >> 6 & 1, word >> 7
        assert found == ((a if x else 0) + (b if y else 0)) % 8


def test_sums_and_differences_every_case() -> None:
    def add(word: Value) -> Value:
        a, b = word[:WIDTH], word[WIDTH : 2 * WIDTH]
        return sum_or_difference(a, b, word[-1])

    inputs = range(1 << 2 * WIDTH + 1)
    for word, found in zip(inputs, truth_table(add, 2 * WIDTH + 1, inputs), strict=True):
        a, b = word & 7, word >> 3 & 7
        assert found == (a - b if word >> 6 else a + b) % 8


def test_operands_of_different_widths_are_refused() -> None:
    a, b, gate = Signal(3), Signal(4), Signal()
    with pytest.raises(ValueError, match="one width, not 3 and 4 bits"):
        sum_or_difference(a, b, gate)
    with pytest.raises(ValueError, match="one width, not 3 and 4 bits"):
        gated_sum(a, gate, b, gate)


@pytest.mark.parametrize(("lanes", "levels"), [(1, 4), (2, 3), (3, 2), (4, 4), (5, 1), (8, 2)])
def test_dimension_sums(lanes: int, levels: int) -> None:
    """Beats, gaps and new rows in any order; sums of the largest values included."""
    width, beats = 4, 40
    block = DimensionSums(
        lanes=lanes,
        levels=levels,
        value_width=width,
        level_width=width + (lanes * beats - 1).bit_length(),
    )
    assert block.latency == (lanes - 1).bit_length() + 1
    rng = random.Random(lanes)
    values = [[rng.choice((-8, 7, rng.randrange(-8, 8))) for _ in range(lanes)] for _ in range(80)]
    chosen = [[rng.randrange(levels + 1) for _ in range(lanes)] for _ in range(80)]
    keeps = [cycle != 0 and rng.random() < 0.95 for cycle in range(80)]
    bench = Bench(block)

    def drive(ctx: Any, cycle: int) -> None:
        set_ = ctx.set
        for lane in range(lanes):
            set_(block.values[lane], values[cycle][lane])
            set_(block.gates[lane], (1 << chosen[cycle][lane]) & (1 << levels) - 1)
        late = cycle - block.tree_latency
        set_(block.keep, keeps[late] if late >= 0 else 0)

    bench.every(drive)
    probe = bench.probe(Value.cast(block.sums))
    bench.run(cycles=80)
    sums = [0] * levels
    for cycle in range(80 - block.latency):
        if not keeps[cycle]:
            sums = [0] * levels
        for lane in range(lanes):
            if chosen[cycle][lane] < levels:
                sums[chosen[cycle][lane]] += values[cycle][lane]
        assert unpack(block.sums.shape(), probe.values[cycle + block.latency]) == sums


@pytest.mark.parametrize(("dimensions", "per_beat"), [(1, 1), (4, 4), (5, 1), (6, 2), (17, 1)])
def test_sum_reader(dimensions: int, per_beat: int) -> None:
    """Rows as near as may be and further apart; what is on the input otherwise is noise."""
    block = SumReader(dimensions=dimensions, per_beat=per_beat, levels=2, level_width=5)
    rng = random.Random(dimensions)
    cycles = 12 * block.steps + 60
    copies, cycle = set(), 3
    while cycle < cycles - 2 * block.steps - 10:
        copies.add(cycle)
        cycle += block.steps + rng.choice((0, 0, 1, 5))
    shape = block.sums.shape()
    given = [
        [[rng.randrange(-16, 16) for _ in range(2)] for _ in range(dimensions)]
        for _ in range(cycles)
    ]
    bench = Bench(block)

    def drive(ctx: Any, cycle: int) -> None:
        ctx.set(Value.cast(block.sums), pack(shape, given[cycle]))
        ctx.set(block.copy, -(cycle in copies) % (1 << dimensions))

    bench.every(drive)
    probe = bench.probe(block.valid, block.last, Value.cast(block.read))
    bench.run(cycles=cycles)
    wanted = {}
    for copy in copies:
        for step in range(block.steps):
            part = given[copy][step * per_beat : (step + 1) * per_beat]
            wanted[copy + block.latency + step] = (int(step == block.steps - 1), part)
    for cycle, (valid, last, read) in enumerate(probe.values):
        assert valid == (cycle in wanted)
        if valid:
            assert (last, unpack(block.read.shape(), read)) == wanted[cycle]


def test_signed_digits() -> None:
    for number in range(1 << 12):
        digits = signed_digits(number)
        assert sum((-1 if negative else 1) << shift for shift, negative in digits) == number
        shifts = [shift for shift, _ in digits]
        # No neighbours: as few as can be.
        assert all(b - a > 1 for a, b in pairwise(shifts))


TABLES = {
    "2 bits": (47, 261, 1462, 8192),
    "one": (0, 0, 0, 1),
    "lowest digits negative": (7, 7, 7, 7),
    "only one level": (3,),
    "5 bits": tuple(round(2 ** (k / 4)) for k in range(32)),
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("width", [9, 30])
def test_level_products(table: str, width: int) -> None:
    rom = TABLES[table]
    block = LevelProducts(rom, level_width=6, width=width)
    rng = random.Random(table)
    given = [[-32] * len(rom), [31] * len(rom)]
    given += [[rng.randrange(-32, 32) for _ in rom] for _ in range(60)]
    bench = Bench(block)

    def drive(ctx: Any, cycle: int) -> None:
        ctx.set(Value.cast(block.sums), pack(block.sums.shape(), given[cycle]))

    bench.every(drive)
    probe = bench.probe(block.total)
    bench.run(cycles=len(given))
    for cycle, sums in enumerate(given[: -block.latency]):
        exact = sum(e * level for e, level in zip(rom, sums, strict=True))
        assert probe.values[cycle + block.latency] == exact % (1 << width)


def test_products_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="exponentials must not all be 0"):
        LevelProducts((0, 0), level_width=6, width=9)


def one_total(config: AttentionConfig, total: int, row_sum: int) -> int:
    half_up = Fraction(total << config.output_frac, row_sum) + Fraction(1, 2)
    return floor(half_up)


@pytest.mark.parametrize(("value_width", "output_width"), [(4, 8), (8, 8), (4, 16), (8, 16)])
def test_row_divider(value_width: int, output_width: int) -> None:
    """Quotients at every rounding edge: means a half step, and that less a remainder, and both
    ends.
    """
    config = AttentionConfig(
        head_size=16, max_row=16, value_width=value_width, output_width=output_width, exp_frac=6
    )
    block = RowDivider(config, per_beat=2)
    bits, half = config.softmax.sum_bits, 1 << value_width - 1
    rng = random.Random(value_width * output_width)
    rows = [1, 2, 3, (1 << bits) - 1, (1 << bits) - 2, 0]
    rows += [rng.randrange(1, 1 << rng.randrange(1, bits + 1)) for _ in range(40)]
    beats, wanted = [], []
    modulus = 1 << bits + value_width
    for row_sum in rows:
        least, most = -half * row_sum, (half - 1) * row_sum
        steps = [rng.randrange(-half << config.output_frac, (half - 1) << config.output_frac)]
        edges = [(2 * step + 1) * row_sum // (2 << config.output_frac) for step in steps]
        totals = [least, most, 0, *edges, *(edge + 1 for edge in edges)]
        totals += [rng.randint(least, most) for _ in range(3)]
        totals = [min(max(total, least), most) for total in totals][:8]
        for k in range(0, 8, 2):
            pair = totals[k : k + 2]
            beats.append({"totals": [t % modulus for t in pair], "last": int(k == 6)})
            found = [one_total(config, t, row_sum) if row_sum else 0 for t in pair]
            wanted.append({"outputs": found, "last": int(k == 6)})
    # A sum of 0 gives zeros whatever the totals are.
    rows.append(0)
    beats.append({"totals": [5, modulus - 1], "last": 1})
    wanted.append({"outputs": [0, 0], "last": 1})
    bench = Bench(block)
    fed = bench.feed(block.i, [pack(block.i.payload.shape(), beat) for beat in beats])
    bench.feed(block.sum, rows)
    room = stalls(1, 0.2)
    open_ = []

    def drive(ctx: Any, cycle: int) -> None:
        open_.append(not next(room))
        ctx.set(block.room, open_[-1])

    bench.every(drive)
    taken = bench.drain(block.o, len(wanted))
    bench.run()
    assert [unpack(block.o.payload.shape(), word) for word in taken.items] == wanted
    assert [b - a for a, b in zip(fed.times, taken.times, strict=True)] == [block.latency] * len(
        wanted
    )
    assert all(open_[cycle] for cycle in fed.times)


def test_a_row_in_each_cycle_is_divided() -> None:
    config = AttentionConfig(head_size=16, max_row=16)
    block = RowDivider(config, per_beat=1)
    sums = list(range(1, 41))
    beats = [{"totals": [each], "last": 1} for each in sums]
    bench = Bench(block)
    fed = bench.feed(block.i, [pack(block.i.payload.shape(), beat) for beat in beats])
    given = bench.feed(block.sum, sums)
    bench.every(lambda ctx, cycle: ctx.set(block.room, 1))
    taken = bench.drain(block.o, len(sums))
    bench.run()
    assert fed.times[0] - given.times[0] == block.sum_latency
    assert fed.times == list(range(fed.times[0], fed.times[0] + 40))
    found = [unpack(block.o.payload.shape(), word)["outputs"] for word in taken.items]
    assert found == [[256]] * 40
