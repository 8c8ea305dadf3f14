"""The kernel multiply against exact fractions, and how close it is to a float softmax."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from itertools import pairwise
from typing import Any

import multiply_oracle as oracle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import exaq
from exaq import SoftmaxConfig, metrics, reference
from exaq.kernels.multiply import EXPONENTIALS, Multiply
from exaq.kernels.reciprocal import reciprocal

EVERY = pytest.mark.parametrize("exponential", EXPONENTIALS)

# Largest relative error of an exponential above 2**-3, where the last place of 16 bits counts
# little, and below which approximations to base 2 repeat: what each can do, and a little more.
ERRORS = {
    "split": 0.00008,
    "taylor2": 0.0088,
    "taylor3": 0.0009,
    "pwl4": 0.0041,
    "pwl8": 0.0013,
    "schraudolph": 0.0618,
}


# Divergence from a float softmax, in nats, that Gaussian rows of standard deviation 1 to 3 have
# at most.
DIVERGENCES = {
    "split": 1e-7,
    "taylor2": 8e-6,
    "taylor3": 1.2e-7,
    "pwl4": 1.5e-6,
    "pwl8": 2e-7,
    "schraudolph": 4e-4,
}


def gaussian_rows(
    sigma: float, length: int, config: SoftmaxConfig
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Integer logits, and their softmax in floating point."""
    rng = np.random.default_rng(length)
    logits = exaq.logits_to_integers(rng.normal(0, sigma, (200, length)), config)
    return logits, reference.softmax(logits / 16)


def multiply(**settings: Any) -> SoftmaxConfig:
    return SoftmaxConfig(kernel="multiply", **settings)


def weights_of(config: SoftmaxConfig) -> list[int]:
    distances = np.arange(2**config.logit_width, dtype=np.int64)
    assert isinstance(config.kernel, Multiply)
    stored, weight = config.kernel.weigh(distances)
    assert stored.tolist() == weight.tolist()
    return weight.tolist()


def expected_weights(config: SoftmaxConfig) -> list[int]:
    scale = Fraction(config.logit_scale)
    return list(oracle.weights(config.exponential, config.exp_bits, config.logit_width, scale))


@EVERY
@pytest.mark.parametrize("exp_bits", [8, 16, 24])
@pytest.mark.parametrize("scale", [0.0625, 0.1, Fraction(1, 3)])
def test_every_distance_of_8_bits(exponential: str, exp_bits: int, scale: float | Fraction) -> None:
    config = multiply(exponential=exponential, exp_bits=exp_bits, logit_scale=scale)
    assert weights_of(config) == expected_weights(config)


@EVERY
@pytest.mark.parametrize(
    ("logit_width", "scale"),
    [(4, 0.0625), (4, 1.0), (5, 40.0), (8, 2.0**-20), (8, 1e-12), (9, 3.0), (12, 2.0**-8)],
)
def test_every_distance_of_other_logits(exponential: str, logit_width: int, scale: float) -> None:
    config = multiply(exponential=exponential, logit_width=logit_width, logit_scale=scale)
    assert weights_of(config) == expected_weights(config)


@EVERY
def test_some_distances_of_16_bits(exponential: str) -> None:
    config = multiply(exponential=exponential, logit_width=16, logit_scale=2.0**-12)
    each = oracle.Exponentials(exponential, 16, 16, Fraction(1, 4096))
    found = weights_of(config)
    for distance in [*range(300), *range(300, 2**16, 331), 2**16 - 1]:
        assert found[distance] == each.weight(distance), distance


@EVERY
@pytest.mark.parametrize("scale", [0.0625, 0.3])
def test_exponentials_fall_from_nearly_1_to_0(exponential: str, scale: float) -> None:
    config = multiply(exponential=exponential, logit_scale=scale)
    found = weights_of(config)
    assert all(above >= below for above, below in pairwise(found))
    assert 2**16 * 0.99 < found[0] < 2**16
    assert found[-1] == 0
    exact = [math.exp(-distance * scale) * 2**16 for distance in range(len(found))]
    errors = [abs(w / e - 1) for w, e in zip(found, exact, strict=True) if e > 2**13]
    print(exponential, max(errors))
    assert max(errors) < ERRORS[exponential]
    # The bound is not far from what is reached.
    if scale == 0.0625:
        assert max(errors) > ERRORS[exponential] / 2


