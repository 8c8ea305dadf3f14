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


def own_sink(format: StreamFormat) -> ValueError:
    """The error of sinks for rows of a configuration that has some."""
    return ValueError(f"the configuration has a sink of its own, {format.sink}: give no other")


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


def _window(window: tuple[ArrayLike, ArrayLike], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Start and stop of each row's window, (rows, 2); errors as of ``exaq.softmax``."""
    if not isinstance(window, tuple) or len(window) != 2:
        raise TypeError(f"window must be a tuple of starts and stops, not {window!r}"[:200])
    names = ("starts of windows", "stops of windows")
    edges = [
        of_rows(name, values, shape, 0, shape[-1])
        for name, values in zip(names, window, strict=True)
    ]
    return np.stack(edges, axis=-1)


@dataclass(frozen=True)
class Rows:
    """Checked arguments with two axes.

    Members
    -------
    logits : (rows, row), integers of the given type; of floating-point logits their keys
    lengths : (rows,), elements of each row; what follows them is no part of it
    live : (rows, row), or None where every element is
    contexts : (rows,), or None where each row goes by the configuration's own tables
    sinks : (rows,), the logit (or its key) of the sink that was given for each row, or None
    windows : (rows, 2), first element within the row's window and first one behind it; or None
    errors : (rows,), rows in which an element takes part but for being NaN or +inf; or None
    shape : the given logits' own
    flags : (rows, row), of ``streamed`` rows: the mask that a unit with masking gets, or None
    """

    logits: NDArray[Any]
    lengths: NDArray[np.int32]
    live: NDArray[np.bool_] | None
    contexts: NDArray[np.int32] | None
    sinks: NDArray[np.int32] | None
    windows: NDArray[np.int32] | None
    errors: NDArray[np.bool_] | None
    shape: tuple[int, ...]
    flags: NDArray[np.bool_] | None = None

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
        window: tuple[ArrayLike, ArrayLike] | None = None,
        overlong: bool = False,
    ) -> Rows:
        """The arguments of ``exaq.softmax`` of those names; its errors.

        With ``overlong`` rows may be longer than ``format.max_row``.
        """
        array, live = split_masked(logits)
        check_shape(array.shape)
        if format.float_format is not None:
            array = format.float_format.keys(array)
        elif array.dtype.kind not in "iu":
            raise TypeError(f"logits must be integers, not {array.dtype}")
        elif array.size:
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
            sink = _sinks(sink, array.shape, format)
        rows = cls(
            logits=array.reshape(-1, row),
            lengths=counts,
            live=None if live is None else live.reshape(-1, row),
            contexts=contexts,
            sinks=sink,
            windows=None if window is None else _window(window, array.shape),
            errors=None,
            shape=array.shape,
        )
        return rows._masked_by_value(format)

    def _masked_by_value(self, format: StreamFormat) -> Rows:
        """The same without the elements whose logit says that they are masked."""
        floats = format.float_format
        if floats is not None:
            masked = floats.masked(self.logits)
            bad = floats.bad(self.logits)
            if not masked.any():
                return replace(self, errors=np.zeros(self.lengths.shape, np.bool_))
            part = self.taking_part
            within = bad if part is None else bad & part
            errors = np.logical_or.reduce(within[:, : format.max_row], axis=-1)
            logits = self.logits
            if part is not None:
                # What is left out otherwise puts no row in error.
                logits = np.where(bad & ~part, np.int16(floats.lowest), logits)
            return replace(self, logits=logits, live=_both(self.live, ~masked), errors=errors)
        if format.masked_logit is not None:
            masked = self.logits == format.masked_logit
            if masked.any():
                return replace(self, live=_both(self.live, ~masked))
        return self

    @property
    def taking_part(self) -> NDArray[np.bool_] | None:
        """(rows, row), what is live within each row's length and window; None: everything is."""
        place = np.arange(self.logits.shape[-1])
        part = self.live
        if (self.lengths != len(place)).any():
            part = _both(part, place < self.lengths[:, None])
        if self.windows is not None:
            part = _both(part, _within(place, self.windows))
        return part

    def streamed(self, format: StreamFormat) -> Rows:
        """The same as a unit of ``format`` takes them: at least one row, each with a context where
        there are contexts and a window where there are windows, and masked as the unit can.

        What the unit has no way for is said in another: a window by a mask, a mask by the logits'
        mask value, by a window, or by shorter rows.

        Raises
        ------
        ValueError
            There is no row, or a sink for each; or the unit cannot mask what is to be masked.
        """
        if not self.lengths.size:
            raise ValueError(f"there is no row to stream in logits of shape {self.shape}")
        result = self
        if format.contexts and self.contexts is None:
            result = replace(result, contexts=np.zeros(self.lengths.shape, np.int32))
        if self.sinks is not None:
            raise ValueError("a unit has the sinks of its configuration, none for single rows")
        if format.window:
            count, row = self.logits.shape
            every = np.tile(np.array([0, row], np.int32), (count, 1))
            windows = every if self.windows is None else self.windows
            # No index behind max_row need fit the unit's bits: nothing is computed there.
            result = replace(result, windows=np.minimum(windows, format.max_row))
        if not format.window and self.windows is not None:
            place = np.arange(self.logits.shape[-1])
            within = _within(place, self.windows)
            logits, floats = self.logits, format.float_format
            if floats is not None:
                # What the window leaves out puts no row in error.
                logits = np.where(floats.bad(logits) & ~within, np.int16(floats.lowest), logits)
            live = _both(self.live, within)
            result = replace(result, logits=logits, live=live, windows=None)
        if result.live is None:
            return result
        if not format.masking:
            return result._masked_otherwise(result.live, format)
        floats = format.float_format
        # A number that puts its row in error must not be masked on its way.
        flags = result.live if floats is None else result.live | floats.bad(result.logits)
        return replace(result, flags=flags)

    def _masked_otherwise(self, live: NDArray[np.bool_], format: StreamFormat) -> Rows:
        """The same without a mask, for a unit that takes none beside the logits."""
        floats = format.float_format
        if floats is not None or format.masked_logit is not None:
            gone = ~live if floats is None else ~(live | floats.bad(self.logits))
            value = self.logits.dtype.type(format.lowest_logit)
            return replace(self, logits=np.where(gone, value, self.logits))
        if self.windows is not None:
            kept = np.minimum(self.lengths, format.max_row)
            return replace(self, live=None, windows=_intervals(live, self.windows, kept))
        return replace(self, live=None, lengths=_prefixes(live, self.lengths))


