"""What a unit gives of each row beside its elements, and how parts of a row become the row.

A long row can be computed in parts, apart from each other: tiles of a key-value cache, say. Each
part has its own maximum, and its codes are relative to that. ``merge`` is the definition of how
the parts' results make those of the row; hardware or software that does it otherwise differs.

    >>> import numpy as np
    >>> import exaq
    >>> config = exaq.SoftmaxConfig(row_results="sum")
    >>> row = np.array([[40, 10, -60, 25, 38, -7]])
    >>> parts = [exaq.row_results(part, config) for part in (row[:, :4], row[:, 4:])]
    >>> merged = exaq.merge(parts, config)
    >>> merged.maximum.tolist(), [w / 2**exaq.WEIGHT_FRAC for w in merged.weights[:, 0]]
    ([40], [1.0, 0.8824968338012695])
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.rows import check_contexts, of_rows
from exaq.tables import round_exp

if TYPE_CHECKING:
    from exaq.config import SoftmaxConfig

#: Fraction bits of a part's weight.
WEIGHT_FRAC = 20
# More than a float64 weight of so many bits can be wrong, in units of 2**-WEIGHT_FRAC.
_DOUBT = 1e-6


@dataclass(frozen=True, kw_only=True)
class RowResults:
    """Results of rows, of any leading shape.

    Members
    -------
    maximum
        (...), the largest logit that takes part, the sink's included: integers, or numbers of the
        floating-point format. Of a row without one: the lowest integer, or -inf.
    sum
        (...) int64: sum of the exponentials of what takes part, in units of 2**-exp_frac.
    table
        (..., 2**bits), the probability of each code in units of 2**-prob_bits, of the type of
        ``exaq.softmax``; of a row whose sum is 0 all are the largest. None: it was not asked for.
    """

    maximum: NDArray[Any]
    sum: NDArray[np.int64]
    table: NDArray[Any] | None = None

    def reshape(self, *shape: int) -> RowResults:
        """The same with another leading shape."""
        table = self.table
        return RowResults(
            maximum=self.maximum.reshape(shape),
            sum=self.sum.reshape(shape),
            table=None if table is None else table.reshape(*shape, table.shape[-1]),
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The members that there are, by name."""
        table = {} if self.table is None else {"table": self.table}
        return {"maximum": self.maximum, "sum": self.sum, **table}

    def differing(self, other: RowResults) -> int:
        """Rows in which a bit of a member differs from that of ``other``, of the same shape."""
        differs = (self.maximum != other.maximum) | (self.sum != other.sum)
        differs = differs | (np.signbit(self.maximum) != np.signbit(other.maximum))
        if self.table is not None and other.table is not None:
            differs = differs | (self.table != other.table).any(axis=-1)
        return int(np.count_nonzero(differs))

    def log_sum_exp(self, config: SoftmaxConfig) -> NDArray[np.float64]:
        """(...), ln of the sum of e**logit, in real units: logit_scale * maximum + ln(sum).

        The sum is that of the exponentials that the kernel has; -inf where it is 0. What a maximum
        is in octaves counts ln 2 each.
        """
        return _log_sum_exp(self.maximum, self.sum, config, config.kernel.sum_frac)


