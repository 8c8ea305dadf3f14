"""Units of Softermax for tests of their blocks, and how these count."""

from fractions import Fraction
from math import floor

from softermax_oracle import FOURS, STEPS, Softermax

from exaq import SoftmaxConfig


def softermax_config(**changes) -> SoftmaxConfig:
    lanes = changes.get("lanes", 4)
    return SoftmaxConfig(kernel="softermax", **{"max_row": 40 * lanes} | changes)


def base(config: SoftmaxConfig) -> int:
    """The octave that t and references are counted from, a multiple of four; t is counted from one
    step behind it, and references from one octave.
    """
    least = Softermax(config).t(-(2 ** (config.logit_width - 1)))
    return floor(Fraction(least - 1, FOURS * STEPS)) * FOURS


def counted_t(config: SoftmaxConfig, t: int) -> int:
    return t - 1 - STEPS * base(config)


def counted(config: SoftmaxConfig, reference: int) -> int:
    return reference - 1 - base(config)


def steps(config: SoftmaxConfig) -> range:
    """Every t from that of the lowest logit to that of the highest."""
    unit, half = Softermax(config), 2 ** (config.logit_width - 1)
    return range(unit.t(-half), unit.t(half - 1) + 1)


def references(config: SoftmaxConfig) -> range:
    """Every reference of a row."""
    unit, each = Softermax(config), steps(config)
    return range(unit.ceiled(each[0]), unit.ceiled(each[-1]) + 1)
