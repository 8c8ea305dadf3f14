"""Row results and their merge, against exact integers and rationals."""

from __future__ import annotations

import math
import random
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from oracle import code_row

import exaq
from exaq import RowResults, SoftmaxConfig, Tables, merge, row_results
from exaq.row_results import WEIGHT_FRAC

FREE = Tables(thresholds=(-40, -3, -3), exp_rom=(0, 300, 17, 511))
CONFIGS = {
    "default": SoftmaxConfig(row_results="table"),
    "codes": SoftmaxConfig(output="codes", bits=3, logit_width=5, prob_bits=5),
    "free": SoftmaxConfig(row_results="table", exp_frac=8, prob_bits=10, tables=FREE),
    "6 bits": SoftmaxConfig(row_results="table", bits=6, logit_width=11, logit_scale=2**-6),
    "extreme": SoftmaxConfig(
        row_results="table",
        exp_frac=24,
        max_row=65536,
        prob_bits=24,
        logit_width=24,
        logit_scale=Fraction(1, 3 << 18),
    ),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)
Row = list[tuple[int, bool]]


def weight_of(distance: Fraction) -> int:
    """e**distance in units of 2**-WEIGHT_FRAC, half to even: by decimals of 60 digits."""
    with localcontext() as context:
        context.prec = 60
        exact = (Decimal(distance.numerator) / Decimal(distance.denominator)).exp()
        return int((exact * 2**WEIGHT_FRAC).to_integral_value(ROUND_HALF_EVEN))


def results_of(config: SoftmaxConfig, row: Row) -> tuple[int, int, list[int]]:
    """Maximum, sum and table of a row, by the slow softmax."""
    codes = code_row([x for x, _ in row], [live for _, live in row], config)
    rom = config.tables.exp_rom
    total = sum(rom[code] for code, (_, live) in zip(codes, row, strict=True) if live)
    maximum = max((x for x, live in row if live), default=config.logit_range[0])
    one = 1 << config.prob_bits
    table = [
        one - 1 if not total else math.floor(Fraction(e * one, total) + Fraction(1, 2)) for e in rom
    ]
    return maximum, total, [min(p, one - 1) for p in table]


def random_rows(config: SoftmaxConfig, rng: random.Random, count: int, length: int) -> list[Row]:
    low, high = config.logit_range
    rows = []
    for _ in range(count):
        centre, width = rng.randint(low, high), rng.choice([1, 4, 60, high])
        density = rng.choice([1.0, 0.6, 0.05, 0.0])
        rows.append(
            [
                (min(max(centre + rng.randint(-width, width), low), high), rng.random() < density)
                for _ in range(length)
            ]
        )
    return rows


def arrays(rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.array([[x for x, _ in row] for row in rows]),
        np.array([[live for _, live in row] for row in rows]),
    )


@EVERY
def test_results_of_rows(name: str) -> None:
    config = CONFIGS[name]
    rows = random_rows(config, random.Random(name), 120, 17)
    logits, mask = arrays(rows)
    found = exaq.row_results(logits.reshape(10, 12, 17), config, mask.reshape(10, 12, 17))
    assert found.maximum.shape == found.sum.shape == (10, 12)
    assert found.table is not None
    assert found.table.shape == (10, 12, config.levels)
    assert found.table.dtype == exaq.softmax(logits[:1], config).dtype
    flat = found.reshape(120)
    for k, row in enumerate(rows):
        expected = results_of(config, row)
        assert (flat.maximum[k], flat.sum[k], flat.table[k].tolist()) == expected  # type: ignore[index]


@EVERY
def test_elements_get_the_tables_entries(name: str) -> None:
    """The table at an element's code is the element's probability."""
    config = CONFIGS[name]
    logits, mask = arrays(random_rows(config, random.Random(name), 60, 30))
    table = exaq.row_results(logits, config, mask).table
    codes = exaq.quantize(logits, config, mask)
    assert table is not None
    chosen = np.where(mask, np.take_along_axis(table, codes.astype(np.int64), axis=-1), 0)
    np.testing.assert_array_equal(chosen, exaq.softmax(logits, config, mask))


