"""Probabilities against exact fractions and against the plain-Python oracle."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exaq

#: Those of floating-point logits are in test_model_floats.py, other kernels in files of their own.
INTEGER_PRESETS = [
    name
    for name in exaq.PRESETS
    if exaq.SoftmaxConfig.preset(name).float_format is None and "kernel" not in exaq.PRESETS[name]
]


@st.composite
def tables(draw: st.DrawFn, bits: int) -> tuple[int, exaq.Tables]:
    """Free tables: any thresholds in order, repeated ones and useless ones too, any ExpRom."""
    levels = 2**bits
    far = draw(st.sampled_from([4, 40, 300, 70_000, 2**26, 2**70]))
    steps = draw(st.lists(st.integers(-far, 0), min_size=levels - 1, max_size=levels - 1))
    exp_frac = draw(st.integers(4, 24))
    values = st.integers(0, 2 ** (exp_frac + 1) - 1)
    rom = draw(st.lists(values, min_size=levels - 1, max_size=levels - 1))
    top = draw(st.integers(1, 2 ** (exp_frac + 1) - 1))
    return exp_frac, exaq.Tables(thresholds=tuple(sorted(steps)), exp_rom=(*rom, top))


@st.composite
def configs(draw: st.DrawFn) -> exaq.SoftmaxConfig:
    bits = draw(st.integers(2, 6))
    lanes = draw(st.sampled_from([1, 2, 3, 4, 8]))
    common: dict[str, Any] = {
        "bits": bits,
        "lanes": lanes,
        "logit_width": draw(st.integers(4, 24)),
        "prob_bits": draw(st.integers(4, 24)),
        "max_row": lanes * 64,
        "masking": draw(st.booleans()),
    }
    if draw(st.booleans()):
        exp_frac, free = draw(tables(bits))
        return exaq.SoftmaxConfig(**common, exp_frac=exp_frac, tables=free)
    scales: list[float | Fraction] = [1.0, 0.0625, 0.1, 2.0**-12, Fraction(1, 3)]
    return exaq.SoftmaxConfig(
        **common,
        exp_frac=draw(st.integers(4, 24)),
        clip=-draw(st.floats(0.01, 30)),
        logit_scale=draw(st.sampled_from(scales)),
    )


@settings(max_examples=400)
@given(config=configs(), data=st.data())
def test_random_rows_equal_the_oracle(config: exaq.SoftmaxConfig, data: st.DataObject) -> None:
    low, high = config.logit_range
    length = data.draw(st.integers(1, config.max_row), label="length")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    # A spread well below the range makes codes of every level; the full one makes extremes.
    spread = data.draw(st.integers(1, high - low + 1), label="spread")
    start = data.draw(st.integers(low, high + 1 - spread), label="start")
    logits = rng.integers(start, start + spread, (8, length))
    mask = rng.random((8, length)) < data.draw(st.sampled_from([0.0, 0.1, 0.9]), label="live")
    for live in (None, mask):
        codes = exaq.quantize(logits, config, live).tolist()
        probabilities = exaq.softmax(logits, config, live).tolist()
        for row in range(len(logits)):
            row_live = None if live is None else live[row].tolist()
            values = logits[row].tolist()
            assert codes[row] == oracle.code_row(values, row_live, config)
            assert probabilities[row] == oracle.softmax_row(values, row_live, config)


@pytest.mark.parametrize("bits", range(2, 7))
def test_every_pair_of_8_bit_logits_equals_the_oracle(bits: int) -> None:
    config = exaq.SoftmaxConfig(bits=bits)
    low, high = config.logit_range
    values = np.arange(low, high + 1, dtype=np.int8)
    pairs = np.stack(np.meshgrid(values, values, indexing="ij"), axis=-1)
    expected = np.array([oracle.softmax_row([0, -d], None, config) for d in range(256)])
    apart = pairs[..., 0].astype(int) - pairs[..., 1]
    above = np.where(apart[..., None] >= 0, expected[abs(apart)], expected[abs(apart)][..., ::-1])
    np.testing.assert_array_equal(exaq.softmax(pairs, config), above)
    for dead in range(2):
        live = np.arange(2) != dead
        alone = np.where(live, 2**config.prob_bits - 1, 0)
        got = exaq.softmax(pairs, config, live)
        np.testing.assert_array_equal(got, np.broadcast_to(alone, pairs.shape))


@pytest.mark.parametrize("prob_bits", [8, 16, 24])
@pytest.mark.parametrize("bits", range(2, 7))
def test_rows_about_as_long_as_a_table_of_pairs_equal_the_oracle(bits: int, prob_bits: int) -> None:
    """Where the golden model begins to look up two elements at once, even rows and odd ones."""
    most = 2 * (2**bits + 1) ** 2
    config = exaq.SoftmaxConfig(
        bits=bits, prob_bits=prob_bits, logit_width=16, logit_scale=2.0**-10, max_row=65536
    )
    rng = np.random.default_rng(bits)
    for length in range(most - 2, most + 2):
        logits = np.clip(rng.normal(0, 2048, (1, length)), -(2**15), 2**15 - 1).astype(np.int16)
        for live in (None, rng.random(logits.shape) < 0.8):
            rows = [None] if live is None else live.tolist()
            expected = [
                oracle.softmax_row(values, flags, config)
                for values, flags in zip(logits.tolist(), rows, strict=True)
            ]
            np.testing.assert_array_equal(exaq.softmax(logits, config, live), expected)


def test_sums_beyond_32_bits_are_exact() -> None:
    """Of rows whose every exponential is the largest there is, up to one more than 2**32 in all."""
    top = 2**25 - 1
    tables = exaq.Tables(thresholds=(-9, -9, -9), exp_rom=(1, 0, 0, top))
    config = exaq.SoftmaxConfig(max_row=65536, exp_frac=24, prob_bits=24, tables=tables)
    for ones in (127, 128, 129, 130, 4000):
        row = np.zeros(ones + 3, np.int8)
        row[:3] = -10
        expected = oracle.softmax_row(row.tolist(), None, config)
        assert exaq.softmax(row, config).tolist() == expected


@pytest.mark.parametrize("name", INTEGER_PRESETS)
def test_rows_of_each_preset_equal_the_oracle(name: str) -> None:
    config = exaq.SoftmaxConfig.preset(name)
    rng = np.random.default_rng(5)
    logits = np.clip(rng.normal(0, 40, (60, 96)).round(), -128, 127).astype(np.int8)
    mask = rng.random(logits.shape) < 0.7
    expected = [oracle.softmax_row(*rows, config) for rows in zip(logits, mask, strict=True)]
    np.testing.assert_array_equal(exaq.softmax(logits, config, mask), expected)
    expected = [oracle.softmax_row(row, None, config) for row in logits]
    np.testing.assert_array_equal(exaq.softmax(logits, config), expected)


@pytest.mark.parametrize("prob_bits", [4, 8, 12, 16, 24])
@pytest.mark.parametrize("bits", range(2, 7))
def test_probabilities_are_the_correctly_rounded_quotients(bits: int, prob_bits: int) -> None:
    config = exaq.SoftmaxConfig(bits=bits, prob_bits=prob_bits, exp_frac=10)
    rng = np.random.default_rng(prob_bits)
    rom = config.tables.exp_rom
    for length in (1, 2, 3, 7, 64, 1000):
        logits = rng.integers(-60, 0, (10, length))
        codes = exaq.quantize(logits, config)
        for row, p in zip(codes.tolist(), exaq.softmax(logits, config).tolist(), strict=True):
            total = sum(rom[code] for code in row)
            exact = [Fraction(rom[code] * 2**prob_bits, total) for code in row]
            most = 2**prob_bits - 1
            assert p == [min(floor(q + Fraction(1, 2)), most) for q in exact]


def test_quotients_that_end_in_a_half_round_up() -> None:
    # Sum 32 with 2**4 for 1: E * 16 / 32 is 3.5 and 0.5.
    tables = exaq.Tables(thresholds=(-3, -2, -1), exp_rom=(1, 3, 5, 7))
    config = exaq.SoftmaxConfig(lanes=1, prob_bits=4, exp_frac=4, tables=tables)
    assert exaq.softmax([0, -9], config).tolist() == [14, 2]
    assert exaq.softmax([0, 0, 0, 0, -9, -9, -9, -9], config).tolist() == [4] * 4 + [1] * 4
    # Odd sums have floor(S / 2): 7 / 15 of 16 is 7.47, 1 / 15 of 16 is 1.07.
    assert exaq.softmax([0, 0, -9], config).tolist() == [7, 7, 1]


def test_saturation() -> None:
    assert exaq.softmax([[5]], exaq.SoftmaxConfig(prob_bits=8)).tolist() == [[255]]
    # 1023 / 1024 of 256 is 255.75, which would round to 256.
    tables = exaq.Tables(thresholds=(-3, -2, -1), exp_rom=(1, 2, 3, 1023))
    config = exaq.SoftmaxConfig(prob_bits=8, exp_frac=10, tables=tables)
    assert exaq.softmax([0, -9], config).tolist() == [255, 0]


@pytest.mark.parametrize(("prob_bits", "dtype"), [(8, "u1"), (9, "u2"), (16, "u2"), (17, "u4")])
def test_result_type_is_the_narrowest(prob_bits: int, dtype: str) -> None:
    config = exaq.SoftmaxConfig(prob_bits=prob_bits)
    assert exaq.softmax([1, 2], config).dtype == np.dtype(dtype)
    assert exaq.quantize([1, 2], config).dtype == np.uint8


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i2", ">i8"])
def test_every_integer_type_gives_the_same(dtype: str) -> None:
    config = exaq.SoftmaxConfig()
    logits = np.random.default_rng(3).integers(0, 128, (5, 30))
    mask = np.random.default_rng(4).random((5, 30)) < 0.5
    for live in (None, mask):
        expected = [
            oracle.softmax_row(logits[i], None if live is None else live[i], config)
            for i in range(5)
        ]
        assert exaq.softmax(logits.astype(dtype), config, live).tolist() == expected


def test_leading_axes_lists_and_layouts() -> None:
    config = exaq.SoftmaxConfig()
    logits = np.random.default_rng(6).integers(-128, 128, (2, 3, 4, 10), dtype=np.int8)
    flat = exaq.softmax(logits.reshape(-1, 10), config)
    assert exaq.softmax(logits, config).shape == logits.shape
    np.testing.assert_array_equal(exaq.softmax(logits, config).reshape(-1, 10), flat)
    np.testing.assert_array_equal(exaq.softmax(logits[0, 0, 0], config), flat[0])
    np.testing.assert_array_equal(exaq.softmax(logits.tolist(), config).reshape(-1, 10), flat)
    wide = np.repeat(logits, 2, axis=-1)
    for view in (wide[..., ::2], np.asfortranarray(logits), logits.swapaxes(0, 2).swapaxes(0, 2)):
        np.testing.assert_array_equal(exaq.softmax(view, config).reshape(-1, 10), flat)
    backwards = exaq.softmax(logits[..., ::-1], config)
    np.testing.assert_array_equal(backwards[..., ::-1].reshape(-1, 10), flat)
    for shape in ((0, 10), (3, 0, 10)):
        empty = exaq.softmax(np.zeros(shape, dtype=np.int8), config, np.zeros(shape, dtype=bool))
        assert empty.shape == shape
        assert empty.dtype == np.uint16
        assert exaq.quantize(np.zeros(shape, dtype=np.int8), config).shape == shape


def test_inputs_stay_as_they_were() -> None:
    config = exaq.SoftmaxConfig()
    logits = np.random.default_rng(7).integers(-128, 128, (4, 10), dtype=np.int8)
    mask = logits > -50
    for array in (logits, mask):
        array.setflags(write=False)
    kept, kept_mask = logits.copy(), mask.copy()
    exaq.softmax(logits, config, mask)
    exaq.quantize(logits, config, mask)
    np.testing.assert_array_equal(logits, kept)
    np.testing.assert_array_equal(mask, kept_mask)


def test_masks_broadcast() -> None:
    config = exaq.SoftmaxConfig()
    logits = np.random.default_rng(8).integers(-128, 128, (2, 3, 12, 12), dtype=np.int8)
    causal = np.tri(12, dtype=bool)
    full = np.broadcast_to(causal, logits.shape).copy()
    expected = exaq.softmax(logits, config, full)
    np.testing.assert_array_equal(exaq.softmax(logits, config, causal), expected)
    assert not expected[~full].any()
    assert expected[0, 0, 0, 0] == 2**16 - 1
    padding = np.arange(12) < np.array([4, 9])[:, None, None, None]
    np.testing.assert_array_equal(
        exaq.softmax(logits, config, padding)[0, 0, 0, :4],
        exaq.softmax(logits[0, 0, 0, :4], config),
    )
    assert not exaq.softmax(logits, config, False).any()
    np.testing.assert_array_equal(exaq.softmax(logits, config, True), exaq.softmax(logits, config))


@pytest.mark.parametrize("largest", [-128, 0, 127])
def test_masked_elements_do_not_matter(largest: int) -> None:
    config = exaq.SoftmaxConfig()
    live = np.array([False, True] * 10)
    rng = np.random.default_rng(9)
    logits = rng.integers(-128, largest + 1, (30, 20))
    results = []
    for filler in (-128, 127):
        changed = np.where(live, logits, filler)
        results.append(exaq.softmax(changed, config, live))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0][:, 1::2], exaq.softmax(logits[:, 1::2], config))


@pytest.mark.parametrize("length", [1, 7, 8, 9, 2039, 2040, 2041, 4096, 65535, 65536])
def test_long_rows_and_rows_of_every_word_count(length: int) -> None:
    config = exaq.SoftmaxConfig(max_row=65536, exp_frac=24, prob_bits=24)
    logits = np.random.default_rng(length).integers(-90, -60, (3, length), dtype=np.int8)
    logits[1] = 5
    mask = np.random.default_rng(1).random((3, length)) < 0.999
    mask[:, 0] = True
    for live in (None, mask):
        result = exaq.softmax(logits, config, live)
        for row in range(3):
            row_live = None if live is None else live[row].tolist()
            assert result[row].tolist() == oracle.softmax_row(
                logits[row].tolist(), row_live, config
            )


def test_the_largest_sum_and_the_largest_quotient_are_exact() -> None:
    top = 2**25 - 1
    tables = exaq.Tables(thresholds=(-9, -9, -9), exp_rom=(0, 0, 0, top))
    config = exaq.SoftmaxConfig(max_row=65536, exp_frac=24, prob_bits=24, tables=tables)
    assert (exaq.softmax(np.zeros((1, 65536), np.int8), config) == 2**8).all()
    assert exaq.softmax([0, -10], config).tolist() == [2**24 - 1, 0]


@pytest.mark.parametrize("bits", range(2, 7))
def test_rows_in_many_blocks_equal_rows_alone(bits: int) -> None:
    config = exaq.SoftmaxConfig(bits=bits)
    rng = np.random.default_rng(10)
    logits = rng.integers(-128, 128, (2000, 333), dtype=np.int8)
    mask = rng.random(logits.shape) < 0.5
    together = exaq.softmax(logits, config), exaq.softmax(logits, config, mask)
    codes = exaq.quantize(logits, config, mask)
    for row in (0, 1, 786, 787, 788, 1008, 1009, 1573, 1574, 1999):
        np.testing.assert_array_equal(together[0][row], exaq.softmax(logits[row], config))
        np.testing.assert_array_equal(
            together[1][row], exaq.softmax(logits[row], config, mask[row])
        )
        np.testing.assert_array_equal(codes[row], exaq.quantize(logits[row], config, mask[row]))


@pytest.mark.parametrize("prob_bits", [6, 12, 16, 20])
@pytest.mark.parametrize("bits", range(2, 7))
def test_rows_add_up_to_1_within_the_rounding(bits: int, prob_bits: int) -> None:
    config = exaq.SoftmaxConfig(bits=bits, prob_bits=prob_bits)
    rng = np.random.default_rng(11)
    for length in (1, 2, 17, 400):
        probabilities = exaq.softmax(rng.integers(-100, 100, (50, length)), config).astype(int)
        saturated = (probabilities == 2**prob_bits - 1).sum(axis=-1)
        error = np.abs(probabilities.sum(axis=-1) - 2**prob_bits)
        assert (2 * error <= length + saturated).all()


def test_finer_codes_come_closer_to_float_softmax() -> None:
    rng = np.random.default_rng(12)
    logits = np.clip(rng.normal(0, 24, (64, 128)).round(), -128, 127).astype(np.int8)
    exact = exaq.reference.softmax(logits * 0.0625)
    errors = []
    for bits in (2, 3, 4):
        config = exaq.SoftmaxConfig(bits=bits, clip=exaq.paper_clip(1.5, bits), exp_frac=20)
        close = exaq.probabilities_to_float(exaq.softmax(logits, config), config)
        floats = exaq.reference.quantized_softmax(logits * 0.0625, float(config.clip or 0), bits)
        assert np.abs(close - floats).max() < 1e-5
        errors.append(exaq.metrics.mean_absolute_error(exact, close))
    assert errors[0] > 2 * errors[1] > 2 * errors[2]
    assert errors[0] < 0.005
