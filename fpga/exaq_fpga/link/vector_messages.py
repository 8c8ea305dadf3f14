"""Arrays of an attention head as the bodies of its messages, and outputs of their answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.attention import AttentionConfig
from exaq.attention.attention_config import QUERY_WIDTH
from exaq.attention.head import operand
from exaq.rows import plain
from exaq_fpga.link.protocol import FINAL, VECTORS_HEADER, Type
from exaq_fpga.link.session import Request

Octets = NDArray[np.uint8]


@dataclass(frozen=True)
class HeadArrays:
    """Operands of heads as octets, each vector in a row.

    Members
    -------
    leading
        Shape of the heads.
    queries
        (sets, rows, octets).
    pairs
        For each of several sets of keys and values an array (keys, octets).
    sets
        For each head the number of its ``queries``, and that of its ``pairs``. Heads with the
        same keys and values have the same.
    """

    leading: tuple[int, ...]
    queries: Octets
    pairs: list[Octets]
    sets: list[tuple[int, int]]

    @classmethod
    def of(cls, q: ArrayLike, k: ArrayLike, v: ArrayLike, config: AttentionConfig) -> HeadArrays:
        """Of q (..., rows, head_size), and k and v (..., keys, head_size).

        Raises
        ------
        TypeError, ValueError
            As ``exaq.attention.attend``; or keys are none, or more than the unit holds.
        """
        queries = operand("q", q, QUERY_WIDTH)
        config.key_format.integers(k)
        keys = plain(k, "k")
        values = operand("v", v, config.value_width)
        arrays = {"q": queries, "k": keys, "v": values}
        for name, array in arrays.items():
            if array.ndim < 2 or array.shape[-1] != config.head_size:
                raise ValueError(
                    f"{name} of shape {array.shape} must be (..., vectors, {config.head_size})"
                )
        most = config.softmax.max_row
        if keys.shape[-2] != values.shape[-2] or not 1 <= keys.shape[-2] <= most:
            raise ValueError(
                f"k of shape {keys.shape} and v of shape {values.shape} must have as many keys as "
                f"values, 1 to {most}"
            )
        leading = np.broadcast_shapes(*(array.shape[:-2] for array in arrays.values()))
        of_q, of_k, of_v = (_numbers(array.shape[:-2], leading) for array in arrays.values())
        both, of_pairs = np.unique(np.stack([of_k, of_v], -1), axis=0, return_inverse=True)
        key, value = _flat(keys), _flat(values)
        return cls(
            leading=leading,
            queries=pack(_flat(queries), QUERY_WIDTH),
            pairs=[
                np.concatenate(
                    [
                        pack(key[a], config.key_format.width),
                        pack(value[b], config.value_width),
                    ],
                    axis=-1,
                )
                for a, b in both
            ],
            sets=list(zip(of_q.tolist(), of_pairs.reshape(-1).tolist(), strict=True)),
        )


class VectorsRequest(Request):
    """Vectors that share a message; if it was lost twice, they go on in halves, which pass easier.

    Parameters
    ----------
    type
        KEYS_VALUES or QUERIES.
    vectors
        All vectors of the head, as octets.
    start, stop
        The first of the message, and the one behind its last.
    each
        Octets that the answer has for each vector, beside what it has for all.
    """

    def __init__(self, type: Type, vectors: Octets, start: int, stop: int, *, each: int) -> None:
        word = start
        if type is Type.KEYS_VALUES and stop == len(vectors):
            word |= FINAL
        body = word.to_bytes(VECTORS_HEADER, "little") + vectors[start:stop].tobytes()
        header = VECTORS_HEADER if type is Type.KEYS_VALUES else 0
        super().__init__(type, body, answer=header + (stop - start) * each + 1)
        self.start, self.stop = start, stop
        self._vectors, self._each = vectors, each

    def again(self) -> Sequence[Request]:
        middle = (self.start + self.stop) // 2
        if self.lost < 2 or middle == self.start:
            return [self]
        ends = ((self.start, middle), (middle, self.stop))
        halves = [VectorsRequest(self.type, self._vectors, *each, each=self._each) for each in ends]
        for half in halves:
            half.lost = 1
        return halves


def pack(elements: ArrayLike, width: int) -> Octets:
    """(..., octets) of vectors (..., elements) of 8 or 4 bits, the first one lowest."""
    octets = np.asarray(elements).astype(np.uint8)
    if width == 8:
        return octets
    if octets.shape[-1] % 2:
        octets = np.concatenate([octets, np.zeros_like(octets[..., :1])], axis=-1)
    return np.asarray(octets[..., ::2] & 0xF | octets[..., 1::2] << 4, np.uint8)


def unpack_outputs(octets: bytes, config: AttentionConfig) -> NDArray[Any]:
    """(rows, head_size) outputs."""
    found = np.frombuffer(octets, f"<i{config.output_width // 8}")
    return found.reshape(-1, config.head_size)


def _numbers(shape: tuple[int, ...], leading: tuple[int, ...]) -> NDArray[np.int64]:
    """For each head of ``leading`` the number of what it has of an array of that leading shape."""
    numbers = np.arange(math.prod(shape)).reshape(shape)
    return np.broadcast_to(numbers, leading).reshape(-1)


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    return array.reshape(math.prod(array.shape[:-2]), *array.shape[-2:])