def test_sums_alone_have_no_table() -> None:
    config = SoftmaxConfig(row_results="sum")
    found = exaq.row_results([[1, 2]], config)
    assert found.table is None
    assert sorted(found.arrays()) == ["maximum", "sum"]
    assert sorted(exaq.row_results([[1, 2]], CONFIGS["default"]).arrays()) == [
        "maximum",
        "sum",
        "table",
    ]


def test_contexts_lengths_and_windows() -> None:
    each = tuple(exaq.SoftmaxConfig(clip=-clip).tables for clip in (2.5, 4.0, 7.0))
    config = SoftmaxConfig(output="codes", contexts=3, context_tables=each, window=True)
    rng = random.Random(3)
    logits = np.array([[rng.randint(-128, 127) for _ in range(40)] for _ in range(90)])
    contexts = np.array([rng.randrange(3) for _ in range(90)])
    lengths = np.array([rng.randint(1, 40) for _ in range(90)])
    starts, stops = (np.array([rng.randint(0, 40) for _ in range(90)]) for _ in range(2))
    found = exaq.row_results(
        logits, config, contexts=contexts, lengths=lengths, window=(starts, stops)
    )
    for k in range(90):
        one = SoftmaxConfig(row_results="table", tables=each[contexts[k]])
        row = [
            (int(x), j < lengths[k] and starts[k] <= j < stops[k]) for j, x in enumerate(logits[k])
        ]
        assert (found.maximum[k], found.sum[k], found.table[k].tolist()) == results_of(one, row)  # type: ignore[index]


def test_differing_counts_rows() -> None:
    logits = np.random.default_rng(1).integers(-128, 128, (30, 9))
    config = CONFIGS["default"]
    found = exaq.row_results(logits, config)
    assert found.differing(found) == 0
    for name, change in (("maximum", 1), ("sum", 2), ("table", 1)):
        values = {k: v.copy() for k, v in found.arrays().items()}
        values[name][[3, 7, 29]] ^= change
        assert found.differing(RowResults(**values)) == 3


@pytest.mark.parametrize("seed", range(4))
@EVERY
def test_merge_is_the_formula(name: str, seed: int) -> None:
    """Rows cut at random into 1 to 5 parts, some without a live element, in any order."""
    config = CONFIGS[name].replace(row_results="sum", output="probabilities")
    full = CONFIGS[name]
    rng = random.Random(f"{name} {seed}")
    count = rng.randint(1, 5)
    rows = random_rows(config, rng, 24, 23)
    cuts = [0, *sorted(rng.choices(range(1, 23), k=count - 1)), 23]
    spans = [(a, b) for a, b in pairwise(cuts) if b > a]
    pieces = [[row[a:b] for row in rows] for a, b in spans]
    parts = [exaq.row_results(*arrays(piece)[:1], config, arrays(piece)[1]) for piece in pieces]
    merged = merge(parts, config)
    tables = merged.tables(config)
    scale, rom, one = Fraction(config.logit_scale), config.tables.exp_rom, 1 << config.prob_bits
    for k in range(len(rows)):
        of_parts = [results_of(config, piece[k]) for piece in pieces]
        most = max(maximum for maximum, _, _ in of_parts)
        weights = [weight_of(scale * (maximum - most)) for maximum, _, _ in of_parts]
        total = sum(w * s for w, (_, s, _) in zip(weights, of_parts, strict=True))
        assert merged.maximum[k] == most
        assert merged.weights[:, k].tolist() == weights
        assert merged.sum[k] == total
        for weight, table in zip(weights, tables[:, k].tolist(), strict=True):
            exact = [Fraction(e * weight * one, total) if total else Fraction(one) for e in rom]
            assert table == [min(math.floor(p + Fraction(1, 2)), one - 1) for p in exact]
    order = rng.sample(range(len(parts)), len(parts))
    other = merge([parts[k] for k in order], config)
    np.testing.assert_array_equal(other.maximum, merged.maximum)
    np.testing.assert_array_equal(other.weights, merged.weights[order])
    np.testing.assert_array_equal(other.sum, merged.sum)
    np.testing.assert_array_equal(other.tables(config), tables[order])
    if len(parts) == 1:
        whole = exaq.row_results(*arrays(rows)[:1], full, arrays(rows)[1])
        np.testing.assert_array_equal(tables[0], whole.table)


