"""The golden model of EXAQ: quantizer and softmax in integers.

Three steps, as in the hardware: distances to the row's maximum become *ranks* (``ranks``), the
exponentials of a row's ranks add up (``row_sums``), and each rank of a row gets one quotient, which
the row's elements look up (``probabilities``). A rank is a code plus 1; 0 is the rank of what takes
no part, and its exponential is 0. A row is looked up two elements at a time where that is quicker
(``pairs_of``). Rows are worked off in blocks that stay in the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from exaq.float_format import FloatFormat
from exaq.row_results import RowResults
from exaq.rows import Rows
from exaq.stream_format import element_type
from exaq.tables import Tables

if TYPE_CHECKING:
    from exaq.kernels.exaq import Exaq

#: Elements of a block, at least those of the longest row: few enough for the cache, and so many
#: that what NumPy does for each call does not count.
_BLOCK = 2**18

# A table of ranks is slower than comparing with so few thresholds, and does not fit the cache
# with more distances.
_MOST_COMPARISONS = 7
_MOST_DISTANCES = 2**16


def quantize(rows: Rows, kernel: Exaq) -> NDArray[np.uint8]:
    """Code of each logit relative to the maximum of its row's live elements."""
    return _by_tables(_quantize, rows, kernel, np.uint8)


def softmax(rows: Rows, kernel: Exaq) -> NDArray[np.unsignedinteger[Any]]:
    """Probability of each element."""
    dtype = element_type(kernel.format.prob_bits, signed=False)
    return _by_tables(_softmax, rows, kernel, dtype)


def row_results(rows: Rows, kernel: Exaq) -> RowResults:
    """Maximum and sum of each row, and the probabilities that its elements can have."""
    live = rows.taking_part
    codes = quantize(rows, kernel)
    numbers = np.zeros(len(codes), np.int32) if rows.contexts is None else rows.contexts
    each = (kernel.tables,) if rows.contexts is None else kernel.context_tables
    roms = np.array([tables.exp_rom for tables in each], np.int64)[numbers]
    exponentials = np.take_along_axis(roms, codes.astype(np.int64), axis=-1)
    sums = np.sum(exponentials, axis=-1, where=True if live is None else live)
    # What the maximum of a row without a live element is.
    lowest = kernel.format.lowest_logit
    maxima = np.max(
        rows.logits.astype(np.int32),
        axis=-1,
        where=True if live is None else live,
        initial=lowest,
    )
    if rows.sinks is not None:
        # The sink's code is that of an element of a row that has the same maximum.
        maxima = np.maximum(maxima, rows.sinks)
        pairs = np.stack([maxima, rows.sinks], axis=-1).astype(np.int32)
        alone = _by_tables(_quantize, _rows_of(pairs, rows.contexts), kernel, np.uint8)[:, 1:]
        sums += np.take_along_axis(roms, alone.astype(np.int64), axis=-1)[:, 0]
    table = None
    if kernel.format.row_results == "table":
        top = 2**kernel.format.prob_bits - 1
        divisors = np.maximum(sums, 1)[:, None]
        quotients = ((roms << kernel.format.prob_bits) + (divisors >> 1)) // divisors
        quotients = np.where(sums[:, None] == 0, top, np.minimum(quotients, top))
        table = quotients.astype(element_type(kernel.format.prob_bits, signed=False))
    floats = kernel.format.float_format
    if floats is not None:
        maxima = floats.values(maxima.astype(np.int16))
    return RowResults(maximum=maxima, sum=sums, table=table)


def _rows_of(logits: NDArray[np.int32], contexts: NDArray[np.int32] | None) -> Rows:
    return Rows(
        logits=logits,
        lengths=np.full(len(logits), logits.shape[1], np.int32),
        live=None,
        contexts=contexts,
        sinks=None,
        windows=None,
        errors=None,
        shape=logits.shape,
    )


def _coded(
    logits: NDArray[Any],
    live: NDArray[np.bool_] | None,
    sinks: NDArray[np.int32] | None,
    floats: FloatFormat,
    tables: Tables,
) -> tuple[NDArray[Any], NDArray[np.int32] | None, Tables]:
    """Rows of keys as rows of small integers, with tables by which they get the same codes.

    Each element becomes its code, so that of a row's maximum is the highest one.
    """
    keys = logits.astype(np.int16, copy=False)
    part = True if live is None else live
    maxima = np.max(keys, axis=-1, where=part, initial=floats.lowest)
    if sinks is not None:
        maxima = np.maximum(maxima, sinks.astype(np.int16))
    borders = floats.borders(maxima, tables.thresholds)
    codes = np.zeros(keys.shape, np.int8)
    apart = None if sinks is None else np.zeros(sinks.shape, np.int32)
    for border in borders.T:
        codes += keys >= border[:, None]
        if apart is not None and sinks is not None:
            apart += sinks >= border
    levels = len(tables.exp_rom)
    same = Tables(thresholds=tuple(range(2 - levels, 1)), exp_rom=tables.exp_rom)
    return codes, apart, same


