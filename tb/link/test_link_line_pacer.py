# amaranth: UnusedElaboratable=no
"""Octets at a pace: none lost, none closer than the pace, none later than need be."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from unit.unit_bench import Bench, stalls

from exaq_fpga.gateware.transports.line_pacer import LinePacer


@pytest.mark.parametrize("cycles", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("rate", [None, 0.5, 0.9])
def test_each_octet_at_the_first_moment_that_the_pace_allows(
    cycles: int, rate: float | None
) -> None:
    octets = random.Random(cycles).randbytes(200)
    pacer: Any = LinePacer(cycles)
    offers: list[int] = []

    def pauses() -> Iterator[bool]:
        """The pause of each cycle in which nothing waits; notes when an offer begins."""
        for pause in stalls(cycles, rate) if rate else iter(lambda: False, None):
            if not pause:
                offers.append(len(feed.offered))
            yield pause

    bench = Bench(pacer)
    feed = bench.feed(pacer.i, octets, pauses())
    out = bench.drain(pacer.o, len(octets), None)
    bench.run()
    assert bytes(out.items) == octets
    expected: list[int] = []
    for offer in offers[: len(octets)]:
        expected.append(max(offer, expected[-1] + cycles) if expected else offer)
    assert feed.times == out.times == expected


@pytest.mark.parametrize("cycles", [0, -1, 4.0])
def test_paces_that_are_refused(cycles: Any) -> None:
    with pytest.raises(ValueError, match=r"^line_cycles must be ") as refusal:
        LinePacer(cycles)
    assert str(refusal.value) == f"line_cycles must be an integer of at least 1, not {cycles!r}"