@dataclass(frozen=True, kw_only=True)
class MergedRows:
    """Results of rows that were computed in parts.

    Members
    -------
    maximum
        (...), the largest logit of all parts, as of ``RowResults``.
    weights
        (parts, ...) integers in units of 2**-WEIGHT_FRAC: what the exponentials of a part count,
        e**(logit_scale * (the part's maximum - maximum)), rounded half to even; with maxima in
        octaves 2**(the part's maximum - maximum).
    sum
        (...) integers, exact: the parts' sums times their weights, in units of
        2**-(sum_frac + WEIGHT_FRAC), sum_frac being the kernel's: EXAQ's is exp_frac.
    """

    maximum: NDArray[Any]
    weights: NDArray[Any]
    sum: NDArray[Any]

    def tables(self, config: SoftmaxConfig, contexts: ArrayLike | None = None) -> NDArray[Any]:
        """(parts, ..., 2**bits), the probability of each code of each part.

        p_k = floor((E_k * weight * 2**prob_bits + floor(sum / 2)) / sum), saturated at
        2**prob_bits - 1; in rows whose sum is 0 all are the largest. One part alone has the
        table of ``RowResults``.

        Parameters
        ----------
        config
            What the parts were computed with.
        contexts
            As of ``exaq.softmax``, integers that broadcast to the leading shape; its errors.
        """
        if not hasattr(config.kernel, "tables"):
            raise TypeError(f"the kernel {config.kernel.name} has no table of probabilities")
        rom = _exponentials(config, contexts, self.maximum.shape)
        top = 2**config.prob_bits - 1
        sums = np.maximum(self.sum, 1)[..., None]
        scaled = rom.astype(object) * self.weights[..., None] * 2**config.prob_bits
        quotients = np.minimum((scaled + sums // 2) // sums, top)
        return np.where(self.sum[..., None] == 0, top, quotients).astype(
            np.uint8 if top < 2**8 else np.uint16 if top < 2**16 else np.uint32
        )

    def log_sum_exp(self, config: SoftmaxConfig) -> NDArray[np.float64]:
        """As that of ``RowResults``."""
        frac = config.kernel.sum_frac + WEIGHT_FRAC
        return _log_sum_exp(self.maximum, self.sum, config, frac)


def merge(parts: Iterable[RowResults], config: SoftmaxConfig) -> MergedRows:
    """The results of rows from those of their parts, in any order.

    Parameters
    ----------
    parts
        At least one; all of one shape. A part may have no live element in some rows.
    config
        What they were computed with. Of a configuration with a sink the parts would each count
        it; a sink of the whole row is a part of its own, with the sink as maximum and
        the tables' last exponential, ``exp_rom[-1]``, as sum.

    Raises
    ------
    ValueError
        There is no part, shapes differ, or the configuration has a sink.
    """
    parts = list(parts)
    if not parts:
        raise ValueError("there must be at least one part to merge")
    for part in parts:
        if not isinstance(part, RowResults):
            raise TypeError(f"parts must be exaq.RowResults, not {part!r}"[:200])
    if config.sink is not None:
        raise ValueError(
            f"every part has the sink of the configuration, {config.sink}: compute the parts "
            "without, and give the sink as a part of its own"
        )
    shape = parts[0].maximum.shape
    for part in parts:
        for values in (part.maximum, part.sum):
            if values.shape != shape:
                raise ValueError(f"parts must have one shape, not {values.shape} beside {shape}")
    maxima = np.stack([part.maximum for part in parts])
    maximum = maxima.max(axis=0)
    # Python's integers: products of them exceed 64 bits.
    weights = config.kernel.part_weights(maxima, maximum).astype(object)
    sums = np.stack([part.sum for part in parts]).astype(object)
    return MergedRows(maximum=maximum, weights=weights, sum=(weights * sums).sum(axis=0))


def _log_sum_exp(
    maximum: NDArray[Any], sums: NDArray[Any], config: SoftmaxConfig, frac: int
) -> NDArray[np.float64]:
    """Of sums in units of 2**-frac; -inf where they are 0."""
    with np.errstate(divide="ignore"):
        logarithm = np.log(sums.astype(np.float64)) - frac * np.log(2.0)
    return np.where(sums == 0, -np.inf, maximum * config.kernel.maximum_scale + logarithm)


def exponential_weights(
    maxima: NDArray[Any], maximum: NDArray[Any], scale: Fraction
) -> NDArray[np.int64]:
    """e**(scale * (maxima - maximum)) in units of 2**-WEIGHT_FRAC, exactly rounded."""
    same = maxima == maximum
    with np.errstate(invalid="ignore"):
        distances = np.where(same, 0.0, maxima.astype(np.float64) - maximum)
    near = np.exp(float(scale) * distances) * 2.0**WEIGHT_FRAC
    weights = np.rint(near).astype(np.int64)
    # Close to the middle between two integers the platform's exponential may err.
    for place in zip(*np.nonzero(np.abs(near - np.floor(near) - 0.5) < _DOUBT), strict=True):
        own, most = maxima[place].item(), maximum[place[1:]].item()
        weights[place] = round_exp(scale * (Fraction(own) - Fraction(most)), WEIGHT_FRAC)
    return weights


def _exponentials(
    config: SoftmaxConfig, contexts: ArrayLike | None, shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """(..., 2**bits), the exponentials of each row."""
    if contexts is None:
        return np.broadcast_to(np.array(config.tables.exp_rom, np.int64), (*shape, config.levels))
    check_contexts(config.format)
    numbers = of_rows("contexts", contexts, (*shape, 1), 0, config.contexts - 1)
    each = np.array([tables.exp_rom for tables in config.context_tables], np.int64)
    return each[numbers.reshape(shape)]
