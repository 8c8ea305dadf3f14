"""Scales of a head's operands: from real q, k and v to the integers of the unit.

Each channel of K, one element of all keys, has a scale of its own, which is folded into q: the dot
product is then that of integers, and a single number says what it is worth.

>>> import numpy as np
>>> from exaq import attention
>>> q, k, v = np.random.default_rng(0).standard_normal((3, 40, 16))
>>> scales = attention.HeadScales.of(q, k, v, keys="int8")
>>> integers = scales.integers(q, k, v)
>>> config = attention.AttentionConfig(
...     head_size=16, keys="int8", max_row=40, logit_scale=scales.logit_scale
... )
>>> logits = attention.scores(integers.q, integers.k, config) * scales.logit_scale
>>> bool(np.abs(logits - q @ k.T / 4).max() < 0.1)
True
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq import dint
from exaq.attention.attention_config import QUERY_WIDTH, VALUE_WIDTHS
from exaq.attention.key_formats import KEY_FORMATS
from exaq.dint.weight_formats import finite
from exaq.scalars import choice, integer


class HeadIntegers(NamedTuple):
    """Operands of a head as the unit takes them, each of the shape of the real one."""

    q: NDArray[np.int8]
    k: NDArray[Any]
    v: NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class HeadScales:
    """What a step of each operand is worth; ``of`` finds it from examples.

    Members
    -------
    keys, value_width
        As of ``AttentionConfig``.
    query
        Real value of an integer of 1 in q, once the scales of K's channels are folded in.
    key
        (head_size,), real value of a step of each channel of K, of either sign.
    value
        Real value of an integer of 1 in v.
    factor
        What a real dot product is multiplied by to be a logit.
    """

    keys: str
    value_width: int
    query: float
    key: NDArray[np.float64]
    value: float
    factor: float

    @classmethod
    def of(
        cls,
        q: ArrayLike,
        k: ArrayLike,
        v: ArrayLike,
        *,
        keys: str = "dint4",
        value_width: int = 8,
        factor: float | None = None,
    ) -> HeadScales:
        """The least scales with which none of the given numbers saturates.

        Parameters
        ----------
        q, k, v
            Real operands, (..., tokens, head_size), the more typical the better.
        keys, value_width
            As of ``AttentionConfig``.
        factor
            What a dot product is multiplied by; None: head_size**-0.5.

        Raises
        ------
        TypeError, ValueError
            Something is not finite, not real, or not legal, or head sizes differ.
        """
        choice("keys", keys, tuple(KEY_FORMATS))
        if integer("value_width", value_width) not in VALUE_WIDTHS:
            raise ValueError(f"value_width must be 8 or 4, not {value_width}")
        queries, of_keys, values = (
            finite(each, name) for name, each in (("q", q), ("k", k), ("v", v))
        )
        size = queries.shape[-1] if queries.ndim else 0
        if not size or not of_keys.ndim or of_keys.shape[-1] != size:
            raise ValueError(
                f"q of shape {queries.shape} and k of shape {of_keys.shape} must be "
                "(..., head_size)"
            )
        channels = of_keys.reshape(-1, size).T
        if keys == "int8":
            key = _least(np.abs(channels).max(axis=-1), 127)
        else:
            key = dint.scales(channels, keys)[:, 0]
        folded = np.abs(queries * key).max()
        return cls(
            keys=keys,
            value_width=int(value_width),
            query=float(_least(folded, 2 ** (QUERY_WIDTH - 1) - 1)),
            key=key,
            value=float(_least(np.abs(values).max(), 2 ** (value_width - 1) - 1)),
            factor=size**-0.5 if factor is None else float(factor),
        )

    @property
    def logit_scale(self) -> float:
        """What a dot product of 1 is worth: ``logit_scale`` of ``AttentionConfig``."""
        return self.query * KEY_FORMATS[self.keys].unit * self.factor

    def integers(self, q: ArrayLike, k: ArrayLike, v: ArrayLike) -> HeadIntegers:
        """Operands (..., head_size) as integers, keys as elements of their format; saturated.

        Integers are rounded half to even, codes as their format says.

        Raises
        ------
        TypeError, ValueError
            Something is not finite or not real, or does not fit the scales.
        """
        queries, of_keys, values = (
            finite(each, name) for name, each in (("q", q), ("k", k), ("v", v))
        )
        size = len(self.key)
        for name, array in (("q", queries), ("k", of_keys)):
            if not array.ndim or array.shape[-1] != size:
                raise ValueError(f"{name} of shape {array.shape} must be (..., {size})")
        steps = of_keys / self.key
        if self.keys == "int8":
            elements: NDArray[Any] = _rounded(steps, 8)
        else:
            format = dint.WEIGHT_FORMATS[self.keys]
            elements = format.encode(np.clip(steps, 2 * format.lowest, 2 * format.highest))
        return HeadIntegers(
            q=_rounded(queries * self.key / self.query, QUERY_WIDTH),
            k=elements,
            v=_rounded(values / self.value, self.value_width),
        )


def _least(sizes: Any, most: int) -> Any:
    """Scales with which ``sizes`` are ``most`` steps; 1 for a size of 0."""
    return np.where(sizes == 0, 1.0, sizes / most)


def _rounded(steps: NDArray[np.float64], width: int) -> NDArray[np.int8]:
    most = 2 ** (width - 1) - 1
    return np.clip(np.rint(steps), -most, most).astype(np.int8)
