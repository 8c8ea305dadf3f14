"""Heads of attention through the compiled RTL."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq.attention import AttentionConfig
from exaq.attention.head_operands import HeadOperands
from exaq.scalars import flag
from exaq_cosim.build import build_head_library
from exaq_cosim.head_stream import stream_heads
from exaq_cosim.simulation import Spread, checked_stalls
from exaq_cosim.waves import kept_waves

if TYPE_CHECKING:
    from exaq_hdl import Emitted


@dataclass(frozen=True, kw_only=True)
class HeadSimulation:
    """What the attention unit gave for heads of attention, and when.

    Cycles are counted from the unit's reset, one continuous stream of heads in the arrays' order.

    Members
    -------
    config
        The unit's configuration.
    outputs
        (..., rows, head_size), as ``exaq.attention.attend`` gives them. Those of rows in error are
        whatever the unit gave.
    row_errors
        (..., rows) bool: the unit's flag for rows whose keys or values were too many, or differed
        in number.
    keys
        (..., rows): keys that each row met.
    first_in
        Cycle of the first beat in, whatever stream it was of.
    row_in, first_out, last_out
        (..., rows) int64: cycle in which each row of q went in, and in which its first and last
        beat came out.
    loaded
        (...,) int64: cycle in which the last one of a head's keys and values went in.
    loads
        Sets of keys and values that went in.
    passes
        Times that a row's beats of keys add to its latency.
    stall, seed
        As given to ``simulate_head``.
    seconds
        Wall time of the simulation without compilation.
    """

    config: AttentionConfig
    outputs: NDArray[Any]
    row_errors: NDArray[np.bool_]
    keys: NDArray[np.int64]
    first_in: int
    row_in: NDArray[np.int64]
    first_out: NDArray[np.int64]
    last_out: NDArray[np.int64]
    loaded: NDArray[np.int64]
    loads: int
    passes: int
    stall: float
    seed: int
    seconds: float

    @property
    def heads(self) -> int:
        """Heads of q streamed."""
        return self.loaded.size

    @property
    def rows(self) -> int:
        """Rows of q streamed."""
        return self.keys.size

    @property
    def scores(self) -> int:
        """Keys that all rows met together."""
        return int(self.keys.sum())

    @property
    def cycles(self) -> int:
        """Cycles from the first beat in to the last beat out, both counted."""
        return int(self.last_out.max() - self.first_in) + 1

    @property
    def cycles_per_row(self) -> float:
        """``cycles`` a row, loading, filling and draining included."""
        return self.cycles / self.rows

    @property
    def scores_per_cycle(self) -> float:
        """``scores`` a cycle, loading, filling and draining included."""
        return self.scores / self.cycles

    @property
    def scores_per_second(self) -> float:
        """Speed of the simulation."""
        return self.scores / self.seconds

    @property
    def row_cycles(self) -> Spread:
        """Cycles from a row's going in to its last output, both counted."""
        return Spread.of(self.last_out - self.row_in + 1)

    @property
    def latency(self) -> Spread:
        """Cycles from when a row, its keys and its values were in to its first output, less
        ``passes`` times the beats of its keys.

        What the unit declares as ``latency`` where nothing stalls and no earlier row is in the way.
        """
        begin = np.maximum(self.row_in, self.loaded[..., None])
        beats = -(-self.keys // self.config.lanes)
        return Spread.of(self.first_out - begin - self.passes * beats)

    @property
    def row_interval(self) -> Spread | None:
        """Cycles between the ends of successive rows; None for a single row."""
        return Spread.of(np.diff(self.last_out.reshape(-1))) if self.rows > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Every figure as plain values for JSON."""
        interval = self.row_interval
        return {
            "heads": self.heads,
            "loads": self.loads,
            "rows": self.rows,
            "scores": self.scores,
            "cycles": self.cycles,
            "cycles_per_row": self.cycles_per_row,
            "scores_per_cycle": self.scores_per_cycle,
            "row_cycles": vars(self.row_cycles),
            "latency": vars(self.latency),
            "row_interval": None if interval is None else vars(interval),
            "row_errors": int(np.count_nonzero(self.row_errors)),
            "stall": self.stall,
            "seed": self.seed,
            "seconds": self.seconds,
            "scores_per_second": self.scores_per_second,
        }


def compile_head(
    config: AttentionConfig,
    *,
    multipliers: str = "lut",
    outputs_per_beat: int | None = None,
    tracing: bool = False,
) -> Path:
    """The AXI top of an attention head as a shared library, compiled unless it is in the cache.

    ``simulate_head`` calls it; calling it before only moves the wait.

    Parameters
    ----------
    config, multipliers, outputs_per_beat
        As of ``exaq_hdl.attention.attention_head.AttentionHead``.
    tracing
        Whether the library can write waves; it is then several times slower.

    Raises
    ------
    ValueError
        ``multipliers`` or ``outputs_per_beat`` does not fit.
    ToolError
        No C++ compiler, no Verilator, or one of them failed.
    """
    emitted = _emitted(config, multipliers, outputs_per_beat)
    per_beat: int = emitted.manifest["outputs_per_beat"]
    return build_head_library(emitted.verilog, config, per_beat, tracing=tracing)


def simulate_head(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    config: AttentionConfig,
    *,
    lengths: ArrayLike | None = None,
    multipliers: str = "lut",
    outputs_per_beat: int | None = None,
    stall: float = 0.0,
    seed: int = 0,
    waves: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    faulty: bool = False,
) -> HeadSimulation:
    """Streams heads of attention through the emitted Verilog of their unit, compiled.

    Leading axes are heads, which follow one another in the arrays' order; they broadcast as those
    of ``exaq.attention.attend``. A head whose keys and values are, by that, those of the head
    before it uses them as they lie in the unit: of q (groups, rows, head_size) and k and v (keys,
    head_size) the keys are loaded once. All other heads' are loaded while the rows before them run.

    Parameters
    ----------
    q
        (..., rows, head_size) integers from -128 to 127.
    k
        (..., keys, head_size) elements of ``config.key_format``.
    v
        (..., keys, head_size) integers of ``value_width`` bits.
    config
        The unit. It is compiled on the first use and taken from the cache later.
    lengths
        Integers that broadcast to the leading shape of k and v: how many keys and values of each
        head are loaded, 1 to keys; no row meets the others. None: all.
    multipliers, outputs_per_beat
        As of ``exaq_hdl.attention.attention_head.AttentionHead``.
    stall
        Probability that each source, of q, keys and values, and the sink pause in a cycle: 0 to
        below 1.
    seed
        Of the stalls: 0 to 2**64 - 1.
    waves
        File for a VCD of all signals, 10 ns a cycle. Also written where the simulation fails.
    progress
        Called with (rows done, rows) now and then, and at the end.
    faulty
        Load more keys than ``max_row``, and values that are not as many, rather than refuse them:
        the unit flags the rows of such heads in ``row_errors``.

    Raises
    ------
    TypeError, ValueError
        An argument is not as described.
    ToolError
        The unit cannot be compiled.
    SimulationError
        The unit hangs or breaks a rule of its interfaces.
    OSError
        ``waves`` or the cache cannot be written.
    """
    stall, seed = checked_stalls(stall, seed)
    faulty = flag("faulty", faulty)
    operands = HeadOperands.of(q, k, v, config, lengths=lengths, faulty=faulty)
    with kept_waves(waves) as file:
        library = compile_head(
            config,
            multipliers=multipliers,
            outputs_per_beat=outputs_per_beat,
            tracing=file is not None,
        )
        begin = time.perf_counter()
        out = stream_heads(
            library, config, operands, stall=stall, seed=seed, waves=file, progress=progress
        )
        seconds = time.perf_counter() - begin
    rows = (*operands.shape, operands.rows)
    return HeadSimulation(
        config=config,
        outputs=out.outputs.reshape(*rows, config.head_size),
        row_errors=out.row_errors.reshape(rows),
        keys=operands.keys_of_rows(config).reshape(rows),
        first_in=out.first_in,
        row_in=out.row_in.reshape(rows),
        first_out=out.first_out.reshape(rows),
        last_out=out.last_out.reshape(rows),
        loaded=out.loaded[operands.load_of].reshape(operands.shape),
        loads=len(out.loaded),
        passes=_emitted(config, multipliers, outputs_per_beat).manifest["latency"]["passes"],
        stall=stall,
        seed=seed,
        seconds=seconds,
    )


@functools.lru_cache(maxsize=16)
def _emitted(config: AttentionConfig, multipliers: str, outputs_per_beat: int | None) -> Emitted:
    # Imported late: the golden model needs no Amaranth.
    from exaq_hdl.attention.level_sums import settle_outputs_per_beat
    from exaq_hdl.emit.attention_verilog import emit_attention

    if outputs_per_beat is not None:
        # Refused before there is a component that nobody uses.
        settle_outputs_per_beat(config, outputs_per_beat)
    return emit_attention(config, multipliers=multipliers, outputs_per_beat=outputs_per_beat)
