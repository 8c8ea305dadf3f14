"""Time of the phases of a softmax on this processor: compiled loops, exact ones and EXAQ's."""

from __future__ import annotations

import ctypes
import platform
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import exaq
from exaq import SoftmaxConfig, reference
from exaq.tool import run_tool
from exaq_eval.studies.subjects.unit_phases import BITS, GROUP, PHASES

#: A row's elements are a multiple of this.
SPAN = 128

#: The loops in the order of the source: softmax and phase. The last one adds up the exact
#: exponentials by four sums in turn.
LOOPS = (
    *(("exact", phase) for phase in PHASES),
    *(("exaq", phase) for phase in PHASES),
    ("exact", "four sums"),
)

_SOURCE = "softmax_loops.cpp"
_SECONDS = 120
_SIGMA = 2.0


@dataclass(frozen=True)
class Build:
    """How the loops are compiled: ``name``, and the ``flags`` that it differs by."""

    name: str
    flags: tuple[str, ...]


#: GCC vectorises at -O2 too, since its version 12. Vector instructions for the exact loops need
#: leave to add up in another order, which -ffast-math gives, and with it a vector exponential.
BUILDS = (
    Build("scalar", ("-O2", "-fno-tree-vectorize", "-DWIDE=0")),
    Build("vector", ("-O3", "-march=native", "-ffast-math", "-DWIDE=1")),
)

#: Nanoseconds that a loop takes, run so many times.
Loop = Callable[["Rows", int, int], float]


_READ = ("logits", "thresholds", "levels", "sum_table")
_WRITTEN = ("maxima", "exponentials", "sums", "codes", "code_sums", "probabilities")


class _Block(ctypes.Structure):
    _fields_ = (
        ("rows", ctypes.c_size_t),
        ("row", ctypes.c_size_t),
        *((name, ctypes.c_void_p) for name in (*_READ, *_WRITTEN)),
    )