def test_longest_rows_at_the_widest_numbers_do_not_overflow() -> None:
    """65536 exponentials of 25 bits, weights of 20, five parts, probabilities of 24 bits."""
    tables = Tables(thresholds=(-3, -2, -1), exp_rom=(1, 5, 9, 2**25 - 1))
    config = SoftmaxConfig(
        row_results="table", exp_frac=24, max_row=65536, prob_bits=24, tables=tables
    )
    row = exaq.row_results(np.zeros((1, 65536), np.int8), config)
    assert row.sum.tolist() == [65536 * (2**25 - 1)]
    merged = merge([row] * 5, config)
    assert merged.sum.tolist() == [5 * 65536 * (2**25 - 1) << 20]
    expected = [
        min((e << 44) * 2 + (5 * 65536 * (2**25 - 1) << 20), 2**200)
        // (2 * (5 * 65536 * (2**25 - 1) << 20))
        for e in tables.exp_rom
    ]
    assert merged.tables(config)[0, 0].tolist() == expected
    assert expected[-1] == 51


@pytest.mark.parametrize("format", ["bf16", "fp16"])
def test_floating_point_maxima(format: str) -> None:
    """Weights of any distance, also from -inf, the maximum of a part without a live element."""
    config = SoftmaxConfig(row_results="table", logit_format=format)
    floats = config.format.float_format
    assert floats is not None
    rng = np.random.default_rng(7)
    logits = floats.round(rng.normal(0, 4, (40, 24)) * 10.0 ** rng.integers(-3, 2, (40, 1)))
    logits[rng.random((40, 24)) < 0.3] = -np.inf
    logits[:10, :8] = -np.inf
    logits[5:15, 8:] = -np.inf
    parts = [exaq.row_results(logits[:, 8 * k : 8 * k + 8], config) for k in range(3)]
    merged = merge(parts, config)
    assert (parts[0].maximum[:10] == -np.inf).all()
    assert (merged.maximum[5:10] == -np.inf).all()
    assert (merged.sum[5:10] == 0).all()
    for k in range(40):
        for part in range(3):
            own, most = parts[part].maximum[k], merged.maximum[k]
            expected = 1 << WEIGHT_FRAC
            if own != most:
                distance = None if own == -np.inf else Fraction(float(own)) - Fraction(float(most))
                expected = 0 if distance is None else weight_of(distance)
            assert merged.weights[part, k] == expected
    alone = merge(parts[:1], config)
    np.testing.assert_array_equal(alone.tables(config)[0], parts[0].table)


def test_weights_in_the_middle_are_rounded_exactly() -> None:
    """Scales for which e**-1 times 2**20 is as close to a half as a float64 cannot tell."""
    for target in (20, 1000, 123456, 1048575):
        with localcontext() as context:
            context.prec = 40
            logarithm = ((Decimal(target) + Decimal("0.5")) / 2**WEIGHT_FRAC).ln()
        for nudge in (Fraction(1, 10**18), -Fraction(1, 10**18)):
            scale = -Fraction(str(logarithm)) + nudge
            config = SoftmaxConfig(row_results="sum", logit_scale=scale)
            parts = [exaq.row_results([[x]], config) for x in (5, 4)]
            found = merge(parts, config).weights[1, 0]
            assert found == weight_of(-scale) == target + (nudge < 0)


