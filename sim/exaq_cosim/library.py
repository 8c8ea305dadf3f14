"""A compiled unit's shared library: the only module that calls it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Cycles between two looks at how far a simulation is, some tenths of a second.
STEP = 1 << 17
# enum State of the drivers.
RUNNING, DONE, HANG = 0, 1, 2


def run_library(
    library: Path,
    job: ctypes.Structure,
    report: Any,
    *,
    waves: Path | None = None,
    told: Callable[[], None] | None = None,
) -> None:
    """Runs a job to its end, good or bad.

    Parameters
    ----------
    library
        A unit and its driver.
    job, report
        struct Job of the driver, and struct Report, which holds how far it came.
    waves
        File to write a VCD to; the library must have been compiled for it.
    told
        Called every ``STEP`` cycles and at the end, when the report is new.
    """
    functions = ctypes.CDLL(str(library))
    functions.exaq_open.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    functions.exaq_open.restype = ctypes.c_void_p
    functions.exaq_run.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p]
    functions.exaq_run.restype = None
    functions.exaq_close.argtypes = [ctypes.c_void_p]
    functions.exaq_close.restype = None
    bench = functions.exaq_open(ctypes.byref(job), None if waves is None else bytes(waves))
    try:
        while report.state == RUNNING:
            functions.exaq_run(bench, STEP, ctypes.byref(report))
            if told is not None:
                told()
    finally:
        functions.exaq_close(bench)
