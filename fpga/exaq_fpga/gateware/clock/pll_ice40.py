"""The PLL of iCE40 devices: its dividers, and its cell."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

from amaranth.hdl import Instance, Signal

from exaq_fpga.gateware.clock.pll_limits import LimitedPll, PllLimits

#: Legal frequencies, in Hz: input and phase comparison, oscillator, output.
INPUT = (10_000_000, 133_000_000)
OSCILLATOR = (533_000_000, 1_066_000_000)
OUTPUT = (16_000_000, 275_000_000)
#: Legal divider settings, ends included. The input is divided by DIVR + 1, the loop multiplies by
#: DIVF + 1, the oscillator is divided by 2 ** DIVQ.
DIVR, DIVF, DIVQ = (0, 15), (0, 127), (1, 6)

# Comparison frequency below which each FILTER_RANGE, from 1 on, is right.
_FILTERS = (17_000_000, 26_000_000, 44_000_000, 66_000_000, 101_000_000)


@dataclass(frozen=True, kw_only=True)
class Ice40Pll(LimitedPll):
    """SB_PLL40_PAD or SB_PLL40_CORE with a feedback path of its own (SIMPLE).

    Parameters
    ----------
    reference
        Of the pad, in Hz.
    divr, divf, divq
        See ``DIVR``, ``DIVF``, ``DIVQ``.
    """

    limits = PllLimits(reference=INPUT, comparison=INPUT, oscillator=OSCILLATOR, frequency=OUTPUT)

    reference: int
    divr: int
    divf: int
    divq: int

    @classmethod
    def settings(cls, reference: int) -> Iterator[Self]:
        """Every legal setting for ``reference``."""
        for divr in range(DIVR[0], DIVR[1] + 1):
            for divf in range(DIVF[0], DIVF[1] + 1):
                for divq in range(DIVQ[0], DIVQ[1] + 1):
                    pll = cls(reference=reference, divr=divr, divf=divf, divq=divq)
                    if pll.legal():
                        yield pll

    @property
    def comparison(self) -> Fraction:
        """Frequency at the phase detector, in Hz."""
        return Fraction(self.reference, self.divr + 1)

    @property
    def oscillator(self) -> Fraction:
        """Frequency of the oscillator, in Hz."""
        return self.comparison * (self.divf + 1)

    @property
    def frequency(self) -> Fraction:
        """Of the output, in Hz."""
        return self.oscillator / 2**self.divq

    @property
    def filter_range(self) -> int:
        """FILTER_RANGE for the comparison frequency."""
        return 1 + sum(self.comparison >= limit for limit in _FILTERS)

    def instance(self, source: Any, *, pad: bool) -> tuple[Instance, Signal, Signal]:
        """The cell, its clock and its lock.

        ``source`` is the pin itself (an IOPort) where the pin is the PLL's own (``pad``), else
        the signal of the pin's buffer.
        """
        clock, locked = Signal(name="pll_clock"), Signal(name="pll_locked")
        cell = Instance(
            "SB_PLL40_PAD" if pad else "SB_PLL40_CORE",
            ("io", "PACKAGEPIN", source) if pad else ("i", "REFERENCECLK", source),
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=self.divr,
            p_DIVF=self.divf,
            p_DIVQ=self.divq,
            p_FILTER_RANGE=self.filter_range,
            i_RESETB=1,
            i_BYPASS=0,
            o_PLLOUTGLOBAL=clock,
            o_LOCK=locked,
        )
        return cell, clock, locked
