"""Softermax against its definition in exact fractions, and how close it is to a float softmax."""

from __future__ import annotations

import itertools
import math
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from softermax_oracle import STEPS, Softermax, power, quarter

import exaq
from exaq import SoftmaxConfig, metrics, reference
from exaq.kernels.pieces import by_pieces, linear_pieces

LN_2 = Fraction("0.69314718055994530941723212145817656807")
SCALES: list[float | Fraction] = [0.0625, math.log(2) / 16, Fraction(1, 3), LN_2, 2.0**-20]


def softermax(**changes: Any) -> SoftmaxConfig:
    return SoftmaxConfig(kernel="softermax", **changes)


def kernel(config: SoftmaxConfig) -> exaq.Softermax:
    """Its kernel, as a type checker has to see it."""
    assert isinstance(config.kernel, exaq.Softermax)
    return config.kernel


def check(config: SoftmaxConfig, rows: list[tuple[int | None, ...]], seed: int = 0) -> None:
    """Rows of logits; where there is None, any logit that does not take part."""
    unit = Softermax(config)
    live = np.array([[logit is not None for logit in row] for row in rows])
    low, high = config.logit_range
    logits = np.random.default_rng(seed).integers(low, high + 1, live.shape)
    logits[live] = [logit for row in rows for logit in row if logit is not None]
    expected = [unit.probabilities(row) for row in rows]
    np.testing.assert_array_equal(exaq.softmax(logits, config, live), expected)


# --- t, and the exponentials of single elements


@pytest.mark.parametrize("width", [4, 8, 11, 16, 24])
@pytest.mark.parametrize("scale", SCALES)
def test_t_is_the_binary_logarithm_in_steps(scale: float | Fraction, width: int) -> None:
    config = softermax(logit_width=width, logit_scale=scale)
    unit = Softermax(config)
    multiplier, shift = kernel(config).factor
    assert Fraction(multiplier) / Fraction(2) ** shift == unit.factor
    low, high = config.logit_range
    rng = np.random.default_rng(width)
    for logit in {low, -1, 0, 1, high, *rng.integers(low, high + 1, 60).tolist()}:
        t = kernel(config).steps(logit)
        assert t == unit.t(logit)
        assert abs(t - logit * unit.exact_factor) < 1


@pytest.mark.parametrize("bits", range(8, 25))
def test_every_fraction_of_an_octave(bits: int) -> None:
    pieces = linear_pieces(4, bits)
    assert pieces[0] == tuple(quarter(k, bits) for k in range(4))
    found = by_pieces(pieces, np.arange(STEPS), 8)
    assert found.tolist() == [power(f, bits) for f in range(STEPS)]
    assert (np.diff(found) <= 0).all()
    # The line is above the curve, by no more than a curve of that second derivative allows.
    exact = 2.0 ** (-np.arange(STEPS) / STEPS)
    above = found * 2.0**-bits / exact - 1
    assert above.max() < math.log(2) ** 2 / 16 / 8 * 2**0.25 + 2.0 ** (1 - bits)
    assert above.min() > -(2.0 ** (1 - bits))
    # The least is 1/2 and a little, so the exponential of a row's maximum is not below 1/2.
    assert found.min() >= 2 ** (bits - 1)


@pytest.mark.parametrize("exp_bits", [8, 16, 24])
@pytest.mark.parametrize("scale", SCALES)
def test_every_exponential_of_8_bit_logits(scale: float | Fraction, exp_bits: int) -> None:
    config = softermax(exp_bits=exp_bits, logit_scale=scale)
    unit = Softermax(config)
    steps = [unit.t(logit) for logit in range(-128, 128)]
    for above in range(0, 30, 3):
        references = [max(unit.ceiled(t), unit.ceiled(steps[-1]) - 20 + above) for t in steps]
        found = kernel(config).exponentials(np.array(steps), np.array(references))
        expected = [unit.exponential(t, r) for t, r in zip(steps, references, strict=True)]
        assert found.tolist() == expected


# --- rows


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("exp_bits", [8, 16])
def test_every_pair_of_8_bit_logits(lanes: int, exp_bits: int) -> None:
    """In one beat, and in two, of which the second can raise the reference."""
    config = softermax(exp_bits=exp_bits, lanes=lanes)
    check(config, list(itertools.product(range(-128, 128, 1 if exp_bits == 16 else 3), repeat=2)))


