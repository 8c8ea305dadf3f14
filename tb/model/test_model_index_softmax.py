"""IndexSoftmax (arXiv 2511.21513) as tables of a unit, beside its formula in exact arithmetic."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import exaq


def half_up(value: Fraction) -> int:
    """The nearest integer; the upper one of two that are equally near."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


class Index:
    """The paper's formula, element by element."""

    def __init__(self, c: Fraction, scale: Fraction, bits: int) -> None:
        self.last = 2**bits - 1
        self.c_int = half_up(c / scale)
        self.table = [self._value(c * i / self.last) for i in range(self.last)] + [0]

    @staticmethod
    def _value(exponent: Fraction) -> int:
        real = 255 * (-Decimal(exponent.numerator) / Decimal(exponent.denominator)).exp()
        return int(real.to_integral_value(ROUND_HALF_UP))

    def index(self, distance: int) -> int:
        return half_up(Fraction(min(distance, self.c_int) * self.last, self.c_int))

    def row(self, logits: list[int]) -> tuple[list[int], list[int]]:
        """Exponentials, and probabilities in units of 1 / 255."""
        values = [self.table[self.index(max(logits) - x)] for x in logits]
        return values, [half_up(Fraction(255 * e, sum(values))) for e in values]


CASES: list[tuple[Any, Any, int]] = [
    (6.6, 0.0625, 5),
    (6.6, 2.0**-8, 5),
    (6.6, 0.1, 5),
    (Fraction(33, 5), Fraction(1, 7), 5),
    # c_int = 62, 31 and 124: distances in the middle between two indices, none, and some.
    (6.2, Fraction(1, 10), 5),
    (Fraction(31, 10), Fraction(1, 10), 5),
    (Fraction(62, 10), Fraction(1, 20), 5),
    (0.5, 1.0, 5),
    (5.0, 0.0625, 4),
    (7.7, 0.0625, 6),
    (4.0, 0.0625, 2),
]


@pytest.mark.parametrize(("c", "scale", "bits"), CASES)
def test_codes_and_exponentials_of_every_distance_are_the_formulas(
    c: Any, scale: Any, bits: int
) -> None:
    formula = Index(Fraction(c), Fraction(scale), bits)
    tables = exaq.Tables.index_softmax(c=c, logit_scale=scale, bits=bits)
    assert list(reversed(tables.exp_rom)) == formula.table
    config = exaq.SoftmaxConfig(
        bits=bits, logit_width=16, logit_scale=scale, exp_frac=7, prob_bits=8, tables=tables
    )
    most = 2 * formula.c_int + 5
    distances = np.arange(most + 1)
    codes = exaq.quantize(np.stack([np.zeros_like(distances), -distances], axis=-1), config)[:, 1]
    expected = [formula.last - formula.index(int(d)) for d in distances]
    assert codes.tolist() == expected


def test_ties_occur_and_round_up() -> None:
    """With 62 steps for 31 indices every odd distance is half-way, and gets the upper index."""
    config = exaq.SoftmaxConfig(
        bits=5, exp_frac=7, tables=exaq.Tables.index_softmax(c=6.2, logit_scale=0.1)
    )
    codes = exaq.quantize([[0, -1, -2, -3, -4, -5]], config)
    assert (31 - codes).tolist() == [[0, 1, 1, 2, 2, 3]]


def test_rows_have_the_formulas_exponentials_and_probabilities_or_1_more() -> None:
    config = exaq.SoftmaxConfig.preset("index-5bit-x4")
    formula = Index(Fraction(6.6), Fraction(1, 16), 5)
    rng = np.random.default_rng(0)
    seen = set()
    for length in (1, 2, 3, 16, 100, 512):
        spread = rng.choice([1, 10, 60, 300], (60, 1))
        logits = np.clip(rng.normal(0, spread, (60, length)).round(), -128, 127).astype(np.int8)
        codes, got = exaq.quantize(logits, config), exaq.softmax(logits, config)
        assert got.dtype == np.uint8
        for row, code, probabilities in zip(logits.tolist(), codes, got.tolist(), strict=True):
            values, theirs = formula.row(row)
            assert [config.tables.exp_rom[k] for k in code] == values
            total = sum(values)
            assert probabilities == [min(half_up(Fraction(256 * e, total)), 255) for e in values]
            seen |= {mine - other for mine, other in zip(probabilities, theirs, strict=True)}
    assert seen == {0, 1}


def test_the_preset_is_the_papers_choice() -> None:
    config = exaq.SoftmaxConfig.preset("index-5bit-x4")
    assert config.tables == exaq.Tables.index_softmax(logit_scale=0.0625, c=6.6, bits=5)
    assert (config.levels, config.prob_bits, config.tables.exp_rom[-1]) == (32, 8, 255)
    assert (config.clip, config.tables.exp_rom[0]) == (None, 0)
    assert exaq.SoftmaxConfig.from_dict(config.to_dict()) == config


def test_the_presets_tables_give_way_or_refuse_another_scale() -> None:
    preset = exaq.SoftmaxConfig.preset
    assert preset("index-5bit-x4", clip=-5.0).clip == -5.0
    other = exaq.Tables.index_softmax(logit_scale=0.5)
    assert preset("index-5bit-x4", logit_scale=0.5, tables=other).tables == other
    assert preset("index-5bit-x4", logit_scale=1 / 16) == preset("index-5bit-x4")
    assert preset("index-5bit-x4", contexts=2).context_tables[1] == preset("index-5bit-x4").tables
    refuses(
        lambda: preset("index-5bit-x4", logit_scale=0.5),
        "the tables of the preset index-5bit-x4 are for logit_scale 0.0625, not 0.5",
    )
    refuses(
        lambda: preset("index-5bit-x4", logit_format="bf16"),
        "the tables of the preset index-5bit-x4 are for logit_format integer, not bf16",
    )


def refuses(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"logit_scale": 0.0}, "logit_scale must be positive, not 0.0"),
        ({"logit_scale": 1, "c": 0.49}, "c must be at least half a logit step (0.5), not 0.49"),
        ({"logit_scale": 1, "c": -6.6}, "c must be at least half a logit step (0.5), not -6.6"),
        ({"logit_scale": 1, "c": math.inf}, "c must be finite, not inf"),
        ({"logit_scale": 1, "bits": 7}, "bits must be in 2..6, not 7"),
    ],
)
def test_refuses(settings: dict[str, Any], message: str) -> None:
    refuses(lambda: exaq.Tables.index_softmax(**settings), message)
