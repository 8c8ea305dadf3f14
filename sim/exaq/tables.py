"""The tables of EXAQ: thresholds, ExpRom and SumRom, in exact arithmetic.

Everything that needs a table (golden model, RTL, tests, documentation) takes it from here.
Source: EXAQ (arXiv 2410.03185) and its authors' quantizer; docs/numerics.md derives the formulas.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exaq.scalars import integer, real

MIN_BITS, MAX_BITS = 2, 6

# C = slope * sigma + offset: the authors' linear fit of the optimal clip for a Gaussian input.
_PAPER_CLIP = {2: (-1.66, -1.85), 3: (-1.75, -2.06), 4: (-1.83, -2.27)}

#: Widths of a code that the paper has a clip for.
PAPER_BITS = tuple(_PAPER_CLIP)

# Beyond the paper's widths; tb/model/test_model_default_clip.py shows how near the best they are.
_WIDE_CLIP = {5: -9.0, 6: -10.0}

#: Sigma that the default clip is made for.
DEFAULT_SIGMA = 2.0

# Legal numbers of levels.
_LEVELS = tuple(2**bits for bits in range(MIN_BITS, MAX_BITS + 1))

_DIGITS = Context(prec=60)


def paper_clip(sigma: float, bits: int) -> float:
    """Clip C of the paper's linear fit for logits of standard deviation ``sigma``.

    Parameters
    ----------
    sigma
        Unbiased standard deviation of all unmasked logits after the row maximum is subtracted,
        in real logit units. Finite, at least 0.
    bits
        Width of a code: 2, 3 or 4; the paper has no fit for others.

    Returns
    -------
    float
        The clip, negative, in real logit units.
    """
    bits = integer("bits", bits, MIN_BITS, MAX_BITS)
    if bits not in PAPER_BITS:
        raise ValueError(
            f"the paper has a clip for 2 to 4 bits, not for {bits}: give clip or tables"
        )
    slope, offset = _PAPER_CLIP[bits]
    spread = real("sigma", sigma)
    if spread < 0:
        raise ValueError(f"sigma must be at least 0, not {spread!r}")
    return slope * spread + offset


def default_clip(bits: int) -> float:
    """Clip of a configuration that says nothing of it, for logits of standard deviation 2.

    That of the paper's fit for 2 to 4 bits; -9 for 5 and -10 for 6 bits, which this project chose:
    for Gaussian rows of 1024 logits, both the divergence from a float softmax and the square of
    the error are within a quarter of what any clip gives.
    """
    return _WIDE_CLIP[bits] if bits in _WIDE_CLIP else paper_clip(DEFAULT_SIGMA, bits)


def clip_levels(clip: float | Fraction, bits: int) -> tuple[Fraction, ...]:
    """The 2**bits end-point levels C, C + Delta, ..., 0 as exact fractions."""
    exact = Fraction(real("clip", clip))
    levels = 2 ** integer("bits", bits, MIN_BITS, MAX_BITS)
    step = -exact / (levels - 1)
    return tuple(exact + k * step for k in range(levels))


def round_exp(level: Fraction, exp_frac: int) -> int:
    """round(e**level * 2**exp_frac), half to even, free of the platform's libm."""
    return round_scaled_exp(level, 2**exp_frac)


def round_scaled_exp(level: Fraction, one: int) -> int:
    """round(e**level * one), half to even, free of the platform's libm."""
    exponent = _DIGITS.divide(Decimal(level.numerator), Decimal(level.denominator))
    return int(_DIGITS.multiply(_DIGITS.exp(exponent), Decimal(one)).to_integral_value())