@settings(max_examples=150)
@given(data=st.data())
def test_random_rows_equal_the_oracle(data: st.DataObject) -> None:
    lanes = data.draw(st.sampled_from([1, 2, 4]))
    config = multiply(
        exponential=data.draw(st.sampled_from(EXPONENTIALS)),
        exp_bits=data.draw(st.sampled_from([8, 13, 16, 24])),
        prob_bits=data.draw(st.integers(4, 24)),
        logit_width=data.draw(st.sampled_from([4, 8])),
        lanes=lanes,
        max_row=256,
    )
    low, high = config.logit_range
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    length = data.draw(st.integers(1, 256), label="length")
    spread = data.draw(st.integers(1, high - low + 1), label="spread")
    start = data.draw(st.integers(low, high + 1 - spread), label="start")
    logits = rng.integers(start, start + spread, (3, length))
    mask = rng.random(logits.shape) < data.draw(st.sampled_from([0.0, 0.1, 0.9]), label="live")
    for live in (None, mask):
        found = exaq.softmax(logits, config, live).tolist()
        for row, values in enumerate(logits.tolist()):
            flags = None if live is None else live[row].tolist()
            assert found[row] == oracle.softmax_row(values, flags, config)


@EVERY
def test_every_pair_of_8_bit_logits_equals_the_oracle(exponential: str) -> None:
    config = multiply(exponential=exponential)
    values = np.arange(-128, 128, dtype=np.int8)
    pairs = np.stack(np.meshgrid(values, values, indexing="ij"), axis=-1)
    expected = np.array([oracle.softmax_row([0, -d], None, config) for d in range(256)])
    apart = pairs[..., 0].astype(int) - pairs[..., 1]
    above = np.where(apart[..., None] >= 0, expected[abs(apart)], expected[abs(apart)][..., ::-1])
    np.testing.assert_array_equal(exaq.softmax(pairs, config), above)
    alone = exaq.softmax(pairs, config, np.array([True, False]))
    np.testing.assert_array_equal(alone, np.broadcast_to([2**16 - 1, 0], pairs.shape))


@EVERY
def test_the_longest_row_is_exact(exponential: str) -> None:
    """Sums of the most bits that there are, and as many equal logits."""
    config = multiply(exponential=exponential, exp_bits=24, prob_bits=24, max_row=65536, lanes=4)
    flat = np.zeros(65536, np.int8)
    step = np.where(np.arange(65536) % 3 == 0, -1, 0).astype(np.int8)
    assert config.sum_bits == 40
    for row in (flat, step):
        expected = oracle.softmax_row(row.tolist(), None, config)
        assert exaq.softmax(row, config).tolist() == expected


@pytest.mark.parametrize("bits", [6, 18, 26])
def test_reciprocals_are_the_floors_of_fractions(bits: int) -> None:
    rng = np.random.default_rng(bits)
    near = [2**k + d for k in range(3, 40) for d in (-1, 0, 1)]
    totals = [*range(1, 300), *near, *rng.integers(1, 2**40, 300).tolist(), 2**40 - 1]
    mantissas, exponents = reciprocal(np.array(totals, np.int64), bits)
    found = list(zip(mantissas.tolist(), exponents.tolist(), strict=True))
    assert found == [oracle.reciprocal(total, bits) for total in totals]
    assert all(mantissa >> (bits - 1) == 1 for mantissa, _ in found)


def test_what_lies_around_a_row_is_of_no_matter() -> None:
    config = multiply(prob_bits=9, max_row=64)
    logits = np.array([[5, -3, 100, 0, 7], [1, 2, 3, 4, 5]])
    whole = exaq.softmax(logits[:, :2], config)
    found = exaq.softmax(logits, config, lengths=[2, 2])
    np.testing.assert_array_equal(found[:, :2], whole)
    assert not found[:, 2:].any()
    assert not exaq.softmax(logits, config, np.zeros(logits.shape, bool)).any()
    assert exaq.softmax([[-128]], config).tolist() == [[511]]
    assert exaq.softmax(np.zeros((0, 3), int), config).shape == (0, 3)