def test_log_sum_exp() -> None:
    """Within what the table's rounding makes: against the logarithm of the very sum."""
    config = CONFIGS["default"]
    logits = np.random.default_rng(2).integers(-128, 128, (50, 30))
    row = exaq.row_results(logits, config)
    codes = exaq.quantize(logits, config)
    values = np.array(config.tables.exp_rom)[codes].sum(axis=-1) / 2.0**config.exp_frac
    expected = np.log(values) + logits.max(axis=-1) * float(config.logit_scale)
    np.testing.assert_allclose(row.log_sum_exp(config), expected, rtol=1e-12)
    parts = [exaq.row_results(logits[:, k : k + 10], config) for k in (0, 10, 20)]
    joined = merge(parts, config).log_sum_exp(config)
    of_parts = np.logaddexp.reduce([part.log_sum_exp(config) for part in parts], axis=0)
    np.testing.assert_allclose(joined, of_parts, atol=1e-5)
    nothing = exaq.row_results(logits, config, np.zeros(30, bool))
    assert (nothing.log_sum_exp(config) == -np.inf).all()
    assert (merge([nothing, nothing], config).log_sum_exp(config) == -np.inf).all()


def test_merged_tables_of_contexts() -> None:
    each = tuple(exaq.SoftmaxConfig(clip=-clip).tables for clip in (2.5, 4.0))
    config = SoftmaxConfig(contexts=2, context_tables=each, row_results="table")
    logits = np.random.default_rng(4).integers(-128, 128, (6, 5, 12))
    contexts = np.arange(5) % 2
    row = exaq.row_results(logits, config, contexts=contexts)
    np.testing.assert_array_equal(merge([row], config).tables(config, contexts)[0], row.table)
    parts = [exaq.row_results(logits[..., k : k + 6], config, contexts=contexts) for k in (0, 6)]
    found = merge(parts, config).tables(config, contexts)
    for number in (0, 1):
        alone = SoftmaxConfig(tables=each[number], row_results="table")
        here = [
            RowResults(maximum=p.maximum[:, contexts == number], sum=p.sum[:, contexts == number])
            for p in parts
        ]
        np.testing.assert_array_equal(
            found[:, :, contexts == number], merge(here, alone).tables(alone)
        )


def refused(kind: type[Exception], message: str, function: object, *given: object) -> None:
    with pytest.raises(kind) as caught:
        function(*given)  # type: ignore[operator]
    assert str(caught.value) == message


def test_refusals() -> None:
    config = SoftmaxConfig(row_results="sum", contexts=3)
    row, other = exaq.row_results([[1, 2]], config), exaq.row_results([[1], [2]], config)
    refused(ValueError, "there must be at least one part to merge", merge, [], config)
    message = "parts must have one shape, not (2,) beside (1,)"
    refused(ValueError, message, merge, [row, other], config)
    sink = SoftmaxConfig(row_results="sum", sink=5)
    message = (
        "every part has the sink of the configuration, 5: compute the parts without, and give the "
        "sink as a part of its own"
    )
    refused(ValueError, message, merge, [row], sink)
    merged = merge([row], config)
    refused(ValueError, "contexts must be in 0..2, not -1", merged.tables, config, -1)
    refused(ValueError, "contexts must be in 0..2, not 3", merged.tables, config, [3])
    refused(TypeError, "contexts must be integers, not float64", merged.tables, config, 1.0)
    message = "contexts of shape (2,) must broadcast to the rows' shape, (1,)"
    refused(ValueError, message, merged.tables, config, [0, 1])
    plain = SoftmaxConfig(row_results="sum")
    message = "a configuration without contexts takes no contexts"
    refused(ValueError, message, merged.tables, plain, 0)


def configured(**settings: Any) -> SoftmaxConfig:
    return SoftmaxConfig(**settings)


