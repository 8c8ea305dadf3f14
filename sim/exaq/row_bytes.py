"""Row results as they lie on the AXI4-Stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exaq import RowResults, SoftmaxConfig
from exaq.float_format import keys_of_bits
from exaq.stream_format import element_type


@dataclass(frozen=True, kw_only=True)
class RowBytes:
    """Bytes of each part of a row's results, the first one lowest.

    Members
    -------
    maximum, sum
        Bytes of the maximum, signed, and of the sum.
    probability, levels
        Bytes of each probability, and their number, 0 where there is no table.
    """

    maximum: int
    sum: int
    probability: int
    levels: int

    @classmethod
    def of(cls, config: SoftmaxConfig) -> RowBytes:
        """Those of a configuration with row results."""
        return cls(
            maximum=config.logit_bytes,
            sum=-(-config.sum_bits // 8),
            probability=config.prob_bytes,
            levels=config.levels if config.row_results == "table" else 0,
        )

    @property
    def total(self) -> int:
        """Bytes of a row's results."""
        return self.maximum + self.sum + self.probability * self.levels

    def results(self, octets: NDArray[np.uint8], config: SoftmaxConfig) -> RowResults:
        """The results of rows whose bytes are ``octets``, (rows, ``total``)."""
        maximum, total, table = np.split(octets, [self.maximum, self.maximum + self.sum], axis=-1)
        maxima = _integers(maximum, signed=True)
        floats = config.format.float_format
        numbers: NDArray[Any] = maxima.astype(np.int32)
        if floats is not None:
            numbers = floats.values(keys_of_bits(maxima.astype(np.uint16)))
        probabilities = None
        if self.levels:
            each = table.reshape(len(octets), self.levels, self.probability)
            wide = _integers(each, signed=False)
            probabilities = wide.astype(element_type(config.prob_bits, signed=False))
        return RowResults(
            maximum=numbers,
            sum=_integers(total, signed=False),
            table=probabilities,
        )


def _integers(octets: NDArray[np.uint8], *, signed: bool) -> NDArray[np.int64]:
    """Integers of bytes along the last axis, the first one lowest."""
    negative: Any = octets[..., -1:] >> 7 if signed else 0
    wide = np.empty((*octets.shape[:-1], 8), np.uint8)
    wide[...] = np.uint8(255) * negative
    wide[..., : octets.shape[-1]] = octets
    return wide.view("<i8")[..., 0].astype(np.int64)
