"""Codes of 4 bits: every code, every border and its neighbours, and what is refused."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import numpy as np
import pytest
from dint_oracle import LEVELS, level
from hypothesis import given
from hypothesis import strategies as st

from exaq import dint
from exaq.dint import DINT4, FP4, INT4, WEIGHT_FORMATS

NAMES = tuple(WEIGHT_FORMATS)


@pytest.mark.parametrize("name", NAMES)
def test_codes_stand_for_the_levels_of_the_page(name: str) -> None:
    for code, wanted in enumerate(LEVELS[name]):
        if wanted is not None:
            assert WEIGHT_FORMATS[name].values([code]).tolist() == [wanted]
            assert WEIGHT_FORMATS[name].decode([code]).tolist() == [2 * wanted]


def test_dint4_is_what_it_is() -> None:
    assert DINT4.decode(range(16)).tolist() == [
        0, 2, 4, 6, 8, 10, 12, 1, -14, -2, -4, -6, -8, -10, -12, -1,
    ]  # fmt: skip
    assert (DINT4.lowest, DINT4.highest) == (-7, 6)


@pytest.mark.parametrize("name", NAMES)
def test_every_level_is_encoded_as_itself(name: str) -> None:
    format = WEIGHT_FORMATS[name]
    assert format.values(format.encode(np.array(format.levels) / 2)).tolist() == [
        half / 2 for half in format.levels
    ]
    assert not format.encode([0.0, -0.0]).any()


@pytest.mark.parametrize("name", NAMES)
def test_borders_and_their_neighbours_round_as_defined(name: str) -> None:
    """All multiples of 1/8 to beyond the outermost levels, and the numbers next to each."""
    marks = [k / 8 for k in range(-80, 81)]
    numbers = [
        each
        for mark in marks
        for each in (math.nextafter(mark, -math.inf), mark, math.nextafter(mark, math.inf))
    ]
    given_levels = WEIGHT_FORMATS[name].values(WEIGHT_FORMATS[name].encode(numbers))
    assert given_levels.tolist() == [level(name, Fraction(each)) for each in numbers]


@pytest.mark.parametrize("name", NAMES)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_gets_the_level_of_the_definition(name: str, number: float) -> None:
    format = WEIGHT_FORMATS[name]
    assert format.values(format.encode(number)) == level(name, Fraction(number))


def test_shapes_are_kept_and_empty_is_legal() -> None:
    assert DINT4.encode(np.zeros((2, 0, 3))).shape == (2, 0, 3)
    assert DINT4.decode(np.zeros((2, 0, 3), np.uint8)).shape == (2, 0, 3)
    assert DINT4.encode(0.5).shape == ()
    assert DINT4.encode([[1, 2]]).dtype == np.uint8


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=f"^steps must be finite, not {bad}$"):
        FP4.encode([1.0, bad])


@pytest.mark.parametrize(("bad", "kind"), [([True], "bool"), (["a"], "<U1"), ([1j], "complex128")])
def test_what_is_no_real_number_is_refused(bad: list[object], kind: str) -> None:
    with pytest.raises(TypeError, match=f"^steps must be real numbers, not {kind}$"):
        DINT4.encode(bad)  # type: ignore[arg-type]


def test_masked_arrays_are_refused() -> None:
    message = "steps must be a plain array, not a numpy.ma.MaskedArray"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        DINT4.encode(np.ma.MaskedArray([1.0], [True]))


@pytest.mark.parametrize("bad", [-1, 16])
def test_codes_beyond_4_bits_are_refused(bad: int) -> None:
    with pytest.raises(ValueError, match=rf"^codes must be in 0\.\.15, not {bad}$"):
        DINT4.decode([3, bad])


def test_a_code_that_int4_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^int4 has no code 8$"):
        INT4.decode([[1, 8]])


def test_codes_must_be_integers() -> None:
    with pytest.raises(TypeError, match=r"^codes must be integers, not float64$"):
        DINT4.decode([1.0])


def test_unknown_formats_are_refused() -> None:
    message = "weights must be dint4, int4 or fp4, not 'int5'"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        dint.quantize([[1.0]], "int5")