def test_refusals_of_configurations() -> None:
    message = "a unit that gives codes has row_results sum or table, not none"
    refused(ValueError, message, lambda: configured(output="codes", row_results="none"))
    tables = Tables(thresholds=(-3, -2, -1), exp_rom=(1, 9, 3, 8))
    message = (
        "with row_results table the last value of exp_rom must be its largest, but is 8, and the "
        "largest 9"
    )
    refused(ValueError, message, lambda: configured(row_results="table", tables=tables))
    unit = SoftmaxConfig(row_results="table", contexts=2)
    refused(ValueError, message, unit.load_words, 1, tables)
    assert SoftmaxConfig(row_results="sum", tables=tables).tables is tables
    message = "output must be probabilities or codes, not 'bits'"
    refused(ValueError, message, lambda: configured(output="bits"))
    message = "row_results must be none, sum or table, not 'all'"
    refused(ValueError, message, lambda: configured(row_results="all"))
    assert SoftmaxConfig(output="codes").row_results == "table"
    with pytest.raises(ValueError, match="has no row results: row_results must be none"):
        SoftmaxConfig(kernel=_without("test-no-results"), row_results="sum")
    with pytest.raises(ValueError, match="has no codes: output must be probabilities"):
        SoftmaxConfig(kernel=_without("test-no-codes"), output="codes")


def _without(name: str) -> exaq.Kernel:
    """A kernel that has neither codes nor row results."""

    class Plain(exaq.Kernel):
        def compute(self, rows):  # type: ignore[no-untyped-def]
            raise NotImplementedError

    Plain.name = name
    return Plain()


def test_full_rate_follows_from_what_leaves() -> None:
    """A row of codes and sums takes no divisions, so a beat is the shortest row of full rate."""
    codes = SoftmaxConfig(output="codes", row_results="sum", lanes=8)
    assert codes.full_rate_row == 8
    message = "full_rate_row must be at least lanes (8), not 7"
    refused(ValueError, message, lambda: codes.replace(full_rate_row=7))
    for given in ({"row_results": "table"}, {"row_results": "sum", "contexts": 1}):
        dear = configured(output="codes", lanes=8, **given)
        assert dear.full_rate_row == 256
        message = "full_rate_row must be at least 2 * 2**bits * lanes (64), not 63"
        refused(ValueError, message, lambda unit=dear: unit.replace(full_rate_row=63))


@pytest.mark.parametrize("top", [20, 40, -20])
def test_a_sink_is_a_part_of_its_own(top: int) -> None:
    """With free tables too: the part has the last exponential as its sum."""
    tables = Tables(thresholds=(-49, -28, -7), exp_rom=(17, 1065, 2481, 11584))
    config = SoftmaxConfig(tables=tables, row_results="table")
    row = np.array([[10, 20, -5, 3]])
    sink = RowResults(maximum=np.array([top]), sum=np.array([tables.exp_rom[-1]]))
    merged = merge(iter([row_results(row, config), sink]), config)
    whole = row_results(np.append(row, [[top]], axis=-1), config)
    assert merged.maximum.tolist() == whole.maximum.tolist()
    if top == 20:
        np.testing.assert_array_equal(merged.tables(config)[0], whole.table)
    # A part's distance to the maximum is not that of each element, so sums need not be equal.
    assert np.allclose(merged.log_sum_exp(config), whole.log_sum_exp(config), atol=0.3)


def test_the_sign_of_zero_is_a_bit() -> None:
    one = RowResults(maximum=np.array([0.0, 1.0]), sum=np.array([1, 1]))
    other = RowResults(maximum=np.array([-0.0, 1.0]), sum=np.array([1, 1]))
    assert one.differing(other) == 1
    assert one.differing(one) == 0


def test_parts_are_results() -> None:
    refused(TypeError, "parts must be exaq.RowResults, not 5", merge, [5], SoftmaxConfig())
