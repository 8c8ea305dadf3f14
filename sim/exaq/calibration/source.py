"""The user's logits as the calibration reads them: checked, split into parts, block by block."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exaq.config import SoftmaxConfig
from exaq.formats import logits_to_integers
from exaq.masks import Doubt, find_live
from exaq.rows import check_logit_range, check_shape, joined_mask, split_masked
from exaq.scalars import integer

#: Most rows and most elements of a block. Fixed, so that sums add up in the same order anywhere.
BLOCK_ROWS, BLOCK_ELEMENTS = 4096, 2**21


@dataclass(frozen=True)
class Call:
    """Logits of one call of a layer, or of one head of it.

    Members
    -------
    logits
        (..., row) real logits, -inf masked, or integers. A view: nothing is read yet.
    mask
        Booleans of the same shape, True = live, or None.
    values
        (values, *shape of logits) of each element; of no values where there are none. A view.
    where
        What a message calls it.
    settled
        Whether a mask was given, which then says what is masked; else the logits may tell.
    """

    logits: NDArray[Any]
    mask: NDArray[np.bool_] | None
    values: NDArray[Any]
    where: str
    settled: bool

    def head(self, axis: int, number: int) -> Call:
        """The part of one head."""
        logits = np.moveaxis(self.logits, axis, 0)[number]
        mask = None if self.mask is None else np.moveaxis(self.mask, axis, 0)[number]
        values = np.moveaxis(self.values, axis if axis < 0 else axis + 1, 0)[number]
        return Call(logits, mask, values, f"{self.where}, head {number}", self.settled)

    def __reduce__(self) -> tuple[Any, ...]:
        # Of what repeats, once is enough on the way to another process; and logits of a file
        # become those of an array: the file may be out of reach there.
        mask = None if self.mask is None else _once(self.mask)
        logits, values = np.asarray(self.logits), _once(np.asarray(self.values))
        return _unpacked, (logits, mask, values, self.where, self.settled)


def _once(array: NDArray[Any]) -> NDArray[Any]:
    """Of an array that repeats along some axes, what is repeated."""
    return array[tuple(slice(None if stride else 1) for stride in array.strides)]


def _unpacked(
    logits: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    values: NDArray[Any],
    where: str,
    settled: bool,
) -> Call:
    whole = None if mask is None else np.broadcast_to(mask, logits.shape)
    each = np.broadcast_to(values, (len(values), *logits.shape))
    return Call(logits, whole, each, where, settled)


@dataclass(frozen=True)
class Part:
    """What one set of tables is made for."""

    name: str
    layer: int | None
    head: int | None
    calls: tuple[Call, ...]

    @property
    def where(self) -> str:
        """What a message calls it."""
        if self.layer is None:
            return "all layers together"
        return f"layer {self.layer}" + ("" if self.head is None else f", head {self.head}")

    @property
    def blocks(self) -> int:
        """Blocks that ``read`` cuts its calls into."""
        return sum(1 for call in self.calls for _ in _cut(call.logits, call.mask, call.values))


@dataclass(frozen=True)
class Block:
    """Rows with at least one live element; what is no figure is an array (rows, row).

    Members
    -------
    live
        True where an element takes part.
    steps
        Distance to the row's maximum in integer logit steps, at most 0; 0 where not live.
    distances
        The same of the logits as given, in real units: not rounded, not saturated.
    exponentials
        e**distances; 0 where not live.
    values
        (values, rows, row); any where not live.
    saturated
        Live logits beyond the integers' range.
    doubt
        What is masked because of a gap alone.
    """

    live: NDArray[np.bool_]
    steps: NDArray[np.int32]
    distances: NDArray[np.float64]
    exponentials: NDArray[np.float64]
    values: NDArray[Any]
    saturated: int
    doubt: Doubt | None


def read(call: Call, config: SoftmaxConfig) -> Iterator[Block]:
    """The call's rows, block by block; those without a live element are left out."""
    low, high = config.format.live_range
    masked = config.format.masked_logit
    scale = float(config.logit_scale)
    row = call.logits.shape[-1]
    for piece, mask, given_values in _cut(call.logits, call.mask, call.values):
        logits = piece.reshape(-1, row)
        live = np.ones(logits.shape, bool) if mask is None else mask.reshape(-1, row)
        saturated = 0
        doubt = None
        if logits.dtype.kind == "f":
            live, doubt = find_live(logits, live, gaps=not call.settled)
            real = np.where(live, logits, 0).astype(np.float64)
            if not np.isfinite(real).all():
                bad = real[~np.isfinite(real)][0]
                raise ValueError(f"{call.where}: live logits must be finite, not {bad}")
            with np.errstate(over="ignore"):
                rounded = np.rint(real / scale)
            saturated = int(np.count_nonzero((rounded < low) | (rounded > high)))
            integers = logits_to_integers(real, config).astype(np.int32)
        else:
            given = np.where(live, logits, 0)
            with _named(call.where):
                check_logit_range(int(given.min()), int(given.max()), config.format)
            if masked is not None:
                live = live & (given != masked)
            integers = given.astype(np.int32)
            real = integers.astype(np.float64) * scale
        used = live.any(axis=-1)
        if not used.any():
            continue
        live = live[used]
        distances = _below_maximum(real[used], live)
        yield Block(
            live=live,
            steps=_below_maximum(integers[used], live),
            distances=distances,
            exponentials=np.where(live, np.exp(distances), 0.0),
            values=given_values.reshape(len(given_values), *logits.shape)[:, used],
            saturated=saturated,
            doubt=doubt,
        )


