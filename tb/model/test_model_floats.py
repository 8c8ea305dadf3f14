"""bf16 and fp16 logits: every word, and every maximum, against exact integers."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from float_oracle import SHAPES, Float, codes, decoded, first_reached, ladder, softmax_row, unit

import exaq
from exaq import SoftmaxConfig, StreamFormat, Tables
from exaq.float_format import FLOAT_FORMATS, bits_of_keys, keys_of_bits
from exaq.rows import Rows

NAMES = pytest.mark.parametrize("name", SHAPES)
WORDS = np.arange(65536).astype(np.uint16)
#: Thresholds of several kinds: steps, powers of two and their neighbours, the deepest.
THRESHOLDS = (
    *(-(2**31), -(2**31) + 1, -1_700_000_001, -(2**30) - 7, -86_618_369, -43_369_103),
    *(-(2**24) - 1, -(2**24), -(2**24) + 1, -(2**20) + 3, -70_001, -65_536, -4_097, -2_048),
    *(-1_023, -513, -511, -257, -256, -255, -129, -2, -1, 0),
)


def numbers(name: str) -> np.ndarray[Any, Any]:
    """All words as float32, NaN where they are one."""
    scale = unit(name)
    meant = [
        float("nan")
        if each.nan
        else float("inf") * (-1 if each.negative else 1)
        if each.units is None
        else each.units / 2**scale * (1.0 if each.units or not each.negative else -1.0)
        for each in decoded(name)
    ]
    found = np.array(meant, np.float32)
    found[32768] = -0.0
    return found


def refused(kind: type[Exception], message: str, make: Any) -> None:
    with pytest.raises(kind, match=rf"\A{re.escape(message)}\Z"):
        make()


@NAMES
def test_every_word_has_its_value_and_its_place(name: str) -> None:
    floats = FLOAT_FORMATS[name]
    keys = keys_of_bits(WORDS)
    assert (bits_of_keys(keys) == WORDS).all()
    assert np.array_equal(floats.values(keys), numbers(name), equal_nan=True)
    assert np.array_equal(
        np.signbit(floats.values(keys[~np.isnan(numbers(name))])),
        np.signbit(numbers(name)[~np.isnan(numbers(name))]),
    )
    # Keys ascend as values do, -0 just below +0, infinities at the ends.
    order = [65536 - 32768 + floats.infinity, *ladder(name)[1], floats.infinity]
    of_order = keys[order]
    assert (np.diff(of_order.astype(int)) == 1).all()
    assert floats.lowest == of_order[0]
    assert floats.infinity == of_order[-1]
    finite = np.array([each.units is not None for each in decoded(name)])
    bad = np.array([each.bad for each in decoded(name)])
    assert np.array_equal(floats.masked(keys), ~finite)
    assert np.array_equal(floats.bad(keys), bad)


@NAMES
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_keys_of_numbers(name: str, dtype: type[np.floating[Any]]) -> None:
    """Of every type that has the numbers, bit by bit; a NaN stays one."""
    if dtype is np.float16 and name == "bf16":
        given = np.array([0.0, -0.0, 1.5, -(2.0**-14), np.inf, -np.inf, np.nan], np.float16)
        keys = FLOAT_FORMATS[name].keys(given)
        assert np.array_equal(
            FLOAT_FORMATS[name].values(keys), given.astype(np.float32), equal_nan=True
        )
        return
    given = numbers(name).astype(dtype)
    keys = FLOAT_FORMATS[name].keys(given)
    nan = np.isnan(given)
    assert np.array_equal(keys[~nan], keys_of_bits(WORDS)[~nan])
    assert FLOAT_FORMATS[name].bad(keys[nan]).all()


def test_a_nan_of_few_bits_stays_one() -> None:
    """Its upper half alone would be an infinity."""
    given = np.array([0x7F800001, 0xFF800001], np.uint32).view(np.float32)
    keys = FLOAT_FORMATS["bf16"].keys(given)
    assert np.isnan(FLOAT_FORMATS["bf16"].values(keys)).all()


@NAMES
def test_every_border(name: str) -> None:
    """Of every finite maximum, as many numbers reach each threshold as there are."""
    floats = FLOAT_FORMATS[name]
    values, words = ladder(name)
    thresholds = [t for t in THRESHOLDS if t == 0 or t <= floats.least_threshold]
    keys = keys_of_bits(np.array(words, np.uint16))
    borders = floats.borders(keys, thresholds)
    found = np.searchsorted(keys, borders)
    # Every 29th maximum, and all near 0 and near the powers of two.
    near = [
        place
        for place, word in enumerate(words)
        if place % 29 == 0 or not 0x7F & word - 3 & ~0x7 or abs(values[place]) < 2**20
    ]
    for place in near:
        expected = [first_reached(name, words[place], t) for t in thresholds]
        assert found[place].tolist() == expected, (words[place], expected)
    assert {0, len(words) - 1} & set(near)


@NAMES
def test_rounding_of_every_midpoint(name: str) -> None:
    """Half to even, and to the nearer one a bit beside it, in float64."""
    floats = FLOAT_FORMATS[name]
    values, words = ladder(name)
    scale = 2.0 ** -unit(name)
    units = np.array(values, object)
    below = np.array([float(each) * scale for each in units[:-1]])
    above = np.array([float(each) * scale for each in units[1:]])
    middle = (below + above) / 2
    even = np.array([word % 2 == 0 for word in words[:-1]])
    zeros = below == above
    expected = np.where(even, below, above)
    assert np.array_equal(floats.round(middle)[~zeros], expected.astype(np.float32)[~zeros])
    up, down = np.nextafter(middle, np.inf), np.nextafter(middle, -np.inf)
    assert np.array_equal(floats.round(up)[~zeros], above.astype(np.float32)[~zeros])
    assert np.array_equal(floats.round(down)[~zeros], below.astype(np.float32)[~zeros])
    exact = np.array([float(each) * scale for each in units])
    assert np.array_equal(floats.round(exact), exact.astype(np.float32))
    assert np.array_equal(
        floats.round(np.array([1e300, -1e300])), np.array([exact[-1], exact[0]], np.float32)
    )


def config_for(name: str, **more: Any) -> SoftmaxConfig:
    return SoftmaxConfig(logit_format=name, max_row=64, **more)


def random_words(rng: np.random.Generator, name: str, shape: tuple[int, int]) -> Any:
    """Rows of ordinary logits, of any words, and of ones that are near each other or 0."""
    kind = rng.integers(4, size=(shape[0], 1))
    scale = np.where(kind == 0, 2.0, np.where(kind == 1, 1e-6, 3000.0))
    floats = FLOAT_FORMATS[name]
    ordinary = bits_of_keys(floats.keys(floats.round(rng.normal(0, 1, shape) * scale)))
    near = (rng.integers(65536, size=(shape[0], 1)) + rng.integers(-9, 10, shape)) % 65536
    words = np.where(kind == 3, near, ordinary)
    special = rng.random(shape)
    words = np.where(special < 0.02, 65536 - 32768 + floats.infinity, words)
    words = np.where(special > 0.995, floats.infinity + rng.integers(0, 2, shape) * 32770, words)
    zero = rng.random((shape[0], 1)) < 0.1
    return np.where(zero & (special > 0.5), rng.integers(2, size=shape) << 15, words)


@NAMES
@pytest.mark.parametrize("bits", [2, 4])
def test_rows(name: str, bits: int) -> None:
    """Codes, probabilities, maximum, sum and errors, with masks, lengths and every special."""
    config = config_for(name, bits=bits, row_results="sum")
    rng = np.random.default_rng(bits)
    words = random_words(rng, name, (400, 24)).astype(np.uint16)
    mask = (rng.random(words.shape) < 0.9) | (rng.random((400, 1)) < 0.3)
    mask[:5] = False
    lengths = rng.integers(1, 25, 400)
    logits = FLOAT_FORMATS[name].values(keys_of_bits(words))
    given = {"mask": mask, "lengths": lengths}
    probabilities = exaq.softmax(logits, config, **given)
    found = exaq.quantize(logits, config, **given)
    results = exaq.row_results(logits, config, **given)
    rows = Rows.of(logits, config.format, **given)
    assert rows.errors is not None
    errors = 0
    for k, row in enumerate(words.tolist()):
        live = [bool(m) and j < lengths[k] for j, m in enumerate(mask[k])]
        expected, wrong = softmax_row(row, live, config)
        each, _ = codes(row, live, config)
        assert probabilities[k].tolist() == expected, k
        assert found[k].tolist() == [code or 0 for code in each]
        assert rows.errors[k] == wrong
        errors += wrong
        part = [code for code in each if code is not None]
        assert results.sum[k] == sum(config.tables.exp_rom[code] for code in part)
        meant = [decoded(name)[word] for word in row]
        values = [m.units for m, code in zip(meant, each, strict=True) if code is not None]
        most = max(values) / 2 ** unit(name) if values else -np.inf
        assert results.maximum[k] == most
    assert 10 < errors < 380


@NAMES
def test_a_sink_joins_maximum_and_sum(name: str) -> None:
    config = config_for(name, sink=2.5)
    rng = np.random.default_rng(5)
    words = random_words(rng, name, (200, 8)).astype(np.uint16)
    logits = FLOAT_FORMATS[name].values(keys_of_bits(words))
    found = exaq.quantize(logits, config)
    sink = int(bits_of_keys(FLOAT_FORMATS[name].keys(np.array([2.5], np.float32)))[0])
    for k, row in enumerate(words.tolist()):
        expected, _ = codes(row, None, config, sink)
        assert found[k].tolist() == [code or 0 for code in expected]


@NAMES
def test_errors_are_of_what_takes_part(name: str) -> None:
    """Not of what is masked, absent, outside the window, or beyond max_row."""
    format = StreamFormat(logit_format=name, max_row=8)
    nan, inf = np.nan, np.inf
    rows = [
        [1, 2, -inf, 3], [nan, 1, 2, 3], [1, inf, 2, 3], [-inf] * 4, [nan] * 4, [1, 2, 3, nan],
    ]  # fmt: skip
    logits = np.array(rows, np.float32)

    def errors(logits: Any = logits, **given: Any) -> list[bool]:
        found = Rows.of(logits, format, **given).errors
        assert found is not None
        return found.tolist()

    assert errors() == [False, True, True, False, True, True]
    assert errors(mask=np.array([False, True, True, True])) == [
        False,
        False,
        True,
        False,
        True,
        True,
    ]
    assert errors(lengths=[3] * 6) == [False, True, True, False, True, False]
    assert errors(window=(1, 3)) == [False, False, True, False, True, False]
    beyond = np.ones((2, 12), np.float32)
    beyond[0, 8] = beyond[1, 7] = nan
    assert errors(beyond, overlong=True) == [False, True]
    assert errors(np.ma.MaskedArray(logits, np.isnan(logits))) == [
        False,
        False,
        True,
        False,
        False,
        False,
    ]


@NAMES
@pytest.mark.parametrize("masking", [True, False])
def test_a_stream_has_no_error_that_the_rows_have_not(name: str, masking: bool) -> None:
    """A unit without masks is told them as -inf, and NaN beneath a mask is told it too."""
    format = StreamFormat(logit_format=name, max_row=8, masking=masking)
    logits = np.array([[1, np.nan, 2], [np.nan, 1, np.inf]], np.float32)
    mask = np.array([[True, False, True], [True, True, False]])
    rows = Rows.of(logits, format, mask=mask).streamed(format)
    floats = FLOAT_FORMATS[name]
    values = floats.values(rows.logits)
    assert rows.errors is not None
    assert rows.errors.tolist() == [False, True]
    assert np.isneginf(values[0, 1])
    assert np.isnan(values[1, 0])
    assert (rows.flags is not None) == masking
    if rows.flags is not None:
        # The NaN that takes part is sent unmasked, the one beneath the mask is -inf anyhow.
        assert rows.flags.tolist() == [[True, False, True], [True, True, False]]


@NAMES
@pytest.mark.parametrize("masking", [True, False])
def test_a_window_that_becomes_a_mask_hides_errors(name: str, masking: bool) -> None:
    """In a unit without windows, what lies outside is masked on its way, NaN too."""
    format = StreamFormat(logit_format=name, max_row=8, masking=masking)
    logits = np.array([[np.nan, 1, 2, np.inf], [1, np.nan, 2, 3]], np.float32)
    rows = Rows.of(logits, format, window=(1, 3)).streamed(format)
    assert rows.errors is not None
    assert rows.errors.tolist() == [False, True]
    values = FLOAT_FORMATS[name].values(rows.logits)
    sent = np.ones(values.shape, bool) if rows.flags is None else rows.flags
    bad = sent & (np.isnan(values) | np.isposinf(values))
    assert bad.any(axis=-1).tolist() == [False, True]
    assert (rows.flags is not None) == masking


def test_refusals_of_logits() -> None:
    bf16, fp16 = config_for("bf16"), config_for("fp16")
    refused(
        TypeError,
        "logits must be floating-point numbers, not int64",
        lambda: exaq.softmax([[1, 2]], bf16),
    )
    refused(
        TypeError,
        "logits must be floating-point numbers, not bool",
        lambda: exaq.softmax([[True]], fp16),
    )
    refused(
        ValueError,
        "logits must be bf16 numbers, not 1.001; exaq.round_logits rounds",
        lambda: exaq.softmax([[1.0, 1.001]], bf16),
    )
    refused(
        ValueError,
        "logits must be fp16 numbers, not 65520.0; exaq.round_logits rounds",
        lambda: exaq.softmax([[65520.0]], fp16),
    )
    refused(
        ValueError,
        "logits must be bf16 numbers, not 1e+39; exaq.round_logits rounds",
        lambda: exaq.softmax([[1e39]], bf16),
    )
    refused(
        ValueError,
        "sink must be finite",
        lambda: exaq.softmax([[1.0]], bf16, sink=np.float32(-np.inf)),
    )
    refused(
        ValueError,
        "a configuration of bf16 logits has no integers; exaq.round_logits gives its numbers",
        lambda: exaq.logits_to_integers([[1.0]], bf16),
    )
    refused(
        ValueError,
        "logits must be finite, not nan; use a mask to leave elements out",
        lambda: exaq.round_logits([[np.nan]], bf16),
    )


def tables(*thresholds: int) -> Tables:
    return Tables(thresholds=thresholds, exp_rom=(1, 2, 3, 4))


@pytest.mark.parametrize(
    ("name", "threshold", "least"),
    [
        ("bf16", -255, -256), ("bf16", -1, -256), ("bf16", -(2**31) - 1, -256),
        ("fp16", -(2**31) - 1, -1), ("fp16", -(2**40), -1),
    ],
)  # fmt: skip
def test_thresholds_that_no_unit_takes(name: str, threshold: int, least: int) -> None:
    ordered = sorted((threshold, -300, 0))
    refused(
        ValueError,
        f"thresholds of {name} logits must be 0 or from -2147483648 to {least}, "
        f"in steps of 2**-24, not {threshold}",
        lambda: config_for(name, tables=tables(*ordered)),
    )


def test_thresholds_at_the_ends_are_legal() -> None:
    for name, least in (("bf16", -256), ("fp16", -1)):
        config = config_for(name, tables=tables(-(2**31), least, 0))
        assert config.tables.thresholds == (-(2**31), least, 0)


def test_settings_that_do_not_go_together() -> None:
    refused(
        ValueError,
        "logit_width must be 16 with logit_format bf16, not 8",
        lambda: StreamFormat(logit_format="bf16", logit_width=8),
    )
    refused(
        ValueError,
        "mask_value must be none with logit_format fp16, whose -inf means masked, not lowest",
        lambda: StreamFormat(logit_format="fp16", mask_value="lowest"),
    )
    refused(
        ValueError,
        "sink must be a finite bf16 number, not 1.001",
        lambda: StreamFormat(logit_format="bf16", sink=1.001),
    )
    refused(
        ValueError,
        "sink must be a finite fp16 number, not 70000.0",
        lambda: StreamFormat(logit_format="fp16", sink=70000),
    )
    refused(
        ValueError,
        "logit_format must be integer, bf16 or fp16, not 'fp8'",
        lambda: StreamFormat(logit_format="fp8"),
    )


@NAMES
def test_a_configuration_comes_back_from_its_json(name: str) -> None:
    config = config_for(name, contexts=2, sink=-1.5)
    again = SoftmaxConfig.from_dict(config.to_dict())
    assert again == config
    assert again.logit_scale == 1
    assert again.logit_width == 16
    words = config.load_words(1, tables(-(2**31), -300, 0))
    key = int(FLOAT_FORMATS[name].keys(np.array([-1.5], np.float32))[0])
    assert words == [1, -(2**31), -300, 0, 1, 2, 3, 4, key]


@NAMES
def test_a_scale_makes_other_steps(name: str) -> None:
    """logit_scale is the real value of a logit of 1."""
    one = config_for(name, clip=-4)
    half = config_for(name, clip=-4, logit_scale=0.5)
    assert all(
        abs(b - 2 * a) <= 2
        for a, b in zip(one.tables.thresholds, half.tables.thresholds, strict=True)
    )
    assert exaq.round_logits([[3.0]], half).tolist() == [[6.0]]


def test_bad_is_a_word_of_the_oracle() -> None:
    assert Float(None, nan=True, negative=True).bad
    assert not Float(None, negative=True).bad
