"""BAPS against its definition in exact fractions."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import hif8_oracle
import numpy as np
import pytest
from baps_oracle import LIFT, Baps, e5m3_code, e5m3_number, floor_log2, half_up, mantissa
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import exaq
from exaq import SoftmaxConfig
from exaq.kernels import baps_golden
from exaq.rows import Rows

FORMATS = ("e5m3", "hif8")
STEPS = (1, 2, 4, 8)
LN_2 = "0.69314718055994530941723212145817656807"
SCALES: list[float | Fraction] = [
    0.0625,
    math.log(2) / 16,
    Fraction(1, 3),
    Fraction(LN_2),
    Fraction(LN_2) / 2,
    0.5,
]


def codes_config(**changes: Any) -> SoftmaxConfig:
    """A unit that gives codes."""
    return SoftmaxConfig(kernel="baps", output="codes", row_results="sum", **changes)


def probabilities_config(**changes: Any) -> SoftmaxConfig:
    """A unit that gives probabilities; as numbers of the code format where they have 8 bits."""
    return SoftmaxConfig(kernel="baps", **changes)


# An array of logits, and of what takes part in it.
Array = tuple[NDArray[Any], NDArray[np.bool_]]


def array_of(rows: list[tuple[int | None, ...]], config: SoftmaxConfig, seed: int = 0) -> Array:
    """Rows of logits; where there is None, any logit that does not take part."""
    live = np.array([[logit is not None for logit in row] for row in rows])
    low, high = config.logit_range
    logits = np.random.default_rng(seed).integers(low, high + 1, live.shape)
    logits[live] = [logit for row in rows for logit in row if logit is not None]
    return logits, live


def kernel(config: SoftmaxConfig) -> exaq.Baps:
    """Its kernel, as a type checker has to see it."""
    assert isinstance(config.kernel, exaq.Baps)
    return config.kernel


def references(logits: Any, config: SoftmaxConfig, **options: Any) -> NDArray[np.int32]:
    return kernel(config).beat_references(Rows.of(logits, config.format, **options))


def check(config: SoftmaxConfig, rows: list[tuple[int | None, ...]]) -> None:
    """All that leaves either kind of unit."""
    unit = Baps(config)
    logits, live = array_of(rows, config)
    if config.output == "probabilities":
        expected = [unit.probabilities(row) for row in rows]
        np.testing.assert_array_equal(exaq.softmax(logits, config, live), expected)
        return
    codes = exaq.quantize(logits, config, live)
    results = exaq.row_results(logits, config, live)
    np.testing.assert_array_equal(codes, [unit.codes(row) for row in rows])
    found = [unit.references(row) for row in rows]
    np.testing.assert_array_equal(references(logits, config, mask=live), found)
    assert results.maximum.tolist() == [row[-1] for row in found]
    assert results.sum.tolist() == [unit.sum(row) for row in rows]
    assert results.table is None


# --- t, and the exponentials of single elements


@pytest.mark.parametrize("width", [4, 8, 11, 16, 24])
@pytest.mark.parametrize("scale", SCALES)
def test_the_factor_is_sixteen_binary_logarithms_of_a_step(
    scale: float | Fraction, width: int
) -> None:
    config = codes_config(logit_width=width, logit_scale=scale)
    multiplier, shift = config.factor
    exact = Baps(config).exact_factor
    assert multiplier % 2 == 1
    factor = Fraction(multiplier) / Fraction(2) ** shift
    assert abs(factor - exact) <= Fraction(1, 2 ** (width + 1))
    assert factor == Baps(config).factor


@pytest.mark.parametrize("scale", SCALES)
def test_t_of_every_logit_is_within_a_step_of_its_logarithm(scale: float | Fraction) -> None:
    config = codes_config(logit_scale=scale)
    unit = Baps(config)
    for logit in range(-128, 128):
        t = config.steps(logit)
        assert t == unit.t(logit)
        assert abs(t - logit * unit.exact_factor) < 1


@pytest.mark.parametrize("width", [4, 8, 16, 24])
@pytest.mark.parametrize(("scale", "factor"), [(math.log(2) / 16, 1), (Fraction(LN_2) / 4, 4)])
def test_logits_that_are_binary_logarithms_need_no_multiplication(
    scale: float | Fraction, factor: int, width: int
) -> None:
    config = codes_config(logit_scale=scale, logit_width=width)
    assert config.factor == (1, 1 - factor.bit_length())
    low, high = config.logit_range
    for logit in (low, low + 1, -3, -1, 0, 1, high):
        assert config.steps(logit) == factor * logit


def test_the_smallest_factor() -> None:
    """Where a step is next to nothing: all exponentials are 1, and nothing breaks."""
    config = codes_config(logit_scale=2.0**-60, lanes=2, max_row=4)
    assert config.factor == (1, 8)
    check(config, [(-128, 127, 0, None), (None, None, None, -128), (None,) * 4])


def test_mantissas_are_the_rounded_powers() -> None:
    assert list(baps_golden.MANTISSAS) == [mantissa(fraction) for fraction in range(16)]
    assert all(abs(mantissa(k) - 8 * 2 ** (k / 16)) < 0.5 for k in range(16))


def test_the_numbers_of_hif8() -> None:
    """No two bytes are equal, and each octave has the mantissas that the paper gives it."""
    by_octave: dict[int, int] = {}
    for number in hif8_oracle.NUMBERS:
        if number:
            octave = floor_log2(number)
            by_octave[octave] = by_octave.get(octave, 0) + 1
    assert len(hif8_oracle.NUMBERS) == 127
    assert by_octave == {
        **dict.fromkeys(range(-22, -15), 1),
        **dict.fromkeys(range(-15, 16), 2),
        **dict.fromkeys(range(-7, 8), 4),
        **dict.fromkeys(range(-3, 4), 8),
        # The other one is infinity.
        15: 1,
    }


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("code_format", FORMATS)
def test_every_distance_from_the_reference(code_format: str, step: int) -> None:
    """Codes from 1 down to 0, and 40 octaves of 0, for references of every sign."""
    config = codes_config(code_format=code_format, reference_step=step)
    unit = Baps(config)
    for reference in (-40, -step, 0, step, 40):
        t = np.arange(16 * (reference - 72), 16 * reference + 1)
        codes = baps_golden.exponential_codes(t, np.full_like(t, reference), kernel(config))
        if code_format == "hif8":
            codes = baps_golden.hif8_codes(codes, 3)
        assert codes.tolist() == [unit.code(k, reference) for k in t.tolist()]
    values = kernel(config).values(codes)
    assert values.tolist() == [float(unit.value(k, reference)) for k in t.tolist()]
    assert values[-1] == 1
    assert values[0] == 0
    assert (np.diff(values) >= 0).all()


@pytest.mark.parametrize("code_format", FORMATS)
def test_values_of_codes(code_format: str) -> None:
    """Of every exponential that there can be; no other code has a value."""
    config = codes_config(code_format=code_format)
    values = kernel(config).values(np.arange(256, dtype=np.uint8))
    if code_format == "e5m3":
        legal = {code: e5m3_number(code) for code in (0, *range(8, 249))}
    else:
        # Of eight times an exponential that is at most 1.
        legal = {byte: n / LIFT for n, byte in hif8_oracle.NUMBERS.items() if n <= LIFT}
    assert {code: v for code, v in enumerate(values.tolist()) if not math.isnan(v)} == legal


def test_hif8_rounds_every_number_of_e5m3() -> None:
    """As the nearest one, half away from zero, whether or not it is lifted by eight."""
    codes = np.arange(8, 249)
    for lift in (0, 3):
        exponent, found = baps_golden._hif8_rounded((codes >> 3) - 31 + lift, 8 + (codes & 7))
        for code, e, m in zip(codes.tolist(), exponent.tolist(), found.tolist(), strict=True):
            nearest = hif8_oracle.nearest(e5m3_number(code) * 2**lift)
            assert Fraction(m, 8) * Fraction(2) ** e == nearest
            if nearest:
                word = baps_golden.hif8_codes(np.array([e + 31 - lift << 3 | m - 8]), lift)
                assert word.tolist() == [hif8_oracle.NUMBERS[nearest]]


# --- rows: every case of small spaces


def small_config(*, lanes: int, **changes: Any) -> SoftmaxConfig:
    return codes_config(logit_width=4, lanes=lanes, max_row=4 * lanes, **changes)


EVERY = [*range(-8, 8), None]


@pytest.mark.parametrize("scale", [0.0625, Fraction(1, 3), Fraction(LN_2)])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("code_format", FORMATS)
def test_every_row_of_up_to_three_beats(
    code_format: str, step: int, scale: float | Fraction
) -> None:
    config = small_config(lanes=1, code_format=code_format, reference_step=step, logit_scale=scale)
    for beats in (1, 2, 3):
        check(config, list(itertools.product(EVERY, repeat=beats)))


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("code_format", FORMATS)
def test_every_row_of_two_lanes(code_format: str, step: int) -> None:
    """Of a beat, and of three beats of the logits that differ most, with every mask."""
    config = small_config(
        lanes=2, code_format=code_format, reference_step=step, logit_scale=Fraction(LN_2)
    )
    check(config, list(itertools.product(EVERY, repeat=1)))
    check(config, list(itertools.product(EVERY, repeat=2)))
    check(config, list(itertools.product([-8, -1, 7, None], repeat=6)))


KINDS: dict[str, dict[str, Any]] = {
    "e5m3, linear, 4 bits": {"prob_bits": 4},
    "e5m3, linear": {"prob_bits": 16, "reference_step": 1},
    "hif8, linear": {"prob_bits": 8, "code_format": "hif8"},
    "hif8, linear, 24 bits": {"prob_bits": 24, "code_format": "hif8", "reference_step": 8},
    "e5m3, float": {"prob_bits": 8, "probability_format": "float"},
    "e5m3, float, octaves": {"prob_bits": 8, "probability_format": "float", "reference_step": 1},
    "hif8, float": {"prob_bits": 8, "probability_format": "float", "code_format": "hif8"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_of_probabilities(kind: str) -> None:
    for scale, most in ((0.0625, 2), (Fraction(LN_2), 3)):
        config = probabilities_config(
            logit_width=4, lanes=1, max_row=4, logit_scale=scale, **KINDS[kind]
        )
        for beats in range(1, most + 1):
            check(config, list(itertools.product(EVERY, repeat=beats)))


@st.composite
def kernels(draw: st.DrawFn) -> SoftmaxConfig:
    lanes = draw(st.sampled_from([1, 2, 3, 4, 8]))
    common: dict[str, Any] = {
        "lanes": lanes,
        "max_row": lanes * draw(st.sampled_from([16, 64])),
        "logit_width": draw(st.integers(4, 24)),
        "logit_scale": draw(st.sampled_from([*SCALES, 2.0**-8, 2.0**-20])),
        "code_format": draw(st.sampled_from(FORMATS)),
        "reference_step": draw(st.sampled_from([None, *STEPS])),
    }
    if draw(st.booleans()):
        return codes_config(**common)
    if draw(st.booleans()):
        return probabilities_config(**common, prob_bits=8, probability_format="float")
    return probabilities_config(**common, prob_bits=draw(st.integers(4, 24)))


@settings(max_examples=50)
@given(config=kernels(), data=st.data())
def test_random_rows_equal_the_oracle(config: SoftmaxConfig, data: st.DataObject) -> None:
    """Spread over octaves, or over the whole range; all of them live, few, or none."""
    low, high = config.logit_range
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    length = data.draw(st.integers(1, config.max_row), label="length")
    octave = int(16 / Baps(config).factor)
    most = min(high - low, octave * data.draw(st.sampled_from([1, 6, 40, 2**20]), label="octaves"))
    start = data.draw(st.integers(low, high - most), label="start")
    share = data.draw(st.sampled_from([0.0, 0.1, 0.9, 1.0]), label="live")
    logits = rng.integers(start, start + most + 1, (3, length))
    logits = np.where(rng.random(logits.shape) < 0.02, high, logits)
    if data.draw(st.booleans(), label="rising"):
        logits = np.sort(logits, axis=-1)
    live = rng.random(logits.shape) < share
    check(
        config,
        [
            tuple(x if flag else None for x, flag in zip(row, flags, strict=True))
            for row, flags in zip(logits.tolist(), live.tolist(), strict=True)
        ],
    )


def test_the_longest_rows_of_equal_elements() -> None:
    """The largest sum has just the bits that there are, and each probability is 1/n."""
    for step, code_format in itertools.product(STEPS, FORMATS):
        config = codes_config(
            max_row=64,
            reference_step=step,
            logit_scale=Fraction(LN_2) / 16,
            code_format=code_format,
        )
        logits = np.zeros((1, 64), np.int8)
        total = int(exaq.row_results(logits, config).sum[0])
        assert total == 64 << config.sum_frac
        assert total.bit_length() == config.sum_bits
        for kind in ("linear", "float"):
            unit = SoftmaxConfig(
                kernel=exaq.Baps(
                    reference_step=step, code_format=code_format, probability_format=kind
                ),
                max_row=64,
                prob_bits=8,
                logit_scale=Fraction(LN_2) / 16,
            )
            for logit in range(-128, 128, 7):
                found = set(exaq.softmax(np.full((1, 64), logit), unit).flat)
                flat = 4 if kind == "linear" else 25 << 3
                if kind == "float" and code_format == "hif8":
                    flat = hif8_oracle.NUMBERS[Fraction(1, 64)]
                assert found == {flat} or (kind == "linear" and found <= {3, 4, 5})


# --- what takes part


CONFIGS = {
    "codes": codes_config(lanes=4, max_row=64, logit_scale=0.25),
    "hif8": codes_config(lanes=3, max_row=66, logit_scale=0.25, code_format="hif8"),
    "mask value": codes_config(lanes=4, max_row=64, logit_scale=0.25, mask_value="lowest"),
    "linear": probabilities_config(lanes=4, max_row=64, logit_scale=0.25),
    "float": probabilities_config(
        lanes=2, max_row=64, logit_scale=0.25, prob_bits=8, probability_format="float"
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_lengths_windows_masks_and_mask_values(name: str) -> None:
    """All at once; what no longer takes part is as if it were masked."""
    config = CONFIGS[name]
    rng = np.random.default_rng(len(name))
    logits = rng.integers(-128, 128, (60, 41))
    logits[rng.random(logits.shape) < 0.1] = -128
    mask = rng.random(logits.shape) < 0.8
    lengths = rng.integers(1, 42, 60)
    start, stop = rng.integers(0, 42, (2, 60))
    options: dict[str, Any] = {"mask": mask, "lengths": lengths, "window": (start, stop)}
    place = np.arange(41)
    live = mask & (place < lengths[:, None])
    live &= (place >= start[:, None]) & (place < stop[:, None])
    if config.mask_value == "lowest":
        live &= logits != -128
    rows = [
        tuple(x if flag else None for x, flag in zip(row, flags, strict=True))
        for row, flags in zip(logits.tolist(), live.tolist(), strict=True)
    ]
    unit = Baps(config)
    if config.output == "probabilities":
        expected = [unit.probabilities(row) for row in rows]
        np.testing.assert_array_equal(exaq.softmax(logits, config, **options), expected)
        return
    expected = [unit.codes(row) for row in rows]
    np.testing.assert_array_equal(exaq.quantize(logits, config, **options), expected)
    results = exaq.row_results(logits, config, **options)
    assert results.sum.tolist() == [unit.sum(row) for row in rows]
    assert results.maximum.tolist() == [unit.references(row)[-1] for row in rows]
    # Behind a row's end there is no beat, so no reference.
    found = references(logits, config, **options)
    for row, length, each in zip(rows, lengths.tolist(), found.tolist(), strict=True):
        within = unit.references(row[:length])
        assert each == within + [0] * (len(each) - len(within))


@pytest.mark.parametrize("name", CONFIGS)
def test_rows_without_a_live_element(name: str) -> None:
    config = CONFIGS[name]
    nothing = np.zeros((2, 9), np.bool_)
    logits = np.full((2, 9), 127)
    if config.output == "probabilities":
        assert not exaq.softmax(logits, config, nothing).any()
        return
    assert not exaq.quantize(logits, config, nothing).any()
    results = exaq.row_results(logits, config, nothing)
    assert results.sum.tolist() == [0, 0]
    assert results.maximum.tolist() == [config.reference_range[0]] * 2
    assert (references(logits, config, mask=nothing) == config.reference_range[0]).all()


def test_shapes_and_types() -> None:
    for name, config in CONFIGS.items():
        function = exaq.softmax if config.output == "probabilities" else exaq.quantize
        for shape in ((0, 5), (2, 3, 7), (4,)):
            found = function(np.zeros(shape, np.int8), config)
            assert found.shape == shape
            assert found.dtype == (np.uint16 if name == "linear" else np.uint8)
        if function is exaq.quantize:
            results = exaq.row_results(np.zeros((2, 3, 7), np.int8), config)
            assert results.sum.shape == results.maximum.shape == (2, 3)
            assert references(np.zeros((3, 7), np.int8), config).dtype == np.int32


# --- what codes and probabilities are worth


def random_rows(config: SoftmaxConfig, length: int, octaves: int) -> NDArray[np.int64]:
    """Rows over so many octaves, in any order; each with its own maximum."""
    rng = np.random.default_rng(length)
    span = min(int(octaves * 16 / Baps(config).factor), 2**config.logit_width - 1)
    top = rng.integers(config.logit_range[0] + span, config.logit_range[1] + 1, (40, 1))
    return top - rng.integers(0, span + 1, (40, length))


@pytest.mark.parametrize("step", STEPS)
def test_equal_logits_have_equal_exponentials_whatever_their_references(step: int) -> None:
    """Of e5m3, as long as the exponent does not underflow: value times 2**reference."""
    config = codes_config(logit_width=12, logit_scale=0.01, reference_step=step, lanes=2)
    logits = np.sort(random_rows(config, 200, 20), axis=-1)
    values = kernel(config).values(exaq.quantize(logits, config))
    found = np.repeat(references(logits, config), 2, axis=-1)
    assert (np.ptp(found, axis=-1) > 0).any()
    whole = values * 2.0**found
    by_logit: dict[int, float] = {}
    for logit, value in zip(logits.flat, whole.flat, strict=True):
        assert by_logit.setdefault(int(logit), float(value)) == value
    ordered = [by_logit[logit] for logit in sorted(by_logit)]
    assert ordered == sorted(ordered)
    assert len(set(ordered)) > 100


@pytest.mark.parametrize("code_format", FORMATS)
@pytest.mark.parametrize("step", STEPS)
def test_results_are_the_sum_of_the_codes(code_format: str, step: int) -> None:
    """A consumer that weighs codes by their references gets the row's sum, or up to a unit of
    2**-sum_frac a code more, and one wherever the reference rises.
    """
    config = codes_config(
        lanes=2, code_format=code_format, reference_step=step, logit_width=12, logit_scale=0.01
    )
    logits = random_rows(config, 100, 20)
    values = kernel(config).values(exaq.quantize(logits, config))
    found = references(logits, config)
    results = exaq.row_results(logits, config)
    np.testing.assert_array_equal(results.maximum, found[:, -1])
    scaled = values * 2.0 ** (np.repeat(found, 2, axis=-1) - found[:, -1:])
    exact = scaled.sum(axis=-1) * 2**config.sum_frac
    lost = exact - results.sum
    assert (lost >= 0).all()
    assert (lost < 100 + np.count_nonzero(np.diff(found), axis=-1)).all()
    # At least the exponential of the row's maximum, which is above half of the last reference.
    assert (results.sum >= 2 ** (config.sum_frac - step)).all()
    assert (results.sum < 2**config.sum_bits).all()


@pytest.mark.parametrize("prob_bits", [4, 8, 16, 24])
@pytest.mark.parametrize("code_format", FORMATS)
def test_linear_probabilities_are_the_quotients_within_a_unit(
    code_format: str, prob_bits: int
) -> None:
    for step, length in itertools.product(STEPS, (1, 3, 60)):
        config = probabilities_config(
            code_format=code_format,
            reference_step=step,
            prob_bits=prob_bits,
            logit_width=12,
            logit_scale=0.01,
            max_row=64,
        )
        unit = Baps(config)
        logits = random_rows(config, length, 16)[:10]
        for row, found in zip(logits.tolist(), exaq.softmax(logits, config).tolist(), strict=True):
            exact = [quotient * 2**prob_bits for quotient in unit.quotients(row)]
            assert all(abs(p - q) <= 1 for p, q in zip(found, exact, strict=True))
            # They add up to 1, but for what each and the sum was rounded by.
            slack = length + Fraction(2 ** (prob_bits + 1) * length, unit.sum(row))
            assert abs(sum(found) - 2**prob_bits) <= slack


@pytest.mark.parametrize("max_row", [4, 64, 1024])
@pytest.mark.parametrize("step", STEPS)
def test_floating_probabilities_are_the_nearest_numbers(step: int, max_row: int) -> None:
    """Within half a unit of the last place, 1/16, and 1/64 by which the quotient was rounded."""
    for code_format in FORMATS:
        config = probabilities_config(
            code_format=code_format,
            reference_step=step,
            prob_bits=8,
            probability_format="float",
            logit_width=12,
            logit_scale=0.01,
            max_row=max_row,
        )
        unit = Baps(config)
        logits = random_rows(config, min(max_row, 100), 20)[:10]
        for row, codes in zip(logits.tolist(), exaq.softmax(logits, config).tolist(), strict=True):
            for code, exact in zip(codes, unit.quotients(row), strict=True):
                assert exact <= 1
                if code_format == "e5m3":
                    found = e5m3_number(code)
                    assert abs(found / exact - 1) <= Fraction(1, 16) + Fraction(1, 64)
                    continue
                found = hif8_oracle.decoded(code)
                near = [exact * Fraction(k, 64) for k in (59, 69)]
                low, high = map(hif8_oracle.nearest, near)
                assert low <= found <= high


def test_probabilities_do_not_fall_where_logits_rise() -> None:
    """In a row, of e5m3."""
    for step, kind in itertools.product(STEPS, ("linear", "float")):
        config = probabilities_config(
            reference_step=step,
            prob_bits=8,
            probability_format=kind,
            logit_width=12,
            logit_scale=0.01,
        )
        logits = random_rows(config, 500, 12)
        order = np.argsort(logits, axis=-1)
        found = np.take_along_axis(exaq.softmax(logits, config), order, axis=-1).astype(int)
        peak = np.maximum.accumulate(found, axis=-1)
        assert (peak - found).max() == 0
        equal = np.diff(np.take_along_axis(logits, order, axis=-1), axis=-1) == 0
        assert equal.any()
        assert (np.diff(found, axis=-1)[equal] == 0).all()


@pytest.mark.parametrize("length", [128, 512, 2048])
@pytest.mark.parametrize("sigma", [1, 2, 3, 4])
def test_divergence_of_gaussian_rows(sigma: int, length: int) -> None:
    scale = 0.0625 if sigma <= 2 else 0.125
    real = np.random.default_rng(length + sigma).normal(0, sigma, (64, length))
    for code_format, most in (("e5m3", 0.0005), ("hif8", 0.001)):
        config = codes_config(code_format=code_format, logit_scale=scale, max_row=2048)
        logits = exaq.logits_to_integers(real, config)
        codes = exaq.quantize(logits, config)
        values = kernel(config).values(codes)
        found = np.repeat(references(logits, config), 4, axis=-1)
        weights = values * 2.0 ** (found - found[:, -1:])
        exact = exaq.reference.softmax(logits * scale)
        # What is below the least code counts as half of it.
        floor = np.nanmin(np.where(values > 0, values, np.nan)) / 2
        assert exaq.metrics.kl_divergence(exact, weights, floor=floor) <= most


# --- the configuration


def refuses(kind: type[Exception], message: str, **changes: Any) -> None:
    with pytest.raises(kind) as caught:
        SoftmaxConfig(kernel="baps", **changes)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        (
            {"code_format": "e4m3"},
            ValueError,
            "code_format must be e5m3 or hif8, not 'e4m3'",
        ),
        (
            {"code_format": None},
            ValueError,
            "code_format must be e5m3 or hif8, not None",
        ),
        (
            {"probability_format": "log"},
            ValueError,
            "probability_format must be linear or float, not 'log'",
        ),
        ({"reference_step": 3}, ValueError, "reference_step must be 1, 2, 4 or 8, not 3"),
        ({"reference_step": 0}, ValueError, "reference_step must be 1, 2, 4 or 8, not 0"),
        ({"reference_step": 16}, ValueError, "reference_step must be 1, 2, 4 or 8, not 16"),
        ({"reference_step": 2.0}, TypeError, "reference_step must be an integer, not 2.0"),
        ({"reference_step": True}, TypeError, "reference_step must be an integer, not True"),
        (
            {"output": "codes"},
            ValueError,
            "row_results must be sum where the kernel baps gives codes, not table",
        ),
        (
            {"row_results": "sum"},
            ValueError,
            "row_results must be none where the kernel baps gives probabilities, not sum",
        ),
        (
            {"row_results": "table"},
            ValueError,
            "row_results must be none where the kernel baps gives probabilities, not table",
        ),
        (
            {"output": "codes", "row_results": "sum", "probability_format": "float"},
            ValueError,
            "probability_format must be linear in a unit that gives codes",
        ),
        (
            {"probability_format": "float"},
            ValueError,
            "prob_bits must be 8 with probability_format float, not 16",
        ),
        (
            {"logit_scale": 0.6931471805599454},
            ValueError,
            "logit_scale must be at most ln 2, an octave a step, with the kernel baps, "
            "not 0.6931471805599454",
        ),
        (
            {"contexts": 2},
            ValueError,
            "the kernel baps has no tables: contexts must be 0, not 2",
        ),
        ({"sink": 0}, ValueError, "the kernel baps has no sinks: sink must be left out"),
        (
            {"logit_format": "bf16", "logit_scale": 0.5},
            ValueError,
            "the kernel baps has no floating-point logits: logit_format must be integer",
        ),
        (
            {"full_rate_row": 63},
            ValueError,
            "full_rate_row must be at least 16 * lanes (64), not 63",
        ),
        (
            {"full_rate_row": 3, "output": "codes", "row_results": "sum"},
            ValueError,
            "full_rate_row must be at least lanes (4), not 3",
        ),
    ],
)
def test_settings_that_are_refused(
    changes: dict[str, Any], kind: type[Exception], message: str
) -> None:
    refuses(kind, message, **changes)


def test_the_greatest_scale() -> None:
    """An octave a step: the float next below ln 2, and the fraction."""
    for scale in (math.log(2), Fraction(LN_2)):
        assert codes_config(logit_scale=scale).factor == (1, -4)


def test_defaults() -> None:
    config = codes_config()
    assert (config.code_format, config.reference_step, config.probability_format) == (
        "e5m3",
        8,
        "linear",
    )
    assert config.replace(code_format="hif8").reference_step == 1
    assert config.replace(code_format="hif8").replace(code_format="e5m3") == config
    assert config.replace(reference_step=2).replace(code_format="hif8").reference_step == 2
    assert config.full_rate_row == config.lanes
    assert probabilities_config().full_rate_row == 64 * config.lanes
    assert probabilities_config(max_row=128).full_rate_row == 128
    assert probabilities_config(max_row=8).full_rate_row == 16 * config.lanes
    assert (config.sum_frac, config.replace(reference_step=1).sum_frac) == (23, 16)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"logit_scale": Fraction(1, 3), "code_format": "hif8", "reference_step": np.int8(4)},
        {"prob_bits": 8, "probability_format": "float", "window": True, "masking": False},
        {"output": "codes", "row_results": "sum", "mask_value": "lowest", "lanes": 1},
    ],
)
def test_a_configuration_survives_json(changes: dict[str, Any]) -> None:
    config = SoftmaxConfig(kernel="baps", **changes)
    written = config.to_dict()
    assert written["kernel"] == "baps"
    assert type(written["reference_step"]) is int
    back = SoftmaxConfig.from_dict(written)
    assert back == config
    assert back.to_dict() == written
    assert back.build_crc == config.build_crc
    assert config.replace() == config


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("width", [4, 8, 12])
def test_references_have_their_range_and_width(width: int, step: int) -> None:
    """That of the lowest logit and that of the highest are reached, and no others."""
    for scale in (0.0625, Fraction(1, 3), Fraction(LN_2)):
        config = codes_config(logit_width=width, logit_scale=scale, reference_step=step, lanes=1)
        logits = np.arange(*config.logit_range)[:, None]
        logits = np.append(logits, logits[-1:] + 1, axis=0)
        found = exaq.row_results(logits, config).maximum
        assert (found[0], found[-1]) == config.reference_range
        assert set(np.diff(found)) <= {0, step}
        assert not (found % step).any()
        most = 2 ** (config.reference_bits - 1)
        assert -most <= found.min()
        assert found.max() < most


@pytest.mark.parametrize("code_format", FORMATS)
def test_borders_are_where_codes_change(code_format: str) -> None:
    """At and beside each border that is named, relative to a maximum that is its own reference."""
    config = codes_config(code_format=code_format, logit_scale=Fraction(LN_2) / 4)
    assert 0 in config.borders
    top = 2**config.logit_width - 1
    assert all(-top <= border <= 0 for border in config.borders)
    assert list(config.borders) == sorted(set(config.borders))
    for border in config.borders:
        row = [96, 96 + border]
        # Of 31 octaves, and of 30 in hif8, there is nothing left to change.
        if border < -4 * (30 if code_format == "e5m3" else 16):
            continue
        codes = exaq.quantize([row, [row[0], row[1] - 1]], config)
        assert codes[0, 1] != codes[1, 1]


def test_half_up_and_the_nearest_code() -> None:
    """What the oracle rests on."""
    assert [half_up(Fraction(k, 2)) for k in (-3, -1, 1, 3)] == [-1, 0, 1, 2]
    assert [e5m3_code(e5m3_number(code)) for code in range(8, 256)] == list(range(8, 256))
