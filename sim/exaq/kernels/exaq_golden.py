"""The golden model of EXAQ: quantizer and softmax in integers.

They work as the hardware does: an element's code is the number of thresholds that its distance to
the row's maximum stays within, a row has only 2**bits distinct probabilities, and those alone are
divided. Rows are worked off in blocks that stay in the cache; nothing is done element by element.
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

#: Elements of a block, at least those of the longest row. A block's intermediate arrays fit a
#: core's second-level cache together.
_BLOCK = 2**17


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


def _quantize(
    rows: NDArray[Any],
    live: NDArray[np.bool_] | None,
    sinks: NDArray[np.int32] | None,
    kernel: Exaq,
    tables: Tables,
) -> NDArray[np.uint8]:
    codes = np.zeros(rows.shape, dtype=np.uint8)
    for block in _blocks(rows):
        distance, _ = _distance(rows[block], _of(live, block), _of(sinks, block), kernel)
        hits = np.empty(distance.shape, dtype=bool)
        for reach in _reaches(kernel, tables):
            np.less_equal(distance, reach, out=hits)
            codes[block] += hits.view(np.uint8)
        if live is not None:
            codes[block] *= live[block]
    return codes


def _softmax(
    rows: NDArray[Any],
    live: NDArray[np.bool_] | None,
    sinks: NDArray[np.int32] | None,
    kernel: Exaq,
    tables: Tables,
) -> NDArray[np.unsignedinteger[Any]]:
    probabilities = np.empty(rows.shape, element_type(kernel.format.prob_bits, signed=False))
    rom = np.asarray(tables.exp_rom, dtype=np.int64)
    rises = np.diff(rom, prepend=0)
    reaches = _reaches(kernel, tables)
    length = rows.shape[1]
    blocks = _blocks(rows)
    # Arrays that every block uses again. Flags fill whole words, to be counted word by word.
    height = blocks[0].stop if blocks else 0
    words = np.zeros((kernel.levels, height, -(-length // 8)), dtype=np.uint64)
    flags = words.view(np.bool_)[..., :length]
    addends = np.empty((height, length), dtype=probabilities.dtype)
    hits = np.full((kernel.levels, height), length, dtype=np.int64)

    # An element that reaches k thresholds has E_k = E_0 + (E_1 - E_0) + ..., so sums and
    # probabilities are made of one addend for each threshold reached, and one for being live.
    for block in blocks:
        result = probabilities[block]
        here = slice(len(result))
        alive, *reached = flags[:, here]
        if live is None:
            distance, apart = _distance(rows[block], None, _of(sinks, block), kernel)
            for reach, flag in zip(reaches, reached, strict=True):
                np.less_equal(distance, reach, out=flag)
        else:
            alive[:] = live[block]
            hits[0, here] = _count(words[0, here])
            distance, apart = _distance(rows[block], alive, _of(sinks, block), kernel)
            for reach, flag in zip(reaches, reached, strict=True):
                np.logical_and(np.less_equal(distance, reach, out=flag), alive, out=flag)
        hits[1:, here] = _count(words[1:, here])

        sums = rises @ hits[:, here]
        if apart is not None:
            sums += rom[np.sum([apart <= reach for reach in reaches], axis=0)]
        base, *steps = _quotient_steps(sums, rom, kernel, result.dtype)
        np.multiply(reached[0], steps[0], out=result)
        for flag, step in zip(reached[1:], steps[1:], strict=True):
            np.add(result, np.multiply(flag, step, out=addends[here]), out=result)
        if live is not None:
            base = np.multiply(alive, base, out=addends[here])
        np.add(result, base, out=result)
    return probabilities


def _quotient_steps(
    sums: NDArray[np.int64],
    rom: NDArray[np.int64],
    kernel: Exaq,
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    """p_0, p_1 - p_0, p_2 - p_1, ... for each row's sum, shape (levels, rows, 1).

    Negative steps wrap round in the unsigned ``dtype``; adding them up wraps back. A sum of 0,
    which only a row without a live element has, is taken for 1.
    """
    divisors = np.maximum(sums, 1)
    quotients = ((rom[:, None] << kernel.format.prob_bits) + (divisors >> 1)) // divisors
    steps = np.minimum(quotients, 2**kernel.format.prob_bits - 1).astype(dtype)[..., None]
    steps[1:] -= steps[:-1].copy()
    return steps


def _count(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Number of flags set along the last axis, where each byte of a word holds one flag.

    Words are added whole: up to 255 of them before the sum of a byte could overflow.
    """
    starts = np.arange(0, words.shape[-1], 255)
    partial = np.add.reduceat(words, starts, axis=-1).view(np.uint8)
    return np.add.reduce(partial, axis=-1, dtype=np.int64)


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
