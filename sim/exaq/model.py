"""The golden model: quantizer and softmax in integers. These functions define the unit's bits.

They work as the hardware does: an element's code is the number of thresholds that its distance to
the row's maximum stays within, a row has only 2**bits distinct probabilities, and those alone are
divided. Rows are worked off in blocks that stay in the cache; nothing is done element by element.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.config import SoftmaxConfig
from exaq.formats import broadcast_mask
from exaq.tables import Tables

#: Elements of a block, at least those of the longest row. A block's intermediate arrays fit a
#: core's second-level cache together.
_BLOCK = 2**17


def quantize(
    logits: ArrayLike,
    config: SoftmaxConfig,
    mask: ArrayLike | None = None,
    contexts: ArrayLike | None = None,
) -> NDArray[np.uint8]:
    """Code of each logit relative to the maximum of its row's live elements.

    Parameters
    ----------
    logits
        Integers of any NumPy integer type, shape (..., row), 1 <= row <= ``config.max_row``,
        each within ``config.logit_range``, masked ones too.
    config
        The unit's parameters. ``config.masking`` is about hardware and plays no part here.
    mask
        Booleans that broadcast to the logits' shape, True = live. None: all are live.
    contexts
        With ``config.contexts``: the number of the context whose tables a row goes by, integers
        that broadcast to the logits' shape without its last axis. None: ``config.tables``.

    Returns
    -------
    NDArray[np.uint8]
        Codes 0 .. 2**bits - 1, shape of ``logits``; masked elements have code 0.

    Raises
    ------
    TypeError
        Logits or contexts are not integers, or the mask is not boolean.
    ValueError
        A logit, a row's length or a context is out of range, or a shape does not fit.
    """
    rows, live, shape = _checked(logits, config, mask)
    if contexts is None:
        return _quantize(rows, live, config, config.tables).reshape(shape)
    codes = np.empty(rows.shape, dtype=np.uint8)
    for tables, chosen in _by_context(contexts, shape, config):
        kept = None if live is None else live[chosen]
        codes[chosen] = _quantize(rows[chosen], kept, config, tables)
    return codes.reshape(shape)


def _quantize(
    rows: NDArray[Any], live: NDArray[np.bool_] | None, config: SoftmaxConfig, tables: Tables
) -> NDArray[np.uint8]:
    codes = np.zeros(rows.shape, dtype=np.uint8)
    for block in _blocks(rows):
        distance = _distance(rows[block], live if live is None else live[block], config)
        hits = np.empty(distance.shape, dtype=bool)
        for reach in _reaches(config, tables):
            np.less_equal(distance, reach, out=hits)
            codes[block] += hits.view(np.uint8)
        if live is not None:
            codes[block] *= live[block]
    return codes


def softmax(
    logits: ArrayLike,
    config: SoftmaxConfig,
    mask: ArrayLike | None = None,
    contexts: ArrayLike | None = None,
) -> NDArray[np.unsignedinteger[Any]]:
    """Probabilities of each row, exactly as the unit gives them.

    p = floor((E * 2**prob_bits + floor(S / 2)) / S), saturated at 2**prob_bits - 1, where E is the
    ExpRom value of the element's code and S the exact sum of E over the row's live elements.
    Masked elements give 0; so does every element of a row that has no live one.

    Parameters
    ----------
    logits, config, mask, contexts
        As for ``quantize``.

    Returns
    -------
    NDArray[np.unsignedinteger]
        Probabilities in units of 2**-prob_bits, shape of ``logits``; uint8, uint16 or uint32,
        whichever is the smallest that holds ``config.prob_bits`` bits.

    Raises
    ------
    TypeError, ValueError
        As ``quantize`` does.
    """
    rows, live, shape = _checked(logits, config, mask)
    if contexts is None:
        return _softmax(rows, live, config, config.tables).reshape(shape)
    probabilities = np.empty(rows.shape, dtype=_unsigned(config.prob_bits))
    for tables, chosen in _by_context(contexts, shape, config):
        kept = None if live is None else live[chosen]
        probabilities[chosen] = _softmax(rows[chosen], kept, config, tables)
    return probabilities.reshape(shape)


def _softmax(
    rows: NDArray[Any], live: NDArray[np.bool_] | None, config: SoftmaxConfig, tables: Tables
) -> NDArray[np.unsignedinteger[Any]]:
    probabilities = np.empty(rows.shape, dtype=_unsigned(config.prob_bits))
    rom = np.asarray(tables.exp_rom, dtype=np.int64)
    rises = np.diff(rom, prepend=0)
    reaches = _reaches(config, tables)
    length = rows.shape[1]
    blocks = _blocks(rows)
    # Arrays that every block uses again. Flags fill whole words, to be counted word by word.
    height = blocks[0].stop if blocks else 0
    words = np.zeros((config.levels, height, -(-length // 8)), dtype=np.uint64)
    flags = words.view(np.bool_)[..., :length]
    addends = np.empty((height, length), dtype=probabilities.dtype)
    hits = np.full((config.levels, height), length, dtype=np.int64)

    # An element that reaches k thresholds has E_k = E_0 + (E_1 - E_0) + ..., so sums and
    # probabilities are made of one addend for each threshold reached, and one for being live.
    for block in blocks:
        result = probabilities[block]
        here = slice(len(result))
        alive, *reached = flags[:, here]
        if live is None:
            distance = _distance(rows[block], None, config)
            for reach, flag in zip(reaches, reached, strict=True):
                np.less_equal(distance, reach, out=flag)
        else:
            alive[:] = live[block]
            hits[0, here] = _count(words[0, here])
            distance = _distance(rows[block], alive, config)
            for reach, flag in zip(reaches, reached, strict=True):
                np.logical_and(np.less_equal(distance, reach, out=flag), alive, out=flag)
        hits[1:, here] = _count(words[1:, here])

        base, *steps = _quotient_steps(rises @ hits[:, here], rom, config, result.dtype)
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
    config: SoftmaxConfig,
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    """p_0, p_1 - p_0, p_2 - p_1, ... for each row's sum, shape (levels, rows, 1).

    Negative steps wrap round in the unsigned ``dtype``; adding them up wraps back. A sum of 0,
    which only a row without a live element has, is taken for 1.
    """
    divisors = np.maximum(sums, 1)
    quotients = ((rom[:, None] << config.prob_bits) + (divisors >> 1)) // divisors
    steps = np.minimum(quotients, 2**config.prob_bits - 1).astype(dtype)[..., None]
    steps[1:] -= steps[:-1].copy()
    return steps


def _count(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Number of flags set along the last axis, where each byte of a word holds one flag.

    Words are added whole: up to 255 of them before the sum of a byte could overflow.
    """
    starts = np.arange(0, words.shape[-1], 255)
    partial = np.add.reduceat(words, starts, axis=-1).view(np.uint8)
    return np.add.reduce(partial, axis=-1, dtype=np.int64)


