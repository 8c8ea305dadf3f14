"""What the golden model and the helpers beside it refuse, word for word."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import exaq
from exaq import metrics, reference

CONFIG = exaq.SoftmaxConfig(max_row=16)


def refuses(kind: type[Exception], message: str, call: Callable[[], object]) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize("function", [exaq.softmax, exaq.quantize])
@pytest.mark.parametrize(
    ("logits", "mask", "kind", "message"),
    [
        (3, None, ValueError, "logits must have at least one axis, the row"),
        ([], None, ValueError, "a row must have at least 1 element, not 0"),
        (np.zeros((0, 0), int), None, ValueError, "a row must have at least 1 element, not 0"),
        ([0] * 17, None, ValueError, "a row must have 1..16 elements, not 17"),
        ([0.0, 1.0], None, TypeError, "logits must be integers, not float64"),
        (np.zeros(3, np.float16), None, TypeError, "logits must be integers, not float16"),
        ([True, False], None, TypeError, "logits must be integers, not bool"),
        (["a"], None, TypeError, "logits must be integers, not <U1"),
        ([2**70], None, TypeError, "logits must be integers, not object"),
        ([0, 128], None, ValueError, "logits of 8 bits must be in -128..127, not 128"),
        ([0, -129], None, ValueError, "logits of 8 bits must be in -128..127, not -129"),
        ([2**63], None, ValueError, f"logits of 8 bits must be in -128..127, not {2**63}"),
        ([0, 999], [True, False], ValueError, "logits of 8 bits must be in -128..127, not 999"),
        ([0, 1], [1, 0], TypeError, "mask must be boolean, not int64"),
        ([0, 1], [1.0, 0.0], TypeError, "mask must be boolean, not float64"),
        (
            [0, 1],
            [True, False, True],
            ValueError,
            "mask of shape (3,) does not fit the shape (2,)",
        ),
        (
            [0, 1],
            [[True, False]],
            ValueError,
            "mask of shape (1, 2) does not fit the shape (2,)",
        ),
    ],
)
def test_the_model_refuses(
    function: Callable[..., Any], logits: Any, mask: Any, kind: type[Exception], message: str
) -> None:
    refuses(kind, message, lambda: function(logits, CONFIG, mask))


def test_lengths_decide_how_long_rows_are() -> None:
    """An array may be wider than a row; its longest row may not."""
    logits = np.zeros((2, 17), int)
    message = "a row must have 1..16 elements, not 17"
    refuses(ValueError, message, lambda: exaq.softmax(logits, CONFIG, lengths=[3, 17]))
    found = exaq.softmax(logits, CONFIG, lengths=[3, 16])
    assert (found > 0).sum(axis=-1).tolist() == [3, 16]


def test_narrow_logits_have_narrow_ranges() -> None:
    config = exaq.SoftmaxConfig(logit_width=5)
    assert exaq.quantize([-16, 15], config).tolist() == [2, 3]
    refuses(
        ValueError,
        "logits of 5 bits must be in -16..15, not 16",
        lambda: exaq.softmax(np.array([16], np.int8), config),
    )


@pytest.mark.parametrize(
    ("logits", "kind", "message"),
    [
        ([1, 2], TypeError, "logits must be floating-point numbers, not int64"),
        ([1j], TypeError, "logits must be floating-point numbers, not complex128"),
        (
            [0.0, np.nan],
            ValueError,
            "logits must be finite, not nan; use a mask to leave elements out",
        ),
        (
            [np.inf],
            ValueError,
            "logits must be finite, not inf; use a mask to leave elements out",
        ),
        (
            [[-np.inf]],
            ValueError,
            "logits must be finite, not -inf; use a mask to leave elements out",
        ),
    ],
)
def test_logits_to_integers_refuses(logits: Any, kind: type[Exception], message: str) -> None:
    refuses(kind, message, lambda: exaq.logits_to_integers(logits, CONFIG))


def test_probabilities_to_float_refuses() -> None:
    def convert(values: Any) -> object:
        return exaq.probabilities_to_float(values, CONFIG)

    refuses(TypeError, "probabilities must be integers, not float64", lambda: convert([0.5]))
    for value in (-1, 65536):
        message = f"probabilities of 16 bits must be in 0..65535, not {value}"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            convert([1, value])


@pytest.mark.parametrize(
    ("lengths", "row", "kind", "message"),
    [
        ([1, 5], 4, ValueError, "lengths must be in 0..4, not 5"),
        (-1, 4, ValueError, "lengths must be in 0..4, not -1"),
        ([1.0], 4, TypeError, "lengths must be integers, not float64"),
        ([1], 0, ValueError, "row must be at least 1, not 0"),
        ([1], 4.0, TypeError, "row must be an integer, not 4.0"),
        ([1], True, TypeError, "row must be an integer, not True"),
    ],
)
def test_length_mask_refuses(lengths: Any, row: Any, kind: type[Exception], message: str) -> None:
    refuses(kind, message, lambda: exaq.length_mask(lengths, row))


def test_references_refuse() -> None:
    refuses(ValueError, "clip must be negative, not 0.0", lambda: reference.quantize([1.0], 0.0, 2))
    refuses(TypeError, "mask must be boolean, not int64", lambda: reference.softmax([1.0], [1]))


@pytest.mark.parametrize(
    "metric", [metrics.mean_absolute_error, metrics.kl_divergence, metrics.cosine]
)
def test_metrics_refuse(metric: Callable[..., float]) -> None:
    refuses(
        ValueError,
        "reference of shape (2,) and probabilities of (3,) differ",
        lambda: metric([1, 0], [1, 0, 0]),
    )
    refuses(
        ValueError,
        "there is no live element to compare",
        lambda: metric([1, 0], [1, 0], [False, False]),
    )


def test_divergence_refuses_what_is_no_distribution() -> None:
    refuses(
        ValueError,
        "probabilities must not be negative",
        lambda: metrics.kl_divergence([1.5, -0.5], [0.5, 0.5]),
    )
    refuses(
        ValueError,
        "each live row of the reference must have a positive sum",
        lambda: metrics.kl_divergence([[1.0, 0.0], [0.0, 0.0]], [[0.5, 0.5], [0.5, 0.5]]),
    )
