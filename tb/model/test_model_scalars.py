"""Parameters that are single numbers: NumPy's serve as Python's do, and what is none is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
from test_model_refusals import refuses

import exaq
from exaq import SoftmaxConfig, TableFile, Tables, TableSet, reference
from exaq.scalars import flag, integer, real

Case = tuple[str, Any, Callable[[Any], Any]]

TABLES = Tables(thresholds=(-9, -5, -1), exp_rom=(1, 20, 300, 8192))
LOGITS = np.random.default_rng(0).normal(0, 2, (2, 3, 8))


def config(**changes: Any) -> object:
    return SoftmaxConfig(**changes).to_dict()


def table_set(**changes: Any) -> TableSet:
    fields: dict[str, Any] = {"name": "x", "tables": TABLES}
    return TableSet(**(fields | changes))


def file_of(*sets: TableSet, **changes: Any) -> TableFile:
    fields = {"bits": 2, "logit_width": 8, "logit_scale": 0.5, "exp_frac": 13}
    return TableFile(**(fields | changes), sets=sets or (table_set(),))


def calibrated(**options: Any) -> object:
    return exaq.calibrate([LOGITS], **({"rule": "paper"} | options)).to_dict()


def from_clip(**changes: Any) -> object:
    given = {"clip": -4.0, "bits": 2, "logit_scale": 0.5, "exp_frac": 13}
    return Tables.from_clip(**(given | changes)).to_dict()


def from_levels(border: Any = -4.0, level: Any = -6.0, **changes: Any) -> object:
    given = {"logit_scale": 0.5, "exp_frac": 13}
    borders, levels = [border, -2.0, -1.0], [level, -3.0, -1.5, 0.0]
    return Tables.from_levels(borders, levels, **(given | changes)).to_dict()


def levels_of(clip: Any, bits: Any) -> object:
    return list(map(str, exaq.clip_levels(clip, bits)))


def of(call: Callable[..., Any], field: str, value: Any) -> Case:
    """``call`` with the parameter ``field``."""
    return field, value, lambda given: call(**{field: given})


# What messages call the parameter, a legal value, and what JSON may hold of what it leads to.
INTEGERS: list[Case] = [
    *(of(config, field, 4) for field in ("bits", "lanes", "logit_width", "prob_bits", "exp_frac")),
    *(of(config, field, 4) for field in ("group", "contexts")),
    of(config, "max_row", 100),
    of(config, "full_rate_row", 64),
    ("context", 4, lambda v: SoftmaxConfig(contexts=9).load_words(v, TABLES)),
    ("each of exp_rom", 4, lambda v: Tables(thresholds=(0,) * 3, exp_rom=(1, 1, 1, v)).to_dict()),
    ("each of thresholds", 0, lambda v: Tables(thresholds=(-3, -2, v), exp_rom=(1,) * 4).to_dict()),
    of(from_clip, "bits", 4),
    of(from_clip, "exp_frac", 4),
    of(from_levels, "exp_frac", 4),
    ("group", 4, lambda v: TABLES.sum_rom(v).tolist()),
    ("bits", 4, lambda v: exaq.paper_clip(1.5, v)),
    ("bits", 4, lambda v: levels_of(-4.0, v)),
    ("row", 4, lambda v: exaq.length_mask([1, 3], v).tolist()),
    ("bits", 4, lambda v: reference.quantize(LOGITS, -4.0, v).tolist()),
    ("bits", 4, lambda v: reference.quantized_softmax(LOGITS, -4.0, v).tolist()),
    ("layer", 4, lambda v: file_of(table_set(layer=v)).to_dict()),
    ("head", 4, lambda v: file_of(table_set(head=v)).to_dict()),
    ("bits", 2, lambda v: file_of(bits=v).to_dict()),
    ("logit_width", 4, lambda v: file_of(logit_width=v).to_dict()),
    ("exp_frac", 14, lambda v: file_of(exp_frac=v).to_dict()),
    ("contexts", 4, lambda v: file_of().config(contexts=v).to_dict()),
    ("logit_width", 8, lambda v: file_of().config(logit_width=v).to_dict()),
    ("layer", 1, lambda v: file_of(table_set(), table_set(name="y", layer=1)).of(v).name),
    ("head", 1, lambda v: file_of(table_set(), table_set(name="y", head=1)).of(0, v).name),
    *(of(calibrated, field, 4) for field in ("bits", "logit_width", "exp_frac", "memory")),
    ("head_axis", 0, lambda v: calibrated(per="head", head_axis=v)),
]  # fmt: skip
REALS: list[Case] = [
    of(config, "logit_scale", 0.1),
    of(config, "clip", -4.1),
    of(from_clip, "clip", -4.1),
    of(from_clip, "logit_scale", 0.1),
    ("each of thresholds", -4.1, lambda v: from_levels(border=v)),
    ("each of levels", -6.1, lambda v: from_levels(level=v)),
    of(from_levels, "logit_scale", 0.1),
    ("sigma", 1.1, lambda v: exaq.paper_clip(v, 2)),
    ("clip", -4.1, lambda v: levels_of(v, 2)),
    ("clip", -4.1, lambda v: reference.quantize(LOGITS, v, 2).tolist()),
    ("clip", -4.1, lambda v: reference.quantized_softmax(LOGITS, v, 2).tolist()),
    ("clip", -4.1, lambda v: file_of(table_set(clip=v)).to_dict()),
    ("logit_scale", 0.1, lambda v: file_of(logit_scale=v).to_dict()),
    ("logit_scale", 0.5, lambda v: file_of().config(logit_scale=v).to_dict()),
    of(calibrated, "logit_scale", 0.1),
]
FLAGS: list[Case] = [of(config, "masking", True), of(config, "masking", False)]


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint64])
@pytest.mark.parametrize(("name", "value", "call"), INTEGERS)
def test_an_integer_of_numpy_does_what_pythons_does(
    name: str, value: int, call: Callable[[Any], Any], kind: Callable[[int], Any]
) -> None:
    assert json.dumps(call(kind(value))) == json.dumps(call(value)), name


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize(("name", "value", "call"), REALS)
def test_a_real_of_numpy_does_what_the_float_that_equals_it_does(
    name: str, value: float, call: Callable[[Any], Any], kind: Callable[[float], Any]
) -> None:
    given = kind(value)
    assert json.dumps(call(given)) == json.dumps(call(float(given))), name


@pytest.mark.parametrize(("name", "value", "call"), REALS)
def test_integers_fractions_and_decimals_are_reals(
    name: str, value: float, call: Callable[[Any], Any]
) -> None:
    exact = Fraction(str(value))
    assert json.dumps(call(Decimal(str(value)))) == json.dumps(call(exact)), name
    assert json.dumps(call(Decimal(value))) == json.dumps(call(value)), name
    if name != "logit_scale":
        whole = round(value)
        assert json.dumps(call(np.int8(whole))) == json.dumps(call(float(whole))), name
        assert json.dumps(call(whole)) == json.dumps(call(float(whole))), name


@pytest.mark.parametrize(("name", "value", "call"), FLAGS)
def test_a_boolean_of_numpy_does_what_pythons_does(
    name: str, value: bool, call: Callable[[Any], Any]
) -> None:
    assert json.dumps(call(np.bool_(value))) == json.dumps(call(value)), name


@pytest.mark.parametrize(
    "bad", [True, np.True_, 4.0, np.float64(4), np.array(4), np.timedelta64(4), "4", Decimal(4)]
)
@pytest.mark.parametrize(("name", "value", "call"), INTEGERS)
def test_what_is_no_integer_is_refused(
    name: str, value: int, call: Callable[[Any], Any], bad: Any
) -> None:
    refuses(TypeError, f"{name} must be an integer, not {bad!r}", partial(call, bad))


@pytest.mark.parametrize(
    "bad", [True, np.True_, np.array(0.5), np.timedelta64(4), "0.5", 1j, np.complex64(1)]
)
@pytest.mark.parametrize(("name", "value", "call"), REALS)
def test_what_is_no_real_is_refused(
    name: str, value: float, call: Callable[[Any], Any], bad: Any
) -> None:
    refuses(TypeError, f"{name} must be a real number, not {bad!r}", partial(call, bad))


@pytest.mark.parametrize(
    ("bad", "shown"),
    [
        (math.nan, "nan"),
        (np.float32("-inf"), "-inf"),
        (Decimal("sNaN"), "nan"),
        (Decimal("1e999999999"), "inf"),
        (-(10**400), "-inf"),
    ],
)
@pytest.mark.parametrize(("name", "value", "call"), REALS)
def test_what_is_not_finite_is_refused(
    name: str, value: float, call: Callable[[Any], Any], bad: Any, shown: str
) -> None:
    refuses(ValueError, f"{name} must be finite, not {shown}", partial(call, bad))


@pytest.mark.parametrize("bad", [1, np.int64(0), np.array(True), "yes", None])
@pytest.mark.parametrize(("name", "value", "call"), FLAGS)
def test_what_is_no_boolean_is_refused(
    name: str, value: bool, call: Callable[[Any], Any], bad: Any
) -> None:
    refuses(TypeError, f"{name} must be True or False, not {bad!r}", partial(call, bad))


@pytest.mark.parametrize(
    ("value", "exact"),
    [
        (3, 3.0),
        (2**60 + 1, Fraction(2**60 + 1)),
        (np.int64(2**60 + 1), Fraction(2**60 + 1)),
        (np.float32(0.1), 13421773 / 2**27),
        (np.float16(0.1), 1638 / 2**14),
        (np.longdouble(1) + np.longdouble(2) ** -60, Fraction(2**60 + 1, 2**60)),
        (Decimal("0.1"), Fraction(1, 10)),
        (Decimal("0.375"), 0.375),
        (Fraction(-3, 4), -0.75),
        (Fraction(1, 3), Fraction(1, 3)),
        (Decimal("1e-999999999"), 0.0),
        (Fraction(1, 10**400), 0.0),
    ],
)
def test_a_real_is_exact(value: Any, exact: float | Fraction) -> None:
    result = real("x", value)
    assert (result, type(result)) == (exact, type(exact))


def test_ranges_of_integers() -> None:
    assert [integer("x", v, 1, 3) for v in (1, np.uint8(3))] == [1, 3]
    assert type(integer("x", np.int64(7))) is int
    refuses(ValueError, "x must be in 1..3, not 0", lambda: integer("x", np.int8(0), 1, 3))
    refuses(ValueError, "x must be in 1..3, not 4", lambda: integer("x", 4, 1, 3))
    refuses(ValueError, "x must be at least 1, not 0", lambda: integer("x", 0, 1))
    assert integer("x", -(10**30)) == -(10**30)
    assert type(flag("x", np.True_)) is bool


def test_a_configuration_of_numpy_numbers_is_that_of_pythons() -> None:
    numbers: dict[str, Any] = {
        "bits": np.int64(3),
        "logit_scale": np.float32(0.5),
        "masking": np.bool_(False),
    }
    given = SoftmaxConfig(**numbers)
    same = SoftmaxConfig(bits=3, logit_scale=0.5, masking=False)
    assert (given, hash(given), repr(given)) == (same, hash(same), repr(same))
    nearly: Any = np.float32(0.1)
    assert SoftmaxConfig(logit_scale=nearly) != SoftmaxConfig(logit_scale=0.1)


def test_a_float32_is_not_the_decimal_that_it_stands_for() -> None:
    file = file_of(logit_scale=0.1)
    refuses(
        ValueError,
        "the tables are for logit_scale 0.1, not 0.10000000149011612",
        lambda: file.config(logit_scale=np.float32(0.1)),
    )
