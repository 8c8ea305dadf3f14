"""Masks that are numbers: what masks, what stays a bias or a logit, and what is said of it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import exaq

FLOATS = (np.float16, np.float32, np.float64)
# What models and frameworks add to the logits of masked elements.
ADDENDS = (-math.inf, np.finfo(np.float32).min, -65504.0, -1e9, -1e4, -100.0)


def by_hand(row: list[float]) -> list[bool]:
    """The rule by its words, an element at a time, without sorting."""
    kept = [x for x in row if not x <= -4096]

    def apart(x: float) -> bool:
        """Whether x and all that are lower lie more than 64 below all that are higher."""
        for edge in kept:
            if edge >= x:
                higher = [y for y in kept if y > edge]
                if higher and min(higher) - edge > 64:
                    return True
        return False

    return [not x <= -4096 and not apart(x) for x in row]


@settings(max_examples=300)
@given(
    st.lists(
        st.one_of(
            st.floats(-300, 300, width=32),
            st.sampled_from([-4096.0, -4095.5, -4096.5, 0.0, -64.0, -64.5, 64.0, -128.0]),
            st.sampled_from([-np.inf, -1e4, -1e9, -65504.0]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from(FLOATS[1:]),
)
def test_the_rule_is_its_words(row: list[float], dtype: type) -> None:
    values: NDArray[Any] = np.array(row, dtype)
    expected = by_hand(values.astype(float).tolist())
    assert exaq.live_addends(values).tolist() == expected
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert exaq.live_scores(values).tolist() == expected
    sure = [not x <= -4096 for x in values.astype(float)]
    assert bool(said) == (expected != sure)
    # A mask settles what a gap leaves open, but -inf and the like stay masked.
    assert exaq.live_scores(values, np.True_).tolist() == sure


@pytest.mark.parametrize("addend", ADDENDS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.filterwarnings("ignore::exaq.MaskWarning")
def test_no_probability_leaks_to_masked_elements(addend: float, dtype: type) -> None:
    """Real logits of a usual spread, whatever a framework adds to mask, in any float type."""
    config = exaq.SoftmaxConfig(logit_width=16, logit_scale=2**-8)
    rng = np.random.default_rng(1)
    logits: NDArray[Any] = rng.normal(0, 2.5, (50, 64)).astype(dtype)
    mask = np.arange(64) < rng.integers(1, 65, (50, 1))
    with np.errstate(over="ignore"):
        added = np.where(mask, dtype(0), np.asarray(addend).astype(dtype))
        scores = logits + added
    assert (exaq.live_addends(added) == mask).all()
    live = exaq.live_scores(scores)
    assert (live == mask).all()
    integers = exaq.logits_to_integers(scores, config, live)
    probabilities = exaq.softmax(integers, config, live)
    assert probabilities[~mask].sum() == 0
    expected = exaq.softmax(exaq.logits_to_integers(logits, config), config, mask)
    np.testing.assert_array_equal(probabilities[mask], expected[mask])


def alibi(heads: int, keys: int) -> NDArray[np.float32]:
    slopes = 2.0 ** (-8 * np.arange(1, heads + 1) / heads)
    return (slopes[:, None] * -np.arange(keys)[::-1]).astype(np.float32)


def test_biases_stay_biases() -> None:
    """ALiBi falls to -1024 over 2048 keys, but gradually; relative positions are a few nats."""
    assert exaq.live_addends(alibi(8, 2048)).all()
    assert exaq.live_addends(alibi(8, 2048).astype(np.float16)).all()
    assert exaq.live_scores(alibi(8, 2048)).all()
    assert exaq.live_addends(np.random.default_rng(0).normal(0, 8, (40, 500))).all()
    assert exaq.live_addends([[-100.0, -100.0]]).all()  # the same for all is no mask
    shifted = alibi(8, 64) + np.where(np.arange(64) < 50, 0, -1e4).astype(np.float32)
    assert (exaq.live_addends(shifted) == (np.arange(64) < 50)).all()


def test_a_doubt_is_said_once_with_its_value() -> None:
    message = (
        r"^3 scores, the highest -97\.5, are more than 64 below the rest of their rows and are "
        "taken as masked; give a mask to say what takes part$"
    )
    with pytest.warns(exaq.MaskWarning, match=message) as said:
        live = exaq.live_scores([[0.0, -3.0, -97.5, -200.0], [5.0, 4.0, 3.0, -99.0]])
    assert live.tolist() == [[True, True, False, False], [True, True, True, False]]
    assert len(said) == 1
    assert said[0].filename == __file__


def test_what_is_no_mask_is_left_to_its_readers() -> None:
    """NaN and +inf are errors of the logits, not masks; no element and no row are nothing."""
    assert exaq.live_scores([math.nan, 1.0]).tolist() == [True, True]
    assert exaq.live_scores([math.inf, -math.inf], True).tolist() == [True, False]
    # A gap to +inf is none, however far the others are apart.
    assert exaq.live_addends([[math.inf, 0.0, -1.0], [0.0, -1.0, -2.0]]).all()
    assert exaq.live_addends([0.0, -65.0]).tolist() == [True, False]
    assert exaq.live_addends([0.0, -64.0]).tolist() == [True, True]
    assert exaq.live_scores(np.zeros((0, 3))).shape == (0, 3)
    assert exaq.live_addends(np.zeros((2, 0))).shape == (2, 0)


@pytest.mark.parametrize(
    ("values", "mask", "error", "message"),
    [
        ([1, 2], None, TypeError, "scores must be floating-point numbers, not int64"),
        ([True], None, TypeError, "scores must be floating-point numbers, not bool"),
        (1.0, None, ValueError, "scores must have at least one axis, the row"),
        ([1.0, 2.0], [1, 0], TypeError, "mask must be boolean, not int64"),
        ([1.0, 2.0], [True] * 3, ValueError, "mask of shape (3,) does not fit the shape (2,)"),
    ],
)
def test_refusals(values: Any, mask: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        exaq.live_scores(values, mask)
    assert str(caught.value) == message


MASKED_ARRAY = np.ma.MaskedArray([[9, 3, -2, 5]], [[True, False, False, True]])


def test_a_masked_array_brings_its_mask() -> None:
    """Of integers beyond the range, too, where they are masked; a mask beside it joins."""
    config = exaq.SoftmaxConfig()
    live = ~MASKED_ARRAY.mask
    expected = exaq.softmax(MASKED_ARRAY.data, config, live)
    assert expected[live].all()
    np.testing.assert_array_equal(exaq.softmax(MASKED_ARRAY, config), expected)
    far = np.ma.MaskedArray(np.where(live, MASKED_ARRAY.data, 9999), ~live)
    np.testing.assert_array_equal(exaq.softmax(far, config), expected)
    np.testing.assert_array_equal(
        exaq.softmax(MASKED_ARRAY, config, [True, True, False, True]),
        exaq.softmax(MASKED_ARRAY.data, config, [[False, True, False, False]]),
    )
    real = MASKED_ARRAY * 0.0625
    assert exaq.live_scores(real).tolist() == live.tolist()
    integers = exaq.logits_to_integers(real, config)
    assert isinstance(integers, np.ma.MaskedArray)
    np.testing.assert_array_equal(exaq.softmax(integers, config), expected)
    np.testing.assert_array_equal(
        exaq.quantize(MASKED_ARRAY, config), exaq.quantize(MASKED_ARRAY.data, config, live)
    )
    rows = np.ma.MaskedArray(np.arange(12.0).reshape(3, 4), np.eye(3, 4, dtype=bool))
    by_array, by_mask = (
        exaq.calibrate([layer], masks=masks)
        for layer, masks in ((rows, None), (rows.data, [~rows.mask]))
    )
    assert by_array.sets == by_mask.sets


def test_a_masked_array_is_refused_where_its_mask_would_be_lost() -> None:
    config = exaq.SoftmaxConfig(contexts=2)
    odd = np.ma.MaskedArray([0, 1], [False, True])
    flags = odd.astype(bool)
    calls: dict[str, Callable[[], object]] = {
        "contexts": lambda: exaq.softmax(np.zeros((2, 4), int), config, contexts=odd),
        "lengths": lambda: exaq.softmax(np.zeros((2, 4), int), config, lengths=odd),
        "sink": lambda: exaq.softmax(np.zeros((2, 4), int), config, sink=odd),
        "mask": lambda: exaq.softmax(np.zeros((3, 2), int), config, flags),
        "probabilities": lambda: exaq.probabilities_to_float(odd, config),
        "logits": lambda: exaq.reference.softmax(odd),
        "reference": lambda: exaq.metrics.cosine(odd, odd),
    }
    for name, call in calls.items():
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value) == f"{name} must be a plain array, not a numpy.ma.MaskedArray"
    with pytest.raises(TypeError, match=r"^lengths must be a plain array"):
        exaq.length_mask(odd, 3)


def test_calibration_takes_finite_masks_for_masks() -> None:
    """The spread is that of the live logits: with -1e4 among them it would be thousands."""
    rng = np.random.default_rng(3)
    real = rng.normal(0, 2.2, (20, 48)).astype(np.float32)
    mask = rng.random(real.shape) < 0.7
    wanted = exaq.calibrate([real], masks=[mask], rule="paper").sets
    for addend in ADDENDS[:-1]:
        scores = np.where(mask, real, np.float32(addend))
        assert exaq.calibrate([scores], rule="paper").sets == wanted
        assert exaq.calibrate([scores + real], rule="paper").sets != wanted or addend < -1e30
    with pytest.warns(exaq.MaskWarning, match=r"^layer 0: \d+ scores, the highest -100, ") as said:
        assert exaq.calibrate([np.where(mask, real, -100)], rule="paper").sets == wanted
    assert len(said) == 1
    # Said to take part, they do.
    far = np.where(mask, real, -100)
    told = exaq.calibrate([far], masks=[np.ones_like(mask)], rule="paper").sets[0]
    assert told.statistics["minimum"] < -90
    # Calls of a layer are counted together.
    few = np.array([[0.0, 1.0, -150.0, -160.0]])
    message = r"^layer 0: 5 scores, the highest -99, are "
    with pytest.warns(exaq.MaskWarning, match=message) as said:
        exaq.calibrate([[few, np.array([[0.0, -99.0]]), few]], rule="paper")
    assert len(said) == 1
