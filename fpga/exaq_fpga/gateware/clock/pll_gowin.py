"""The PLL of Gowin's GW1N devices of speed grade C6/I5: its dividers, and its cell."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

from amaranth.hdl import Const, Instance, Signal

from exaq_fpga.gateware.clock.pll_limits import LimitedPll, PllLimits

#: Legal frequencies, in Hz: input and phase comparison, oscillator, output.
INPUT = (3_000_000, 400_000_000)
OSCILLATOR = (400_000_000, 1_200_000_000)
OUTPUT = (3_125_000, 600_000_000)
#: Legal divider settings, ends included: the input is divided by IDIV + 1, the output by FBDIV + 1
#: before it is compared.
IDIV, FBDIV = (0, 63), (0, 63)
#: The oscillator runs at one of these multiples of the output.
ODIV = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)


@dataclass(frozen=True, kw_only=True)
class GowinPll(LimitedPll):
    """rPLL with the feedback inside.

    Parameters
    ----------
    reference
        In Hz.
    idiv, fbdiv, odiv
        See ``IDIV``, ``FBDIV``, ``ODIV``.
    """

    limits = PllLimits(reference=INPUT, comparison=INPUT, oscillator=OSCILLATOR, frequency=OUTPUT)

    reference: int
    idiv: int
    fbdiv: int
    odiv: int

    @classmethod
    def settings(cls, reference: int) -> Iterator[Self]:
        """Every legal setting for ``reference``."""
        for idiv in range(IDIV[0], IDIV[1] + 1):
            for fbdiv in range(FBDIV[0], FBDIV[1] + 1):
                for odiv in ODIV:
                    pll = cls(reference=reference, idiv=idiv, fbdiv=fbdiv, odiv=odiv)
                    if pll.legal():
                        yield pll

    @property
    def comparison(self) -> Fraction:
        """Frequency at the phase detector, in Hz."""
        return Fraction(self.reference, self.idiv + 1)

    @property
    def frequency(self) -> Fraction:
        """Of the output, in Hz."""
        return self.comparison * (self.fbdiv + 1)

    @property
    def oscillator(self) -> Fraction:
        """Frequency of the oscillator, in Hz."""
        return self.frequency * self.odiv

    def instance(self, source: Any, *, pad: bool) -> tuple[Instance, Signal, Signal]:
        """The cell, its clock and its lock. ``source`` is the signal of the clock pin's buffer."""
        clock, locked = Signal(name="pll_clock"), Signal(name="pll_locked")
        cell = Instance(
            "rPLL",
            p_FCLKIN=str(self.reference / 1_000_000),
            p_DEVICE="GW1NR-9C",
            p_IDIV_SEL=self.idiv,
            p_FBDIV_SEL=self.fbdiv,
            p_ODIV_SEL=self.odiv,
            p_CLKFB_SEL="internal",
            p_CLKOUT_BYPASS="false",
            p_CLKOUTP_BYPASS="false",
            p_CLKOUTD_BYPASS="false",
            p_CLKOUTD_SRC="CLKOUT",
            p_CLKOUTD3_SRC="CLKOUT",
            p_DYN_IDIV_SEL="false",
            p_DYN_FBDIV_SEL="false",
            p_DYN_ODIV_SEL="false",
            p_DYN_DA_EN="false",
            p_DYN_SDIV_SEL=2,
            p_DUTYDA_SEL="1000",
            p_PSDA_SEL="0000",
            i_CLKIN=source,
            i_CLKFB=0,
            i_RESET=0,
            i_RESET_P=0,
            i_FBDSEL=Const(0, 6),
            i_IDSEL=Const(0, 6),
            i_ODSEL=Const(0, 6),
            i_DUTYDA=Const(0, 4),
            i_PSDA=Const(0, 4),
            i_FDLY=Const(0, 4),
            o_CLKOUT=clock,
            o_LOCK=locked,
        )
        return cell, clock, locked
