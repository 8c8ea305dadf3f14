"""Operands of attention heads: checked, in the order in which they are streamed, and as bytes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.attention.attention_config import QUERY_WIDTH, AttentionConfig
from exaq.attention.head import operand
from exaq.dint import pack
from exaq.rows import check_range, plain


@dataclass(frozen=True, kw_only=True)
class HeadOperands:
    """Heads of q, and sets of keys and values, each of which one head or several use.

    Members
    -------
    q
        (heads, rows, head_size) integers.
    k
        (sets, keys, head_size) elements of the key format.
    v
        (sets, values, head_size) integers.
    lengths
        (sets, 2): keys and values that are loaded of each set, the first ones.
    set_of
        (heads,): the set that each head uses.
    shape
        Leading shape of the heads, as they were given.
    """

    q: NDArray[Any]
    k: NDArray[Any]
    v: NDArray[Any]
    lengths: NDArray[np.int64]
    set_of: NDArray[np.int64]
    shape: tuple[int, ...]

    @classmethod
    def of(
        cls,
        q: ArrayLike,
        k: ArrayLike,
        v: ArrayLike,
        config: AttentionConfig,
        *,
        lengths: ArrayLike | None = None,
        faulty: bool = False,
    ) -> HeadOperands:
        """The arguments of ``exaq_cosim.simulate_head`` of those names; errors likewise."""
        size, most = config.head_size, config.softmax.max_row
        arrays = {
            "q": operand("q", q, QUERY_WIDTH),
            "k": plain(k, "k"),
            "v": operand("v", v, config.value_width),
        }
        config.key_format.integers(arrays["k"])
        for name, array in arrays.items():
            if array.ndim < 2 or array.shape[-1] != size:
                rows = {"q": "rows", "k": "keys", "v": "values"}[name]
                raise ValueError(f"{name} of shape {array.shape} must be (..., {rows}, {size})")
            if not array.size:
                raise ValueError(f"{name} of shape {array.shape} is empty")
        keys, values = arrays["k"].shape[-2], arrays["v"].shape[-2]
        if not faulty:
            check_range("keys of a head", keys, keys, 1, most)
            if values != keys:
                raise ValueError(f"a head has as many values as keys, {keys}, not {values}")
        leading = {name: array.shape[:-2] for name, array in arrays.items()}
        try:
            sets = np.broadcast_shapes(leading["k"], leading["v"])
            shape = np.broadcast_shapes(leading["q"], sets)
        except ValueError:
            shapes = ", ".join(str(array.shape) for array in arrays.values())
            raise ValueError(f"the leading axes of q, k and v of shapes {shapes} differ") from None

        def each(name: str, to: tuple[int, ...]) -> NDArray[Any]:
            array = arrays[name]
            return np.broadcast_to(array, to + array.shape[-2:]).reshape(-1, *array.shape[-2:])

        loaded = np.array([keys, values])
        if lengths is not None:
            given = np.broadcast_to(_lengths(lengths, keys, sets), sets)
            loaded = np.minimum(given[..., None], loaded)
        return cls(
            q=each("q", shape),
            k=each("k", sets),
            v=each("v", sets),
            lengths=np.broadcast_to(loaded, (*sets, 2)).reshape(-1, 2),
            set_of=np.broadcast_to(
                np.arange(np.prod(sets, dtype=int)).reshape(sets), shape
            ).reshape(-1),
            shape=shape,
        )

    @property
    def rows(self) -> int:
        """Rows of a head."""
        return self.q.shape[1]

    @cached_property
    def begins(self) -> NDArray[np.bool_]:
        """(heads,): whether a head's keys and values are loaded for it, being others than those
        of the head before it.
        """
        return np.diff(self.set_of, prepend=-1) != 0

    @property
    def load_of(self) -> NDArray[np.int64]:
        """(heads,): the number of the load that each head uses."""
        return np.cumsum(self.begins) - 1

    @property
    def loads(self) -> NDArray[np.int64]:
        """The set that each load brings."""
        return self.set_of[self.begins]

    @property
    def releases(self) -> NDArray[np.bool_]:
        """(heads,): whether a head is the last one that uses a load."""
        return np.append(self.begins[1:], True)

    def keys_of_rows(self, config: AttentionConfig) -> NDArray[np.int64]:
        """(heads, rows): the keys that each row meets."""
        keys = np.minimum(self.lengths[self.set_of, :1], config.softmax.max_row)
        own = np.arange(self.rows) + 1 if config.causal else np.full(self.rows, keys.max())
        found: NDArray[np.int64] = np.minimum(keys, own)
        return found


def packed(elements: NDArray[Any], width: int) -> NDArray[np.uint8]:
    """Vectors (..., elements) of ``width`` bits, 4 or 8, in whole bytes, the first one lowest."""
    return pack(elements & 15) if width == 4 else elements.astype(np.uint8)


def _lengths(lengths: ArrayLike, keys: int, sets: tuple[int, ...]) -> NDArray[np.int64]:
    given = plain(lengths, "lengths")
    if given.dtype.kind not in "iu":
        raise TypeError(f"lengths must be integers, not {given.dtype}")
    if given.size:
        check_range("lengths", int(given.min()), int(given.max()), 1, keys)
    try:
        np.broadcast_to(given, sets)
    except ValueError:
        raise ValueError(
            f"lengths of shape {given.shape} must broadcast to the leading shape of keys, {sets}"
        ) from None
    return given.astype(np.int64)
