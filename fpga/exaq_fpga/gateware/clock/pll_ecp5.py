"""The PLL of ECP5 devices: its dividers, and its cell."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

from amaranth.hdl import Instance, Signal

from exaq_fpga.gateware.clock.pll_limits import LimitedPll, PllLimits

#: Legal frequencies, in Hz: input, phase comparison, oscillator, output. Of slower comparisons the
#: data sheet promises no jitter.
INPUT = (8_000_000, 400_000_000)
COMPARISON = (10_000_000, 400_000_000)
OSCILLATOR = (400_000_000, 800_000_000)
OUTPUT = (3_125_000, 400_000_000)
#: Legal dividers, ends included: of the input, of the feedback, of the output.
CLKI_DIV, CLKFB_DIV, CLKOP_DIV = (1, 128), (1, 80), (1, 128)


@dataclass(frozen=True, kw_only=True)
class Ecp5Pll(LimitedPll):
    """EHXPLLL whose output CLKOP is its own feedback.

    Parameters
    ----------
    reference
        In Hz.
    clki_div, clkfb_div, clkop_div
        See ``CLKI_DIV``, ``CLKFB_DIV``, ``CLKOP_DIV``.
    """

    limits = PllLimits(
        reference=INPUT, comparison=COMPARISON, oscillator=OSCILLATOR, frequency=OUTPUT
    )

    reference: int
    clki_div: int
    clkfb_div: int
    clkop_div: int

    @classmethod
    def settings(cls, reference: int) -> Iterator[Self]:
        """Every legal setting for ``reference``."""
        for clki_div in range(CLKI_DIV[0], CLKI_DIV[1] + 1):
            for clkfb_div in range(CLKFB_DIV[0], CLKFB_DIV[1] + 1):
                # The oscillator's range leaves few dividers of the output.
                output = Fraction(reference * clkfb_div, clki_div)
                least = max(CLKOP_DIV[0], int(OSCILLATOR[0] / output))
                most = min(CLKOP_DIV[1], int(OSCILLATOR[1] / output))
                for clkop_div in range(least, most + 1):
                    pll = cls(
                        reference=reference,
                        clki_div=clki_div,
                        clkfb_div=clkfb_div,
                        clkop_div=clkop_div,
                    )
                    if pll.legal():
                        yield pll

    @property
    def comparison(self) -> Fraction:
        """Frequency at the phase detector, in Hz."""
        return Fraction(self.reference, self.clki_div)

    @property
    def frequency(self) -> Fraction:
        """Of the output, in Hz."""
        return self.comparison * self.clkfb_div

    @property
    def oscillator(self) -> Fraction:
        """Frequency of the oscillator, in Hz."""
        return self.frequency * self.clkop_div

    def instance(self, source: Any, *, pad: bool) -> tuple[Instance, Signal, Signal]:
        """The cell, its clock and its lock. ``source`` is the signal of the clock pin's buffer."""
        clock, locked = Signal(name="pll_clock"), Signal(name="pll_locked")
        cell = Instance(
            "EHXPLLL",
            # Charge pump and loop filter, as the vendor's tools set them for such a loop.
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            p_PLLRST_ENA="DISABLED",
            p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED",
            p_OUTDIVIDER_MUXA="DIVA",
            p_OUTDIVIDER_MUXB="DIVB",
            p_OUTDIVIDER_MUXC="DIVC",
            p_OUTDIVIDER_MUXD="DIVD",
            p_CLKI_DIV=self.clki_div,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=self.clkop_div,
            p_CLKOP_CPHASE=self.clkop_div - 1,
            p_CLKOP_FPHASE=0,
            p_FEEDBK_PATH="CLKOP",
            p_CLKFB_DIV=self.clkfb_div,
            i_RST=0,
            i_STDBY=0,
            i_CLKI=source,
            i_CLKFB=clock,
            i_PHASESEL0=0,
            i_PHASESEL1=0,
            i_PHASEDIR=1,
            i_PHASESTEP=1,
            i_PHASELOADREG=1,
            i_PLLWAKESYNC=0,
            i_ENCLKOP=0,
            o_CLKOP=clock,
            o_LOCK=locked,
        )
        return cell, clock, locked
