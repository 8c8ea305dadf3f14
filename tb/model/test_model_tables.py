"""Tables written with other widths of codes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import exaq


@st.composite
def tables(draw: st.DrawFn) -> exaq.Tables:
    levels = 2 ** draw(st.integers(2, 6))
    steps = draw(st.lists(st.integers(-6, 0), min_size=levels - 1, max_size=levels - 1))
    rom = draw(st.lists(st.integers(0, 3), min_size=levels - 1, max_size=levels - 1))
    return exaq.Tables(thresholds=tuple(sorted(steps)), exp_rom=(*rom, draw(st.integers(1, 3))))


def function(given: exaq.Tables) -> list[int]:
    """Exponentials of all distances that matter."""
    return [given.exp_rom[sum(d >= t for t in given.thresholds)] for d in range(-9, 1)]


@given(given=tables())
def test_widths_do_not_change_what_tables_do(given: exaq.Tables) -> None:
    narrow = given.narrowed()
    assert function(narrow) == function(given)
    # No fewer bits would do: so many different runs of exponentials there are.
    runs = len(list(itertools.groupby(function(given))))
    assert 2**narrow.bits >= runs
    assert narrow.bits == 2 or 2 ** (narrow.bits - 1) < runs
    for bits in range(narrow.bits, 7):
        wide = narrow.widened(bits)
        assert (wide.bits, function(wide)) == (bits, function(given))
        assert wide.narrowed() == narrow


def test_a_sink_stays() -> None:
    given = exaq.Tables(thresholds=(-3, -2, -1), exp_rom=(1, 2, 3, 4), sink=5)
    assert given.widened(4).sink == 5
    assert given.widened(4).narrowed() == given


def test_narrower_than_it_is_refused() -> None:
    given = exaq.Tables(thresholds=(-3, -2, -1), exp_rom=(1, 2, 3, 4)).widened(3)
    with pytest.raises(ValueError, match=r"^bits must be in 3\.\.6, not 2$"):
        given.widened(2)
