"""Figures as reports have them."""

from __future__ import annotations

import numpy as np
import pytest

from exaq_eval.reports.figures import number, rounded, table


def test_rounded_goes_into_lists_and_leaves_the_rest() -> None:
    value = {"a": [1.23456789, 2, None, True, "x"], "b": {"c": np.float64(1e-9 / 3)}, "d": (0.5,)}
    assert rounded(value) == {
        "a": [1.23457, 2, None, True, "x"],
        "b": {"c": 3.33333e-10},
        "d": [0.5],
    }


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (1, "1"),
        (12.0, "12"),
        (0.001, "0.001"),
        (0.12345, "0.123"),
        (-0.12345, "-0.123"),
        (0.00099, "9.90e-04"),
        (3.4e-5, "3.40e-05"),
        (1234.5, "1.23e+03"),
        (10000, "1.00e+04"),
    ],
)
def test_numbers_have_three_digits(value: float, words: str) -> None:
    assert number(value) == words


def test_table_marks_text_and_numbers() -> None:
    assert (
        table(("a", "b"), [("x", 1), ("y", 2.5)])
        == "| a | b |\n| --- | --: |\n| x | 1 |\n| y | 2.5 |"
    )
    assert table(("a",), [(1,)], left=0).splitlines()[1] == "| --: |"
