"""Shift-register counters and the increment, against integers."""

import random

import pytest
from unit_bench import truth_table

from exaq_hdl.parts.counters import LFSR_START, increment, lfsr_next, lfsr_state, lfsr_width

WIDTHS = range(2, 18)


@pytest.mark.parametrize("width", WIDTHS)
def test_sequence_is_maximal_and_known_to_the_software(width: int) -> None:
    """The step is linear, so what it makes of each single bit says what it makes of any state."""
    rng = random.Random(width)
    probes = [0, *(rng.randrange(1 << width) for _ in range(50))]
    single = [1 << bit for bit in range(width)]
    found = truth_table(lfsr_next, width, [*single, *probes])
    columns, images = found[:width], found[width:]

    def step(state: int) -> int:
        result = 0
        for bit in range(width):
            if state >> bit & 1:
                result ^= columns[bit]
        return result

    assert images == [step(probe) for probe in probes]
    states = [LFSR_START]
    while (state := step(states[-1])) != LFSR_START:
        assert state != 0
        assert len(states) < 1 << width
        states.append(state)
    assert len(states) == (1 << width) - 1
    for steps in (0, 1, 2, width, len(states) // 2, len(states) - 1):
        assert lfsr_state(width, steps) == states[steps]


@pytest.mark.parametrize("width", range(2, 9))
def test_every_state_of_a_small_counter(width: int) -> None:
    """Each state leads to the one that the software counts next."""
    states = [lfsr_state(width, steps) for steps in range((1 << width) - 1)]
    assert sorted(states) == list(range(1, 1 << width))
    assert truth_table(lfsr_next, width, states) == states[1:] + states[:1]


def test_width_is_the_smallest_that_has_the_states() -> None:
    for states in [*range(1, 600), 1023, 1024, 32767, 32768, 65535, 65536]:
        width = lfsr_width(states)
        assert width in WIDTHS
        assert (1 << width) - 1 >= states
        assert width == 2 or (1 << width - 1) - 1 < states


@pytest.mark.parametrize("width", range(1, 8))
def test_increment(width: int) -> None:
    values = list(range(1 << width))
    assert truth_table(increment, width, values) == values[1:] + values[:1]