def _both(a: NDArray[np.bool_] | None, b: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return b if a is None else a & b


def _within(place: NDArray[Any], windows: NDArray[np.int32]) -> NDArray[np.bool_]:
    within: NDArray[np.bool_] = (place >= windows[:, :1]) & (place < windows[:, 1:])
    return within


def _sinks(sink: ArrayLike, shape: tuple[int, ...], format: StreamFormat) -> NDArray[np.int32]:
    """Logits of the rows' sinks, or their keys: (rows,)."""
    if format.sink is not None:
        raise own_sink(format)
    floats = format.float_format
    if floats is None:
        return of_rows("sink", sink, shape, *format.sink_range)
    keys = floats.keys(plain(sink, "sink"))
    if floats.masked(keys).any():
        raise ValueError("sink must be finite")
    return of_rows("sink", keys, shape, *format.sink_range)


def _intervals(
    live: NDArray[np.bool_], windows: NDArray[np.int32], lengths: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Windows that say of rows of ``lengths`` the same as a mask and ``windows``."""
    place = np.arange(live.shape[-1])
    within = live & _within(place, windows) & (place < lengths[:, None])
    counts = np.count_nonzero(within, axis=-1)
    starts = np.where(counts > 0, within.argmax(axis=-1), 0)
    found = np.stack([starts, starts + counts], axis=-1).astype(np.int32)
    bad = (within != _within(place, found)).any(axis=-1)
    if bad.any():
        raise ValueError(
            "a unit with windows and without masking takes only masks that keep one interval of "
            f"each row; that of row {int(bad.argmax())} is another"
        )
    return found


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