def _checked(
    logits: ArrayLike, config: SoftmaxConfig, mask: ArrayLike | None
) -> tuple[NDArray[Any], NDArray[np.bool_] | None, tuple[int, ...]]:
    """Logits and mask as two-dimensional arrays of rows, and the logits' own shape."""
    array = np.asarray(logits)
    if array.ndim == 0:
        raise ValueError("logits must have at least one axis, the row")
    length = array.shape[-1]
    if not 1 <= length <= config.max_row:
        raise ValueError(f"a row must have 1..{config.max_row} elements, not {length}")
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"logits must be integers, not {array.dtype}")
    low, high = config.logit_range
    if array.size:
        for extreme in (int(array.min()), int(array.max())):
            if not low <= extreme <= high:
                raise ValueError(
                    f"logits of {config.logit_width} bits must be in {low}..{high}, not {extreme}"
                )
    rows = array.reshape(-1, length)
    if mask is None:
        return rows, None, array.shape
    live = broadcast_mask(mask, array.shape)
    return rows, live.reshape(-1, length), array.shape


def _by_context(
    contexts: ArrayLike, shape: tuple[int, ...], config: SoftmaxConfig
) -> Iterator[tuple[Tables, NDArray[np.intp]]]:
    """Tables of each context that occurs, and the numbers of its rows."""
    numbers = np.asarray(contexts)
    if not np.issubdtype(numbers.dtype, np.integer):
        raise TypeError(f"contexts must be integers, not {numbers.dtype}")
    try:
        of_row = np.broadcast_to(numbers, shape[:-1]).reshape(-1)
    except ValueError:
        raise ValueError(
            f"contexts of shape {numbers.shape} do not fit logits of shape {shape}"
        ) from None
    if not config.contexts:
        raise ValueError("a configuration without contexts takes no contexts")
    for extreme in (numbers.min(initial=0), numbers.max(initial=0)):
        if not 0 <= extreme < config.contexts:
            raise ValueError(f"contexts must be in 0..{config.contexts - 1}, not {extreme}")
    order = np.argsort(of_row, kind="stable")
    present, starts = np.unique(of_row[order], return_index=True)
    for context, chosen in zip(present, np.split(order, starts[1:]), strict=False):
        yield config.context_tables[context], chosen


def _blocks(rows: NDArray[Any]) -> list[slice]:
    """Slices of as many whole rows as ``_BLOCK`` elements hold."""
    count, length = rows.shape
    height = _BLOCK // length
    return [slice(start, min(start + height, count)) for start in range(0, count, height)]


def _distance(
    rows: NDArray[Any], live: NDArray[np.bool_] | None, config: SoftmaxConfig
) -> NDArray[np.unsignedinteger[Any]]:
    """How far each element is below the maximum of its row's live elements.

    Unsigned and of the narrowest type that holds ``logit_width`` bits: the largest distance
    fits. Masked elements get any value.
    """
    unsigned = _unsigned(config.logit_width)
    narrow = rows.astype(f"i{unsigned.itemsize}", copy=False)
    if live is None:
        return np.subtract(np.maximum.reduce(narrow, axis=-1, keepdims=True), narrow).view(unsigned)
    # Flipping the sign bit keeps the order and makes 0 the lowest value, which masked ones get.
    ordered = narrow.view(unsigned) ^ unsigned.type(1 << (8 * unsigned.itemsize - 1))
    np.multiply(ordered, live.view(np.uint8), out=ordered)
    return np.subtract(np.maximum.reduce(ordered, axis=-1, keepdims=True), ordered, out=ordered)


def _reaches(config: SoftmaxConfig, tables: Tables) -> list[np.unsignedinteger[Any]]:
    """Largest distance that reaches each threshold, limited to what a distance's type holds."""
    unsigned = _unsigned(config.logit_width)
    most = np.iinfo(unsigned).max
    return [unsigned.type(min(-threshold, most)) for threshold in tables.thresholds]


def _unsigned(bits: int) -> np.dtype[np.unsignedinteger[Any]]:
    """Narrowest unsigned type of at least ``bits`` bits."""
    return np.dtype(next(t for t in (np.uint8, np.uint16, np.uint32) if np.iinfo(t).bits >= bits))