@pytest.mark.parametrize("lanes", [1, 2, 3])
@pytest.mark.parametrize("scale", [0.1, 0.5, LN_2])
def test_every_row_of_three_4_bit_logits(lanes: int, scale: float | Fraction) -> None:
    config = softermax(
        lanes=lanes, logit_width=4, logit_scale=scale, max_row=6, exp_bits=9, prob_bits=7
    )
    check(config, list(itertools.product([*range(-8, 8), None], repeat=3)))


@pytest.mark.parametrize("lanes", [1, 4])
def test_rows_that_rise_and_fall(lanes: int) -> None:
    """Steps of any number of octaves up and down, and sums that are shifted out whole."""
    config = softermax(lanes=lanes, logit_scale=LN_2)
    rows = []
    for high in range(0, 60, 7):
        for first in range(0, high + 1, 5):
            row = [first - 30] * 8 + [high - 30] + [0 - 30] * 7
            rows += [row, row[::-1], sorted(row)]
    check(config, [tuple(row) for row in rows])


@settings(max_examples=150)
@given(data=st.data())
def test_random_rows_equal_the_oracle(data: st.DataObject) -> None:
    lanes = data.draw(st.sampled_from([1, 2, 3, 4]))
    config = softermax(
        exp_bits=data.draw(st.integers(8, 24)),
        prob_bits=data.draw(st.integers(4, 24)),
        logit_width=data.draw(st.sampled_from([4, 8, 12, 24])),
        logit_scale=data.draw(st.sampled_from([2.0**-20, 2.0**-6, 0.1, 0.6])),
        lanes=lanes,
        max_row=lanes * 80,
    )
    low, high = config.logit_range
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    length = data.draw(st.integers(1, config.max_row), label="length")
    spread = data.draw(st.integers(1, high - low + 1), label="spread")
    start = data.draw(st.integers(low, high + 1 - spread), label="start")
    share = data.draw(st.sampled_from([0.0, 0.1, 0.9, 1.0]), label="live")
    rows = [
        tuple(
            int(logit) if rng.random() < share else None
            for logit in rng.integers(start, start + spread, length)
        )
        for _ in range(3)
    ]
    check(config, rows)


def test_the_longest_row_is_exact() -> None:
    """Sums of the most bits that there are, and as many equal logits."""
    config = softermax(exp_bits=24, prob_bits=24, max_row=65536, lanes=4)
    assert config.sum_bits == 43
    flat = [0] * 65536
    step = [-(k % 3 == 0) for k in range(65536)]
    check(config, [tuple(flat), tuple(step), tuple(sorted(step)), tuple([-128] * 65535 + [127])])


def test_what_lies_around_a_row_is_of_no_matter() -> None:
    config = softermax(prob_bits=9, max_row=64)
    logits = np.array([[5, -3, 100, 0, 7], [1, 2, 3, 4, 5]])
    whole = exaq.softmax(logits[:, :2], config)
    found = exaq.softmax(logits, config, lengths=[2, 2])
    np.testing.assert_array_equal(found[:, :2], whole)
    assert not found[:, 2:].any()
    assert not exaq.softmax(logits, config, np.zeros(logits.shape, bool)).any()
    assert exaq.softmax([[-128]], config).tolist() == [[511]]
    assert exaq.softmax(np.zeros((0, 3), int), config).shape == (0, 3)


def test_many_rows_are_the_same_as_one_after_the_other() -> None:
    config = softermax(max_row=512)
    logits = np.random.default_rng(3).integers(-128, 128, (600, 500))
    together = exaq.softmax(logits, config)
    np.testing.assert_array_equal(
        together[::37], np.concatenate([exaq.softmax(row, config) for row in logits[::37, None]])
    )


# --- what it is worth


@pytest.mark.parametrize("length", [128, 512])
def test_it_comes_close_to_a_float_softmax(length: int) -> None:
    """Of the same integers; with 24 bits, so that what shows are the pieces and the steps of t."""
    config = softermax(exp_bits=24, prob_bits=24)
    rng = np.random.default_rng(length)
    for sigma in (1, 2, 3):
        logits = exaq.logits_to_integers(rng.normal(0, sigma, (200, length)), config)
        found = exaq.probabilities_to_float(exaq.softmax(logits, config), config)
        exact = reference.softmax(logits / 16)
        divergence = metrics.kl_divergence(exact, found, floor=2.0**-25)
        print(length, sigma, divergence)
        assert divergence < 1.8e-6
        assert (np.abs(found / exact - 1) < 0.008)[exact > 2.0**-12].all()


