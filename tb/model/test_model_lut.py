"""The kernel ``lut`` against exact fractions."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from kernel_rows import compare, compare_masked, every_row, exp_minus

import exaq
from exaq import SoftmaxConfig
from exaq.kernels.lut import Lut

VARIANTS = pytest.mark.parametrize("variant", ["rexp", "2d"])
#: Word width, entries and scale of tables; a small one, the usual one, a coarse one, a wide one.
TABLES = [(4, 4, 0.5), (8, 128, 0.0625), (8, 32, Fraction(1, 30)), (12, 1024, 0.01), (6, 9, 7.0)]


def lut(**settings: Any) -> SoftmaxConfig:
    return SoftmaxConfig(kernel="lut", **settings)


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


@cache
def exponential(index: int, step: int, config: SoftmaxConfig) -> int:
    x = Fraction(config.logit_scale) * 2**step * index
    return half_up(exp_minus(x) * (2**config.table_bits - 1)) if x < 300 else 0


@cache
def step_of(config: SoftmaxConfig) -> int:
    """The least with which the table ends in 0 or at the largest distance."""
    last, most = config.exp_entries - 1, 2**config.logit_width - 1
    return next(
        step
        for step in range(config.logit_width + 1)
        if half_up(Fraction(most, 2**step)) <= last or exponential(last, step, config) == 0
    )


def weight(distance: int, config: SoftmaxConfig) -> int:
    step = step_of(config)
    index = half_up(Fraction(distance, 2**step)) if step else distance
    # Behind the table's last word all are 0 too.
    return exponential(min(index, config.exp_entries - 1), step, config)


def rounded(total: int, bits: int) -> int:
    """To so many significant bits, half up."""
    unit = 1
    while total // unit >= 2**bits:
        unit *= 2
    return half_up(Fraction(total, unit)) * unit


def softmax_row(row: Sequence[int], config: SoftmaxConfig) -> list[int]:
    """Probabilities of live elements, from the definition."""
    w, one = config.table_bits, 2**config.table_bits - 1
    weights = [weight(max(row) - x, config) for x in row]
    total = rounded(sum(weights), config.mantissa_bits + 1)
    most = 2**config.prob_bits - 1
    if config.variant == "rexp":
        reciprocal = min(half_up(Fraction(4**w, total)), one)
        scale = Fraction(2**config.prob_bits, 4**w)
        return [min(half_up(e * reciprocal * scale), most) for e in weights]
    levels = 2**config.code_bits - 1
    codes = [half_up(Fraction(e * levels, one)) for e in weights]
    unit = Fraction(2**config.prob_bits * one, levels)
    return [min(half_up(unit * c / total), most) for c in codes]


@VARIANTS
@pytest.mark.parametrize(("table_bits", "entries", "scale"), TABLES)
def test_every_distance(
    variant: str, table_bits: int, entries: int, scale: float | Fraction
) -> None:
    config = lut(variant=variant, table_bits=table_bits, exp_entries=entries, logit_scale=scale)
    assert config.step == step_of(config)
    assert len(config.exponentials) <= entries
    stored, weights = config.weigh(np.arange(256, dtype=np.int64))
    expected = [weight(d, config) for d in range(256)]
    assert weights.tolist() == expected
    if variant == "2d":
        one, levels = 2**table_bits - 1, 2**config.code_bits - 1
        expected = [half_up(Fraction(e * levels, one)) for e in expected]
    assert stored.tolist() == expected


def test_the_usual_tables() -> None:
    """Of 8-bit logits in steps of 1/16: their sizes, and where the exponential vanishes."""
    rexp, both = lut(), lut(variant="2d", prob_bits=8)
    assert (rexp.step, len(rexp.exponentials)) == (0, 101)
    assert rexp.exponentials[:4] == (255, 240, 225, 211)
    assert rexp.exponentials[-3:] == (1, 1, 0)
    assert (len(rexp.reciprocals), rexp.table_bytes) == (321, 422)
    assert (both.columns, both.table_bytes) == (41, 808)
    assert both.probabilities[0][:3] == (0, 17, 34)
    assert rexp.codes == both.reciprocals == ()


@pytest.mark.parametrize("table_bits", [4, 8, 12])
@pytest.mark.parametrize("mantissa_bits", [0, 1, 2])
def test_every_column(table_bits: int, mantissa_bits: int) -> None:
    """Sums from that of one element to that of the longest row number all columns, in order."""
    config = lut(table_bits=table_bits, mantissa_bits=mantissa_bits, variant="2d", max_row=24)
    one = 2**table_bits - 1
    sums = np.arange(one, 24 * one + 1, dtype=np.int64)
    column = config.finish(sums)["column"]
    assert column[0] == 0
    assert set(np.diff(column).tolist()) <= {0, 1}
    assert column[-1] == config.columns - 1
    expected = [rounded(s, mantissa_bits + 1) for s in sums.tolist()]
    assert np.array(config.rounded_sums)[column].tolist() == expected


@pytest.mark.parametrize("max_row", [4, 1024, 65536])
@pytest.mark.parametrize("table_bits", [4, 8, 12])
def test_every_reciprocal(table_bits: int, max_row: int) -> None:
    config = lut(table_bits=table_bits, max_row=max_row, mantissa_bits=2)
    one = 2**table_bits - 1
    sums = np.unique(np.geomspace(one, max_row * one, 3000).astype(np.int64))
    found = config.finish(sums)["reciprocal"].tolist()
    exact = [half_up(Fraction(4**table_bits, rounded(s, 3))) for s in sums.tolist()]
    assert found == [min(each, one) for each in exact]


@VARIANTS
@pytest.mark.parametrize(("prob_bits", "table_bits"), [(4, 8), (9, 4), (8, 5), (12, 6)])
def test_every_row_of_three(variant: str, prob_bits: int, table_bits: int) -> None:
    config = lut(
        variant=variant, prob_bits=prob_bits, table_bits=table_bits, exp_entries=7, logit_width=4,
        logit_scale=0.4, max_row=4, mantissa_bits=2, code_bits=3 if variant == "2d" else None,
    )  # fmt: skip
    for length in (1, 2, 3):
        compare(config, every_row(4, length), softmax_row)


@VARIANTS
@pytest.mark.parametrize("prob_bits", [4, 8, 13, 16, 24])
@pytest.mark.parametrize(("width", "scale"), [(8, 0.0625), (12, 0.01), (24, 2.0**-19)])
def test_masked_rows(variant: str, prob_bits: int, width: int, scale: float) -> None:
    config = lut(
        variant=variant, prob_bits=prob_bits, logit_width=width, logit_scale=scale, max_row=40
    )
    compare_masked(config, prob_bits + width, 60, softmax_row)


@VARIANTS
def test_flat_rows(variant: str) -> None:
    config = lut(variant=variant, max_row=1024)
    for length in [*range(1, 18), 31, 32, 33, 95, 96, 97, 1023, 1024]:
        found = set(exaq.softmax(np.full(length, 5), config).tolist())
        assert found == {softmax_row([5] * length, config)[0]}


@VARIANTS
def test_nearer_elements_never_get_less(variant: str) -> None:
    config = lut(variant=variant, max_row=256)
    row = np.arange(127, -129, -1)
    for stride in (1, 3, 10):
        found = exaq.softmax(row[::stride], config).astype(np.int64)
        assert (np.diff(found) <= 0).all()
        assert found[0] > found[-1]


def test_long_flat_rows_end_at_the_reciprocals_width() -> None:
    """1 / S of 8 bits vanishes beyond 512 elements of equal weight; of 12 bits it does not."""
    row = np.zeros(600, np.int64)
    assert exaq.softmax(row, lut(max_row=1024)).max() == 0
    assert exaq.softmax(row, lut(max_row=1024, table_bits=12)).min() > 0


def test_settings_are_written_and_read() -> None:
    config = lut(variant="2d", code_bits=3, table_bits=6, lanes=2)
    written = config.to_dict()
    assert (written["variant"], written["code_bits"], written["mantissa_bits"]) == ("2d", 3, 2)
    assert SoftmaxConfig.from_dict(written) == config
    given = Lut(variant="2d", code_bits=3, table_bits=6)
    assert config.kernel == given.settle(config.format)
    assert config.replace(variant="rexp", code_bits=None).mantissa_bits == 4
    assert SoftmaxConfig.from_dict(lut().to_dict()) == lut()


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"variant": "3d"}, ValueError, "variant must be rexp or 2d, not '3d'"),
        ({"table_bits": 3}, ValueError, "table_bits must be in 4..12, not 3"),
        ({"exp_entries": 2000}, ValueError, "exp_entries must be in 4..1024, not 2000"),
        ({"mantissa_bits": 7}, ValueError, "mantissa_bits must be in 0..6, not 7"),
        ({"variant": "2d", "code_bits": 9}, ValueError, "code_bits must be in 1..8, not 9"),
        (
            {"code_bits": 4},
            ValueError,
            "code_bits must be left out with rexp, which has none",
        ),
        (
            {"variant": "2d", "code_bits": 8, "mantissa_bits": 3},
            ValueError,
            "the table behind the sum has 20736 words, at most 4096 are legal: "
            "make mantissa_bits, code_bits or max_row smaller",
        ),
        ({"contexts": 1}, ValueError, "the kernel lut has no tables: contexts must be 0, not 1"),
    ],
)
def test_refusals(settings: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        lut(**settings)
