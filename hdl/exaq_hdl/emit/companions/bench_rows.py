"""Rows that a unit's bench sends, and the beats that the golden model says must come of them.

>>> from exaq import SoftmaxConfig
>>> from exaq_hdl.emit.companions.bench_rows import beats_in, bench_rows
>>> config = SoftmaxConfig(lanes=4)
>>> row = bench_rows(config)[0]  # of one element
>>> [(beat["s_axis_tkeep"], beat["s_axis_tlast"]) for beat in beats_in(row, config)]
[(1, 1)]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import exaq
from exaq import SoftmaxConfig
from exaq.float_format import bits_of_keys
from exaq.row_bytes import RowBytes
from exaq.rows import Rows

#: What the ports of a stream hold in a beat, by their names.
Beat = dict[str, int]

# A row whose beats differ has no more, which keeps the bench's text short.
_MOST_BEATS = 64
_RANDOM_ROWS = 16


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row as it is sent.

    Members
    -------
    logits : (elements,) integers, or numbers of the floating-point format
    live : (elements,) bool; all are where the unit has no masks
    window : start and stop; all of the row where the unit has no windows
    context : number of the row's context, 0 where the unit has none
    """

    logits: NDArray[Any]
    live: NDArray[np.bool_]
    window: tuple[int, int]
    context: int


def bench_rows(config: SoftmaxConfig) -> list[Row]:
    """Short rows, one of the longest, masked ones and windows, one in error, one that is too long.

    They are the same each time. A longest row of many beats is left out, and that which is too long
    repeats one beat.
    """
    lanes, longest = config.lanes, config.max_row
    rng = np.random.default_rng(0)
    most = min(longest, _MOST_BEATS * lanes)
    lengths = [1, lanes, *rng.integers(1, min(longest, 4 * lanes) + 1, _RANDOM_ROWS)]
    # A tail: as much of a beat as there can be, but for a lane.
    lengths += [min(longest, 2 * lanes - 1), *([longest] if longest == most else [])]
    rows = [_row(config, rng, int(length), number) for number, length in enumerate(lengths)]
    if config.masking:
        rows.append(_row(config, rng, min(longest, 2 * lanes), 1, live=False))
    if config.float_format is not None:
        rows.append(_row(config, rng, min(longest, 2 * lanes), 0))
        rows[-1].logits[-1] = np.inf
    beat = _row(config, rng, lanes, 3)
    beats = config.beats + 1
    rows.append(
        Row(
            logits=np.tile(beat.logits, beats),
            live=np.tile(beat.live, beats),
            window=(0, longest),
            context=beat.context,
        )
    )
    return [*rows, _row(config, rng, lanes, -1)]


def _row(
    config: SoftmaxConfig, rng: np.random.Generator, length: int, number: int, live: bool = True
) -> Row:
    """A random row; of masked elements alone where it is not ``live``.

    Masks are of odd numbers, windows of those that 3 does not divide; contexts take turns.
    """
    format = config.format
    flags = np.full(length, live)
    if config.masking and number % 2:
        flags &= rng.random(length) < 0.8
    # Logits of great spread saturate at both ends.
    real = rng.normal(0, 2.0 ** (number % 4), length)
    by_value = format.masked_logit is not None or format.float_format is not None
    hidden = rng.random(length) < 0.1
    logits = exaq.round_logits(real, config, ~hidden if by_value else None)
    start, stop = 0, length
    if config.window and number % 3:
        start, stop = sorted(rng.integers(0, length + 1, 2).tolist())
    return Row(
        logits=logits,
        live=flags,
        window=(start, stop),
        context=number % config.contexts if config.contexts else 0,
    )


