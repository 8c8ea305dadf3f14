"""The attention head's golden model against plain integers and fractions, one number at a time."""

from __future__ import annotations

import json
import math
import zlib
from fractions import Fraction
from typing import Any

import multiply_oracle
import numpy as np
import pytest

import exaq
from exaq.attention import (
    KEY_FORMATS,
    AttentionConfig,
    HeadScales,
    attend,
    level_sums,
    outputs,
    scores,
    weighted_sums,
)

#: What a code of dINT4 stands for, in half steps, as docs/numerics.md lists the codes.
HALVES = [0, 2, 4, 6, 8, 10, 12, 1, -14, -2, -4, -6, -8, -10, -12, -1]


def meaning(keys: str, element: int) -> int:
    if keys == "dint4":
        return HALVES[element]
    return element - 16 if keys == "int4" and element > 7 else element


def elements(keys: str, rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    if keys == "int8":
        return rng.integers(-128, 128, shape).astype(np.int8)
    drawn = rng.integers(0, 16, shape).astype(np.uint8)
    return np.where(drawn == 8, 0, drawn) if keys == "int4" else drawn


def oracle(
    q: Any, k: Any, v: Any, live: Any, config: AttentionConfig
) -> tuple[list[list[int]], list[list[int]]]:
    """Dot products and outputs of two-dimensional operands."""
    tables = config.softmax.tables
    dots, found = [], []
    for row, alive in zip(q, live, strict=True):
        logits = [
            sum(int(a) * meaning(config.keys, int(b)) for a, b in zip(row, key, strict=True))
            for key in k
        ]
        dots.append(logits)
        part = [n for n in range(len(k)) if alive[n]]
        sink = [] if config.softmax.sink is None else [config.softmax.sink]
        top = max([logits[n] for n in part] + sink, default=0)

        def weight(logit: int, top: int = top) -> int:
            return tables.exp_rom[sum(logit - top >= each for each in tables.thresholds)]

        whole = sum(weight(logits[n]) for n in part) + sum(map(weight, sink))
        outs = []
        for d in range(v.shape[1]):
            mean = Fraction(0)
            if whole:
                mean = Fraction(sum(weight(logits[n]) * int(v[n, d]) for n in part), whole)
            outs.append(math.floor(mean * 2**config.output_frac + Fraction(1, 2)))
        found.append(outs)
    return dots, found


def weighted_oracle(q: Any, k: Any, v: Any, live: Any, config: AttentionConfig) -> list[list[int]]:
    """Outputs of a head that multiplies by probabilities."""
    softmax = config.softmax
    exponentials = multiply_oracle.Exponentials(
        softmax.exponential, softmax.exp_bits, softmax.logit_width, Fraction(softmax.logit_scale)
    )
    bits = softmax.prob_bits
    found = []
    for row, alive in zip(q, live, strict=True):
        part = [n for n in range(len(k)) if alive[n]]
        dots = {
            n: sum(int(a) * meaning(config.keys, int(b)) for a, b in zip(row, k[n], strict=True))
            for n in part
        }
        logits = {n: math.floor(Fraction(dot, 2**config.score_shift)) for n, dot in dots.items()}
        weights = {n: exponentials.weight(max(logits.values()) - logits[n]) for n in part}
        mantissa, exponent = multiply_oracle.reciprocal(sum(weights.values()) or 1, bits + 2)
        shares = {
            n: min(multiply_oracle.half_up(Fraction(weight * mantissa, 4 << exponent)), 2**bits - 1)
            for n, weight in weights.items()
        }
        most = 2 ** (config.output_width - 1) - 1
        outs = []
        for d in range(v.shape[1]):
            mean = Fraction(sum(shares[n] * int(v[n, d]) for n in part), 2**bits)
            rounded = math.floor(mean * 2**config.output_frac + Fraction(1, 2))
            outs.append(min(max(rounded, -most - 1), most))
        found.append(outs)
    return found


CONFIGS = [
    {"head_size": 16, "keys": "dint4", "bits": 2, "max_row": 24},
    {"head_size": 16, "keys": "dint4", "bits": 2, "max_row": 24, "output_width": 8},
    {"head_size": 17, "keys": "int4", "bits": 3, "max_row": 24, "value_width": 4},
    {"head_size": 24, "keys": "int8", "bits": 4, "max_row": 24, "exp_frac": 20},
    {"head_size": 16, "keys": "int8", "bits": 2, "max_row": 24, "sink": 300},
    {"head_size": 16, "bits": 6, "max_row": 24, "value_width": 4, "output_width": 8, "sink": -90},
]


@pytest.mark.parametrize("settings", CONFIGS, ids=str)
def test_random_heads_equal_the_oracle(settings: dict[str, Any]) -> None:
    config = AttentionConfig(**settings)
    rng = np.random.default_rng(1)
    half = 2 ** (config.value_width - 1)
    for keys in (1, 5, 24):
        q = rng.integers(-128, 128, (6, config.head_size))
        # A row of one key's own direction, one that every key is alike to, and one of extremes.
        q[0], q[1] = 0, -128
        k = elements(config.keys, rng, (keys, config.head_size))
        v = rng.integers(-half, half, (keys, 3))
        v[:, 0], v[:, 1] = -half, half - 1
        live = rng.random((6, keys)) < 0.7
        live[2], live[3] = False, True
        dots, found = oracle(q, k, v, live, config)
        assert scores(q, k, config).tolist() == dots
        given = attend(q, k, v, config, live)
        assert given.dtype == np.dtype(f"i{config.output_width // 8}")
        assert given.tolist() == found
        assert (given[2] == 0).all()


@pytest.mark.parametrize(
    "settings",
    [
        {"keys": "int8", "logit_scale": 2**-12},
        {"keys": "int8", "head_size": 40, "prob_bits": 8, "exponential": "pwl8"},
        {"keys": "int8", "value_width": 4, "prob_bits": 20, "output_width": 8},
        {"keys": "dint4", "value_width": 4, "prob_bits": 6, "logit_scale": 2**-9},
    ],
    ids=str,
)
def test_heads_that_multiply_equal_the_oracle(settings: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"head_size": 17, "max_row": 24, "kernel": "multiply"}
    config = AttentionConfig(**usual | settings)
    rng = np.random.default_rng(2)
    half = 2 ** (config.value_width - 1)
    for keys in (1, 5, 24):
        q = rng.integers(-128, 128, (6, config.head_size))
        q[0], q[1], q[4] = 0, -128, q[4] // 32
        k = elements(config.keys, rng, (keys, config.head_size))
        v = rng.integers(-half, half, (keys, 3))
        v[:, 0], v[:, 1] = -half, half - 1
        live = rng.random((6, keys)) < 0.7
        live[2], live[3], live[4] = False, True, True
        given = attend(q, k, v, config, live)
        assert given.dtype == np.dtype(f"i{config.output_width // 8}")
        assert given.tolist() == weighted_oracle(q, k, v, live, config)
        assert (given[2] == 0).all()
        causal = attend(q[:keys], k, v, config.replace(causal=True))
        own = np.tri(len(causal), keys, dtype=bool)
        assert causal.tolist() == weighted_oracle(q[:keys], k, v, own, config)


def test_width_of_weighted_sums_holds_every_row() -> None:
    """Of no row of equal logits, which rounds all probabilities alike, is a sum too large."""
    for bits, most in ((4, 64), (8, 256), (16, 256)):
        config = AttentionConfig(head_size=16, kernel="multiply", max_row=most, prob_bits=bits)
        sums = []
        for keys in range(1, most + 1):
            flat = exaq.softmax(np.zeros((1, keys), np.int64), config.softmax)
            sums.append(int(flat.sum()) * -128)
            lowest = weighted_sums(flat, np.full((keys, 1), -128), config)[0, 0]
            exact = (sums[-1] * 2**config.output_frac + 2 ** (bits - 1)) // 2**bits
            assert lowest == max(exact, -(2**15))
        # Some add up to more than 1, and are cut.
        assert min(sums) < -128 << bits
        assert min(sums) >= -(2 ** (config.weighted_width - 1))


def test_logits_of_a_head_that_multiplies_are_scores_without_their_lowest_bits() -> None:
    config = AttentionConfig(keys="int8", kernel="multiply", logit_scale=2**-12)
    assert (config.score_width, config.score_shift) == (22, 6)
    assert (config.softmax.logit_width, config.softmax.logit_scale) == (16, 2**-6)
    assert config.replace(keys="dint4", head_size=16).score_shift == 0
    by_level = AttentionConfig(keys="int8", logit_scale=2**-12)
    assert (by_level.score_shift, by_level.softmax.logit_scale) == (0, 2**-12)


def test_extremes_of_values_come_out_as_they_are() -> None:
    config = AttentionConfig(head_size=16, max_row=65536, bits=2)
    v = np.repeat([[-128, 127, 0]], 65536, axis=0)
    codes = np.zeros((1, 65536), np.uint8)
    sums = level_sums(codes, True, v, config)
    assert sums[0, 0].tolist() == [-128 * 65536, 127 * 65536, 0]
    assert -(2 ** (config.level_width - 1)) == sums.min()
    whole = config.softmax.tables.exp_rom[0] * 65536
    assert outputs(sums, [whole], config).tolist() == [[-32768, 32512, 0]]


def test_half_steps_are_rounded_up() -> None:
    config = AttentionConfig(head_size=16, output_width=8, max_row=4)
    k = np.zeros((2, 16), np.uint8)
    q = np.zeros((1, 16), np.int8)
    # Both keys count alike, so outputs are means.
    v = np.array([[1, -1, -3, 5], [2, -2, 0, 5]])
    assert attend(q, k, v, config).tolist() == [[2, -1, -1, 5]]


@pytest.mark.parametrize("keys", KEY_FORMATS)
@pytest.mark.parametrize("size", [16, 64, 255, 256])
def test_width_of_scores_is_just_enough(keys: str, size: int) -> None:
    config = AttentionConfig(head_size=size, keys=keys)
    format = KEY_FORMATS[keys]
    everything = [-128] if format.by_code is None else [each or 0 for each in format.by_code]
    lowest = min(everything, key=lambda each: (each, 0))
    most, least = (-128) * lowest * size, 127 * lowest * size
    legal = range(-(2 ** (config.score_width - 1)), 2 ** (config.score_width - 1))
    assert most in legal
    assert least in legal
    assert most not in range(-(2 ** (config.score_width - 2)), 2 ** (config.score_width - 2))
    code = -128 if format.by_code is None else everything.index(lowest)
    q = np.array([[-128] * size, [127] * size])
    assert scores(q, np.full((1, size), code), config)[:, 0].tolist() == [most, least]


def test_windows_and_leading_axes() -> None:
    config = AttentionConfig(head_size=16, max_row=8)
    rng = np.random.default_rng(3)
    q = rng.integers(-128, 128, (2, 3, 8, 16))
    # One head of keys for three of q.
    k, v = rng.integers(0, 16, (2, 1, 8, 16)), rng.integers(-128, 128, (2, 1, 8, 5))
    causal = attend(q, k, v, config, window=exaq.causal_windows(8, 8))
    assert causal.shape == (2, 3, 8, 5)
    for place in np.ndindex(2, 3, 8):
        batch, _, row = place
        alone = attend(q[place][None], k[batch, 0, : row + 1], v[batch, 0, : row + 1], config)
        assert (causal[place] == alone[0]).all()
    assert (attend(q, k, v, config.replace(causal=True)) == causal).all()
    # A mask leaves out further keys; rows behind the last key meet all.
    mask = rng.random((8, 8)) < 0.6
    both = attend(q, k, v, config, mask & np.tri(8, dtype=bool))
    assert (attend(q, k, v, config.replace(causal=True), mask) == both).all()
    few = attend(q, k[..., :3, :], v[..., :3, :], config.replace(causal=True))
    assert (few[..., 3:, :] == attend(q[..., 3:, :], k[..., :3, :], v[..., :3, :], config)).all()


@pytest.mark.parametrize("width", [4, 8])
def test_the_greatest_value_is_the_greatest_integer(width: int) -> None:
    """Scales use the whole of their formats."""
    q, k, v = np.random.default_rng(3).normal(size=(3, 5, 16))
    scales = HeadScales.of(q, k, v, value_width=width)
    assert np.abs(scales.integers(q, k, v).v).max() == 2 ** (width - 1) - 1
    assert np.abs(scales.integers(q, k, v).q).max() == 127


def test_real_operands_come_back_within_their_steps() -> None:
    rng = np.random.default_rng(4)
    q, k, v = (rng.standard_normal((40, 32)) * rng.uniform(0.1, 4, 32) for _ in range(3))
    for keys, tolerance in (("int8", 0.03), ("dint4", 0.25), ("int4", 0.3)):
        scales = HeadScales.of(q, k, v, keys=keys)
        integers = scales.integers(q, k, v)
        config = AttentionConfig(
            head_size=32, keys=keys, max_row=40, logit_scale=scales.logit_scale
        )
        exact = q @ k.T / 32**0.5
        error = scores(integers.q, integers.k, config) * scales.logit_scale - exact
        assert error.std() < tolerance * exact.std()
        assert np.abs(integers.v * scales.value - v).max() <= scales.value / 2 * (1 + 1e-12)
    saturated = scales.integers(100 * q, 100 * k, 100 * v)
    assert {int(abs(saturated.q).max()), int(abs(saturated.v).max())} == {127}
    nothing = HeadScales.of(q * 0, k * 0, v * 0)
    assert not any(each.any() for each in nothing.integers(q * 0, k * 0, v * 0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head_size": 15}, "head_size must be in 16..256, not 15"),
        ({"keys": "fp4"}, "keys must be dint4, int4 or int8, not 'fp4'"),
        ({"value_width": 6}, "value_width must be 4 or 8, not 6"),
        ({"output_width": 12}, "output_width must be 8 or 16, not 12"),
        ({"contexts": 2}, "an attention head has its tables as constants, and no contexts"),
        ({"kernel": "lut"}, "an attention head has the kernel exaq or multiply, not lut"),
        (
            {"kernel": "multiply", "output": "codes"},
            "output of the softmax follows from the attention head",
        ),
        ({"logit_width": 8}, "logit_width of the softmax follows from the attention head"),
        ({"output": "codes"}, "output of the softmax follows from the attention head"),
    ],
)
def test_what_is_not_legal_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        AttentionConfig(**settings)
    assert str(error.value) == message


def test_operands_that_do_not_fit_are_refused() -> None:
    config = AttentionConfig(head_size=16, keys="int4", max_row=8)
    q, k, v = (np.zeros((4, 16), np.int64) for _ in range(3))
    for wrong, message in (
        ((q + 128, k, v), "q must be in -128..127, not 128"),
        ((q, k + 8, v), "int4 has no code 8"),
        ((q, k - 1, v), "elements of int4 keys must be in 0..15, not -1"),
        ((q, k, v - 129), "v must be in -128..127, not -129"),
        ((q[:, 1:], k, v), "q of shape (4, 15) must be (..., rows, 16)"),
        ((q, k[:, 1:], v), "k of shape (4, 15) must be (..., rows, 16)"),
        ((q, k, v[1:]), "codes of shape (4, 4) and v of shape (3, 16) must be "),
        ((q * 1.0, k, v), "q must be integers, not float64"),
        ((q, k, v * 1.0), "v must be integers, not float64"),
    ):
        with pytest.raises((TypeError, ValueError)) as error:
            attend(wrong[0], wrong[1], wrong[2], config)
        assert str(error.value).startswith(message)


def test_a_copy_settles_anew_what_was_not_given() -> None:
    config = AttentionConfig(head_size=64, bits=3, max_row=32)
    other = config.replace(head_size=16, lanes=8)
    assert other == AttentionConfig(head_size=16, bits=3, max_row=32, lanes=8)
    assert other.softmax.logit_width == 16
    assert config.to_dict()["softmax"]["logit_width"] == 18


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"head_size": 17, "keys": "int8", "value_width": 4, "output_width": 8, "causal": True},
        {"bits": 3, "sink": 400, "lanes": 1, "max_row": 7, "logit_scale": 0.1, "exp_frac": 10},
        {"clip": -3.5, "full_rate_row": 64},
        {"tables": exaq.Tables(thresholds=(-9, -5, -1), exp_rom=(1, 2, 3, 8192))},
    ],
)
def test_a_configuration_comes_back_from_its_values(settings: dict[str, Any]) -> None:
    config = AttentionConfig(**settings)
    values = json.loads(json.dumps(config.to_dict()))
    assert AttentionConfig.from_dict(values) == config
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    assert config.build_crc == zlib.crc32(text.encode())
    others = [AttentionConfig(**settings | {"value_width": w, "max_row": 8}) for w in (4, 8)]
    assert len({each.build_crc for each in (config, *others)}) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"head_size": 15},
        {"head_size": 128},
        {"keys": "fp4"},
        {"more": 1},
        {"softmax": exaq.SoftmaxConfig().to_dict()},
        {"softmax": exaq.SoftmaxConfig(kernel="shift").to_dict()},
    ],
)
def test_values_that_no_configuration_wrote(change: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        AttentionConfig.from_dict(AttentionConfig().to_dict() | change)