def _round_half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Thresholds and exponentials that turn logits into codes and codes into probabilities.

    Parameters
    ----------
    thresholds
        theta_0 <= theta_1 <= ...: 2**bits - 1 integers in logit steps relative to the row's
        maximum, none above 0. An element's code is the number of thresholds that
        ``logit - max`` reaches.
    exp_rom
        E_0 ... E_{2**bits - 1}: the unsigned fixed-point exponential of each level. The last
        belongs to the row's maximum and is at least 1, so that no live row has an empty sum.
    sink
        Logit of the sink of rows that go by these tables, an integer in logit steps or a
        floating-point logit. None: that of the configuration, if it has one.
    """

    thresholds: tuple[int, ...]
    exp_rom: tuple[int, ...]
    sink: int | float | None = None

    def __post_init__(self) -> None:
        for name in ("thresholds", "exp_rom"):
            values = tuple(integer(f"each of {name}", value) for value in getattr(self, name))
            object.__setattr__(self, name, values)
        if self.sink is not None:
            number = real("sink", self.sink)
            whole = isinstance(self.sink, int | np.integer)
            object.__setattr__(self, "sink", int(number) if whole else float(number))
        if len(self.exp_rom) not in _LEVELS:
            legal = ", ".join(map(str, _LEVELS[:-1]))
            raise ValueError(
                f"exp_rom must hold {legal} or {_LEVELS[-1]} values, not {len(self.exp_rom)}"
            )
        if len(self.thresholds) != len(self.exp_rom) - 1:
            raise ValueError(
                f"thresholds must hold one value less than exp_rom "
                f"({len(self.exp_rom) - 1}), not {len(self.thresholds)}"
            )
        if any(b < a for a, b in zip(self.thresholds, self.thresholds[1:], strict=False)):
            raise ValueError(f"thresholds must not descend, but are {list(self.thresholds)}")
        if self.thresholds[-1] > 0:
            raise ValueError(f"thresholds must not be above 0, but are {list(self.thresholds)}")
        if min(self.exp_rom) < 0 or self.exp_rom[-1] < 1:
            raise ValueError(
                f"exp_rom must not be negative and its last value at least 1, "
                f"but is {list(self.exp_rom)}"
            )

    @classmethod
    def from_clip(
        cls, clip: float | Fraction, *, bits: int, logit_scale: float | Fraction, exp_frac: int
    ) -> Tables:
        """Tables of the authors' quantizer with clip ``clip``, exact for every integer logit.

        With real thresholds t_k = C + (k + 1/2) * Delta, round-half-to-even makes the code
        exceed k where d > t_k (k even) or d >= t_k (k odd); in integer logit steps that is
        d_int >= floor(t_k / scale) + 1, or ceil(t_k / scale).
        """
        exact, scale = Fraction(real("clip", clip)), Fraction(real("logit_scale", logit_scale))
        bits, exp_frac = integer("bits", bits, MIN_BITS, MAX_BITS), integer("exp_frac", exp_frac, 0)
        if exact >= 0:
            raise ValueError(f"clip must be negative, not {float(clip)!r}")
        if scale <= 0:
            raise ValueError(f"logit_scale must be positive, not {float(logit_scale)!r}")
        step = -exact / (2**bits - 1)
        steps = [(exact + (k + Fraction(1, 2)) * step) / scale for k in range(2**bits - 1)]
        return cls(
            thresholds=tuple(
                math.ceil(t) if k % 2 else math.floor(t) + 1 for k, t in enumerate(steps)
            ),
            exp_rom=tuple(round_exp(level, exp_frac) for level in clip_levels(exact, bits)),
        )

    @classmethod
    def from_levels(
        cls,
        thresholds: Sequence[float],
        levels: Sequence[float],
        *,
        logit_scale: float | Fraction,
        exp_frac: int,
    ) -> Tables:
        """Tables of free real thresholds (d reaches them: d >= t) and real levels (exponents)."""
        borders = [Fraction(real("each of thresholds", value)) for value in thresholds]
        exponents = [Fraction(real("each of levels", value)) for value in levels]
        scale, exp_frac = real("logit_scale", logit_scale), integer("exp_frac", exp_frac, 0)
        for level in exponents:
            if level >= math.log(2):
                raise ValueError(f"each of levels must be below ln 2, not {float(level)!r}")
        if scale <= 0:
            raise ValueError(f"logit_scale must be positive, not {scale!r}")
        return cls(
            thresholds=tuple(math.ceil(border / Fraction(scale)) for border in borders),
            exp_rom=tuple(round_exp(level, exp_frac) for level in exponents),
        )

    @classmethod
    def index_softmax(
        cls, *, logit_scale: float | Fraction, c: float | Fraction = 6.6, bits: int = 5
    ) -> Tables:
        """Tables of IndexSoftmax (IntAttention, arXiv 2511.21513), by default the paper's choice.

        There the distance to the row's maximum, at most c_int = round(c / logit_scale), becomes
        the index round(distance * (K - 1) / c_int) of a table of K = 2**bits values, round(255 *
        e**(-c * index / (K - 1))), whose last is 0. Here the index counts downwards, as a code
        does: code = K - 1 - index. Codes and values are those of the paper. It does not say how
        halves are rounded: the two quotients are rounded half up; no exponential is a half.

        1 is 255 in the values, not a power of two: they fit from ``exp_frac`` 7 on, and only their
        ratios count. Its probabilities are round(255 * E / S), those of a unit of ``prob_bits`` 8
        are round(256 * E / S), at most 255: the same or 1 more.
        """
        clip, scale = Fraction(real("c", c)), Fraction(real("logit_scale", logit_scale))
        last = 2 ** integer("bits", bits, MIN_BITS, MAX_BITS) - 1
        if scale <= 0:
            raise ValueError(f"logit_scale must be positive, not {float(logit_scale)!r}")
        steps = _round_half_up(clip / scale)
        if steps < 1:
            raise ValueError(
                f"c must be at least half a logit step ({float(scale / 2)!r}), not {float(clip)!r}"
            )
        indices = range(last - 1, -1, -1)
        # An index is at most i if the distance is less than (i + 1/2) * steps / last.
        beyond = [math.ceil(Fraction((2 * i + 1) * steps, 2 * last)) for i in indices]
        return cls(
            thresholds=tuple(1 - distance for distance in beyond),
            exp_rom=(0, *(round_scaled_exp(-clip * i / last, 255) for i in indices)),
        )

    @property
    def bits(self) -> int:
        """Width of a code."""
        return len(self.exp_rom).bit_length() - 1

    def widened(self, bits: int) -> Tables:
        """The same function of the logits with codes of ``bits`` bits: the lowest is repeated."""
        more = 2 ** integer("bits", bits, self.bits, MAX_BITS) - len(self.exp_rom)
        return replace(
            self,
            thresholds=(*self.thresholds[:1] * more, *self.thresholds),
            exp_rom=(*self.exp_rom[:1] * more, *self.exp_rom),
        )

    def narrowed(self) -> Tables:
        """The same function of the logits with the fewest bits, at least 2.

        Codes that no logit has go, and so do thresholds between equal exponentials.
        """
        thresholds: list[int] = []
        exp_rom = [self.exp_rom[0]]
        for threshold, exponential in zip(self.thresholds, self.exp_rom[1:], strict=True):
            if thresholds and threshold == thresholds[-1]:
                exp_rom[-1] = exponential
            elif exponential != exp_rom[-1]:
                thresholds.append(threshold)
                exp_rom.append(exponential)
            if len(exp_rom) > 1 and exp_rom[-1] == exp_rom[-2]:
                del thresholds[-1], exp_rom[-1]
        levels = max(2**MIN_BITS, 2 ** (len(exp_rom) - 1).bit_length())
        more = levels - len(exp_rom)
        lowest = thresholds[:1] or [self.thresholds[0]]
        return replace(
            self,
            thresholds=(*lowest * more, *thresholds),
            exp_rom=(*exp_rom[:1] * more, *exp_rom),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``Tables(**values)`` takes them back. A sink only if there is."""
        sink = {} if self.sink is None else {"sink": self.sink}
        return {"thresholds": list(self.thresholds), "exp_rom": list(self.exp_rom)} | sink

    def sum_rom(self, group: int) -> NDArray[np.int64]:
        """LUT_sum: 2**(bits * group) exact sums; address bits i*bits and up are lane i's code."""
        rom = np.asarray(self.exp_rom, dtype=np.int64)
        total = np.zeros(1, dtype=np.int64)
        for _ in range(integer("group", group, 1)):
            total = (rom[:, None] + total[None, :]).reshape(-1)
        return total
