"""The serial reciprocal against exact fractions."""

import random
from itertools import pairwise

import pytest
from multiply_oracle import reciprocal
from unit_bench import Bench, stalls, unpack

from exaq_hdl.kernels.weighted.reciprocal import Reciprocal, reciprocal_fields

#: Width of a sum, bits of a mantissa, least sum.
CASES = [(26, 18, 2**15), (10, 6, 1), (16, 18, 2**15), (9, 26, 5), (8, 4, 255), (40, 26, 2**23)]
EVERY = pytest.mark.parametrize(("sum_bits", "bits", "least"), CASES)


def sums(sum_bits: int, least: int, count: int, seed: int = 1) -> list[int]:
    """Extremes, those about powers of two, anything; some below the least, which give anything."""
    rng = random.Random(seed)
    most = (1 << sum_bits) - 1
    near = [(1 << k) + d for k in range(sum_bits) for d in (-1, 0, 1)]
    wide = [rng.randrange(1 << rng.randint(1, sum_bits)) for _ in range(count)]
    found = [least, most, *(s for s in [*near, *wide] if least <= s <= most)]
    return [*found[:2], *rng.sample(found, min(count, len(found))), 0, most, least]


class Run:
    def __init__(self, case, totals, *, pause=None, sink=None):
        sum_bits, bits, least = case
        self.block = Reciprocal(sum_bits=sum_bits, bits=bits, least=least)
        bench = Bench(self.block, limit=30000)
        self.feed = bench.feed(self.block.i, totals, pause)
        self.drain = bench.drain(self.block.o, len(totals), sink)
        bench.run()
        layout = self.block.o.payload.shape()
        assert dict(reciprocal_fields(*case)) == {name: field.width for name, field in layout}
        for total, word in zip(totals, self.drain.items, strict=True):
            if total >= least:
                mantissa, exponent = reciprocal(total, bits)
                found = unpack(layout, word)
                low = least.bit_length() - 1
                assert found == {"mantissa": mantissa, "exponent": exponent - low}, total


@EVERY
def test_quotients_period_and_latency(sum_bits: int, bits: int, least: int) -> None:
    run = Run((sum_bits, bits, least), sums(sum_bits, least, 120))
    gaps = {b - a for a, b in pairwise(run.feed.times)}
    assert gaps == {run.block.period}
    spans = {b - a for a, b in zip(run.feed.times, run.drain.times, strict=True)}
    assert spans == {run.block.latency}
    # A cycle for each place that a sum can be below the widest, and for each bit; one to give it.
    assert run.block.period == sum_bits - least.bit_length() + bits + 1


def test_every_sum_of_8_bits() -> None:
    Run((8, 6, 1), list(range(256)))


@EVERY
def test_stalls(sum_bits: int, bits: int, least: int) -> None:
    pause, sink = stalls(bits, 0.9), stalls(sum_bits, 0.9)
    Run((sum_bits, bits, least), sums(sum_bits, least, 40, 2), pause=pause, sink=sink)


@pytest.mark.usefixtures("unused_components")
@pytest.mark.parametrize(
    ("name", "value", "legal"),
    [
        ("sum_bits", 0, "at least 1"),
        ("bits", 0, "at least 1"),
        ("least", 0, "in 1..255"),
        ("least", 256, "in 1..255"),
    ],
)
def test_numbers_in_their_range(name: str, value: int, legal: str) -> None:
    numbers = {"sum_bits": 8, "bits": 6, "least": 1} | {name: value}
    with pytest.raises(ValueError, match=rf"\A{name} must be {legal}, not {value}\Z"):
        Reciprocal(**numbers)