def ranks(
    distance: NDArray[np.unsignedinteger[Any]], tables: Tables, out: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Rank of each distance, a code plus 1, written to ``out``, which has the same shape."""
    most = np.iinfo(distance.dtype).max
    reaches = [min(-threshold, most) for threshold in tables.thresholds]
    if len(reaches) > _MOST_COMPARISONS and reaches[0] < _MOST_DISTANCES:
        # From distance 0 on; the last entry, of rank 1, holds for all that is beyond.
        widths = np.diff([-1, *reversed(reaches), reaches[0] + 1])
        by_distance = np.repeat(np.arange(len(widths), 0, -1, dtype=np.uint8), widths)
        return by_distance.take(distance, out=out, mode="clip")
    out[:] = 1
    hits = np.empty(distance.shape, dtype=bool)
    for reach in reaches:
        np.less_equal(distance, distance.dtype.type(reach), out=hits)
        np.add(out, hits.view(np.uint8), out=out)
    return out


def exponentials(tables: Tables) -> NDArray[np.int64]:
    """The exponential of each rank."""
    return np.array([0, *tables.exp_rom], dtype=np.int64)


def pairs_of(ranks: NDArray[np.uint8], count: int) -> NDArray[np.uint16]:
    """Neighbouring ranks as one number, ``first + count * second``: half as many.

    ``count`` is that of all ranks. Rows are contiguous and of an even length.
    """
    both = ranks.view("<u2")
    second = both >> 8
    second *= 256 - count
    return np.subtract(both, second, out=second)


def row_sums(pairs: NDArray[np.uint16], of_rank: NDArray[np.int64]) -> NDArray[np.int64]:
    """Exact sum of the exponentials ``of_rank`` of each row, which comes as pairs of ranks."""
    of_pair = np.add.outer(of_rank, of_rank).astype(np.uint32).ravel()
    most = int(of_pair.max()) * pairs.shape[-1]
    exact = np.uint32 if most < 2**32 else np.uint64
    addends = of_pair.take(pairs, mode="clip")
    return np.add.reduce(addends, axis=-1, dtype=exact).astype(np.int64)


def probabilities(
    ranks: NDArray[np.uint8],
    pairs: NDArray[np.uint16],
    sums: NDArray[np.int64],
    of_rank: NDArray[np.int64],
    prob_bits: int,
    out: NDArray[np.unsignedinteger[Any]],
) -> NDArray[np.unsignedinteger[Any]]:
    """Probability of each element, written to ``out``, from ranks and their rows' sums.

    A sum of 0, which only a row without a live element has, is taken for 1.
    """
    divisors = np.maximum(sums, 1)[:, None]
    quotients = ((of_rank << prob_bits) + (divisors >> 1)) // divisors
    table = np.minimum(quotients, 2**prob_bits - 1).astype(out.dtype)
    index: NDArray[Any] = ranks
    if out.shape[-1] % 2 == 0 and len(of_rank) ** 2 <= pairs.shape[-1]:
        # A table of a row's pairs is no longer than the row: half as many lookups, twice as wide.
        both = np.empty((len(table), len(of_rank), len(of_rank), 2), out.dtype)
        both[..., 0], both[..., 1] = table[:, None, :], table[:, :, None]
        double = f"u{2 * out.itemsize}"
        table, index, out = both.view(double), pairs, out.view(double)
    # The narrower the index, the quicker it is made; `take` widens it once more.
    offset = np.uint16 if table.size <= 2**16 else np.uint32
    starts = np.arange(0, table.size, table.size // len(table), dtype=offset)
    return table.ravel().take(index + starts[:, None], out=out, mode="clip")


def _quantize(
    rows: NDArray[Any],
    live: NDArray[np.bool_] | None,
    sinks: NDArray[np.int32] | None,
    kernel: Exaq,
    tables: Tables,
) -> NDArray[np.uint8]:
    codes = np.empty(rows.shape, dtype=np.uint8)
    for block in _blocks(rows):
        here = _of(live, block)
        distance, _ = _distance(rows[block], here, _of(sinks, block), kernel)
        ranks(distance, tables, out=codes[block])
        codes[block] -= 1
        if here is not None:
            codes[block] *= here
    return codes


def _softmax(
    rows: NDArray[Any],
    live: NDArray[np.bool_] | None,
    sinks: NDArray[np.int32] | None,
    kernel: Exaq,
    tables: Tables,
) -> NDArray[np.unsignedinteger[Any]]:
    prob_bits = kernel.format.prob_bits
    result = np.empty(rows.shape, element_type(prob_bits, signed=False))
    length = rows.shape[1]
    of_rank = exponentials(tables)
    for block in _blocks(rows):
        here = _of(live, block)
        distance, apart = _distance(rows[block], here, _of(sinks, block), kernel)
        # Rows of even length, to be taken in pairs; what is added takes no part.
        padded = np.zeros((len(distance), length + length % 2), np.uint8)
        rank = ranks(distance, tables, out=padded[:, :length])
        if here is not None:
            np.multiply(rank, here.view(np.uint8), out=rank)
        pairs = pairs_of(padded, len(of_rank))
        sums = row_sums(pairs, of_rank)
        if apart is not None:
            sums += of_rank[ranks(apart, tables, out=np.empty(apart.shape, np.uint8))]
        probabilities(rank, pairs, sums, of_rank, prob_bits, out=result[block])
    return result


def _by_tables(
    function: Callable[..., NDArray[Any]], rows: Rows, kernel: Exaq, dtype: DTypeLike
) -> NDArray[Any]:
    """What ``function`` makes of all rows, each with the tables that it goes by."""
    live = rows.taking_part
    floats = kernel.format.float_format

    def of_tables(
        logits: NDArray[Any],
        live: NDArray[np.bool_] | None,
        sinks: NDArray[np.int32] | None,
        tables: Tables,
    ) -> NDArray[Any]:
        if floats is not None:
            logits, sinks, tables = _coded(logits, live, sinks, floats, tables)
        return function(logits, live, sinks, kernel, tables)

    if rows.contexts is None:
        return of_tables(rows.logits, live, rows.sinks, kernel.tables)
    order = np.argsort(rows.contexts, kind="stable")
    present, starts = np.unique(rows.contexts[order], return_index=True)
    result = np.empty(rows.logits.shape, dtype)
    for context, chosen in zip(present, np.split(order, starts[1:]), strict=False):
        result[chosen] = of_tables(
            rows.logits[chosen],
            _of(live, chosen),
            _of(rows.sinks, chosen),
            kernel.context_tables[context],
        )
    return result


def _of(values: NDArray[Any] | None, chosen: Any) -> NDArray[Any] | None:
    return None if values is None else values[chosen]


def _blocks(rows: NDArray[Any]) -> list[slice]:
    """Slices of as many whole rows as ``_BLOCK`` elements hold."""
    count, length = rows.shape
    height = _BLOCK // length
    return [slice(start, min(start + height, count)) for start in range(0, count, height)]


def _distance(
    rows: NDArray[Any],
    live: NDArray[np.bool_] | None,
    sinks: NDArray[np.int32] | None,
    kernel: Exaq,
) -> tuple[NDArray[np.unsignedinteger[Any]], NDArray[np.unsignedinteger[Any]] | None]:
    """How far each element, and each row's sink, is below the maximum of what takes part.

    Unsigned and of the narrowest type that holds ``logit_width`` bits: the largest distance
    fits. Masked elements get any value.
    """
    unsigned = element_type(kernel.format.logit_width, signed=False)
    signed = element_type(kernel.format.logit_width, signed=True)
    # Flipping the sign bit keeps the order and makes 0 the lowest value, which masked ones get.
    flip = unsigned.type(1 << (8 * unsigned.itemsize - 1))
    narrow = rows.astype(signed, copy=False)
    if live is None:
        most = np.maximum.reduce(narrow, axis=-1).view(unsigned) ^ flip
    else:
        ordered = narrow.view(unsigned) ^ flip
        np.multiply(ordered, live.view(np.uint8), out=ordered)
        most = np.maximum.reduce(ordered, axis=-1)
    apart = None
    if sinks is not None:
        sink = sinks.astype(signed).view(unsigned) ^ flip
        most = np.maximum(most, sink)
        apart = most - sink
    if live is None:
        return np.subtract((most ^ flip)[:, None], narrow.view(unsigned)), apart
    return np.subtract(most[:, None], ordered, out=ordered), apart


def _reaches(kernel: Exaq, tables: Tables) -> list[np.unsignedinteger[Any]]:
    """Largest distance that reaches each threshold, limited to what a distance's type holds."""
    unsigned = element_type(kernel.format.logit_width, signed=False)
    most = np.iinfo(unsigned).max
    return [unsigned.type(min(-threshold, most)) for threshold in tables.thresholds]