@pytest.mark.parametrize("order", ["as they come", "falling", "rising"])
def test_the_order_of_a_row_hardly_matters(order: str) -> None:
    """What is cut off of earlier elements when the reference rises."""
    config = softermax()
    rng = np.random.default_rng(7)
    logits = exaq.logits_to_integers(rng.normal(0, 2, (200, 512)), config)
    if order != "as they come":
        logits = np.sort(logits, axis=-1)
    if order == "falling":
        logits = logits[:, ::-1]
    found = exaq.probabilities_to_float(exaq.softmax(logits, config), config)
    assert np.abs(found - reference.softmax(logits / 16)).max() < 0.002
    sums = found.sum(axis=-1)
    print(order, sums.min(), sums.max())
    assert sums.min() > 0.985
    assert sums.max() < 1.001


@pytest.mark.parametrize("prob_bits", [4, 6])
@pytest.mark.parametrize("exp_bits", [8, 16])
def test_longest_flat_row(prob_bits: int, exp_bits: int) -> None:
    """Equal logits give a step each up to that length; of some, zeros from the next on."""
    config = softermax(lanes=1, prob_bits=prob_bits, exp_bits=exp_bits)
    longest = config.kernel.longest_flat_row
    assert longest == 2**prob_bits
    for logit in range(-128, 128):
        assert (exaq.softmax(np.full(longest, logit), config) == 1).all()
    beyond = [exaq.softmax(np.full(longest + 1, logit), config).max() for logit in range(-128, 128)]
    assert min(beyond) == 0


# --- configurations


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"exp_bits": 7}, ValueError, "exp_bits must be in 8..24, not 7"),
        ({"exp_bits": 25}, ValueError, "exp_bits must be in 8..24, not 25"),
        ({"exp_bits": 16.0}, TypeError, "exp_bits must be an integer, not 16.0"),
        (
            {"logit_scale": 0.7},
            ValueError,
            "logit_scale must be at most ln 2, an octave a step, with the kernel softermax, "
            "not 0.7",
        ),
        (
            {"contexts": 2},
            ValueError,
            "the kernel softermax has no tables: contexts must be 0, not 2",
        ),
        (
            {"output": "codes"},
            ValueError,
            "the kernel softermax has no codes: output must be probabilities",
        ),
        (
            {"row_results": "sum"},
            ValueError,
            "the kernel softermax has no row results: row_results must be none",
        ),
        ({"sink": 3}, ValueError, "the kernel softermax has no sinks: sink must be left out"),
        (
            {"logit_format": "bf16", "logit_scale": 0.5},
            ValueError,
            "the kernel softermax has no floating-point logits: logit_format must be integer",
        ),
        (
            {"lanes": 4, "full_rate_row": 127},
            ValueError,
            "full_rate_row must be at least 32 * lanes (128), not 127",
        ),
        ({"bits": 3}, TypeError, "bits is a setting of exaq, not of softermax"),
        (
            {"exponential": "pwl4"},
            TypeError,
            "exponential is a setting of multiply, not of softermax",
        ),
    ],
)
def test_what_is_no_configuration(
    settings: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=rf"\A{re.escape(message)}\Z"):
        softermax(**settings)


def test_configurations_are_written_and_read() -> None:
    config = softermax(exp_bits=12, logit_scale=Fraction(1, 10), lanes=2)
    written = config.to_dict()
    assert (written["kernel"], written["exp_bits"]) == ("softermax", 12)
    assert SoftmaxConfig.from_dict(written) == config
    assert config.replace(lanes=4).exp_bits == 12
    assert config.kernel.passes == 1


@pytest.mark.parametrize("exp_bits", [8, 16, 20])
def test_borders_have_the_octave_in_which_exponentials_become_0(exp_bits: int) -> None:
    config = softermax(exp_bits=exp_bits, logit_scale=0.125)
    borders = config.kernel.borders
    assert borders[-1] == 0
    assert list(borders) == sorted({*borders})
    octaves = [-border * 0.125 / math.log(2) for border in borders]
    assert any(exp_bits - 1 <= octave <= exp_bits + 0.2 for octave in octaves)
