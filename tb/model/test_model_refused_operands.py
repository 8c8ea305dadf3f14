"""Operands of attention, and sinks and levels, that are refused, each in its words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from exaq import SoftmaxConfig, Tables, softmax
from exaq.attention import KEY_FORMATS, HeadScales
from exaq.dint import WEIGHT_FORMATS
from exaq.dint.weight_formats import format_of

Q = np.ones((3, 4))
SCALES = HeadScales.of(Q, Q, Q)
HALF = SoftmaxConfig(logit_format="fp16")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: HeadScales.of(Q, Q, Q, value_width=5),
            ValueError,
            "value_width must be 8 or 4, not 5",
        ),
        (
            lambda: HeadScales.of(Q, Q[:, :3], Q),
            ValueError,
            "q of shape (3, 4) and k of shape (3, 3) must be (..., head_size)",
        ),
        (
            lambda: HeadScales.of(1.0, Q, Q),
            ValueError,
            "q of shape () and k of shape (3, 4) must be (..., head_size)",
        ),
        (
            lambda: SCALES.integers(Q, Q[:, :3], Q),
            ValueError,
            "k of shape (3, 3) must be (..., 4)",
        ),
        (
            lambda: KEY_FORMATS["int4"].integers([0.5]),
            TypeError,
            "elements of keys must be integers, not float64",
        ),
        (
            lambda: KEY_FORMATS["int8"].integers([127, 128]),
            ValueError,
            "elements of int8 keys must be in -128..127, not 128",
        ),
        (
            lambda: KEY_FORMATS["int4"].integers([7, 8]),
            ValueError,
            "int4 has no code 8",
        ),
        (
            lambda: softmax([[1.0, 2.0]], HALF, sink=-np.inf),
            ValueError,
            "sink must be finite",
        ),
        (
            lambda: Tables.from_levels([-1.0] * 3, [1.0] * 4, logit_scale=1, exp_frac=8),
            ValueError,
            "each of levels must be below ln 2, not 1.0",
        ),
        (
            lambda: Tables.from_levels([-1.0] * 3, [0.0] * 4, logit_scale=0, exp_frac=8),
            ValueError,
            "logit_scale must be positive, not 0.0",
        ),
    ],
)
def test_refusals(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as refused:
        call()
    assert str(refused.value) == message


def test_no_elements_of_keys_are_none() -> None:
    for each in KEY_FORMATS.values():
        assert each.integers(np.zeros((0, 4), np.int64)).shape == (0, 4)


def test_a_format_of_weights_is_its_own() -> None:
    for each in WEIGHT_FORMATS.values():
        assert format_of(each) is each
