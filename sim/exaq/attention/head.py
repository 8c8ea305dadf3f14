"""The arithmetic of an attention head; its functions define the unit's bits.

Everything is an integer, and only the last division rounds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.attention.attention_config import QUERY_WIDTH, AttentionConfig
from exaq.model import quantize, softmax
from exaq.model import row_results as results_of
from exaq.rows import Rows, check_range, live_elements, plain


def scores(q: ArrayLike, k: ArrayLike, config: AttentionConfig) -> NDArray[np.int32]:
    """Dot products of rows of q and keys, exact.

    Parameters
    ----------
    q
        (..., rows, head_size) integers from -128 to 127.
    k
        (..., keys, head_size) elements of ``config.key_format``. Leading axes broadcast with q's.
    config
        The head's parameters.

    Returns
    -------
    NDArray[np.int32]
        (..., rows, keys), in units of the head's ``logit_scale``: logits of the softmax, once
        ``config.score_shift`` low bits are dropped.

    Raises
    ------
    TypeError
        Something is no integer, or a ``numpy.ma`` array.
    ValueError
        An integer is out of range or no code, or the shapes do not fit.
    """
    queries = operand("q", q, QUERY_WIDTH)
    keys = config.key_format.integers(k)
    for name, array in (("q", queries), ("k", keys)):
        if array.ndim < 2 or array.shape[-1] != config.head_size:
            raise ValueError(
                f"{name} of shape {array.shape} must be (..., rows, {config.head_size})"
            )
    # Each sum is below 2**23.
    found = queries.astype(np.float32) @ keys.astype(np.float32).swapaxes(-1, -2)
    return found.astype(np.int32)


def level_sums(
    codes: ArrayLike, live: ArrayLike, v: ArrayLike, config: AttentionConfig
) -> NDArray[np.int64]:
    """Sums of values by the code of their key, exact.

    Parameters
    ----------
    codes
        (..., rows, keys) codes of the softmax.
    live
        Booleans that broadcast to that shape: which keys take part.
    v
        (..., keys, dimensions) integers of ``value_width`` bits; leading axes broadcast.
    config
        The head's parameters.

    Returns
    -------
    NDArray[np.int64]
        (..., rows, K, dimensions).

    Raises
    ------
    TypeError, ValueError
        As ``scores``.
    """
    values = operand("v", v, config.value_width)
    of_keys = plain(codes, "codes")
    levels = config.softmax.levels
    if of_keys.size:
        check_range("codes", int(of_keys.min()), int(of_keys.max()), 0, levels - 1)
    if of_keys.ndim < 2 or values.ndim < 2 or of_keys.shape[-1] != values.shape[-2]:
        raise ValueError(
            f"codes of shape {of_keys.shape} and v of shape {values.shape} must be "
            "(..., rows, keys) and (..., keys, dimensions)"
        )
    alive = np.broadcast_to(plain(live, "live"), of_keys.shape)
    # Each sum is below 2**24.
    summands = values.astype(np.float32)
    sums = [((of_keys == k) & alive).astype(np.float32) @ summands for k in range(levels)]
    return np.stack(sums, axis=-2).astype(np.int64)


def outputs(sums: ArrayLike, row_sums: ArrayLike, config: AttentionConfig) -> NDArray[Any]:
    """A row's outputs from its level sums: the mean of V, weighted by the exponentials.

    o = floor((N * 2**output_frac + floor(S / 2)) / S),   N = sum of E_k * L_k

    which is N / S in steps of 2**-output_frac, rounded half up. A row whose sum is 0 gives zeros.

    Parameters
    ----------
    sums
        (..., K, dimensions), as ``level_sums`` gives them.
    row_sums
        (...), S of each row, as of ``exaq.row_results``; with a sink, that of it too.
    config
        The head's parameters.

    Returns
    -------
    NDArray
        (..., dimensions), int8 or int16.
    """
    each = np.asarray(sums, np.int64)
    whole = np.asarray(row_sums, np.int64)[..., None]
    exponentials = np.array(config.softmax.tables.exp_rom, np.int64)
    products = (each * exponentials[:, None]).sum(axis=-2)
    divisor = np.maximum(whole, 1)
    found = (products * 2**config.output_frac + whole // 2) // divisor
    return np.where(whole == 0, 0, found).astype(f"i{config.output_width // 8}")


def weighted_sums(probabilities: ArrayLike, v: ArrayLike, config: AttentionConfig) -> NDArray[Any]:
    """A row's outputs of a head that multiplies each value by its key's probability.

    o = floor(sum of P_j * v_j * 2**output_frac / 2**prob_bits + 1/2), saturated at ``output_width``

    Parameters
    ----------
    probabilities
        (..., rows, keys) integers of ``prob_bits`` bits, 0 for keys that take no part.
    v
        As for ``level_sums``.
    config
        The head's parameters.

    Returns
    -------
    NDArray
        (..., rows, dimensions), int8 or int16.

    Raises
    ------
    TypeError, ValueError
        As ``scores``.
    """
    values = operand("v", v, config.value_width)
    weights = plain(probabilities, "probabilities")
    if weights.size:
        most = 2**config.softmax.format.prob_bits - 1
        check_range("probabilities", int(weights.min()), int(weights.max()), 0, most)
    if weights.ndim < 2 or values.ndim < 2 or weights.shape[-1] != values.shape[-2]:
        raise ValueError(
            f"probabilities of shape {weights.shape} and v of shape {values.shape} must be "
            "(..., rows, keys) and (..., keys, dimensions)"
        )
    # Each sum is below 2**53.
    sums = (weights.astype(np.float64) @ values.astype(np.float64)).astype(np.int64)
    places = config.output_shift
    found = (sums + config.rounding) >> places if places > 0 else sums << -places
    half = 2 ** (config.output_width - 1)
    return np.clip(found, -half, half - 1).astype(f"i{config.output_width // 8}")


def attend(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    config: AttentionConfig,
    mask: ArrayLike | None = None,
    *,
    window: tuple[ArrayLike, ArrayLike] | None = None,
) -> NDArray[Any]:
    """Outputs of an attention head, exactly as the unit gives them.

    Parameters
    ----------
    q, k, v
        As for ``scores`` and ``level_sums``: (..., rows, head_size), (..., keys, head_size) and
        (..., keys, dimensions).
    config
        The head's parameters.
    mask
        Booleans that broadcast to (..., rows, keys), True = takes part. None: all do, of a causal
        head the keys up to each row's number; with a mask those of them that it has.
    window
        Starts and stops of each row, as for ``exaq.softmax``. The unit itself has neither masks nor
        windows.

    Returns
    -------
    NDArray
        (..., rows, dimensions), int8 or int16, in units of the value's scale times
        2**-output_frac.

    Raises
    ------
    TypeError, ValueError
        As ``scores`` and ``exaq.softmax``.
    """
    logits = scores(q, k, config) >> config.score_shift
    if config.causal:
        own = np.tri(*logits.shape[-2:], dtype=np.bool_)
        mask = own if mask is None else own & live_elements(mask, logits.shape)
    if not config.by_level:
        return weighted_sums(softmax(logits, config.softmax, mask, window=window), v, config)
    rows = Rows.of(logits, config.softmax.format, mask=mask, window=window)
    taking_part = rows.taking_part
    live = np.bool_(True) if taking_part is None else taking_part.reshape(logits.shape)
    codes = quantize(logits, config.softmax, mask, window=window)
    sums = level_sums(codes, live, v, config)
    found = results_of(logits, config.softmax, mask, window=window)
    return outputs(sums, found.sum, config)


def operand(name: str, values: ArrayLike, width: int) -> NDArray[Any]:
    """``values``, called ``name``, as integers of ``width`` bits; errors as of ``scores``."""
    given = plain(values, name)
    if given.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, not {given.dtype}")
    if given.size:
        half = 2 ** (width - 1)
        check_range(name, int(given.min()), int(given.max()), -half, half - 1)
    return given
