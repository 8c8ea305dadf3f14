"""The stream format of a unit: what moves in and out of it, whatever it computes.

>>> from exaq.stream_format import StreamFormat
>>> StreamFormat(lanes=8, max_row=256).beats
32
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from exaq.scalars import exact_real, flag, integer, plain_real, real

#: Contexts that a unit may have at most.
MAX_CONTEXTS = 1024

# Legal ranges, both ends included.
_RANGES = {
    "lanes": (1, 64),
    "logit_width": (4, 24),
    "max_row": (1, 65536),
    "prob_bits": (4, 24),
    "contexts": (0, MAX_CONTEXTS),
}


def element_type(width: int, *, signed: bool) -> np.dtype[Any]:
    """The narrowest NumPy integer type of at least ``width`` bits, at most 32."""
    size = 1 if width <= 8 else 2 if width <= 16 else 4
    return np.dtype(f"{'i' if signed else 'u'}{size}")


@dataclass(frozen=True, kw_only=True)
class StreamFormat:
    """Rows of logits in, rows of probabilities out: numbers, widths and lengths.

    Numbers and booleans may be Python's or NumPy's, real ones Decimals too; the members are plain
    Python values that equal them.

    Parameters
    ----------
    lanes
        Elements of a beat, 1 to 64.
    logit_width
        Width of a logit, a signed integer: 4 to 24 bits.
    logit_scale
        Real value of one logit step: real logit = logit_scale * integer.
    max_row
        Longest row in elements, 1 to 65536, a multiple of ``lanes``.
    prob_bits
        Width of a probability, an unsigned fraction with 2**prob_bits for 1: 4 to 24 bits.
    masking
        Whether single elements can be masked.
    full_rate_row
        Shortest row, in elements, that streams without a bubble. None: what the kernel chooses;
        the format of a ``SoftmaxConfig`` has a number.
    contexts
        Sets of tables that can be loaded while the unit runs, each row choosing one by its
        context number: 1 to 1024. 0: the tables are constants.
    """

    lanes: int = 4
    logit_width: int = 8
    logit_scale: float | Fraction = 0.0625
    max_row: int = 1024
    prob_bits: int = 16
    masking: bool = True
    full_rate_row: int | None = None
    contexts: int = 0

    def __post_init__(self) -> None:
        self._set("masking", flag("masking", self.masking))
        for name, legal in _RANGES.items():
            self._set(name, integer(name, getattr(self, name), *legal))
        self._set("logit_scale", real("logit_scale", self.logit_scale))
        if self.logit_scale <= 0:
            raise ValueError(f"logit_scale must be positive, not {self.logit_scale!r}")
        if self.max_row % self.lanes:
            below = self.max_row - self.max_row % self.lanes
            near = f"{below} or {below + self.lanes}" if below else f"{self.lanes}"
            raise ValueError(
                f"max_row must be a multiple of lanes ({self.lanes}), not {self.max_row}; "
                f"{near} would be"
            )
        if self.full_rate_row is not None:
            self._set("full_rate_row", integer("full_rate_row", self.full_rate_row))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, ``contexts`` only where there are any."""
        values = dataclasses.asdict(self) | {"logit_scale": plain_real(self.logit_scale)}
        if not self.contexts:
            del values["contexts"]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> StreamFormat:
        """What ``to_dict`` wrote."""
        return cls(**values | {"logit_scale": exact_real(values["logit_scale"])})

    @property
    def beats(self) -> int:
        """Beats of the longest row."""
        return self.max_row // self.lanes

    @property
    def full_rate_beats(self) -> int:
        """Beats of the shortest row that streams without a bubble."""
        if self.full_rate_row is None:
            raise ValueError("full_rate_row is not settled: take the format of a SoftmaxConfig")
        return -(-self.full_rate_row // self.lanes)

    def rows_within(self, cycles: int) -> int:
        """Rows of full rate that can arrive while the longest row does and ``cycles`` pass."""
        return -(-(self.beats + cycles) // self.full_rate_beats) + 1

    @property
    def context_bits(self) -> int:
        """Width of a row's context number, 0 where there is nothing to choose."""
        return max(self.contexts - 1, 0).bit_length()

    @property
    def logit_bytes(self) -> int:
        """Bytes of a logit on the AXI4-Stream."""
        return -(-self.logit_width // 8)

    @property
    def prob_bytes(self) -> int:
        """Bytes of a probability on the AXI4-Stream."""
        return -(-self.prob_bits // 8)

    @property
    def logit_range(self) -> tuple[int, int]:
        """Smallest and largest logit."""
        return -(2 ** (self.logit_width - 1)), 2 ** (self.logit_width - 1) - 1

    @property
    def longest_flat_row(self) -> int:
        """Longest row, in elements, that gives anything but zeros if all its logits are equal.

        Each probability of n equal logits is 1/n, which rounds to at least one step of
        2**-prob_bits up to n = 2**(prob_bits + 1). A unit with a greater ``max_row`` is of use
        for rows only whose probabilities differ.
        """
        return 2 ** (self.prob_bits + 1)
