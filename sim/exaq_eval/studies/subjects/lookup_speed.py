"""Speed of table lookups on this processor: a loop in C and NumPy, tables of many sizes."""

from __future__ import annotations

import ctypes
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exaq.tool import run_tool

#: Codes of 2 bits that one lookup adds up. The first is a table of single exponentials, 3 to 6 are
#: what the unit can have, the rest shows where a table leaves the caches.
GROUPS = (1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
BITS = 2
#: Against whose time the others are given: the group of the smallest LUT_sum.
UNIT_GROUP = 3

_ENTRY = np.dtype(np.uint32)
_COMPILER = "g++"
_SOURCE = """
#include <cstddef>
#include <cstdint>

extern "C" std::uint64_t total(
    const std::uint32_t *table, const std::uint32_t *addresses, std::size_t lookups)
{
    // Four sums: a lookup need not wait for the addition before it.
    std::uint64_t a = 0, b = 0, c = 0, d = 0;
    for (std::size_t i = 0; i + 4 <= lookups; i += 4) {
        a += table[addresses[i]];
        b += table[addresses[i + 1]];
        c += table[addresses[i + 2]];
        d += table[addresses[i + 3]];
    }
    return a + b + c + d;
}
"""

Addresses = NDArray[np.uint32]


def measure_lookups(lookups: int, repeat: int, seed: int = 0) -> dict[str, Any]:
    """Time of a lookup in tables of ``GROUPS``, as ratios to that of ``UNIT_GROUP``, in one run.

    Every loop adds up ``lookups`` (a multiple of 4) entries of 4 bytes at random addresses, which
    lie in memory one after the other. The loops take turns ``repeat`` times, so that a change of
    the machine's load meets all; the fastest run of each counts, and each turn has a run before
    it that does not, so that caches hold what they can.

    Returns
    -------
    dict[str, Any]
        ``numpy`` and ``compiled``, the latter None without a C++ compiler: for each group
        ``entries``, ``bytes``, ``time_per_lookup`` (ratio to ``UNIT_GROUP``'s) and
        ``elements_per_time`` (ratio to that of group 1). ``caches``: data caches in bytes, as far
        as the system tells.
    """
    random = np.random.default_rng(seed)
    tables = [random.integers(0, 2**16, 2 ** (BITS * g), dtype=_ENTRY) for g in GROUPS]
    addresses = [
        random.integers(0, len(each), lookups, dtype=np.uint32, endpoint=False) for each in tables
    ]
    pairs = list(zip(tables, addresses, strict=True))
    buffer = np.empty(lookups, dtype=_ENTRY)

    def gather(values: NDArray[np.uint32], at: Addresses) -> int:
        # mode="clip" spares the pass that checks the addresses.
        values.take(at, out=buffer, mode="clip")
        return int(buffer.sum(dtype=np.uint64))

    with tempfile.TemporaryDirectory(prefix="exaq-") as folder:
        compiled = compile_total(Path(folder))
        loops = {"numpy": gather} | ({"compiled": compiled} if compiled else {})
        return {
            "lookups": lookups,
            "repeat": repeat,
            "caches": caches(),
            "compiled": None,
        } | {name: _ratios(loop, pairs, repeat) for name, loop in loops.items()}


def compile_total(folder: Path) -> Callable[[NDArray[np.uint32], Addresses], int] | None:
    """The loop in C, built in ``folder``; None without a compiler."""
    if shutil.which(_COMPILER) is None:
        return None
    source, library = folder / "total.cpp", folder / "total.so"
    source.write_text(_SOURCE, encoding="utf-8")
    command = [_COMPILER, "-O2", "-shared", "-fPIC", "-o", str(library), str(source)]
    run_tool(_COMPILER, command, seconds=120)
    function = ctypes.CDLL(str(library)).total
    function.restype = ctypes.c_uint64
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    return lambda values, at: int(function(values.ctypes.data, at.ctypes.data, len(at)))


def caches() -> dict[str, int]:
    """Bytes of the data caches by name, ``L1`` and up; empty where the system does not tell."""
    found = {}
    for place in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind, level, size = (
            (place / name).read_text(encoding="ascii").strip() for name in ("type", "level", "size")
        )
        if kind != "Instruction" and size.endswith("K"):
            found[f"L{level}"] = int(size[:-1]) * 1024
    return found


def _ratios(
    loop: Callable[[NDArray[np.uint32], Addresses], int],
    pairs: list[tuple[NDArray[np.uint32], Addresses]],
    repeat: int,
) -> list[dict[str, float]]:
    least = [float("inf")] * len(pairs)
    for _ in range(repeat):
        for number, (values, at) in enumerate(pairs):
            loop(values, at)
            begin = time.perf_counter()
            loop(values, at)
            least[number] = min(least[number], time.perf_counter() - begin)
    unit, single = least[GROUPS.index(UNIT_GROUP)], least[GROUPS.index(1)]
    return [
        {
            "group": group,
            "entries": len(values),
            "bytes": values.nbytes,
            "time_per_lookup": seconds / unit,
            "elements_per_time": group * single / seconds,
        }
        for group, (values, _), seconds in zip(GROUPS, pairs, least, strict=True)
    ]