def beats_in(row: Row, config: SoftmaxConfig) -> Iterator[Beat]:
    """What the ports ``s_axis_*`` hold, beat by beat."""
    format, lanes = config.format, config.lanes
    floats = format.float_format
    values = row.logits if floats is None else bits_of_keys(floats.keys(row.logits))
    octets = 8 * format.logit_bytes
    for first in range(0, len(values), lanes):
        part = slice(first, first + lanes)
        present = len(values[part])
        last = first + lanes >= len(values)
        user = [(_bits(~row.live[part]), lanes)] if config.masking else []
        if config.window:
            edges = (0, 0) if first else row.window
            user += [(edge, format.index_bits) for edge in edges]
        yield {
            "s_axis_tdata": _packed((value, octets) for value in values[part].tolist()),
            "s_axis_tkeep": (1 << format.logit_bytes * present) - 1,
            "s_axis_tuser": _packed(user),
            "s_axis_tid": row.context,
            "s_axis_tlast": int(last),
        }


def beats_out(row: Row, config: SoftmaxConfig) -> Iterator[Beat]:
    """What the ports ``m_axis_*`` must hold, beat by beat."""
    lanes, codes = config.lanes, config.output == "codes"
    kept, error = _kept(row, config), _error(row, config)
    options = _options(kept)
    contexts = kept.context if config.contexts else None
    model = exaq.quantize if codes else exaq.softmax
    elements = model(kept.logits, config, contexts=contexts, **options).tolist()
    width = config.bits if codes else 8 * config.prob_bytes
    live = Rows.of(kept.logits, config.format, **options).taking_part
    alive = np.ones(len(elements), np.bool_) if live is None else live[0]
    referred = config.kernel.beat_reference_bits
    references: Any = exaq.beat_references(kept.logits, config, **options) if referred else []
    for number, first in enumerate(range(0, len(elements), lanes)):
        part = slice(first, first + lanes)
        last = part.stop >= len(elements)
        user = error if last else 0
        if codes:
            reference = [(references[number], referred)] if referred else []
            user = _packed([(_bits(alive[part]), lanes), *reference])
        yield {
            "m_axis_tdata": _packed((element, width) for element in elements[part]),
            "m_axis_tkeep": (1 << -(-len(elements[part]) * width // 8)) - 1,
            "m_axis_tuser": user,
            "m_axis_tid": row.context,
            "m_axis_tlast": int(last),
        }


def result_beat(row: Row, config: SoftmaxConfig) -> Beat:
    """What the ports ``m_row_*`` must hold, of a unit with row results."""
    kept = _kept(row, config)
    contexts = kept.context if config.contexts else None
    results = exaq.row_results(kept.logits, config, contexts=contexts, **_options(kept))
    floats, octets = config.format.float_format, RowBytes.of(config)
    maximum = results.maximum.reshape(1)
    if floats is not None:
        maximum = bits_of_keys(floats.keys(maximum))
    table = [] if results.table is None else results.table.tolist()
    values = [(maximum[0], octets.maximum), (results.sum, octets.sum)]
    values += [(probability, octets.probability) for probability in table]
    return {
        "m_row_tdata": _packed((value, 8 * size) for value, size in values),
        "m_row_tuser": _error(row, config),
        "m_row_tid": row.context,
    }


def _kept(row: Row, config: SoftmaxConfig) -> Row:
    """What the unit computes with: the row up to max_row."""
    most = min(len(row.logits), config.max_row)
    start, stop = (min(edge, most) for edge in row.window)
    return replace(row, logits=row.logits[:most], live=row.live[:most], window=(start, stop))


def _options(row: Row) -> dict[str, Any]:
    """What the model is told of a row beside its logits and its context."""
    return {"mask": row.live, "window": row.window}


def _error(row: Row, config: SoftmaxConfig) -> int:
    """Whether the row is in error: too long, or with a NaN or +inf that takes part."""
    kept = _kept(row, config)
    errors = Rows.of(kept.logits, config.format, **_options(kept)).errors
    return int(len(row.logits) > config.max_row or (errors is not None and errors.any()))


def _bits(flags: NDArray[np.bool_]) -> int:
    """The integer whose bit i is flag i."""
    return _packed((flag, 1) for flag in flags.tolist())


def _packed(values: Iterable[tuple[int, int]]) -> int:
    """Values with their widths side by side, the first one lowest; negative ones as two's
    complement.
    """
    total = place = 0
    for value, width in values:
        total |= (int(value) & ((1 << width) - 1)) << place
        place += width
    return total
