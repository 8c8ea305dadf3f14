"""The kernel ``shift`` against exact fractions, and against what its papers print."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from kernel_rows import LN2, compare, compare_masked, every_row

import exaq
from exaq import SoftmaxConfig
from exaq.kernels.shift import Shift

#: The step that ITA's logits have: 8 / (2**8 * log2(e)).
ITA_SCALE = math.log(2) / 32
SCALES: list[float | Fraction] = [
    0.0625, ITA_SCALE, 1.0, 0.5, Fraction(1, 3), 2.0**-12, 0.3, 17.0, 1e-30, 1e30
]  # fmt: skip
VARIANTS = pytest.mark.parametrize("variant", ["e2softmax", "ita"])


def shift(**settings: Any) -> SoftmaxConfig:
    return SoftmaxConfig(kernel="shift", **settings)


@cache
def factor(config: SoftmaxConfig) -> Fraction:
    """The nearest of the numbers with so many significant bits."""
    exact = Fraction(config.logit_scale) / LN2
    unit = Fraction(1)
    while exact / unit >= 2**config.factor_bits:
        unit *= 2
    while exact / unit < 2 ** (config.factor_bits - 1):
        unit /= 2
    below = exact // unit
    return unit * min((below, below + 1), key=lambda n: abs(n * unit - exact))


def code(distance: int, config: SoftmaxConfig) -> int:
    most = 15 if config.variant == "e2softmax" else config.prob_bits + 1
    return min(math.floor(factor(config) * distance + Fraction(1, 2)), most)


def reciprocal(total: int, config: SoftmaxConfig) -> int:
    one = 2**config.prob_bits
    if config.variant == "ita":
        return math.floor(Fraction((one - 1) * one, total))
    # In units of the maximum's weight, 2**15 of ``total``.
    power = max(n for n in range(64) if total >= 2 ** (15 + n))
    upper_half = 2 * total >= 3 * 2 ** (15 + power)
    quarter = Fraction(1, 2) if upper_half else Fraction(0)
    mean = (2 * LN2 + Fraction(1, 4) - quarter) / 2
    return math.floor(Fraction(math.floor(mean * one + Fraction(1, 2)), 2**power))


def softmax_row(row: Sequence[int], config: SoftmaxConfig) -> list[int]:
    """Probabilities of live elements, from the definition."""
    codes = [code(max(row) - x, config) for x in row]
    top = 2**15 if config.variant == "e2softmax" else 2**config.prob_bits
    total = sum(math.floor(Fraction(top, 2**k)) for k in codes)
    return [math.floor(Fraction(reciprocal(total, config), 2**k)) for k in codes]


@VARIANTS
@pytest.mark.parametrize("factor_bits", [1, 2, 5, 12])
@pytest.mark.parametrize("scale", SCALES)
def test_every_distance(variant: str, factor_bits: int, scale: float | Fraction) -> None:
    config = shift(variant=variant, factor_bits=factor_bits, logit_scale=scale)
    assert config.factor == factor(config)
    stored, weight = config.weigh(np.arange(256, dtype=np.int64))
    assert stored.tolist() == [code(d, config) for d in range(256)]
    top = 15 if variant == "e2softmax" else 16
    assert weight.tolist() == [2**top >> k for k in stored.tolist()]


def test_five_bits_of_the_factor_are_the_papers_shifts() -> None:
    """d + (d >> 1) - (d >> 4), before anything is cut off, for a step of 1."""
    config = shift(logit_scale=1.0)
    assert config.factor == 1 + Fraction(1, 2) - Fraction(1, 16)
    assert shift(logit_scale=0.0625).factor == config.factor / 16


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("bits", range(1, 13))
def test_the_factor_is_near(scale: float | Fraction, bits: int) -> None:
    config = shift(logit_scale=scale, factor_bits=bits)
    exact = Fraction(scale) / LN2
    assert abs(config.factor - exact) <= exact / 2**bits
    assert config.factor.numerator < 2**bits or config.factor.denominator == 1


def test_ita_as_published() -> None:
    """8-bit logits and probabilities, and ITA's scale: its lines, for every distance and sum."""
    config = shift(variant="ita", prob_bits=8, logit_scale=ITA_SCALE)
    assert config.factor == Fraction(1, 32)
    distance = np.arange(256)
    stored, weight = config.weigh(distance)
    shifts = (distance + 16) >> 5
    assert stored.tolist() == shifts.tolist()
    assert weight.tolist() == (256 >> shifts).tolist()
    sums = np.arange(256, 1024 * 256 + 1)
    row = config.finish(sums)
    assert row["reciprocal"].tolist() == (65280 // sums).tolist()
    found = config.emit(stored[:, None], {"reciprocal": np.arange(256)})
    assert found.tolist() == (np.arange(256) >> shifts[:, None]).tolist()


@VARIANTS
@pytest.mark.parametrize("prob_bits", [4, 8, 16, 24])
def test_every_sum_of_a_short_row(variant: str, prob_bits: int) -> None:
    """All sums of up to 4 elements of ``e2softmax``; of ``ita`` as many, from the least on."""
    config = shift(variant=variant, prob_bits=prob_bits)
    least = 2**15 if variant == "e2softmax" else 2**prob_bits
    sums = np.arange(least, least + 3 * 2**15 + 1, 7, dtype=np.int64)
    sums = np.concatenate([sums, 65536 * np.int64(least) - np.arange(3)])
    row = config.finish(sums)
    assert row["reciprocal"].tolist() == [reciprocal(s, config) for s in sums.tolist()]


def test_the_log_domain_is_right_in_the_mean() -> None:
    """1 / S within 23 %, either way, and over an octave within 0.1 % in the mean."""
    config = shift(prob_bits=24)
    sums = np.arange(2**20, 2**21, dtype=np.int64)
    ratio = config.finish(sums)["reciprocal"] * sums / 2 ** (24 + 15)
    assert 0.81 < ratio.min() < 0.82
    assert 1.22 < ratio.max() < 1.23
    reciprocals = config.finish(sums)["reciprocal"].mean() / 2.0 ** (24 - 6)
    assert abs(reciprocals - math.log(2) * 2**1) < 0.001 * reciprocals


@VARIANTS
@pytest.mark.parametrize(("prob_bits", "factor_bits", "scale"), [(4, 5, 0.5), (9, 3, 0.3)])
def test_every_row_of_three(variant: str, prob_bits: int, factor_bits: int, scale: float) -> None:
    config = shift(
        variant=variant, prob_bits=prob_bits, factor_bits=factor_bits, logit_width=4,
        logit_scale=scale, max_row=4,
    )  # fmt: skip
    for length in (1, 2, 3):
        compare(config, every_row(4, length), softmax_row)


@VARIANTS
@pytest.mark.parametrize("prob_bits", [4, 8, 13, 16, 24])
@pytest.mark.parametrize(("width", "scale"), [(8, 0.0625), (12, 0.01), (24, 2.0**-19)])
def test_masked_rows(variant: str, prob_bits: int, width: int, scale: float) -> None:
    config = shift(
        variant=variant, prob_bits=prob_bits, logit_width=width, logit_scale=scale, max_row=40
    )
    compare_masked(config, prob_bits + width, 60, softmax_row)


@VARIANTS
def test_flat_rows(variant: str) -> None:
    config = shift(variant=variant, max_row=1024)
    for length in [*range(1, 18), 31, 32, 33, 95, 96, 97, 1023, 1024]:
        found = set(exaq.softmax(np.full(length, 5), config).tolist())
        assert found == {softmax_row([5] * length, config)[0]}


@VARIANTS
def test_nearer_elements_never_get_less(variant: str) -> None:
    config = shift(variant=variant, max_row=256)
    row = np.arange(127, -129, -1)
    for step in (1, 3, 10):
        found = exaq.softmax(row[::step], config).astype(np.int64)
        assert (np.diff(found) <= 0).all()
        assert found[0] > found[-1]


@VARIANTS
def test_the_borders_are_where_codes_change(variant: str) -> None:
    config = shift(variant=variant, logit_width=9)
    codes = [code(d, config) for d in range(512)]
    changes = {-d for d in range(511) if codes[d] != codes[d + 1]}
    assert {0, *config.borders} >= {max(changes), min(changes)}
    assert {*config.borders} <= {0, *changes}


def test_a_row_of_one() -> None:
    """A lone element gets all of it with a division, and 0.818 of it without one."""
    assert exaq.softmax([7], shift(variant="ita")).tolist() == [65535]
    assert exaq.softmax([7], shift()).tolist() == [53618]
    assert round(53618 / 65536, 3) == 0.818


def test_settings_are_written_and_read() -> None:
    config = shift(variant="ita", factor_bits=3, lanes=2)
    written = config.to_dict()
    assert (written["variant"], written["factor_bits"]) == ("ita", 3)
    assert SoftmaxConfig.from_dict(written) == config
    assert config.kernel == Shift(variant="ita", factor_bits=3).settle(config.format)


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"variant": "e3"}, ValueError, "variant must be e2softmax or ita, not 'e3'"),
        ({"factor_bits": 0}, ValueError, "factor_bits must be in 1..12, not 0"),
        ({"factor_bits": 2.5}, TypeError, "factor_bits must be an integer, not 2.5"),
        ({"contexts": 1}, ValueError, "the kernel shift has no tables: contexts must be 0, not 1"),
        (
            {"output": "codes"},
            ValueError,
            "the kernel shift has no codes: output must be probabilities",
        ),
    ],
)
def test_refusals(settings: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        shift(**settings)


def test_rows_do_not_touch_each_other() -> None:
    """Many rows at once give what each gives alone."""
    config = shift(max_row=16)
    logits = np.random.default_rng(3).integers(-128, 128, (50, 16))
    together = exaq.softmax(logits, config)
    for row, probabilities in zip(logits, together, strict=True):
        assert (exaq.softmax(row, config) == probabilities).all()
