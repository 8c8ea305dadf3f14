"""What the soak streams through units: chunks of rows, each with a seed of its own.

A chunk is one simulation of about a million elements. It is compared with the golden model bit by
bit: elements, references, row results and error flags. What a chunk is of follows from the unit and
its number alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from rtl_tables import random_tables

from exaq import SoftmaxConfig
from exaq.kernels import KERNELS
from exaq_cosim import golden, golden_references, golden_results, simulate
from exaq_hdl.emit.compared_hash import compared_hash

#: The longest row that a unit can be made for.
LONGEST = 65536
#: Elements of a chunk's array, those behind rows' ends included.
CHUNK = 2_000_000


@dataclass(frozen=True)
class Case:
    """A unit, and how many elements are to go through it."""

    name: str
    config: SoftmaxConfig
    elements: int = 10**9

    def design(self) -> str:
        """Hash of the emitted Verilog, whatever its comments and its modules' names."""
        return _design(self.config)


@cache
def _design(config: SoftmaxConfig) -> str:
    return compared_hash(config)


def _long(name: str, **settings: Any) -> Case:
    """A unit for rows of ``LONGEST`` elements, of which a thousand go through it, some shorter."""
    return Case(f"row65536-{name}", SoftmaxConfig(max_row=LONGEST, **settings), 5 * 10**7)


UNITS = (
    # The default: masks, row by row.
    Case("2bit-x4", SoftmaxConfig.preset("2bit-x4")),
    # Tables that are loaded anew in each chunk, and after each reset.
    Case("3bit-x16-contexts4", SoftmaxConfig(bits=3, lanes=16, contexts=4, row_results="table")),
    # Windows beside masks; codes with their rows' results.
    Case(
        "4bit-x16-codes-window",
        SoftmaxConfig(bits=4, lanes=16, window=True, output="codes", row_results="sum"),
    ),
    # Counters, addresses and sums of full width.
    _long("2bit-x4"),
    _long(
        "4bit-x16-codes-window", bits=4, lanes=16, window=True, output="codes", row_results="sum"
    ),
    *(_long(f"{name}-x4", kernel=name) for name in sorted(set(KERNELS) - {"exaq"})),
)


class DifferenceError(Exception):
    """The unit gave something else than the golden model; the message says where."""


