"""Arrays of rows as arguments: the one place that checks logits and what goes with each row.

Everything that takes rows checks them here: the golden model, simulation, boards, calibration, and
``exaq.torch`` by the functions that need no NumPy array. So they accept the same, and refuse the
rest in the same words.

    >>> import exaq
    >>> from exaq.rows import Rows
    >>> rows = Rows.of([[3, 1, 2]], exaq.SoftmaxConfig().format, lengths=[2])
    >>> rows.lengths.tolist()
    [2]
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.stream_format import StreamFormat


def split_masked(values: ArrayLike) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """``values`` as a plain array, and the live elements of a ``numpy.ma`` one, True = live.

    Masked elements of such an array become 0, which is a legal logit anywhere.
    """
    if not isinstance(values, np.ma.MaskedArray):
        return np.asarray(values), None
    masked = np.ma.getmaskarray(values)
    return np.where(masked, np.zeros((), values.dtype), values.data), ~masked


def plain(values: ArrayLike, name: str) -> NDArray[Any]:
    """``values`` as an array; a ``numpy.ma`` one is refused, since its mask would be lost."""
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} must be a plain array, not a numpy.ma.MaskedArray")
    return np.asarray(values)


def check_shape(shape: tuple[int, ...]) -> None:
    """Refuse logits without a row, or with one of no elements."""
    if not shape:
        raise ValueError("logits must have at least one axis, the row")
    if shape[-1] == 0:
        raise ValueError("a row must have at least 1 element, not 0")


def check_logit_range(least: int, most: int, format: StreamFormat) -> None:
    """Refuse integer logits from ``least`` to ``most`` that are beyond ``format.logit_range``."""
    check_range(f"logits of {format.logit_width} bits", least, most, *format.logit_range)


def check_range(name: str, least: int, most: int, low: int, high: int) -> None:
    """Refuse values from ``least`` to ``most``, called ``name``, that leave ``low`` .. ``high``."""
    for extreme in (least, most):
        if not low <= extreme <= high:
            raise ValueError(f"{name} must be in {low}..{high}, not {extreme}")


def check_contexts(format: StreamFormat) -> None:
    """Refuse context numbers for a configuration that has none."""
    if not format.contexts:
        raise ValueError("a configuration without contexts takes no contexts")


def mask_misfit(mask: tuple[int, ...], shape: tuple[int, ...]) -> ValueError:
    """The error of a mask whose shape does not broadcast to ``shape``."""
    return ValueError(f"mask of shape {mask} does not fit the shape {shape}")


def rows_misfit(name: str, values: tuple[int, ...], shape: tuple[int, ...]) -> ValueError:
    """The error of values for each row whose shape does not broadcast to ``shape``'s rows."""
    return ValueError(f"{name} of shape {values} must broadcast to the rows' shape, {shape[:-1]}")


