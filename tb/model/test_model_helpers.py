"""Formats, float references, metrics, and what importing the package costs."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

import exaq
from exaq import metrics, reference


def test_logits_round_half_to_even_and_saturate() -> None:
    config = exaq.SoftmaxConfig(logit_scale=0.25)
    real = [-0.125, 0.125, 0.375, 0.625, 0.126, 31.74, 31.9, 1e300, -32.0, -32.2, -1e300]
    integers = exaq.logits_to_integers(real, config)
    assert integers.tolist() == [0, 0, 2, 2, 1, 127, 127, 127, -128, -128, -128]
    assert integers.dtype == np.int8
    tiny = config.replace(logit_scale=1e-30)
    assert exaq.logits_to_integers([1e300, -1e300], tiny).tolist() == [127, -128]


@pytest.mark.parametrize(
    ("width", "dtype"), [(4, "i1"), (8, "i1"), (9, "i2"), (16, "i2"), (17, "i4"), (24, "i4")]
)
def test_integers_come_in_the_narrowest_type_and_go_into_the_model(width: int, dtype: str) -> None:
    config = exaq.SoftmaxConfig(logit_width=width)
    real = np.random.default_rng(0).normal(0, 2, (2, 3, 8)).astype(np.float32)
    integers = exaq.logits_to_integers(real, config)
    assert integers.dtype == np.dtype(dtype)
    low, high = config.logit_range
    np.testing.assert_array_equal(integers, np.clip(np.rint(real / 0.0625), low, high))
    assert exaq.softmax(integers, config).shape == real.shape
    assert exaq.logits_to_integers(np.zeros((0, 4)), config).shape == (0, 4)


def test_probabilities_to_float_is_exact() -> None:
    config = exaq.SoftmaxConfig(prob_bits=24)
    values = exaq.probabilities_to_float(np.array([[0, 1, 2**23, 2**24 - 1]], np.uint32), config)
    assert values.tolist() == [[0.0, 2.0**-24, 0.5, 1 - 2.0**-24]]
    assert values.dtype == np.float64
    assert exaq.probabilities_to_float(np.zeros((0, 3), np.uint8), config).shape == (0, 3)


def test_length_mask() -> None:
    assert exaq.length_mask([[0, 1], [3, 4]], 4).astype(int).tolist() == [
        [[0, 0, 0, 0], [1, 0, 0, 0]],
        [[1, 1, 1, 0], [1, 1, 1, 1]],
    ]
    assert exaq.length_mask(2, 3).tolist() == [True, True, False]
    assert exaq.length_mask(np.zeros((0,), int), 3).shape == (0, 3)


def test_float_softmax() -> None:
    row = [1.0, 3.0, -2.0, 1000.0, 999.0]
    exact = [1 / (1 + math.exp(-1.0)), 1 / (1 + math.exp(1.0))]
    assert reference.softmax(row).tolist() == pytest.approx([0, 0, 0, *exact])
    first = [math.exp(x) for x in row[:3]]
    expected = [x / sum(first) for x in first]
    masked = reference.softmax([[*row[:3], np.nan, np.inf]] * 2, exaq.length_mask([3, 0], 5))
    assert masked[0].tolist() == pytest.approx([*expected, 0, 0])
    assert masked[1].tolist() == [0] * 5
    whole = np.array([[120, -120]], dtype=np.int8)
    assert reference.softmax(whole).sum() == pytest.approx(1)


def test_float_quantizer() -> None:
    # Levels -3, -2, -1, 0; -0.5 lies in the middle of 2 and 3, -1.5 of 1 and 2, -2.5 of 0 and 1.
    row = np.array([0, -0.49, -0.5, -1.49, -1.5, -1.51, -2.49, -2.5, -2.51, -9]) + 40
    expected = [3, 3, 2, 2, 2, 1, 1, 0, 0, 0]
    assert reference.quantize(row, -3.0, 2).tolist() == expected
    assert reference.quantize([50, *row], -3.0, 2, [False, *[True] * 10]).tolist() == [0, *expected]
    levels = [math.exp(code - 3) for code in expected]
    quotients = [level / sum(levels) for level in levels]
    assert reference.quantized_softmax(row, -3.0, 2).tolist() == pytest.approx(quotients)
    masked = reference.quantized_softmax([50, *row], -3.0, 2, [False, *[True] * 10])
    assert masked.tolist() == pytest.approx([0, *quotients])


def test_mean_absolute_error() -> None:
    p, q = [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]], [[0.25, 0.5, 0.25], [1.0, 0.0, 0.9]]
    assert metrics.mean_absolute_error(p, q) == pytest.approx((0.25 + 0.25 + 0.9) / 6)
    mask = [[True, True, True], [True, True, False]]
    assert metrics.mean_absolute_error(p, q, mask) == pytest.approx(0.5 / 5)


def test_divergence() -> None:
    p, q = [0.5, 0.25, 0.25], [0.25, 0.25, 0.5]
    expected = 0.5 * math.log(2) - 0.25 * math.log(2)
    assert metrics.kl_divergence(p, q) == pytest.approx(expected)
    assert metrics.kl_divergence(p, p) == 0
    # The mean over rows; a row without a live element does not count.
    mask = exaq.length_mask([3, 3, 0], 3)
    assert metrics.kl_divergence([p, p, p], [q, p, q], mask) == pytest.approx(expected / 2)
    # Each row is brought to the sum 1.
    assert metrics.kl_divergence(p, [0.125, 0.125, 0.25]) == pytest.approx(expected)


def test_divergence_with_zeros() -> None:
    assert metrics.kl_divergence([1.0, 0.0], [0.5, 0.5]) == pytest.approx(math.log(2))
    assert metrics.kl_divergence([0.5, 0.5], [1.0, 0.0]) == math.inf
    assert metrics.kl_divergence([0.5, 0.5], [0.0, 0.0]) == math.inf
    floor = 2.0**-10
    total = 1 + floor
    expected = 0.5 * math.log(0.5 * total) + 0.5 * math.log(0.5 * total / floor)
    assert metrics.kl_divergence([0.5, 0.5], [1.0, 0.0], floor=floor) == pytest.approx(expected)
    # A masked element is not raised to the floor.
    masked = metrics.kl_divergence(
        [0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [True, True, False], floor=0.25
    )
    assert masked == 0


def test_cosine() -> None:
    assert metrics.cosine([3.0, 4.0], [6.0, 8.0]) == pytest.approx(1)
    assert metrics.cosine([[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 1.0]]) == pytest.approx(
        0.5 / math.sqrt(2)
    )
    assert metrics.cosine([[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]]) == 0.5
    mask = [[True, True, False], [False] * 3]
    assert metrics.cosine([[3.0, 4.0, 9.0]] * 2, [[3.0, 4.0, 0.0]] * 2, mask) == pytest.approx(1)


def test_row_sums() -> None:
    values = [[[1, 2, 3], [4, 5, 6]]]
    assert metrics.row_sums(values).tolist() == [[6, 15]]
    assert metrics.row_sums(values, exaq.length_mask([2, 0], 3)).tolist() == [[3, 0]]


def test_importing_exaq_loads_numpy_alone() -> None:
    script = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import exaq\n"
        "names = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(names - set(sys.stdlib_module_names)))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout.split() == ["exaq", "numpy"]
