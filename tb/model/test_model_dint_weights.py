"""Scales, groups, zero points, packing and integer products, against plain loops."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from dint_oracle import LEVELS, level, scale
from hypothesis import given
from hypothesis import strategies as st

from exaq import dint
from exaq.dint import WEIGHT_FORMATS

NAMES = tuple(WEIGHT_FORMATS)
ROWS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9)


@pytest.mark.parametrize("name", NAMES)
@given(row=ROWS, group_size=st.integers(1, 10))
def test_codes_and_scales_are_those_of_each_group(
    name: str, row: list[float], group_size: int
) -> None:
    made = dint.quantize([row], name, group_size=group_size)
    size = min(group_size, len(row))
    parts = [row[start : start + size] for start in range(0, len(row), size)]
    assert made.group_size == size
    assert made.scales.tolist() == [[scale(name, part) for part in parts]]
    expected = [level(name, Fraction(x / scale(name, part))) for part in parts for x in part]
    assert made.format.values(made.codes).tolist() == [expected]
    real = [
        float(each) * scale(name, row[place // size * size :][:size])
        for place, each in enumerate(expected)
    ]
    assert made.dequantize().tolist() == [real]


@pytest.mark.parametrize("name", NAMES)
@given(ROWS)
def test_no_weight_is_clipped(name: str, row: list[float]) -> None:
    made = dint.quantize(row, name)
    steps = np.array(row) / made.scales
    assert steps.min() >= made.format.lowest * (1 + 1e-15)
    assert steps.max() <= made.format.highest * (1 + 1e-15)


def test_the_scale_turns_where_the_other_side_reaches_farther() -> None:
    assert dint.scales([-7.0, 6.0]).tolist() == [1.0]
    assert dint.scales([7.0, -6.0]).tolist() == [-1.0]
    assert dint.quantize([7.0, -6.0, 0.5, -0.5, 1.0]).codes.tolist() == [8, 6, 15, 7, 9]
    assert dint.scales([6.0, -6.0]).tolist() == [1.0]
    assert dint.scales([7.0, -6.0], "int4").tolist() == [1.0]
    assert dint.scales([3.0, 1.0]).tolist() == [-3 / 7]
    assert dint.scales([-3.0, -1.0]).tolist() == [3 / 7]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("row", [[0.0, 0.0, 0.0], [-0.0], [5e-324, 0.0]])
def test_rows_without_a_size_have_scale_1(name: str, row: list[float]) -> None:
    made = dint.quantize(row, name)
    assert made.scales.tolist() == [1.0]
    assert not made.codes.any()


@pytest.mark.parametrize("name", NAMES)
def test_extremes_of_float64_stay_finite(name: str) -> None:
    # Half of the most, since rounding may go up from the level that is nearest.
    most = np.finfo(np.float64).max / 2
    for zero_point in (False, True):
        made = dint.quantize([most, -most, 0], name, zero_point=zero_point)
        assert np.isfinite(made.dequantize()).all()
        assert made.format.values(made.codes).max() == made.format.highest


def test_given_scales_are_kept_and_clip() -> None:
    made = dint.quantize([[9.0, -9.0, 1.0]], scales=[[1.0]])
    assert made.format.values(made.codes).tolist() == [[6, -7, 1]]
    tiny = dint.quantize([[9.0, -9.0, 1e300]], scales=[[1e-200]])
    assert tiny.format.values(tiny.codes).tolist() == [[6, -7, 6]]


@pytest.mark.parametrize("name", NAMES)
@given(row=ROWS)
def test_a_zero_point_puts_the_extremes_on_the_outermost_levels(
    name: str, row: list[float]
) -> None:
    made = dint.quantize(row, name, zero_point=True)
    assert made.zeros is not None
    (step,), (zero,) = made.scales, made.zeros
    span = made.format.highest - made.format.lowest
    if max(row) == min(row):
        assert (step, zero) == (1, row[0])
    else:
        assert step == pytest.approx((max(row) - min(row)) / span)
        steps = [Fraction(x - zero) / Fraction(step) for x in row]
        near = [float(level(name, each)) for each in map(float_fraction, steps)]
        assert made.format.values(made.codes).tolist() == near
    error = np.abs(made.dequantize() - row).max()
    widest = max(np.diff(made.format.levels)) / 4
    assert error <= step * widest * (1 + 1e-9) + 1e-9


def float_fraction(value: Fraction) -> Fraction:
    """The quotient as float64 has it."""
    return Fraction(float(value))


def test_dint4_with_a_zero_point_has_13_steps() -> None:
    made = dint.quantize([1.0, 27.0, 14.5], zero_point=True)
    assert made.zeros is not None
    assert (made.scales.tolist(), made.zeros.tolist()) == ([2.0], [15.0])
    assert made.dequantize().tolist() == [1.0, 27.0, 14.0]


def test_a_row_of_many_axes() -> None:
    values = np.random.default_rng(1).normal(size=(2, 3, 10))
    made = dint.quantize(values, group_size=4)
    assert made.codes.shape == (2, 3, 10)
    assert made.scales.shape == (2, 3, 3)
    alone = dint.quantize(values[1, 2], group_size=4)
    assert (made.dequantize()[1, 2] == alone.dequantize()).all()
    assert dint.quantize(np.zeros((0, 4))).codes.shape == (0, 4)
    assert dint.quantize(np.zeros((0, 4))).scales.shape == (0, 1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"values": 1.0}, ValueError, "weights must have at least one axis, the row"),
        ({"values": [[]]}, ValueError, "a row must have at least 1 weight, not 0"),
        ({"values": [1, math.nan]}, ValueError, "weights must be finite, not nan"),
        ({"values": [-math.inf]}, ValueError, "weights must be finite, not -inf"),
        ({"values": [True]}, TypeError, "weights must be real numbers, not bool"),
        ({"group_size": 0}, ValueError, "group_size must be at least 1, not 0"),
        ({"group_size": 2.0}, TypeError, "group_size must be an integer, not 2.0"),
        ({"scales": [0.0]}, ValueError, "scales must not be 0"),
        ({"scales": [math.inf]}, ValueError, "scales must be finite, not inf"),
        ({"scales": [1.0, 1.0]}, ValueError, "scales of shape (2,) must have the shape (1,)"),
        ({"zero_point": 1}, TypeError, "zero_point must be True or False, not 1"),
        (
            {"zero_point": True, "scales": [1.0]},
            ValueError,
            "weights with a zero point have scales of their own: give none",
        ),
    ],
)
def test_what_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        dint.quantize(**({"values": [1.0, 2.0]} | options))


@given(st.lists(st.integers(0, 15), max_size=9))
def test_two_codes_are_a_byte_low_half_first(codes: list[int]) -> None:
    packed = dint.pack(np.array(codes, np.uint8))
    pairs = [*codes, 0][: len(codes) + len(codes) % 2]
    wanted = [low + 16 * high for low, high in zip(pairs[::2], pairs[1::2], strict=True)]
    assert packed.tolist() == wanted
    assert dint.unpack(packed, len(codes)).tolist() == codes


def test_packing_keeps_leading_axes() -> None:
    codes = np.arange(30, dtype=np.uint8).reshape(2, 3, 5) % 16
    packed = dint.pack(codes)
    assert packed.shape == (2, 3, 3)
    assert (dint.unpack(packed, 5) == codes).all()


@pytest.mark.parametrize(
    ("packed", "row", "error", "message"),
    [
        ([1], 2, TypeError, "packed codes must be uint8, not int64"),
        (
            np.array([1], np.uint8),
            3,
            ValueError,
            "packed codes of shape (1,) must have 2 bytes for rows of 3 codes",
        ),
        (
            np.array([16], np.uint8),
            1,
            ValueError,
            "the high half of the last byte of an odd row must be 0",
        ),
        (np.array([], np.uint8), -1, ValueError, "row must be at least 0, not -1"),
    ],
)
def test_packed_codes_that_are_refused(
    packed: Any, row: int, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        dint.unpack(packed, row)


def test_codes_to_pack_have_an_axis() -> None:
    with pytest.raises(ValueError, match=r"^codes must have at least one axis, the row$"):
        dint.pack(3)


@pytest.mark.parametrize("name", NAMES)
def test_every_product_is_exact(name: str) -> None:
    """All activations times all codes, 4096 products."""
    given_activations = np.arange(-128, 128)
    legal = {code: each for code, each in enumerate(LEVELS[name]) if each is not None}
    found = dint.dot(given_activations[:, None], np.array(list(legal))[:, None], name)
    for row, activation in zip(found.tolist(), given_activations.tolist(), strict=True):
        assert row == [2 * activation * each for each in legal.values()]
    if name == "dint4":
        assert abs(found).max() == dint.MOST_PRODUCT


def test_products_of_dint4_are_shifts_and_sums() -> None:
    """As a unit would form them: the size of the level in bits, the half step by itself."""
    codes = range(16)
    for n in range(-128, 128):
        for code in codes:
            half = code & 7 == 7
            # The code of -0 is that of -7, and 7 stands for one half.
            size = 7 if code == 8 else 0 if half else code & 7
            signed = -n if code >= 8 else n
            bits = (size & 1, size >> 1 & 1, size >> 2)
            product = ((2 * signed if bits[0] else 0) | (signed if half else 0)) + (
                (4 * signed if bits[1] else 0) + (8 * signed if bits[2] else 0)
            )
            assert dint.dot([n], [[code]]).tolist() == [product]


def test_sums_are_exact_at_the_extremes() -> None:
    row = 4096
    assert dint.dot(np.full(row, -128), np.full((1, row), 8)).tolist() == [row * 1792]
    assert dint.dot(np.zeros((2, 0), int), np.zeros((3, 0), int)).tolist() == [[0] * 3] * 2
    random = np.random.default_rng(0)
    given_activations = random.integers(-128, 128, (2, 5, 300))
    codes = random.integers(0, 16, (7, 300))
    levels = [[int(2 * (LEVELS["dint4"][code] or 0)) for code in row] for row in codes]
    wanted = np.einsum("abi,oi->abo", given_activations, np.array(levels))
    assert (dint.dot(given_activations, codes) == wanted).all()


@pytest.mark.parametrize(
    ("activations", "codes", "error", "message"),
    [
        ([128], [[1]], ValueError, "activations must be in -128..127, not 128"),
        ([1.0], [[1]], TypeError, "activations must be integers, not float64"),
        ([1], [[16]], ValueError, "codes must be in 0..15, not 16"),
        (
            [1, 2],
            [[1]],
            ValueError,
            "activations of shape (2,) and codes of shape (1, 1) must be (..., row) and "
            "(outputs, row)",
        ),
    ],
)
def test_products_that_are_refused(
    activations: Any, codes: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        dint.dot(activations, codes)


@given(ROWS)
def test_activations_are_127_steps_to_each_side(row: list[float]) -> None:
    integers, (step,) = dint.activations(row)
    largest = max(map(abs, row))
    assert step == (largest / 127 or 1)
    assert integers.tolist() == [max(-127, min(127, round(Fraction(x / step)))) for x in row]


def test_activations_round_half_to_even_and_rows_stand_alone() -> None:
    integers, steps = dint.activations([[127.0, 0.5, 1.5, -2.5], [0.0, 0.0, 0.0, 0.0]])
    assert integers.tolist() == [[127, 0, 2, -2], [0, 0, 0, 0]]
    assert steps.tolist() == [[1], [1]]
    smallest, _ = dint.activations([190 * 5e-324])
    assert smallest.tolist() == [127]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, math.nan], "activations must be finite, not nan"),
        ([[]], "a row must have at least 1 activation"),
    ],
)
def test_activations_that_are_refused(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        dint.activations(values)