def _below_maximum(values: NDArray[Any], live: NDArray[np.bool_]) -> NDArray[Any]:
    lowest = values.min()
    maximum = np.where(live, values, lowest).max(axis=-1, keepdims=True)
    return np.where(live, values - maximum, 0)


def _cut(
    logits: NDArray[Any], mask: NDArray[np.bool_] | None, values: NDArray[Any]
) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_] | None, NDArray[Any]]]:
    """Views of at most a block each, in the order of the rows; nothing is read."""
    if logits.size == 0:
        return
    row = logits.shape[-1]
    most = max(1, min(BLOCK_ROWS, BLOCK_ELEMENTS // row))
    if logits.ndim == 1 or logits.size // row <= most:
        yield logits, mask, values
        return
    each = logits[0].size // row
    stride = max(1, most // each)
    for first in range(0, len(logits), stride):
        # A piece of a single entry that is still too long is cut along its next axis.
        part = slice(first, first + stride) if each <= most else first
        yield from _cut(logits[part], None if mask is None else mask[part], values[:, part])


def numbered(layers: Any, masks: Any, values: Any) -> dict[int, tuple[Any, Any, Any]]:
    """Logits, mask and values of each layer that ran, by its number, ascending.

    A layer that did not run is an empty list, or not in the mapping.
    """
    entries = _by_number("layers", layers)
    if not entries:
        raise ValueError("there are no layers to calibrate")
    beside = []
    for name, given in (("masks", masks), ("values", values)):
        each = dict.fromkeys(entries) if given is None else _by_number(name, given)
        if odd := entries.keys() ^ each.keys():
            raise ValueError(
                f"{name} must be given for just the layers of logits; see layer {min(odd)}"
            )
        beside.append(each)
    live, of_elements = beside
    ran = {
        number: (entry, live[number], of_elements[number])
        for number, entry in sorted(entries.items(), key=lambda item: item[0])
        if not isinstance(entry, list | tuple) or entry
    }
    if not ran:
        raise ValueError("there are no logits to calibrate on: every layer is empty")
    return ran


def _by_number(name: str, values: Any) -> dict[int, Any]:
    if isinstance(values, Mapping):
        return {integer("the number of a layer", key, 0): each for key, each in values.items()}
    if isinstance(values, str | bytes) or not isinstance(values, Sequence | np.ndarray):
        kind = type(values).__name__
        raise TypeError(f"{name} must be a sequence or a mapping of arrays, not {kind}")
    return dict(enumerate(values))


def collect(layers: Mapping[int, tuple[Any, Any, Any]], per: str, head_axis: int) -> list[Part]:
    """The parts of a model that get tables of their own, in the order of the sets.

    ``layers`` are as ``numbered`` gives them.
    """
    each = {number: _calls(number, *given) for number, given in layers.items()}
    if per == "all":
        return [Part("all", None, None, tuple(call for layer in each.values() for call in layer))]
    if per == "layer":
        return [Part(f"layer{k}", k, None, tuple(layer)) for k, layer in each.items()]
    return [
        Part(f"layer{k}.head{h}", k, h, tuple(call.head(head_axis, h) for call in layer))
        for k, layer in each.items()
        for h in range(_heads(layer, head_axis))
    ]


def _calls(layer: int, entry: Any, mask: Any, values: Any) -> list[Call]:
    many = isinstance(entry, list | tuple)
    arrays = list(entry) if many else [entry]
    beside = []
    for name, given in (("masks", mask), ("values", values)):
        each = list(given) if many and isinstance(given, list | tuple) else [given] * len(arrays)
        if len(each) != len(arrays):
            raise ValueError(
                f"layer {layer}: {name} must be given for each of {len(arrays)} calls, "
                f"not {len(each)}"
            )
        beside.append(each)
    result = []
    for number, (logits, live, of_elements) in enumerate(zip(arrays, *beside, strict=True)):
        where = f"layer {layer}, call {number}" if many else f"layer {layer}"
        result.append(_call(logits, live, of_elements, where))
    return result


def _call(logits: Any, mask: Any, values: Any, where: str) -> Call:
    numbers, live = split_masked(logits)
    if numbers.dtype.kind not in "iuf":
        raise TypeError(f"{where}: logits must be integers or real numbers, not {numbers.dtype}")
    with _named(where):
        check_shape(numbers.shape)
        live = joined_mask(live, mask, numbers.shape)
        each = _values(values, numbers.shape)
    return Call(numbers, live, each, where, settled=live is not None)


def _values(given: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Values (values, *shape) of the elements of ``shape``, none where none are given."""
    values = np.empty((0, *(1 for _ in shape)), np.float32) if given is None else np.asarray(given)
    if values.dtype.kind != "f":
        raise TypeError(f"values must be floating-point numbers, not {values.dtype}")
    if not np.isfinite(values).all():
        raise ValueError(f"values must be finite, not {values[~np.isfinite(values)][0]}")
    try:
        return np.broadcast_to(values, (len(values), *shape))
    except (TypeError, ValueError):
        raise ValueError(
            f"values must have the shape (values, ...), the rest of which broadcasts to {shape}, "
            f"not {values.shape}"
        ) from None


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Errors of the body, with ``where`` before them."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}: {error}") from None


def _heads(calls: list[Call], axis: int) -> int:
    counts = []
    for call in calls:
        logits = call.logits
        last = axis in (-1, logits.ndim - 1)
        if not -logits.ndim <= axis < logits.ndim or last:
            raise ValueError(
                f"{call.where}: head_axis must be one of the axes before the row, "
                f"not {axis} of the shape {logits.shape}"
            )
        counts.append(logits.shape[axis])
        if counts[-1] != counts[0]:
            raise ValueError(f"{call.where} has {counts[-1]} heads, but others {counts[0]}")
    return counts[0]


def digest(entry: Any, mask: Any, values: Any) -> dict[str, Any]:
    """What identifies a layer's data: shapes, types and a SHA-256 of logits, masks and values."""
    calls = _calls(0, entry, mask, values)
    shapes, types = [], []
    sha = hashlib.sha256()
    for call in calls:
        shapes.append(list(call.logits.shape))
        types.append(str(call.logits.dtype.newbyteorder("=")))
        sha.update(f"{types[-1]} {shapes[-1]} {call.mask is not None};".encode())
        for logits, live, _ in _cut(call.logits, call.mask, call.values):
            sha.update(np.ascontiguousarray(logits, logits.dtype.newbyteorder("<")).tobytes())
            if live is not None:
                sha.update(np.packbits(live).tobytes())
        if len(call.values):
            sha.update(np.ascontiguousarray(_once(call.values), "<f8").tobytes())
    return {
        "shapes": [shapes[0]] if all(s == shapes[0] for s in shapes) else shapes,
        "batches": len(calls),
        "dtype": sorted(set(types)),
        "sha256": sha.hexdigest(),
    }
