# amaranth: UnusedElaboratable=no
"""UART: every octet, the waveform, clocks that differ, glitches and breaks."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain, groupby, pairwise, repeat
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator
from unit.unit_bench import Bench, Pause

from exaq_fpga.gateware.transports.uart import UartReceiver, UartTransmitter, tolerance

DIVISORS = [4, 5, 8, 12, 27, 104]
EVERY_OCTET = list(range(256))


def some_octets(divisor: int) -> list[int]:
    """Random octets, fewer the longer they take, with the extremes in front."""
    rng = random.Random(divisor)
    return [0x00, 0xFF, 0x55, 0xAA] + [rng.randrange(256) for _ in range(300 // divisor)]


def bits(octet: int) -> list[int]:
    return [0, *(octet >> k & 1 for k in range(8)), 1]


def wave(octets: Iterable[int], bit: Fraction, phase: Fraction) -> list[int]:
    """Level of the line at each clock edge, where a bit takes ``bit`` cycles.

    The first start bit begins ``phase`` of a cycle after an edge, the next octet right behind.
    """
    levels = [level for octet in octets for level in bits(octet)]
    count = math.ceil(phase + bit * len(levels))
    places = (math.floor((cycle - phase) / bit) for cycle in range(1, count))
    return [1, *(levels[place] for place in places)]


def received(divisor: int, levels: Iterable[int]) -> tuple[list[int], int]:
    """Octets that a receiver takes from ``levels``, and how many errors it reports."""
    receiver: Any = UartReceiver(divisor)
    octets: list[int] = []
    errors = 0

    async def drive(ctx: Any) -> None:
        for level, run in groupby([*[1] * 5, *levels, *[1] * 20 * divisor]):
            ctx.set(receiver.rx, level)
            await ctx.tick().repeat(len(list(run)))

    async def watch(ctx: Any) -> None:
        nonlocal errors
        while True:
            _, _, valid, octet, error = await ctx.tick().sample(
                receiver.o.valid, receiver.o.payload, receiver.error
            )
            if valid:
                octets.append(octet)
            errors += error

    simulator: Any = Simulator(receiver)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.add_testbench(watch, background=True)
    simulator.run()
    return octets, errors


def pauses(divisor: int) -> Iterator[bool]:
    """Pauses of none to twelve bits, after each octet taken."""
    rng = random.Random(divisor)
    while True:
        yield False
        yield from repeat(True, rng.choice([0, 9, 11]) * divisor + rng.randrange(divisor))


def steady(octets: Iterable[int], divisor: int) -> list[int]:
    """Levels of octets one behind the other, by the receiver's own clock."""
    return [level for octet in octets for level in bits(octet) for _ in range(divisor)]


@pytest.mark.parametrize("divisor", DIVISORS[:4])
def test_every_octet_is_received(divisor: int) -> None:
    assert received(divisor, steady(EVERY_OCTET, divisor)) == (EVERY_OCTET, 0)


@pytest.mark.parametrize("divisor", DIVISORS)
def test_octets_are_received_with_gaps_of_every_length(divisor: int) -> None:
    octets = some_octets(divisor)
    levels: list[int] = []
    for gap, octet in enumerate(octets):
        levels += steady([octet], divisor) + [1] * gap
    assert received(divisor, levels) == (octets, 0)


@pytest.mark.parametrize("divisor", DIVISORS)
@pytest.mark.parametrize("percent", [-2, 2])
def test_clocks_may_differ_by_two_percent(divisor: int, percent: int) -> None:
    octets = some_octets(divisor)
    bit = divisor * (1 + Fraction(percent, 100))
    for phase in (Fraction(0), Fraction(1, 3), Fraction(99, 100)):
        assert received(divisor, wave(octets, bit, phase)) == (octets, 0), phase


@pytest.mark.parametrize("divisor", DIVISORS)
def test_tolerance_is_what_the_contract_says(divisor: int) -> None:
    """A hair within, octets are right at any phase; a hair beyond, they are wrong at one."""
    octets = [0x55, 0x2A, 0x00]
    slow, fast = tolerance(divisor)
    hair = Fraction(1, 10000)
    for bit in (divisor * (1 + slow - hair), divisor * (1 - fast + hair)):
        for phase in (Fraction(0), Fraction(1, 2), 1 - hair):
            assert received(divisor, wave(octets, bit, phase)) == (octets, 0), (bit, phase)
    late, early = divisor * (1 + slow + 2 * hair), divisor * (1 - fast - 2 * hair)
    assert received(divisor, wave(octets, late, 1 - hair)) != (octets, 0)
    assert received(divisor, wave(octets, early, Fraction(0))) != (octets, 0)