def live_elements(mask: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """``mask`` as a read-only view of ``shape``, checked: boolean, and no larger than it."""
    live = plain(mask, "mask")
    if live.dtype != np.bool_:
        raise TypeError(f"mask must be boolean, not {live.dtype}")
    try:
        return np.broadcast_to(live, shape)
    except ValueError:
        raise mask_misfit(live.shape, shape) from None


def joined_mask(
    live: NDArray[np.bool_] | None, mask: ArrayLike | None, shape: tuple[int, ...]
) -> NDArray[np.bool_] | None:
    """What is live by both, None being all; ``mask`` is checked as by ``live_elements``."""
    if mask is None:
        return live
    given = live_elements(mask, shape)
    return given if live is None else live & given


def of_rows(
    name: str, values: ArrayLike, shape: tuple[int, ...], low: int, high: int
) -> NDArray[np.int32]:
    """An integer from ``low`` to ``high`` for each row of an array of ``shape``: (rows,)."""
    given = plain(values, name)
    if given.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, not {given.dtype}")
    try:
        each = np.broadcast_to(given, shape[:-1])
    except ValueError:
        raise rows_misfit(name, given.shape, shape) from None
    if given.size:
        check_range(name, int(given.min()), int(given.max()), low, high)
    return each.reshape(-1).astype(np.int32)


@dataclass(frozen=True)
class Rows:
    """Checked arguments with two axes.

    Members
    -------
    logits : (rows, row), integers of the given type
    lengths : (rows,), elements of each row; what follows them is no part of it
    live : (rows, row), or None where every element is
    contexts : (rows,), or None where each row goes by the configuration's own tables
    sinks : (rows,), the row's sink in logit steps, or None where there is none
    shape : the given logits' own
    """

    logits: NDArray[Any]
    lengths: NDArray[np.int32]
    live: NDArray[np.bool_] | None
    contexts: NDArray[np.int32] | None
    sinks: NDArray[np.int32] | None
    shape: tuple[int, ...]

    @classmethod
    def of(
        cls,
        logits: ArrayLike,
        format: StreamFormat,
        *,
        mask: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        contexts: ArrayLike | None = None,
        sink: ArrayLike | None = None,
        overlong: bool = False,
    ) -> Rows:
        """The arguments of ``exaq.softmax`` of those names; its errors.

        With ``overlong`` rows may be longer than ``format.max_row``.
        """
        array, live = split_masked(logits)
        check_shape(array.shape)
        if array.dtype.kind not in "iu":
            raise TypeError(f"logits must be integers, not {array.dtype}")
        if array.size:
            check_logit_range(int(array.min()), int(array.max()), format)
        row = array.shape[-1]
        counts = of_rows("lengths", row if lengths is None else lengths, array.shape, 1, row)
        longest = int(counts.max(initial=0)) if lengths is not None else row
        if not overlong and longest > format.max_row:
            raise ValueError(f"a row must have 1..{format.max_row} elements, not {longest}")
        live = joined_mask(live, mask, array.shape)
        if contexts is not None:
            check_contexts(format)
            contexts = of_rows("contexts", contexts, array.shape, 0, format.contexts - 1)
        if sink is not None:
            sink = of_rows("sink", sink, array.shape, *format.logit_range)
        return cls(
            logits=array.reshape(-1, row),
            lengths=counts,
            live=None if live is None else live.reshape(-1, row),
            contexts=contexts,
            sinks=sink,
            shape=array.shape,
        )

    @property
    def taking_part(self) -> NDArray[np.bool_] | None:
        """(rows, row), what is live within each row's length; None where everything is."""
        row = self.logits.shape[-1]
        if (self.lengths == row).all():
            return self.live
        present: NDArray[np.bool_] = np.arange(row) < self.lengths[:, None]
        return present if self.live is None else present & self.live

    def streamed(self, format: StreamFormat) -> Rows:
        """The same as a unit of ``format`` takes them: at least one row, each with a context where
        there are contexts, and without a mask where the unit has none.

        Raises
        ------
        ValueError
            There is no row, or a unit without masking cannot do what the mask asks.
        """
        if not self.lengths.size:
            raise ValueError(f"there is no row to stream in logits of shape {self.shape}")
        result = self
        if format.contexts and self.contexts is None:
            result = replace(result, contexts=np.zeros(self.lengths.shape, np.int32))
        if self.live is not None and not format.masking:
            result = replace(result, live=None, lengths=_prefixes(self.live, self.lengths))
        return result


def _prefixes(live: NDArray[np.bool_], lengths: NDArray[np.int32]) -> NDArray[np.int32]:
    """Lengths that say the same as a mask, for a unit that cannot mask single elements."""
    place = np.arange(live.shape[-1])
    within = live & (place < lengths[:, None])
    counts: NDArray[np.int32] = np.count_nonzero(within, axis=-1).astype(np.int32)
    bad = (within != (place < counts[:, None])).any(axis=-1) | (counts == 0)
    if bad.any():
        raise ValueError(
            "a unit without masking takes only masks that keep the beginning of each row, "
            f"at least one element; that of row {int(bad.argmax())} is another"
        )
    return counts
