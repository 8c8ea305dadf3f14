"""The blocks of the kernel ``shift`` against its golden model, and its arithmetic alone."""

import random
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from unit_datapath import (
    check_emitter,
    check_every_distance,
    check_finisher,
    check_zero,
    one_lane,
    sums_of,
)

from exaq import SoftmaxConfig
from exaq_hdl.kernels.shift.octave_code import OctaveCode, signed_digits
from exaq_hdl.kernels.shift.shift_unit import ShiftDatapath


def shift(**settings: Any) -> SoftmaxConfig:
    return one_lane(kernel="shift", **settings)


CONFIGS = {
    "e2softmax": shift(),
    "e2softmax, short": shift(max_row=1, prob_bits=4, logit_width=5),
    "e2softmax, long": shift(max_row=65536, prob_bits=24, logit_width=9),
    "ita": shift(variant="ita"),
    "ita, 8 bits": shift(variant="ita", prob_bits=8, logit_scale=0.0216608493924983),
    "ita, narrow": shift(variant="ita", prob_bits=4, max_row=6, logit_width=4, logit_scale=0.5),
    "ita, long": shift(variant="ita", prob_bits=24, max_row=65536, logit_width=7),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)


@pytest.mark.parametrize("number", [*range(1, 300), 2**12 - 1, 2**12, 0b101010101011, 3 * 2**20])
def test_signed_digits(number: int) -> None:
    digits = signed_digits(number)
    assert sum(-(2**place) if minus else 2**place for minus, place in digits) == number
    places = [place for _, place in digits]
    assert all(b - a >= 2 for a, b in pairwise(places))


@EVERY
def test_every_distance(name: str) -> None:
    kernel: Any = CONFIGS[name].kernel
    check_every_distance(ShiftDatapath(kernel))


@pytest.mark.parametrize("factor_bits", [1, 2, 3, 6, 9, 12])
@pytest.mark.parametrize("scale", [0.0625, 0.1, Fraction(1, 3), 1.0, 0.69, 5.0, 1e9, 1e-9, 0.003])
def test_every_factor(factor_bits: int, scale: float | Fraction) -> None:
    """Of one digit and of many, below 1 and above, with codes that never and always saturate."""
    config = shift(factor_bits=factor_bits, logit_scale=scale, logit_width=6)
    kernel: Any = config.kernel
    check_every_distance(ShiftDatapath(kernel))


def test_the_papers_factor_takes_three_digits() -> None:
    """Levels of adders: 23 = 32 - 8 - 1 and the half are four addends; ITA's shift has two."""
    usual: Any = CONFIGS["e2softmax"].kernel
    published: Any = CONFIGS["ita, 8 bits"].kernel
    assert signed_digits(23) == [(True, 0), (True, 3), (False, 5)]
    assert OctaveCode(usual).latency == 3
    assert OctaveCode(published).latency == 2


@EVERY
def test_reciprocals(name: str) -> None:
    kernel: Any = CONFIGS[name].kernel
    check_finisher(ShiftDatapath(kernel).finisher(), kernel, sums_of(kernel, 40))


@EVERY
def test_every_code_of_a_row(name: str) -> None:
    kernel: Any = CONFIGS[name].kernel
    codes = range(kernel.most_code + 1)
    sums = [s for s in sums_of(kernel, 6) if s][:25]
    rng = random.Random(name)
    rows = [(total, rng.sample(codes, rng.randint(1, len(codes)))) for total in sums]
    check_emitter(ShiftDatapath(kernel), [*rows, (kernel.least_sum, codes)], seed=5)


@EVERY
def test_zero(name: str) -> None:
    """Of ``ita`` the farthest code; every code of ``e2softmax`` may leave something."""
    kernel: Any = CONFIGS[name].kernel
    assert (kernel.zero is None) == name.startswith("e2softmax")
    if kernel.zero is not None:
        check_zero(ShiftDatapath(kernel))
