"""Metrics of rows: the likeliest element where several tie, and the squared error of a row."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exaq import metrics


@pytest.mark.parametrize(
    ("reference", "given_row", "expected"),
    [
        ([0.6, 0.3, 0.1], [0.5, 0.3, 0.2], 1),
        ([0.6, 0.3, 0.1], [0.3, 0.5, 0.2], 0),
        # Two tie, and one of them is right, whichever comes first.
        ([0.6, 0.3, 0.1], [0.4, 0.4, 0.2], 1 / 2),
        ([0.3, 0.6, 0.1], [0.4, 0.4, 0.2], 1 / 2),
        ([0.1, 0.3, 0.6], [0.4, 0.4, 0.2], 0),
        ([0.1, 0.3, 0.6], [0.2, 0.2, 0.2], 1 / 3),
        # A tie in the reference: either answer is right.
        ([0.4, 0.4, 0.2], [0.5, 0.3, 0.2], 1),
        ([0.4, 0.4, 0.2], [0.4, 0.4, 0.2], 1),
        ([0.4, 0.4, 0.2], [0.4, 0.2, 0.4], 1 / 2),
        ([0.4, 0.4, 0.2], [0.0, 0.0, 0.0], 2 / 3),
        ([1.0], [0.0], 1),
    ],
)
def test_ties_draw_lots(reference: list[float], given_row: list[float], expected: float) -> None:
    assert metrics.top1(reference, given_row) == pytest.approx(expected)


def test_masked_elements_take_no_part() -> None:
    mask = [[True, True, False], [False] * 3, [True, False, True]]
    p = [[0.9, 0.1, 5.0], [1.0, 2.0, 3.0], [0.0, 0.0, 1.0]]
    q = [[0.0, 0.0, 9.0], [9.0, 9.0, 9.0], [0.5, 0.9, 0.5]]
    assert metrics.top1(p, q, mask) == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert metrics.row_squared_error(p, q, mask) == pytest.approx(
        (0.9**2 + 0.1**2 + 0.5**2 + 0.5**2) / 2
    )


_LEVEL = st.integers(0, 3)


@given(
    st.integers(1, 5).flatmap(
        lambda n: st.lists(
            st.tuples(*[st.lists(_LEVEL, min_size=n, max_size=n)] * 2), min_size=1, max_size=4
        )
    )
)
def test_both_are_means_over_rows_of_exact_fractions(
    rows: list[tuple[list[int], list[int]]],
) -> None:
    hits, errors = [], []
    for p, q in rows:
        chosen = [i for i, value in enumerate(q) if value == max(q)]
        hits.append(Fraction(sum(p[i] == max(p) for i in chosen), len(chosen)))
        errors.append(sum((a - b) ** 2 for a, b in zip(p, q, strict=True)))
    reference, given_rows = (np.array(each) for each in zip(*rows, strict=True))
    assert metrics.top1(reference, given_rows) == pytest.approx(float(sum(hits) / len(hits)))
    assert metrics.row_squared_error(reference, given_rows) == pytest.approx(
        sum(errors) / len(errors)
    )
