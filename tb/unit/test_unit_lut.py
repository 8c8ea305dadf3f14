"""The blocks of the kernel ``lut`` against its golden model, and its arithmetic alone."""

import random
from math import floor
from typing import Any

import pytest
from amaranth.hdl import Cat, Signal, Value
from unit_bench import truth_table
from unit_datapath import (
    check_emitter,
    check_every_distance,
    check_finisher,
    check_zero,
    one_lane,
    sums_of,
)

from exaq import SoftmaxConfig
from exaq_hdl.kernels.lut.lut_unit import LutDatapath, rounded
from exaq_hdl.kernels.lut.sum_lookup import padded
from exaq_hdl.parts.leading_one import leading_one


def lut(**settings: Any) -> SoftmaxConfig:
    return one_lane(kernel="lut", **settings)


CONFIGS = {
    "rexp": lut(),
    "rexp, narrow": lut(table_bits=4, exp_entries=4, prob_bits=4, max_row=3, logit_width=5),
    "rexp, wide": lut(table_bits=12, exp_entries=1024, prob_bits=24, logit_width=10),
    "rexp, steps": lut(exp_entries=20, mantissa_bits=0, logit_scale=0.01, max_row=65536),
    "rexp, one row": lut(table_bits=6, max_row=1, prob_bits=11, logit_scale=3.0),
    "2d": lut(variant="2d"),
    "2d, narrow": lut(
        variant="2d", table_bits=4, code_bits=1, mantissa_bits=0, max_row=2, prob_bits=4
    ),
    "2d, fine": lut(variant="2d", code_bits=6, mantissa_bits=3, max_row=32, exp_entries=31),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)


@pytest.mark.parametrize("width", range(1, 11))
def test_leading_one(width: int) -> None:
    """Its place, and of every place another payload."""

    def both(given: Value) -> Value:
        payloads = [Cat(~given[k], given[k - 1] if k else given[0]) for k in range(width)]
        return Cat(*leading_one(given, payloads))

    inputs = range(2**width)
    for number, found in zip(inputs, truth_table(both, width, inputs), strict=True):
        place = max(number.bit_length() - 1, 0)
        below = (number >> max(place - 1, 0)) & 1
        bits = max(1, (width - 1).bit_length())
        payload = (number >> place & 1 ^ 1) | below << 1
        assert found == place | payload << bits, number


def test_leading_one_takes_a_payload_for_each_bit() -> None:
    with pytest.raises(ValueError, match=r"^3 bits have so many payloads, not 2$"):
        leading_one(Signal(3), [Signal(1), Signal(1)])


@pytest.mark.parametrize("bits", range(4, 13))
def test_rounding(bits: int) -> None:
    """Half up, saturated; of 8 bits."""
    found = truth_table(lambda given: rounded(given, bits), 8, range(256))
    scale = 2.0 ** (bits - 8)
    assert found == [min(floor(n * scale + 0.5), 2**bits - 1) for n in range(256)]


def test_padding() -> None:
    assert padded((5, 3, 1), 2) == [5, 3, 1, 1]
    assert padded((5,), 0) == [5]


@EVERY
def test_every_distance(name: str) -> None:
    kernel: Any = CONFIGS[name].kernel
    check_every_distance(LutDatapath(kernel))


@EVERY
def test_sums(name: str) -> None:
    kernel: Any = CONFIGS[name].kernel
    check_finisher(LutDatapath(kernel).finisher(), kernel, sums_of(kernel, 60))


@EVERY
def test_words_of_a_row(name: str) -> None:
    """The least and the greatest, and some between, with sums of every size."""
    kernel: Any = CONFIGS[name].kernel
    most = 2**kernel.stored_bits - 1
    rng = random.Random(name)
    sums = [s for s in sums_of(kernel, 6) if s][:25]
    rows = [(s, [rng.randint(0, most) for _ in range(rng.randint(1, 12))]) for s in sums]
    ends = [(kernel.least_sum, [0, most, most - 1, 1])]
    check_emitter(LutDatapath(kernel), [*rows, *ends], seed=7)


@EVERY
def test_zero(name: str) -> None:
    kernel: Any = CONFIGS[name].kernel
    check_zero(LutDatapath(kernel))
