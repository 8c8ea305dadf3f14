"""Arrays of logits through the compiled RTL, and the same through the golden model."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq import RowResults, SoftmaxConfig
from exaq.rows import Rows, plain, rows_misfit
from exaq.scalars import flag, integer, real
from exaq_cosim.build import build_library
from exaq_cosim.loading import Load, loaded
from exaq_cosim.stream import stream_rows
from exaq_cosim.waves import kept_waves


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Smallest, median and largest of a count of cycles over all rows."""

    min: int
    median: float
    max: int

    @classmethod
    def of(cls, cycles: NDArray[np.int64]) -> Spread:
        """The spread of a non-empty array."""
        return cls(min=int(cycles.min()), median=float(np.median(cycles)), max=int(cycles.max()))


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What the unit gave for an array of rows, and when.

    Cycles are counted from the unit's reset, one continuous stream of rows in the array's order.

    Members
    -------
    config
        The unit's configuration, with the tables that it holds after reset.
    given
        What the unit gave for each element, shape and order of the logits; 0 where masked or
        absent. It is ``probabilities``, of the type of ``exaq.softmax``, or ``codes``, as of
        ``exaq.quantize``; the other of the two is a TypeError.
    references
        (..., beats of a row) int32: what the codes of each beat are relative to, as
        ``exaq.beat_references`` gives it, 0 behind a row's end; None where codes come without.
    results
        Row results of leading shape, as ``exaq.row_results`` gives them; None where the unit has
        none.
    row_errors
        Leading shape, bool: the unit's flag for rows longer than max_row, and for those in which
        a NaN or +inf takes part.
    lengths
        Leading shape: elements streamed of each row.
    first_in, last_in, first_out, last_out, results_out
        Leading shape, int64: cycle in which the row's first and last beat went in and came out,
        and in which its results did, 0 where there are none. The last beat in is that of the last
        element within max_row.
    beats_in, beats_out
        Beats moved on either side.
    loads, load_cycles
        Tables loaded before the rows, and cycles from the first load's beginning to the last
        one's end.
    lost
        Leading shape, bool: rows that a reset found inside. What is said of them is void.
    resets
        Resets among the rows.
    stall, seed
        As given to ``simulate``.
    seconds
        Wall time of the simulation without compilation.
    """

    config: SoftmaxConfig
    given: NDArray[Any]
    references: NDArray[np.int32] | None
    results: RowResults | None
    row_errors: NDArray[np.bool_]
    lengths: NDArray[np.int32]
    first_in: NDArray[np.int64]
    last_in: NDArray[np.int64]
    first_out: NDArray[np.int64]
    last_out: NDArray[np.int64]
    results_out: NDArray[np.int64]
    beats_in: int
    beats_out: int
    loads: int
    load_cycles: int
    lost: NDArray[np.bool_]
    resets: int
    stall: float
    seed: int
    seconds: float

    @property
    def probabilities(self) -> NDArray[Any]:
        """``given`` of a unit that gives probabilities."""
        return self._of("probabilities")

    @property
    def codes(self) -> NDArray[np.uint8]:
        """``given`` of a unit that gives codes."""
        return self._of("codes")

    def _of(self, output: str) -> NDArray[Any]:
        if self.config.output != output:
            raise TypeError(f"the unit gives {self.config.output}, not {output}")
        return self.given

    @property
    def rows(self) -> int:
        """Rows streamed."""
        return self.lengths.size

    @property
    def elements(self) -> int:
        """Elements streamed, masked ones included."""
        return int(self.lengths.sum())

    @property
    def cycles(self) -> int:
        """Cycles from the first beat in to the last beat out, both counted."""
        return int(self.last_out.max() - self.first_in.min()) + 1

    @property
    def cycles_per_row(self) -> float:
        """``cycles`` a row, the pipeline's filling and draining included."""
        return self.cycles / self.rows

    @property
    def elements_per_cycle(self) -> float:
        """``elements`` a cycle, the pipeline's filling and draining included."""
        return self.elements / self.cycles

    @property
    def elements_per_second(self) -> float:
        """Speed of the simulation."""
        return self.elements / self.seconds

    @property
    def row_cycles(self) -> Spread:
        """Cycles from a row's first logit in to its last element out, both counted."""
        return Spread.of(self.last_out - self.first_in + 1)

    @property
    def latency(self) -> Spread:
        """Cycles from a row's last logit in to its first probability out, less the row's beats; of
        a unit that gives codes to its first code, without the beats taken off, and where codes come
        with references from the row's first logit in. Nor are they taken off of a kernel of one
        pass.

        What the unit declares as ``latency`` where nothing stalls and no earlier row is in the way.
        """
        if self.references is not None:
            return Spread.of(self.first_out - self.first_in)
        waits = self.config.output == "probabilities" and self.config.kernel.passes > 1
        return Spread.of(self.first_out - self.last_in - (self._beats if waits else 0))

    @property
    def results_latency(self) -> Spread | None:
        """Cycles from a row's last logit in to its results out, less the row's beats; None where
        there are none. What the unit declares as such, likewise. Where codes come with references
        the beats are not taken off.
        """
        if self.results is None:
            return None
        if self.references is not None:
            return Spread.of(self.results_out - self.last_in)
        return Spread.of(self.results_out - self.last_in - self._beats)

    @property
    def _beats(self) -> NDArray[Any]:
        within = np.minimum(self.lengths, self.config.max_row)
        return np.asarray(-(-within // self.config.lanes))

    @property
    def row_interval(self) -> Spread | None:
        """Cycles between the ends of successive rows; None for a single row."""
        return Spread.of(np.diff(self.last_out.reshape(-1))) if self.rows > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Every figure as plain values for JSON."""
        interval, results = self.row_interval, self.results_latency
        return {
            "rows": self.rows,
            "elements": self.elements,
            "beats_in": self.beats_in,
            "beats_out": self.beats_out,
            "cycles": self.cycles,
            "cycles_per_row": self.cycles_per_row,
            "elements_per_cycle": self.elements_per_cycle,
            "row_cycles": vars(self.row_cycles),
            "latency": vars(self.latency),
            **({} if results is None else {"results_latency": vars(results)}),
            "row_interval": None if interval is None else vars(interval),
            "row_errors": int(np.count_nonzero(self.row_errors)),
            "loads": self.loads,
            "load_cycles": self.load_cycles,
            "stall": self.stall,
            "seed": self.seed,
            "seconds": self.seconds,
            "elements_per_second": self.elements_per_second,
        }


def compile_unit(
    config: SoftmaxConfig, *, tracing: bool = False, verilog: str | None = None
) -> Path:
    """The unit's AXI top as a shared library, compiled unless it is in the cache.

    ``simulate`` calls it; calling it before only moves the wait. ``verilog`` is as of ``simulate``.
    Errors: as ``build_library``.
    """
    text = _verilog(config) if verilog is None else verilog
    return build_library(text, config, tracing=tracing, gates=verilog is not None)


def simulate(
    logits: ArrayLike,
    config: SoftmaxConfig,
    *,
    mask: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    contexts: ArrayLike | None = None,
    window: tuple[ArrayLike, ArrayLike] | None = None,
    null_beats: ArrayLike | None = None,
    loads: Sequence[Load] = (),
    stall: float = 0.0,
    reset: float = 0.0,
    seed: int = 0,
    waves: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    overlong: bool = False,
    verilog: str | None = None,
) -> Simulation:
    """Streams an array through the unit's emitted Verilog, compiled.

    Rows follow one another without a pause (but for ``stall``), in the array's order.

    Parameters
    ----------
    logits
        Integers within ``config.logit_range``, shape (..., row); with ``config.logit_format``
        bf16 or fp16 floating-point numbers that the format has.
    config
        The unit. It is compiled on the first use and taken from the cache later.
    mask
        Booleans that broadcast to the logits' shape, True = live. A unit without masking gets them
        in another way: as its mask value; with windows, as those of masks that keep one interval
        of each row; else as shorter rows, of masks that cut off the ends of rows.
    lengths
        Integers that broadcast to the leading shape: elements of each row, 1 to row; the others
        are not streamed. None: all.
    contexts
        With ``config.contexts``: integers that broadcast to the leading shape, the context of
        each row. None: context 0.
    window
        Starts and stops, as of ``exaq.softmax``. A unit without windows gets them as a mask.
    null_beats
        Booleans that broadcast to the leading shape, True = a beat without elements ends the row,
        whose elements must fill their beats. Behind max_row elements it makes the row too long.
    loads
        Contexts and their tables, (context, ``exaq.Tables``), loaded through the unit's
        registers one after the other before the first row, and again after each reset. The other
        contexts keep the tables that they hold after reset.
    stall
        Probability that the source, the sink, and a load's master pause in a cycle: 0 to
        below 1.
    reset
        Probability that the unit is reset before a cycle, for one to four of them: 0 to below 1.
        Rows of which something is inside are ``lost``, and the next one follows.
    seed
        Of stalls and resets: 0 to 2**64 - 1.
    waves
        File for a VCD of all signals, 10 ns a cycle. Also written where the simulation fails.
    progress
        Called with (rows done, rows) now and then, and at the end.
    overlong
        Stream rows longer than ``config.max_row`` rather than refuse them: the unit works on the
        first max_row elements, flags the row in ``row_errors`` and gives 0 for the others.
    verilog
        Text of the unit's AXI top, a module ``exaq_softmax`` with its ports: the unit emitted for
        another target, or a netlist of it. None: as ``exaq_hdl.emit_verilog`` gives it.

    Raises
    ------
    TypeError, ValueError
        An argument is not as described.
    ToolError
        The unit cannot be compiled.
    SimulationError
        The unit hangs, breaks a rule of its interfaces or refuses tables.
    OSError
        ``waves`` or the cache cannot be written.
    """
    stall, seed = checked_stalls(stall, seed)
    reset = _share("reset", reset)
    overlong = flag("overlong", overlong)
    asked, rows = _rows(logits, config, mask, lengths, contexts, window, overlong)
    ends = None if null_beats is None else _null_beats(null_beats, rows, config, overlong)
    loaded(config, loads)
    with kept_waves(waves) as file:
        library = compile_unit(config, tracing=file is not None, verilog=verilog)
        begin = time.perf_counter()
        out = stream_rows(
            library,
            config,
            rows.logits,
            rows.lengths,
            rows.flags,
            rows.contexts,
            rows.windows,
            taking_part=asked.taking_part,
            null_beats=ends,
            loads=loads,
            stall=stall,
            reset=reset,
            seed=seed,
            waves=file,
            progress=progress,
        )
        seconds = time.perf_counter() - begin
    stamps = (stamp.reshape(rows.shape[:-1]) for stamp in out.stamps)
    first_in, last_in, first_out, last_out, results_out = stamps
    return Simulation(
        config=config,
        given=out.elements.reshape(rows.shape),
        references=None if out.references is None else _by_beats(out.references, rows.shape),
        results=None if out.results is None else out.results.reshape(*rows.shape[:-1]),
        row_errors=out.row_errors.reshape(rows.shape[:-1]),
        lengths=rows.lengths.reshape(rows.shape[:-1]),
        first_in=first_in,
        last_in=last_in,
        first_out=first_out,
        last_out=last_out,
        results_out=results_out,
        beats_in=out.beats_in,
        beats_out=out.beats_out,
        loads=len(loads),
        load_cycles=out.load_cycles,
        lost=out.lost.reshape(rows.shape[:-1]),
        resets=out.resets,
        stall=stall,
        seed=seed,
        seconds=seconds,
    )


def checked_stalls(stall: float, seed: int) -> tuple[float, int]:
    """The arguments of ``simulate`` of those names; errors likewise."""
    stall, seed = _share("stall", stall), integer("seed", seed)
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be in 0..2**64 - 1, not {seed!r}")
    return stall, seed


def _share(name: str, value: float) -> float:
    share = float(real(name, value))
    if not 0 <= share < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, not {share!r}")
    return share


def _null_beats(
    given: ArrayLike, rows: Rows, config: SoftmaxConfig, overlong: bool
) -> NDArray[np.bool_]:
    """Whether a beat without elements ends each row, (rows,)."""
    ends = plain(given, "null_beats")
    if ends.dtype != np.bool_:
        raise TypeError(f"null_beats must be boolean, not {ends.dtype}")
    try:
        ends = np.broadcast_to(ends, rows.shape[:-1]).reshape(-1)
    except ValueError:
        raise rows_misfit("null_beats", ends.shape, rows.shape) from None
    if (rows.lengths[ends] % config.lanes).any():
        raise ValueError("null_beats are for rows whose elements fill their beats")
    if not overlong and (rows.lengths[ends] >= config.max_row).any():
        raise ValueError("a null beat behind max_row elements needs overlong")
    return ends


def golden(
    logits: ArrayLike,
    config: SoftmaxConfig,
    *,
    mask: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    contexts: ArrayLike | None = None,
    window: tuple[ArrayLike, ArrayLike] | None = None,
    loads: Sequence[Load] = (),
    overlong: bool = False,
) -> NDArray[Any]:
    """The elements that ``simulate`` must give for the same arguments, by ``exaq.softmax`` or, of a
    unit that gives codes, by ``exaq.quantize``.
    """
    kernel = loaded(config, loads).kernel
    rows, _ = _rows(logits, config, mask, lengths, contexts, window, overlong)
    codes = config.output == "codes"
    given = kernel.quantize(_cut(rows, config)) if codes else kernel.compute(_cut(rows, config))
    elements = np.zeros(rows.logits.shape, given.dtype)
    elements[:, : given.shape[1]] = given
    return elements.reshape(rows.shape)


def golden_references(
    logits: ArrayLike,
    config: SoftmaxConfig,
    *,
    mask: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    window: tuple[ArrayLike, ArrayLike] | None = None,
    overlong: bool = False,
) -> NDArray[np.int32]:
    """The references that ``simulate`` must give for the same arguments, by
    ``exaq.beat_references``.

    Raises
    ------
    TypeError
        The codes of the configuration's kernel come without; otherwise as ``golden``.
    """
    rows, _ = _rows(logits, config, mask, lengths, None, window, overlong)
    found = config.kernel.beat_references(_cut(rows, config))
    beats = -(-rows.logits.shape[1] // config.lanes)
    every = np.zeros((len(found), beats), np.int32)
    every[:, : found.shape[1]] = found
    return _by_beats(every, rows.shape)


def _by_beats(values: NDArray[np.int32], shape: tuple[int, ...]) -> NDArray[np.int32]:
    return values.reshape(*shape[:-1], values.shape[-1])


def golden_results(
    logits: ArrayLike,
    config: SoftmaxConfig,
    *,
    mask: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    contexts: ArrayLike | None = None,
    window: tuple[ArrayLike, ArrayLike] | None = None,
    loads: Sequence[Load] = (),
    overlong: bool = False,
) -> RowResults:
    """The row results that ``simulate`` must give for the same arguments, by ``exaq.row_results``.

    Raises
    ------
    ValueError
        The configuration has no row results; otherwise as ``golden``.
    """
    if config.row_results == "none":
        raise ValueError("the configuration has no row results: row_results is none")
    kernel = loaded(config, loads).kernel
    rows, _ = _rows(logits, config, mask, lengths, contexts, window, overlong)
    return kernel.results_of(_cut(rows, config)).reshape(*rows.shape[:-1])


def _rows(
    logits: ArrayLike,
    config: SoftmaxConfig,
    mask: ArrayLike | None,
    lengths: ArrayLike | None,
    contexts: ArrayLike | None,
    window: tuple[ArrayLike, ArrayLike] | None,
    overlong: bool,
) -> tuple[Rows, Rows]:
    """The arguments of ``simulate`` of those names, as they are asked, and as the unit takes them.

    What is masked stands in the former alone: a unit may be told of it by the logits themselves.
    """
    rows = Rows.of(
        logits,
        config.format,
        mask=mask,
        lengths=lengths,
        contexts=contexts,
        window=window,
        overlong=overlong,
    )
    streamed = rows.streamed(config.format)
    return replace(rows, contexts=streamed.contexts), streamed


def _cut(rows: Rows, config: SoftmaxConfig) -> Rows:
    """``rows`` without what is beyond max_row."""
    row = min(rows.logits.shape[1], config.max_row)
    return replace(
        rows,
        logits=rows.logits[:, :row],
        live=None if rows.live is None else rows.live[:, :row],
        lengths=np.minimum(rows.lengths, row),
        windows=None if rows.windows is None else np.minimum(rows.windows, row),
    )


@functools.lru_cache(maxsize=16)
def _verilog(config: SoftmaxConfig) -> str:
    # Imported late: the golden model needs no Amaranth.
    from exaq_hdl import emit_verilog

    return emit_verilog(config).verilog
