"""PLL settings: every legal one is offered and no other, and the nearest to a clock is chosen."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from exaq_fpga.boards import BOARDS
from exaq_fpga.gateware.clock.pll import PLLS, nearest_pll

MHZ = 1_000_000
REFERENCES = {
    family: sorted({spec.reference for spec in BOARDS.values() if spec.family == family})
    for family in PLLS
}


def ice40_settings(reference: int) -> set[tuple[int, ...]]:
    """(DIVR, DIVF, DIVQ) within Lattice's limits, from all that the registers can hold."""
    legal: set[tuple[int, ...]] = set()
    for divr, divf, divq in itertools.product(range(16), range(128), range(8)):
        comparison = Fraction(reference, divr + 1)
        vco = comparison * (divf + 1)
        output = vco / (1 << divq)
        if (
            10 * MHZ <= comparison <= 133 * MHZ
            and 533 * MHZ <= vco <= 1066 * MHZ
            and 16 * MHZ <= output <= 275 * MHZ
            and 1 <= divq <= 6
        ):
            legal.add((divr, divf, divq))
    return legal


def ecp5_settings(reference: int) -> set[tuple[int, ...]]:
    """(CLKI_DIV, CLKFB_DIV, CLKOP_DIV) within Lattice's limits, in whole numbers."""
    clki, clkfb, clkop = np.meshgrid(
        np.arange(1, 129), np.arange(1, 81), np.arange(1, 129), indexing="ij"
    )
    output = reference * clkfb.astype(np.int64)  # times CLKI_DIV
    vco = output * clkop
    legal = (10 * MHZ * clki <= reference) & (reference <= 400 * MHZ * clki)
    legal &= (3_125_000 * clki <= output) & (output <= 400 * MHZ * clki)
    legal &= (400 * MHZ * clki <= vco) & (vco <= 800 * MHZ * clki)
    return set(zip(*(a[legal].tolist() for a in (clki, clkfb, clkop)), strict=True))


def gowin_settings(reference: int) -> set[tuple[int, ...]]:
    """(IDIV_SEL, FBDIV_SEL, ODIV_SEL) within Gowin's limits."""
    legal: set[tuple[int, ...]] = set()
    for idiv, fbdiv in itertools.product(range(64), repeat=2):
        comparison = Fraction(reference, idiv + 1)
        output = comparison * (fbdiv + 1)
        if not (3 * MHZ <= comparison <= 400 * MHZ and 3_125_000 <= output <= 600 * MHZ):
            continue
        for odiv in (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128):
            if 400 * MHZ <= output * odiv <= 1200 * MHZ:
                legal.add((idiv, fbdiv, odiv))
    return legal


ORACLES = {
    "ice40": (ice40_settings, ("divr", "divf", "divq")),
    "ecp5": (ecp5_settings, ("clki_div", "clkfb_div", "clkop_div")),
    "gowin": (gowin_settings, ("idiv", "fbdiv", "odiv")),
}


def frequency(family: str, reference: int, setting: tuple[int, ...]) -> Fraction:
    """Of the output, by the devices' manuals."""
    first, second, third = setting
    if family == "ice40":
        return Fraction(reference * (second + 1), (first + 1) << third)
    if family == "ecp5":
        return Fraction(reference * second, first)
    return Fraction(reference * (second + 1), first + 1)


@pytest.mark.parametrize(
    ("family", "reference"),
    [(family, reference) for family, all_ in REFERENCES.items() for reference in all_],
)
def test_every_legal_setting_is_offered_and_no_other(family: str, reference: int) -> None:
    oracle, fields = ORACLES[family]
    offered: dict[tuple[int, ...], Any] = {
        tuple(getattr(pll, field) for field in fields): pll
        for pll in PLLS[family].settings(reference)
    }
    assert set(offered) == oracle(reference)
    for setting, pll in offered.items():
        assert pll.frequency == frequency(family, reference, setting)


@pytest.mark.parametrize(
    ("family", "reference", "beyond"),
    [
        ("ice40", 10 * MHZ, 9_999_999),
        ("ice40", 133 * MHZ, 133_000_001),
        ("ecp5", 10 * MHZ, 9_999_999),
        ("ecp5", 400 * MHZ, 400_000_001),
        ("gowin", 3 * MHZ, 2_999_999),
        ("gowin", 400 * MHZ, 400_000_001),
    ],
)
def test_references_reach_to_the_limits_and_no_further(
    family: str, reference: int, beyond: int
) -> None:
    assert any(PLLS[family].settings(reference))
    assert not any(PLLS[family].settings(beyond))


@pytest.mark.parametrize("family", PLLS)
def test_the_nearest_setting_is_chosen(family: str) -> None:
    reference = REFERENCES[family][0]
    made = {frequency(family, reference, each) for each in ORACLES[family][0](reference)}
    within = 0
    for clock in range(25 * MHZ, 125 * MHZ, 6_250_000):
        least = min(abs(each - clock) for each in made)
        if least <= Fraction(clock, 100):
            within += 1
            assert abs(nearest_pll(family, reference, clock).frequency - clock) == least
        else:
            with pytest.raises(ValueError, match=r"^no PLL setting makes "):
                nearest_pll(family, reference, clock)
    assert within >= 7


@pytest.mark.parametrize(
    ("comparison", "filter_range"),
    [(10, 1), (16.9, 1), (17, 2), (25, 2), (26, 3), (44, 4), (66, 5), (100, 5), (101, 6), (133, 6)],
)
def test_ice40_filter_follows_the_comparison(comparison: float, filter_range: int) -> None:
    pll = PLLS["ice40"](reference=round(comparison * MHZ), divr=0, divf=0, divq=1)
    assert pll.filter_range == filter_range


@pytest.mark.parametrize(
    ("family", "reference", "clock", "message"),
    [
        (
            "ice40",
            12 * MHZ,
            13 * MHZ,
            "no PLL setting makes 13 MHz out of 12 MHz; nearest: 16.125 MHz; "
            "legal: 12 MHz itself and 16.125 to 270 MHz",
        ),
        (
            "ice40",
            12 * MHZ,
            300 * MHZ,
            "no PLL setting makes 300 MHz out of 12 MHz; nearest: 270 MHz; "
            "legal: 12 MHz itself and 16.125 to 270 MHz",
        ),
        (
            "ecp5",
            100 * MHZ,
            395 * MHZ,
            "no PLL setting makes 395 MHz out of 100 MHz; nearest: 390 MHz and 400 MHz; "
            "legal: 100 MHz itself and 10 to 400 MHz",
        ),
    ],
)
def test_what_no_setting_makes_is_refused(
    family: str, reference: int, clock: int, message: str
) -> None:
    with pytest.raises(ValueError, match=r"^no PLL setting") as raised:
        nearest_pll(family, reference, clock)
    assert str(raised.value) == message