def soak_chunk(case: Case, number: int, elements: int = CHUNK) -> Counter[str]:
    """What went through the unit in the chunk of that number.

    Raises
    ------
    DifferenceError
        Something differs from the golden model.
    exaq_cosim.SimulationError
        The unit hangs, breaks a rule of its interfaces or refuses tables.
    """
    config = case.config
    rng = np.random.default_rng([crc32(case.name.encode()), number])
    stall = float(rng.choice([0, 0.1, 0.5, 0.9], p=[0.6, 0.2, 0.15, 0.05]))
    reset = float(rng.choice([0, 2e-5, 2e-4], p=[0.6, 0.3, 0.1]))
    if stall == 0.9:
        elements //= 8
    width = config.max_row + 3 * config.lanes + 1
    logits = _logits(config, rng, (max(2, elements // width), width))
    lengths = _lengths(config, rng, *logits.shape)
    rows: dict[str, Any] = {"lengths": lengths, "overlong": True}
    if config.masking:
        rows["mask"] = _mask(rng, logits.shape)
    if config.window:
        rows["window"] = _window(config, rng, lengths, width)
    if config.contexts:
        rows["contexts"] = rng.integers(0, config.contexts, len(logits))
        loaded = rng.permutation(config.contexts)[: rng.integers(0, config.contexts + 1)]
        rows["loads"] = [(int(each), random_tables(config, rng)) for each in loaded]
    ends = (lengths % config.lanes == 0) & (rng.random(len(logits)) < 0.3)
    seed = int(rng.integers(2**63))
    result = simulate(logits, config, **rows, null_beats=ends, stall=stall, reset=reset, seed=seed)

    long = lengths + ends > config.max_row
    kept = ~result.lost
    _same(case, number, "row errors", result.row_errors, long, kept)
    _same(case, number, config.output, result.given, golden(logits, config, **rows), kept)
    if config.row_results != "none":
        expected = golden_results(logits, config, **rows)
        for name, values in vars(expected).items():
            if values is not None:
                _same(case, number, f"{name} of rows", getattr(result.results, name), values, kept)
    if result.references is not None:
        references = golden_references(
            logits, config, **{key: rows[key] for key in rows if key not in ("contexts", "loads")}
        )
        _same(case, number, "references", result.references, references, kept)
    return Counter(
        elements=int(lengths[kept].sum()),
        rows=int(kept.sum()),
        rows_longest=int(np.count_nonzero(kept & (lengths == config.max_row) & ~ends)),
        rows_too_long=int(np.count_nonzero(kept & long)),
        rows_with_null_beat=int(np.count_nonzero(kept & ends)),
        rows_lost=int(result.lost.sum()),
        resets=result.resets,
        loads=result.loads,
        chunks_stalled=int(stall > 0),
        cycles=result.cycles,
    )


def _logits(
    config: SoftmaxConfig, rng: np.random.Generator, shape: tuple[int, int]
) -> NDArray[Any]:
    """Rows over the whole range, over a part of it, close together, or all alike."""
    low, high = config.logit_range
    assert (low, high) == (-128, 127), "of other logits no case is yet"
    anywhere = np.frombuffer(rng.bytes(shape[0] * shape[1]), np.int8).reshape(shape)
    shift = rng.choice([0, 0, 0, 1, 3, 5, 7, 8], size=(shape[0], 1))
    centre = np.where(shift == 0, 0, rng.integers(low, high + 1, (shape[0], 1)))
    near = np.where(shift == 8, 0, anywhere.astype(np.int16) >> shift)
    return np.clip(near + centre, low, high).astype(np.int8)


def _lengths(
    config: SoftmaxConfig, rng: np.random.Generator, rows: int, width: int
) -> NDArray[np.int64]:
    """Half of any length, the others at the borders of beats, of max_row, and beyond."""
    lanes, longest = config.lanes, config.max_row
    marks = [1, lanes, lanes + 1, longest // 2, longest - lanes, longest - 1, longest, longest]
    marks += [longest, longest + 1, longest + lanes, width]
    anywhere = rng.integers(1, longest + 1, rows)
    return np.where(rng.random(rows) < 0.5, anywhere, rng.choice(marks, rows))


def _mask(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Rows of any density; some with the elements from one place on masked, or up to it."""
    density = rng.choice([0, 1, 13, 128, 243, 256, 256, 256], size=(shape[0], 1))
    live = np.frombuffer(rng.bytes(shape[0] * shape[1]), np.uint8).reshape(shape) < density
    place = rng.integers(0, shape[1] + 1, (shape[0], 1))
    behind = np.arange(shape[1]) >= place
    causal = rng.integers(0, 4, (shape[0], 1))
    return live & np.where(causal == 0, ~behind, np.where(causal == 1, behind, True))


def _window(
    config: SoftmaxConfig, rng: np.random.Generator, lengths: NDArray[np.int64], width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Windows anywhere, empty ones and ones beyond the row too; or of the row's last elements."""
    rows = len(lengths)
    start, stop = rng.integers(0, width + 1, (2, rows))
    sliding = rng.random(rows) < 0.5
    reach = rng.choice([1, config.lanes, 64, config.max_row], rows)
    start = np.where(sliding, np.maximum(lengths - reach, 0), start)
    return start, np.where(sliding, lengths, stop)


def _same(
    case: Case,
    number: int,
    what: str,
    given: NDArray[Any],
    expected: NDArray[Any],
    kept: NDArray[np.bool_],
) -> None:
    differ = (given != expected).reshape(len(kept), -1) & kept[:, None]
    if differ.any():
        row, place = np.argwhere(differ)[0]
        raise DifferenceError(
            f"{case.name}, chunk {number}: {what} differ from the golden model in "
            f"{np.count_nonzero(differ.any(axis=1))} rows, the first of them {row} at {place}"
        )
