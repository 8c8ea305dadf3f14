"""Codes against the authors' quantizer: every pair of 8-bit logits, dense pairs of 16-bit ones."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rational import is_tie, position, round_half_even

import exaq
from exaq.tables import default_clip

Real = float | Fraction

# Clips whose thresholds fall on logit steps, and clips whose thresholds do not.
_TYING: dict[int, list[tuple[Real, Real]]] = {
    2: [(Fraction(-3), Fraction(1, 16)), (Fraction(-6), Fraction(1)), (-0.75, 0.0625)],
    3: [(Fraction(-7, 2), Fraction(1, 16)), (Fraction(-7), Fraction(1, 10)), (-7.0, 0.25)],
    4: [(Fraction(-15, 4), Fraction(1, 16)), (Fraction(-15, 8), Fraction(1, 48)), (-7.5, 0.125)],
    5: [(Fraction(-31, 4), Fraction(1, 16)), (Fraction(-31, 24), Fraction(1, 48)), (-7.75, 0.125)],
    6: [(Fraction(-63, 4), Fraction(1, 16)), (Fraction(-21, 8), Fraction(1, 48)), (-15.75, 0.125)],
}
_OTHER: list[tuple[Real | str, Real]] = [
    ("default", 0.0625),
    ("default", 0.1),
    ("default", Fraction(1, 7)),
    (-0.01, 0.0625),
]
_OTHER += [(-1000.0, 0.0625), (-5.17, 2.0**-12), (-4.31, 3.7), (Fraction(-22, 7), 0.03)]
CASES = [(bits, *case) for bits in range(2, 7) for case in [*_TYING[bits], *_OTHER]]
TIES = [(bits, *case) for bits in range(2, 7) for case in _TYING[bits]]


def configured(
    bits: int, clip: Real | str, scale: Real, logit_width: int = 8
) -> exaq.SoftmaxConfig:
    return exaq.SoftmaxConfig(
        bits=bits,
        logit_width=logit_width,
        clip=default_clip(bits) if isinstance(clip, str) else clip,
        logit_scale=scale,
        lanes=1,
        max_row=2048,
    )


def positions(config: exaq.SoftmaxConfig, most: int) -> list[Fraction]:
    """Where each distance 0 .. most lies between the levels, exactly."""
    assert config.clip is not None
    clip, scale = Fraction(config.clip), Fraction(config.logit_scale)
    return [position(-d, clip, scale, config.bits) for d in range(most + 1)]


def every_pair() -> NDArray[np.int8]:
    """Shape (256, 256, 2): each pair of 8-bit logits is a row."""
    values = np.arange(-128, 128, dtype=np.int8)
    return np.stack(np.meshgrid(values, values, indexing="ij"), axis=-1)


@pytest.mark.parametrize(("bits", "clip", "scale"), CASES)
def test_every_pair_of_8_bit_logits_has_the_rational_code(
    bits: int, clip: Real | str, scale: Real
) -> None:
    config = configured(bits, clip, scale)
    expected = np.array([round_half_even(p) for p in positions(config, 255)])
    pairs = every_pair()
    distance = pairs.max(axis=-1, keepdims=True).astype(int) - pairs
    np.testing.assert_array_equal(exaq.quantize(pairs, config), expected[distance])


@pytest.mark.parametrize(("bits", "clip", "scale"), TIES)
def test_ties_occur_and_go_to_the_even_code(bits: int, clip: Real | str, scale: Real) -> None:
    config = configured(bits, clip, scale)
    where = positions(config, 255)
    tied = [d for d, p in enumerate(where) if is_tie(p)]
    assert len(tied) == config.levels - 1
    rows = np.array([[127, 127 - d] for d in tied])
    codes = exaq.quantize(rows, config)[:, 1]
    assert set(codes.tolist()) == set(range(0, config.levels, 2))
    assert [abs(code - where[d]) for code, d in zip(codes.tolist(), tied, strict=True)] == [
        Fraction(1, 2)
    ] * len(tied)


@pytest.mark.parametrize(("bits", "clip", "scale"), CASES)
def test_every_pair_of_8_bit_logits_has_the_float_code(
    bits: int, clip: Real | str, scale: Real
) -> None:
    config = configured(bits, clip, scale)
    # Within a rounding error of a tie only the rational quantizer knows; without one both do.
    sure = np.array([abs(p - int(p) - Fraction(1, 2)) > 1e-9 for p in positions(config, 255)])
    pairs = every_pair()
    real = pairs * float(config.logit_scale)
    distance = pairs.max(axis=-1, keepdims=True).astype(int) - pairs
    decided = sure[distance]
    codes = exaq.quantize(pairs, config)
    float_codes = exaq.reference.quantize(real, float(config.clip or 0), bits)
    assert decided.mean() > 0.8
    np.testing.assert_array_equal(codes[decided], float_codes[decided])


@pytest.mark.parametrize(("bits", "clip", "scale"), [(2, -0.75, 0.0625), (3, -7.0, 0.25)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_codes_are_exact_on_ties_where_floats_are(
    bits: int, clip: float, scale: float, dtype: type[np.floating[Any]]
) -> None:
    config = configured(bits, clip, scale)
    pairs = every_pair()
    real = pairs.astype(dtype) * dtype(scale)
    np.testing.assert_array_equal(
        exaq.quantize(pairs, config), exaq.reference.quantize(real, clip, bits)
    )


@pytest.mark.parametrize("bits", range(2, 7))
@pytest.mark.parametrize(
    ("clip", "scale"),
    [("default", 2.0**-12), (Fraction(-15, 4), Fraction(1, 2048)), (-3000.5, 0.0625), (-9.3, 3e-4)],
)
def test_16_bit_logits_have_the_rational_code(bits: int, clip: Real | str, scale: Real) -> None:
    config = configured(bits, clip, scale, logit_width=16)
    expected = np.array([round_half_even(p) for p in positions(config, 2**16 - 1)])
    rng = np.random.default_rng(16)
    for largest in (-(2**15), -(2**15) + 1, -1, 0, *rng.integers(-(2**15), 2**15, 3), 2**15 - 1):
        below = np.arange(largest, -(2**15) - 1, -1)
        padded = np.resize(below, (-(-len(below) // 1023), 1023))
        rows = np.insert(padded, 0, largest, axis=1).astype(np.int16)
        np.testing.assert_array_equal(exaq.quantize(rows, config), expected[largest - rows])


def test_24_bit_logits_use_the_whole_distance() -> None:
    config = exaq.SoftmaxConfig(
        logit_width=24, tables=exaq.Tables(thresholds=(-(2**24) + 1, -2, 0), exp_rom=(1, 2, 3, 4))
    )
    low, high = config.logit_range
    assert exaq.quantize([[low, low + 1, high - 2, high]], config).tolist() == [[1, 1, 2, 3]]
    narrower = config.replace(
        tables=exaq.Tables(thresholds=(-(2**24) + 2, -2, 0), exp_rom=(1, 2, 3, 4))
    )
    assert exaq.quantize([[low, low + 1, high - 2, high]], narrower).tolist() == [[0, 1, 2, 3]]


def test_codes_are_relative_to_the_live_maximum_and_masked_codes_are_0() -> None:
    config = exaq.SoftmaxConfig(tables=exaq.Tables(thresholds=(-20, -10, -5), exp_rom=(1, 2, 3, 4)))
    logits = [[127, 10, 5, 4, 0, -1, -10, -11]] * 2
    mask = [[False, True, True, True, True, True, True, True], [False] * 8]
    assert exaq.quantize(logits, config, mask).tolist() == [[0, 3, 3, 2, 2, 1, 1, 0], [0] * 8]


@pytest.mark.parametrize("bits", range(2, 7))
def test_masked_float_codes_equal_masked_codes(bits: int) -> None:
    config = configured(bits, "default", 0.0625)
    rng = np.random.default_rng(bits)
    logits = rng.integers(-128, 128, (50, 40), dtype=np.int8)
    mask = rng.random((50, 40)) < 0.5
    mask[7] = False
    np.testing.assert_array_equal(
        exaq.quantize(logits, config, mask),
        exaq.reference.quantize(logits * 0.0625, float(config.clip or 0), bits, mask),
    )
