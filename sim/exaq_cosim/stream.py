"""Rows through a compiled unit."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exaq import RowResults, SoftmaxConfig
from exaq.float_format import bits_of_keys
from exaq.row_bytes import RowBytes
from exaq.stream_format import element_type
from exaq_cosim.library import DONE, HANG, run_library
from exaq_cosim.loading import Load, accesses, load_of, reasons

# enum Fault of the driver, from 1.
_FAULTS = (
    "m_axis_tvalid fell before the beat was taken",
    "m_axis payload changed before the beat was taken",
    "a beat came out of no row, or before its row was in",
    "m_axis_tlast is missing at the row's last beat",
    "m_axis_tlast came before the row's last beat",
    "m_axis_tkeep does not mark the row's elements",
    "m_axis_tuser reports an error before the row's last beat",
    "a lane without an element is not 0",
    "m_axis_tid is not the row's context",
    "s_axi answers what was not asked",
    "s_axi takes an answer back before it was taken",
    "s_axi answers with an error",
    "m_axis_tuser does not mark the row's live elements",
    "m_row_tvalid fell before the row was taken",
    "m_row payload changed before the row was taken",
    "results came of no row, or before their row was in",
    "m_row_tid is not the row's context",
    "",
)
# Of these the last.
_REFUSED = len(_FAULTS)
# Those that name a row by its results.
_OF_RESULTS = [k for k, text in enumerate(_FAULTS, 1) if text.startswith(("m_row", "results"))]


class SimulationError(RuntimeError):
    """The unit broke its contract; the message is one line."""


class HangError(SimulationError):
    """No beat moved on either side for more cycles than the unit may ever need."""


class ProtocolError(SimulationError):
    """The unit broke a rule of AXI4-Stream or AXI4-Lite, or gave a row a wrong shape."""


class LoadError(SimulationError):
    """The unit refused tables that fit its configuration."""


class _Job(ctypes.Structure):
    _fields_ = (
        ("logits", ctypes.c_void_p),
        ("live", ctypes.c_void_p),
        ("lengths", ctypes.c_void_p),
        ("contexts", ctypes.c_void_p),
        ("windows", ctypes.c_void_p),
        ("accesses", ctypes.c_void_p),
        ("taking_part", ctypes.c_void_p),
        ("null_beats", ctypes.c_void_p),
        ("elements", ctypes.c_void_p),
        ("references", ctypes.c_void_p),
        ("row_errors", ctypes.c_void_p),
        ("results", ctypes.c_void_p),
        ("result_errors", ctypes.c_void_p),
        ("lost", ctypes.c_void_p),
        ("stamps", ctypes.c_void_p),
        ("rows", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("access_count", ctypes.c_int64),
        ("seed", ctypes.c_uint64),
        ("stall", ctypes.c_uint64),
        ("reset", ctypes.c_uint64),
        ("idle_limit", ctypes.c_int64),
    )


class _Report(ctypes.Structure):
    _fields_ = (
        ("cycle", ctypes.c_int64),
        ("rows_in", ctypes.c_int64),
        ("rows_out", ctypes.c_int64),
        ("results", ctypes.c_int64),
        ("beats_in", ctypes.c_int64),
        ("beats_out", ctypes.c_int64),
        ("accesses", ctypes.c_int64),
        ("load_cycles", ctypes.c_int64),
        ("resets", ctypes.c_int64),
        ("state", ctypes.c_int32),
        ("fault", ctypes.c_int32),
        ("status", ctypes.c_uint32),
    )


@dataclass(frozen=True, kw_only=True)
class Streamed:
    """What came out of the unit for an array of rows.

    Members
    -------
    elements
        (rows, width) unsigned, probabilities or codes; those that are absent, or beyond max_row,
        are 0.
    references
        (rows, beats of width) int32: of codes that come with them, what those of each beat are
        relative to, 0 behind a row's end; else None.
    row_errors
        (rows,) bool: the error flag on each row's last beat, or in its results.
    results
        Maximum, sum and table of each row; None where the unit gives none.
    stamps
        (5, rows) int64: cycles, counted from reset, of the row's first and last beat in and
        first and last beat out, and that in which its results were taken, 0 where there are none.
    beats_in, beats_out
        Beats that moved on either side.
    load_cycles
        Cycles from the first load's beginning to the last one's end.
    lost
        (rows,) bool: rows of which something was inside at a reset; what is said of them is void.
    resets
        Resets among the rows.
    """

    elements: NDArray[Any]
    references: NDArray[np.int32] | None
    row_errors: NDArray[np.bool_]
    results: RowResults | None
    stamps: NDArray[np.int64]
    beats_in: int
    beats_out: int
    load_cycles: int
    lost: NDArray[np.bool_]
    resets: int


def idle_limit(config: SoftmaxConfig, stall: float) -> int:
    """Cycles without a beat on either side that no working unit needs.

    Far above a longest row through every stage and all its divisions done one after another.
    With contexts, above the filling of all of them after reset, too.
    """
    filling = config.contexts * config.kernel.most_load_cycles
    return math.ceil((4 * config.beats + 4096) / (1 - stall)) + filling


def stream_rows(
    library: Path,
    config: SoftmaxConfig,
    logits: NDArray[Any],
    lengths: NDArray[np.int32],
    live: NDArray[np.bool_] | None = None,
    contexts: NDArray[np.int32] | None = None,
    windows: NDArray[np.int32] | None = None,
    *,
    taking_part: NDArray[np.bool_] | None = None,
    null_beats: NDArray[np.bool_] | None = None,
    loads: Sequence[Load] = (),
    stall: float = 0.0,
    reset: float = 0.0,
    seed: int = 0,
    waves: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Streamed:
    """Streams rows through a compiled unit in one continuous simulation.

    Parameters
    ----------
    library
        What ``build_library`` gave for ``config``, with tracing where ``waves`` are asked.
    logits
        (rows, width) integers of ``element_type(logit_width, signed=True)``; of floating-point
        numbers their keys.
    lengths
        (rows,) elements streamed of each row, 1 to width; rows longer than max_row are legal.
    live
        (rows, width), True = live; needs ``config.masking``. None: every element is.
    contexts
        (rows,) each row's context; just where the unit has contexts.
    windows
        (rows, 2) start and stop of each row's window, of ``index_bits`` each; just where the unit
        has windows.
    taking_part
        (rows, width), what is live within each row, whatever says so; of a unit that gives codes,
        which tells. None: what ``live`` says.
    null_beats
        (rows,), True = a beat without elements ends the row, whose elements fill their beats.
        None: no row has one.
    loads
        Contexts and tables, loaded one after the other before the first row, and again after each
        reset.
    stall
        Probability that a side pauses in a cycle: 0 (never) to below 1. The sides are the
        source, the sink, that of row results, and each channel of the registers' port.
    reset
        Probability that the unit is reset before a cycle, for one to four of them: 0 (never) to
        below 1. Rows of which something is inside are lost, that which has begun to go in too; the
        next one follows.
    seed
        Of stalls and resets; 64 bits.
    waves
        File to write a VCD to, at 10 ns a cycle.
    progress
        Called with (rows done, rows) every ``STEP`` cycles of the library, and at the end.

    Raises
    ------
    HangError
        Nothing moved for ``idle_limit`` cycles.
    ProtocolError
        Valid dropped, payload changed while stalled, wrong tlast, tkeep, live lanes or tid, stray
        beat or results, errors of a row that contradict each other; an answer of the registers'
        port that is stray, dropped or an error.
    LoadError
        Tables were refused.
    TypeError, ValueError
        Tables do not fit the configuration.
    """
    rows, width = logits.shape
    floats = config.float_format
    if floats is not None:
        # A number that puts its row in error must not be masked on its way.
        live = None if live is None else live | floats.bad(logits)
        logits = bits_of_keys(logits).view(np.int16)
    logits = np.ascontiguousarray(logits, element_type(config.logit_width, signed=True))
    lengths = np.ascontiguousarray(lengths, np.int32)
    live = None if live is None else np.ascontiguousarray(live, np.bool_)
    contexts = None if contexts is None else np.ascontiguousarray(contexts, np.int32)
    windows = None if windows is None else np.ascontiguousarray(windows, np.int32)
    script = accesses(config, loads)
    part = live if taking_part is None else np.ascontiguousarray(taking_part, np.bool_)
    codes = config.output == "codes"
    narrow = np.dtype(np.uint8) if codes else element_type(config.prob_bits, signed=False)
    elements = np.zeros((rows, width), narrow)
    referred = bool(config.kernel.beat_reference_bits)
    references = np.zeros((rows, -(-width // config.lanes) if referred else 0), np.int32)
    null_beats = None if null_beats is None else np.ascontiguousarray(null_beats, np.bool_)
    row_errors, result_errors, lost = np.zeros((3, rows), np.bool_)
    octets = RowBytes.of(config) if config.row_results != "none" else None
    results = np.zeros((rows, octets.total if octets else 0), np.uint8)
    stamps = np.zeros((5, rows), np.int64)
    job = _Job(
        logits=logits.ctypes.data,
        live=None if live is None else live.ctypes.data,
        lengths=lengths.ctypes.data,
        contexts=None if contexts is None else contexts.ctypes.data,
        windows=None if windows is None else windows.ctypes.data,
        accesses=script.ctypes.data,
        taking_part=None if part is None else part.ctypes.data,
        null_beats=None if null_beats is None else null_beats.ctypes.data,
        elements=elements.ctypes.data,
        references=references.ctypes.data,
        row_errors=row_errors.ctypes.data,
        results=results.ctypes.data,
        result_errors=result_errors.ctypes.data,
        lost=lost.ctypes.data,
        stamps=stamps.ctypes.data,
        rows=rows,
        width=width,
        access_count=len(script),
        seed=seed,
        stall=int(stall * 2.0**64),
        reset=int(reset * 2.0**64),
        idle_limit=idle_limit(config, stall),
    )
    report = _Report()
    told = None if progress is None else lambda: progress(report.rows_out, rows)
    run_library(library, job, report, waves=waves, told=told)
    if report.state != DONE and report.accesses < len(script):
        context, _ = load_of(loads, len(script), report.accesses)
        raise _load_error(report, context, job.idle_limit)
    if report.state == HANG:
        results_of = f", and results of {report.results}" if octets else ""
        raise HangError(
            f"the unit hangs: no beat moved for {job.idle_limit} cycles up to cycle "
            f"{report.cycle}, with {report.rows_in} of {rows} rows in and {report.rows_out} out"
            f"{results_of}"
        )
    if report.state != DONE:
        row = report.results if report.fault in _OF_RESULTS else report.rows_out
        raise ProtocolError(f"{_FAULTS[report.fault - 1]} (cycle {report.cycle - 1}, row {row})")
    contradict = (row_errors != result_errors) & ~lost
    if octets and not codes and contradict.any():
        row = int(contradict.argmax())
        raise ProtocolError(f"m_axis_tuser and m_row_tuser contradict each other (row {row})")
    return Streamed(
        elements=elements,
        references=references if referred else None,
        row_errors=result_errors if codes else row_errors,
        results=octets.results(results, config) if octets else None,
        stamps=stamps,
        beats_in=report.beats_in,
        beats_out=report.beats_out,
        load_cycles=report.load_cycles,
        lost=lost,
        resets=report.resets,
    )


def _load_error(report: _Report, context: int, limit: int) -> SimulationError:
    if report.state == HANG:
        return HangError(
            f"the unit hangs: the load of context {context} made no progress for {limit} cycles "
            f"up to cycle {report.cycle}"
        )
    if report.fault == _REFUSED:
        return LoadError(
            f"the unit refused the tables of context {context}: {reasons(report.status)} "
            f"(cycle {report.cycle - 1})"
        )
    return ProtocolError(
        f"{_FAULTS[report.fault - 1]} (cycle {report.cycle - 1}, load of context {context})"
    )