@EVERY
@pytest.mark.parametrize("length", [128, 512])
def test_it_comes_close_to_a_float_softmax(exponential: str, length: int) -> None:
    """Of the same integers; with 24 bits, so that what shows is how exponentials are made."""
    config = multiply(exponential=exponential, exp_bits=24, prob_bits=24)
    for sigma in (1, 2, 3):
        logits, exact = gaussian_rows(sigma, length, config)
        found = exaq.probabilities_to_float(exaq.softmax(logits, config), config)
        divergence = metrics.kl_divergence(exact, found, floor=2.0**-25)
        print(exponential, length, sigma, divergence)
        assert divergence < DIVERGENCES[exponential]


@pytest.mark.parametrize("length", [128, 512])
def test_two_tables_come_as_close_as_16_bits_allow(length: int) -> None:
    """Hardly further from a float softmax than its own rounding to 16 bits is."""
    config = multiply()
    for sigma in (1, 2, 3):
        logits, exact = gaussian_rows(sigma, length, config)
        found = exaq.probabilities_to_float(exaq.softmax(logits, config), config)
        best = np.minimum(np.floor(exact * 2**16 + 0.5), 2**16 - 1) / 2**16
        least = metrics.kl_divergence(exact, best, floor=2.0**-17)
        divergence = metrics.kl_divergence(exact, found, floor=2.0**-17)
        print(length, sigma, divergence, least)
        assert divergence < 1.1 * least + 1e-7
        assert divergence < 1e-4 or (length, sigma) == (512, 3)


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        (
            {"exponential": "cordic"},
            ValueError,
            "exponential must be split, taylor2, taylor3, pwl4, pwl8 or schraudolph, not 'cordic'",
        ),
        ({"exp_bits": 7}, ValueError, "exp_bits must be in 8..24, not 7"),
        ({"exp_bits": 25}, ValueError, "exp_bits must be in 8..24, not 25"),
        ({"exp_bits": 16.0}, TypeError, "exp_bits must be an integer, not 16.0"),
        (
            {"logit_width": 17},
            ValueError,
            "logit_width must be in 4..16 with the kernel multiply, not 17",
        ),
        (
            {"contexts": 2},
            ValueError,
            "the kernel multiply has no tables: contexts must be 0, not 2",
        ),
        (
            {"output": "codes"},
            ValueError,
            "the kernel multiply has no codes: output must be probabilities",
        ),
        ({"sink": 3}, ValueError, "the kernel multiply has no sinks: sink must be left out"),
        (
            {"logit_format": "bf16"},
            ValueError,
            "the kernel multiply has no floating-point logits: logit_format must be integer",
        ),
        (
            {"lanes": 4, "full_rate_row": 115},
            ValueError,
            "full_rate_row must be at least 29 * lanes (116), not 115",
        ),
        ({"bits": 3}, TypeError, None),
    ],
)
def test_what_is_no_configuration(
    settings: dict[str, Any], kind: type[Exception], message: str | None
) -> None:
    pattern = (
        "bits is a setting of exaq, not of multiply" if message is None else re.escape(message)
    )
    with pytest.raises(kind, match=rf"\A{pattern}\Z"):
        multiply(**settings)


def test_configurations_are_written_and_read() -> None:
    config = multiply(exponential="pwl4", exp_bits=12, logit_scale=Fraction(1, 10), lanes=2)
    written = config.to_dict()
    assert (written["kernel"], written["exponential"], written["exp_bits"]) == (
        "multiply",
        "pwl4",
        12,
    )
    assert SoftmaxConfig.from_dict(written) == config
    assert config.replace(exp_bits=16).exponential == "pwl4"


@EVERY
def test_borders_are_where_results_change(exponential: str) -> None:
    config = multiply(exponential=exponential)
    table = expected_weights(config)
    borders = config.kernel.borders
    assert borders[-1] == 0
    assert 5 < len(borders) < 25
    assert all(table[-border] != table[1 - border] for border in borders)
