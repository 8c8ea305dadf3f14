"""Heads of attention through a compiled unit."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exaq.attention import AttentionConfig
from exaq.attention.attention_config import QUERY_WIDTH
from exaq.attention.head_operands import HeadOperands, packed
from exaq_cosim.library import DONE, HANG, run_library
from exaq_cosim.stream import HangError, ProtocolError

# enum Fault of the driver, from 1.
_FAULTS = (
    "m_axis_tvalid fell before the beat was taken",
    "m_axis payload changed before the beat was taken",
    "a beat came out of no row, or before its row, keys and values were in",
    "m_axis_tlast is missing at the row's last beat",
    "m_axis_tlast came before the row's last beat",
    "m_axis_tuser reports an error before the row's last beat",
)
# enum Input of the driver.
_INPUTS = ("q", "k", "v")
# Bits of a beat's flags.
_LAST, _RELEASE = 1, 2


class _Source(ctypes.Structure):
    _fields_ = (
        ("beats", ctypes.c_void_p),
        ("flags", ctypes.c_void_p),
        ("taken", ctypes.c_void_p),
        ("count", ctypes.c_int64),
    )


class _Job(ctypes.Structure):
    _fields_ = (
        ("sources", _Source * len(_INPUTS)),
        ("due", ctypes.c_void_p * 2),
        ("outputs", ctypes.c_void_p),
        ("row_errors", ctypes.c_void_p),
        ("stamps", ctypes.c_void_p),
        ("seed", ctypes.c_uint64),
        ("stall", ctypes.c_uint64),
        ("idle_limit", ctypes.c_int64),
    )


class _Report(ctypes.Structure):
    _fields_ = (
        ("cycle", ctypes.c_int64),
        ("taken", ctypes.c_int64 * len(_INPUTS)),
        ("rows_out", ctypes.c_int64),
        ("state", ctypes.c_int32),
        ("fault", ctypes.c_int32),
        ("waiting", ctypes.c_uint32),
    )


@dataclass(frozen=True, kw_only=True)
class StreamedHeads:
    """What came out of the unit for heads of attention.

    Members
    -------
    outputs
        (heads, rows, head_size) int8 or int16.
    row_errors
        (heads, rows) bool: the flag on each row's last beat.
    first_in
        Cycle of the first beat that went in, counted from reset as all others.
    row_in, first_out, last_out
        (heads, rows) int64: cycles in which each row of q went in, and its first and last beat came
        out.
    loaded
        (loads,) int64: cycle in which the last one of the keys and values of each load went in.
    """

    outputs: NDArray[Any]
    row_errors: NDArray[np.bool_]
    first_in: int
    row_in: NDArray[np.int64]
    first_out: NDArray[np.int64]
    last_out: NDArray[np.int64]
    loaded: NDArray[np.int64]


@dataclass(frozen=True)
class _Beats:
    """A stream that goes in: bytes of each beat, its flags, and when it went in."""

    beats: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    taken: NDArray[np.int64]

    @classmethod
    def of(cls, beats: NDArray[np.uint8], flags: NDArray[np.uint8]) -> _Beats:
        return cls(np.ascontiguousarray(beats), flags, np.zeros(len(flags), np.int64))

    @property
    def source(self) -> _Source:
        return _Source(
            beats=self.beats.ctypes.data,
            flags=self.flags.ctypes.data,
            taken=self.taken.ctypes.data,
            count=len(self.flags),
        )


def stream_heads(
    library: Path,
    config: AttentionConfig,
    operands: HeadOperands,
    *,
    stall: float = 0.0,
    seed: int = 0,
    waves: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> StreamedHeads:
    """Streams heads through a compiled unit in one continuous simulation.

    Rows of q, keys and values are offered as early as the unit takes them.

    Parameters
    ----------
    library
        What ``build_head_library`` gave for ``config``, with tracing where ``waves`` are asked.
    operands
        The heads.
    stall
        Probability that a side, each of the three sources and the sink, pauses in a cycle: 0
        (never) to below 1.
    seed
        Of the stalls; 64 bits.
    waves
        File to write a VCD to, at 10 ns a cycle.
    progress
        Called with (rows done, rows) every ``STEP`` cycles of the library, and at the end.

    Raises
    ------
    HangError
        Nothing moved for ``idle_limit`` cycles.
    ProtocolError
        Valid dropped, payload changed while stalled, wrong tlast, a stray beat.
    """
    heads, rows = operands.q.shape[:2]
    q, k, v = inputs = (
        _rows_in(operands),
        _vectors_in(operands, 0, operands.k, config.key_format.width),
        _vectors_in(operands, 1, operands.v, config.value_width),
    )
    # The last key, and value, of each load, and so what must be in before each row.
    ends = [each.flags.nonzero()[0] for each in (k, v)]
    due = [np.repeat(each[operands.load_of] + 1, rows) for each in ends]
    outputs = np.zeros((heads, rows, config.head_size), f"i{config.output_width // 8}")
    row_errors = np.zeros((heads, rows), np.bool_)
    first_out, last_out = stamps = np.zeros((2, heads, rows), np.int64)
    job = _Job(
        sources=(_Source * len(_INPUTS))(*(each.source for each in inputs)),
        due=(ctypes.c_void_p * 2)(*(each.ctypes.data for each in due)),
        outputs=outputs.ctypes.data,
        row_errors=row_errors.ctypes.data,
        stamps=stamps.ctypes.data,
        seed=seed,
        stall=int(stall * 2.0**64),
        idle_limit=idle_limit(config, stall),
    )
    report = _Report()
    total = heads * rows
    told = None if progress is None else lambda: progress(report.rows_out, total)
    run_library(library, job, report, waves=waves, told=told)
    if report.state == HANG:
        raise _hang(report, [len(each.flags) for each in inputs], job.idle_limit)
    if report.state != DONE:
        head, row = divmod(report.rows_out, rows)
        raise ProtocolError(
            f"{_FAULTS[report.fault - 1]} (cycle {report.cycle - 1}, row {row} of head {head})"
        )
    return StreamedHeads(
        outputs=outputs,
        row_errors=row_errors,
        first_in=min(int(each.taken[0]) for each in inputs),
        row_in=q.taken.reshape(heads, rows),
        first_out=first_out,
        last_out=last_out,
        loaded=np.maximum(*(each.taken[end] for each, end in zip((k, v), ends, strict=True))),
    )


def idle_limit(config: AttentionConfig, stall: float) -> int:
    """Cycles without a beat on any side that no working unit needs.

    Far above a longest row through every stage and its outputs one after the other.
    """
    return math.ceil((4 * config.softmax.format.beats + 4 * config.head_size + 4096) / (1 - stall))


def _rows_in(operands: HeadOperands) -> _Beats:
    heads, rows, size = operands.q.shape
    flags = np.zeros((heads, rows), np.uint8)
    flags[:, -1] = _LAST + _RELEASE * operands.releases
    return _Beats.of(packed(operands.q, QUERY_WIDTH).reshape(-1, size), flags.reshape(-1))


def _vectors_in(operands: HeadOperands, kind: int, vectors: NDArray[Any], width: int) -> _Beats:
    """The beats of all loads: of keys, ``kind`` 0, or values, 1."""
    octets = packed(vectors, width)
    lengths = operands.lengths[operands.loads, kind]
    beats = [octets[each, :length] for each, length in zip(operands.loads, lengths, strict=True)]
    flags = np.zeros(lengths.sum(), np.uint8)
    flags[lengths.cumsum() - 1] = _LAST
    return _Beats.of(np.concatenate(beats), flags)


def _hang(report: _Report, counts: list[int], limit: int) -> HangError:
    came = ", ".join(
        f"{taken} of {count} {name}"
        for name, taken, count in zip(
            ("rows of q", "keys", "values"), report.taken, counts, strict=True
        )
    )
    offered = [f"s_axis_{name}" for k, name in enumerate(_INPUTS) if report.waiting >> k & 1]
    waits = f"; {', '.join(offered)} not taken" if offered else ""
    return HangError(
        f"the unit hangs: no beat moved for {limit} cycles up to cycle {report.cycle}, with {came} "
        f"in and {report.rows_out} rows out{waits}"
    )
