"""The arguments of a simulation, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq import SoftmaxConfig
from exaq_cosim.stream import element_type


@dataclass(frozen=True)
class Rows:
    """Checked arguments as the driver wants them: two axes, small integers.

    Members
    -------
    logits : (rows, row), of ``element_type(logit_width, signed=True)``
    lengths : (rows,)
    live : (rows, row), or None where every element is
    contexts : (rows,), or None where the unit has none
    shape : the given logits' own
    """

    logits: NDArray[Any]
    lengths: NDArray[np.int32]
    live: NDArray[np.bool_] | None
    contexts: NDArray[np.int32] | None
    shape: tuple[int, ...]

    @classmethod
    def of(
        cls,
        logits: ArrayLike,
        config: SoftmaxConfig,
        mask: ArrayLike | None,
        lengths: ArrayLike | None,
        contexts: ArrayLike | None,
        overlong: bool,
    ) -> Rows:
        """The arguments of ``exaq_cosim.simulate`` of those names; its errors."""
        array = np.asarray(logits)
        if array.ndim == 0 or array.size == 0:
            raise ValueError(f"logits must have a row and an element, not the shape {array.shape}")
        if not np.issubdtype(array.dtype, np.integer):
            raise TypeError(f"logits must be integers, not {array.dtype}")
        low, high = config.logit_range
        for extreme in (int(array.min()), int(array.max())):
            if not low <= extreme <= high:
                raise ValueError(
                    f"logits of {config.logit_width} bits must be in {low}..{high}, not {extreme}"
                )
        row = array.shape[-1]
        counts = _of_rows("lengths", row if lengths is None else lengths, array.shape, 1, row)
        live = _live(mask, array.shape)
        if live is not None and not config.masking:
            counts = _prefixes(live, counts)
            live = None
        if not overlong and counts.max() > config.max_row:
            raise ValueError(f"a row must have 1..{config.max_row} elements, not {counts.max()}")
        signed = element_type(config.logit_width, signed=True)
        return cls(
            logits=array.reshape(-1, row).astype(signed, copy=False),
            lengths=counts,
            live=live,
            contexts=_contexts(contexts, array.shape, config),
            shape=array.shape,
        )


def _contexts(
    contexts: ArrayLike | None, shape: tuple[int, ...], config: SoftmaxConfig
) -> NDArray[np.int32] | None:
    if config.contexts:
        given = 0 if contexts is None else contexts
        return _of_rows("contexts", given, shape, 0, config.contexts - 1)
    if contexts is not None:
        raise ValueError("a configuration without contexts takes no contexts")
    return None


def _of_rows(
    name: str, values: ArrayLike, shape: tuple[int, ...], low: int, high: int
) -> NDArray[np.int32]:
    """A number for each row, from ``low`` to ``high``."""
    given = np.asarray(values)
    if not np.issubdtype(given.dtype, np.integer):
        raise TypeError(f"{name} must be integers, not {given.dtype}")
    try:
        given = np.broadcast_to(given, shape[:-1])
    except ValueError:
        raise ValueError(
            f"{name} of shape {given.shape} do not fit logits of shape {shape}"
        ) from None
    for extreme in (int(given.min()), int(given.max())):
        if not low <= extreme <= high:
            raise ValueError(f"{name} must be in {low}..{high}, not {extreme}")
    numbers: NDArray[np.int32] = given.reshape(-1).astype(np.int32)
    return numbers


def _live(mask: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    if mask is None:
        return None
    live = np.asarray(mask)
    if live.dtype != np.bool_:
        raise TypeError(f"mask must be boolean, not {live.dtype}")
    try:
        return np.broadcast_to(live, shape).reshape(-1, shape[-1])
    except ValueError:
        raise ValueError(
            f"mask of shape {live.shape} does not fit logits of shape {shape}"
        ) from None


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