@pytest.mark.parametrize("divisor", DIVISORS)
def test_octets_are_no_closer_than_the_receiver_says(divisor: int) -> None:
    """Stop bits of all lengths round the shortest that is seen: it gives the closest octets."""
    receiver: Any = UartReceiver(divisor)
    levels = [1] * 5
    stops = {*range(1, divisor + 1, 1 + divisor // 16), *range(divisor // 2 - 1, divisor // 2 + 5)}
    for stop in sorted(stops):
        levels += [*steady([0x5A], divisor)[:-divisor], *[1] * stop, *steady([0xA5], divisor)]
        levels += [1] * 2 * divisor
    bench = Bench(receiver)
    bench.every(lambda ctx, cycle: ctx.set(receiver.rx, levels[cycle]))
    valid = bench.probe(receiver.o.valid)
    bench.run(cycles=len(levels))
    times = [cycle for cycle, is_valid in enumerate(valid.values) if is_valid]
    assert min(after - before for before, after in pairwise(times)) == receiver.line_cycles


def test_tolerances() -> None:
    """By the least divisor, and where half a bit's width is all there is."""
    assert tolerance(4) == (Fraction(2, 36), Fraction(1, 40))
    assert all(min(tolerance(divisor)) >= Fraction(1, 40) for divisor in range(4, 2000))
    assert min(tolerance(10**6)) > Fraction(4999, 100_000)


@pytest.mark.parametrize("divisor", DIVISORS)
def test_glitches_of_up_to_half_a_bit_are_no_start(divisor: int) -> None:
    octets = [0x35, 0xFF, 0x00]
    for low in {1, 2, divisor // 4, divisor // 2}:
        glitch = [0] * low + [1] * divisor
        levels = list(chain.from_iterable(glitch + steady([octet], divisor) for octet in octets))
        assert received(divisor, levels) == (octets, 0), low
    longer = [0] * (divisor // 2 + 1) + [1] * 12 * divisor
    assert received(divisor, longer + steady([0x35], divisor)) == ([0xFF, 0x35], 0)


@pytest.mark.parametrize("divisor", DIVISORS)
def test_a_break_is_one_error(divisor: int) -> None:
    for low in (10 * divisor, 11 * divisor + 1, 22 * divisor):
        levels = steady([0x5A], divisor) + [0] * low + [1] * divisor + steady([0xA6], divisor)
        assert received(divisor, levels) == ([0x5A, 0xA6], 1), low


@pytest.mark.parametrize("divisor", DIVISORS[:4])
def test_an_octet_without_stop_bit_is_dropped(divisor: int) -> None:
    levels: list[int] = []
    for octet in EVERY_OCTET[::5]:
        without = steady([octet], divisor)[:-divisor] + [0] * divisor
        levels += without + [1] * divisor + steady([octet ^ 0xFF], divisor)
    want = [octet ^ 0xFF for octet in EVERY_OCTET[::5]]
    assert received(divisor, levels) == (want, len(want))


@pytest.mark.parametrize("divisor", DIVISORS[:4])
def test_a_break_within_an_octet_spoils_nothing_behind_it(divisor: int) -> None:
    """Cut off after any cycle and held low for long: whatever that octet was, one error."""
    whole = steady([0xB7], divisor)
    for cut in range(1, len(whole), max(3, divisor // 2)):
        levels = whole[:cut] + [0] * 22 * divisor + [1] * 2 * divisor + steady([0x4D], divisor)
        octets, errors = received(divisor, levels)
        assert octets[-1] == 0x4D
        assert errors == 1
        assert len(octets) <= 2


@pytest.mark.parametrize(
    ("divisor", "octets"),
    [(4, EVERY_OCTET), (5, EVERY_OCTET), *((n, some_octets(n)) for n in DIVISORS[2:])],
)
@pytest.mark.parametrize("pause", [False, True])
def test_what_is_sent_is_received(divisor: int, octets: list[int], pause: bool) -> None:
    m = Module()
    transmitter: Any = UartTransmitter(divisor)
    receiver: Any = UartReceiver(divisor)
    m.submodules += [transmitter, receiver]
    m.d.comb += receiver.rx.eq(transmitter.tx)
    bench = Bench(m, limit=40 * divisor * len(octets))
    bench.feed(transmitter.i, octets, pauses(divisor) if pause else None)
    line = bench.drain(receiver.o, len(octets))
    error = bench.probe(receiver.error)
    bench.run(more=12 * divisor)
    assert line.items == octets
    assert not any(error.values)


@pytest.mark.parametrize("divisor", DIVISORS)
@pytest.mark.parametrize("pause", [False, True])
def test_waveform(divisor: int, pause: bool) -> None:
    """Each level of every cycle; without pauses, octets follow each other without a gap."""
    octets = some_octets(divisor)
    transmitter: Any = UartTransmitter(divisor)
    bench = Bench(transmitter, limit=40 * divisor * len(octets))
    stall: Pause = pauses(divisor) if pause else None
    feed = bench.feed(transmitter.i, octets, stall)
    tx = bench.probe(transmitter.tx)
    bench.run(more=12 * divisor)
    want: list[int] = []
    for octet, taken in zip(octets, feed.times, strict=True):
        want += [1] * (taken + 1 - len(want)) + steady([octet], divisor)
    assert tx.values == want + [1] * (len(tx.values) - len(want))
    gaps = {b - a for a, b in zip(feed.times, feed.times[1:], strict=False)}
    if not pause:
        assert gaps == {10 * divisor}
    else:
        assert min(gaps) >= 10 * divisor
        assert max(gaps) > 10 * divisor


@pytest.mark.parametrize("kind", [UartReceiver, UartTransmitter])
@pytest.mark.parametrize(
    ("divisor", "error", "legal"),
    [
        (3, ValueError, "at least 4"),
        (0, ValueError, "at least 4"),
        (-104, ValueError, "at least 4"),
        (12.0, TypeError, "an integer"),
        ("12", TypeError, "an integer"),
    ],
)
def test_divisors_that_are_refused(
    kind: Any, divisor: Any, error: type[Exception], legal: str
) -> None:
    with pytest.raises(error, match=r"^divisor, ") as refusal:
        kind(divisor)
    assert str(refusal.value) == (
        f"divisor, in clock cycles a bit, must be {legal}, not {divisor!r}"
    )
