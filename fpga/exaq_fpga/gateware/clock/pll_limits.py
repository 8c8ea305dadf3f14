"""What the PLLs of all families are judged by."""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class PllLimits:
    """Legal frequencies of a family's PLL, in Hz, ends included."""

    reference: tuple[int, int]
    comparison: tuple[int, int]
    oscillator: tuple[int, int]
    frequency: tuple[int, int]


class LimitedPll:
    """A setting of a PLL: what its subclasses have in common.

    A subclass has ``limits``, and for each of these a member of the same name, in Hz: the input,
    the comparison at the phase detector, the oscillator, the output.
    """

    limits: ClassVar[PllLimits]

    @property
    def oscillator(self) -> Fraction:
        """Frequency of the oscillator, in Hz."""
        raise NotImplementedError

    @property
    def strain(self) -> Fraction:
        """How far the oscillator is from the middle of its range, in Hz."""
        return abs(self.oscillator - Fraction(sum(self.limits.oscillator), 2))

    def legal(self) -> bool:
        """Whether the device's data sheet allows these settings."""
        return all(
            low <= getattr(self, name) <= high for name, (low, high) in vars(self.limits).items()
        )