class Rows:
    """A block of rows of logits as the loops take it, with room for what they give.

    Parameters
    ----------
    rows, row
        Rows, and elements of each.
    seed
        Of the logits, which are those of a unit: whole steps of ``config.logit_scale``.
    """

    def __init__(self, rows: int, row: int, seed: int):
        if row < SPAN or row % SPAN:
            raise ValueError(f"row must be a multiple of {SPAN}, not {row}")
        self.config = config = SoftmaxConfig(bits=BITS, group=GROUP, lanes=GROUP, max_row=row)
        logits = np.random.default_rng(seed).normal(0, _SIGMA, (rows, row))
        self.integers = exaq.logits_to_integers(logits, config)
        tables, step = config.tables, config.logit_scale
        self.arrays: dict[str, NDArray[Any]] = {
            "logits": (self.integers * step).astype(np.float32),
            "thresholds": (np.array(tables.thresholds) * step).astype(np.float32),
            "levels": np.array(tables.exp_rom, dtype=np.uint32),
            "sum_table": np.asarray(tables.sum_rom(GROUP)).astype(np.uint32),
            "maxima": np.zeros(rows, dtype=np.float32),
            "exponentials": np.zeros((rows, row), dtype=np.float32),
            "sums": np.zeros(rows, dtype=np.float32),
            "codes": np.zeros((rows, row // GROUP), dtype=np.uint8),
            "code_sums": np.zeros(rows, dtype=np.uint32),
            "probabilities": np.zeros((rows, row), dtype=np.float32),
        }
        pointers = (self.arrays[name].ctypes.data for name in (*_READ, *_WRITTEN))
        self._block = _Block(rows, row, *pointers)

    @property
    def pointer(self) -> Any:
        """The address of the block, for the loops."""
        return ctypes.byref(self._block)

    def clear(self) -> None:
        """Put what no loop gives into all that loops write."""
        for name in _WRITTEN:
            self.arrays[name].fill(1)

    @cached_property
    def _golden(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        codes = exaq.quantize(self.integers, self.config)
        levels = np.array(self.config.tables.exp_rom)
        return codes, levels[codes].sum(axis=-1), exaq.softmax(self.integers, self.config)

    def check_exact(self) -> bool:
        """Whether the exact loops left what a softmax in float64 gives, but for rounding."""
        found, exact = self.arrays, reference.softmax(self.integers * self.config.logit_scale)
        largest = exact.max(axis=-1)
        near = np.allclose(found["probabilities"], exact, rtol=1e-5, atol=0)
        return near and np.allclose(found["sums"], 1 / largest, rtol=1e-5, atol=0)

    def check_exaq(self) -> bool:
        """Whether EXAQ's loops left the golden model's codes, sums and probabilities, the last but
        for the rounding to ``prob_bits``.
        """
        codes, sums, probabilities = self._golden
        found, one = self.arrays, 1 << self.config.prob_bits
        octets = found["codes"].astype(np.int64)[..., None] >> (BITS * np.arange(GROUP))
        unpacked = (octets % (1 << BITS)).reshape(codes.shape)
        apart = np.abs(found["probabilities"].astype(np.float64) * one - probabilities)
        return (
            np.array_equal(unpacked, codes)
            and np.array_equal(found["code_sums"], sums)
            and bool(apart.max() < 0.51)
        )


def compile_loops(build: Build, compiler: Sequence[str], folder: Path) -> Loop:
    """The loops as ``build`` has them, made in ``folder``.

    Raises
    ------
    exaq.tool.ToolError
        The compiler fails.
    """
    source = files("exaq_eval.studies.subjects").joinpath(_SOURCE).read_text(encoding="utf-8")
    path = folder / f"{build.name}.cpp"
    path.write_text(source, encoding="utf-8")
    compiled, library = path.with_suffix(".o"), path.with_suffix(".so")
    # Linked without the flags: with -ffast-math that would change this process's arithmetic.
    for arguments in (
        ["-std=c++17", "-fPIC", *build.flags, "-c", str(path), "-o", str(compiled)],
        ["-shared", str(compiled), "-o", str(library)],
    ):
        run_tool(compiler[0], [*compiler, *arguments], seconds=_SECONDS)
    function = ctypes.CDLL(str(library)).run_loop
    function.restype = ctypes.c_double
    function.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    return lambda rows, loop, times: float(function(rows.pointer, loop, times))


def check_loops(loop: Loop, rows: Rows) -> bool:
    """Whether all loops, run in turn, compute what they should."""
    places = {each: place for place, each in enumerate(LOOPS)}
    for softmax, check in (("exact", rows.check_exact), ("exaq", rows.check_exaq)):
        rows.clear()
        for phase in PHASES:
            loop(rows, places[softmax, phase], 1)
        if not check():
            return False
    rows.clear()
    for each in ("maximum", "exponent", "four sums", "normalisation"):
        loop(rows, places["exact", each], 1)
    return rows.check_exact()


def measure_loops(
    lengths: Sequence[int], *, elements: int, repeats: int, rounds: int, times: int, seed: int
) -> dict[str, Any]:
    """Time of each phase an element, in every build.

    A block holds rows of ``elements`` in all, and stays in the caches. All loops take turns
    ``repeats`` times, exact and EXAQ's of a phase one after the other; a turn runs a loop once
    unmeasured and then ``times`` times. Of the turns the median counts, and of ``rounds`` of such
    medians the least, which other work on the machine disturbed least.

    Returns
    -------
    dict[str, Any]
        ``processor``, ``compiler``; ``builds``, names and flags; ``cases``, for each length and
        build the nanoseconds an element of ``exact`` and ``exaq`` by phase, and of the ``four
        sums``; ``spread``, the largest ratio of a greatest of the medians to its least.

    Raises
    ------
    exaq.tool.ToolError
        There is no C++ compiler, or it fails.
    RuntimeError
        A loop computes something else than the golden model.
    """
    from exaq_cosim.compiler import compiler_version, find_compiler

    compiler = find_compiler("the study phases")
    blocks = [Rows(max(1, elements // row), row, seed) for row in lengths]
    with tempfile.TemporaryDirectory(prefix="exaq-") as name:
        loops = [compile_loops(build, compiler, Path(name)) for build in BUILDS]
        for build, loop in zip(BUILDS, loops, strict=True):
            if not all(check_loops(loop, rows) for rows in blocks):
                raise RuntimeError(f"the {build.name} loops compute something else than the model")
        # Exact and EXAQ's of the same phase are neighbours.
        order = sorted(range(len(LOOPS)), key=lambda place: (place % len(PHASES), place))
        medians: dict[tuple[int, int, int], list[float]] = {}
        for _ in range(rounds):
            turns: dict[tuple[int, int, int], list[float]] = {}
            for _ in range(repeats):
                for b, rows in enumerate(blocks):
                    for k, loop in enumerate(loops):
                        for place in order:
                            loop(rows, place, 1)
                            each = loop(rows, place, times) / times / rows.integers.size
                            turns.setdefault((b, k, place), []).append(each)
            for key, found in turns.items():
                medians.setdefault(key, []).append(statistics.median(found))
    cases = []
    for b, row in enumerate(lengths):
        for k, build in enumerate(BUILDS):
            case: dict[str, Any] = {"row": row, "build": build.name, "exact": {}, "exaq": {}}
            for place, (softmax, phase) in enumerate(LOOPS):
                least = min(medians[b, k, place])
                if phase in PHASES:
                    case[softmax][phase] = least
                else:
                    case[phase] = least
            cases.append(case)
    return {
        "processor": processor_name(),
        "compiler": compiler_version(compiler),
        "builds": [{"name": build.name, "flags": list(build.flags)} for build in BUILDS],
        "elements": elements,
        "repeats": repeats,
        "rounds": rounds,
        "cases": cases,
        "spread": max(max(found) / min(found) for found in medians.values()),
    }


def processor_name() -> str:
    """The processor's kind as the system calls it, or its architecture where it tells none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.machine()
