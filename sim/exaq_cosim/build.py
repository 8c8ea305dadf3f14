"""Verilog to shared library, once per configuration."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from exaq import SoftmaxConfig
from exaq_cosim.compiler import Harness, ToolError, compile_verilog
from exaq_cosim.row_bytes import RowBytes

__all__ = ["ToolError", "build_library"]

_TOP = "exaq_softmax"


def build_library(verilog: str, config: SoftmaxConfig, *, tracing: bool = False) -> Path:
    """The shared library of an AXI top and the array driver, compiled unless it is in the cache.

    Safe where several processes build at once; see ``exaq_cosim.compiler.compile_verilog``.

    Parameters
    ----------
    verilog
        Source of module ``exaq_softmax``, self-contained, with the AXI4-Stream ports and, with
        contexts, the AXI4-Lite port of its registers.
    config
        The configuration that gives the widths of the ports.
    tracing
        Whether the library can write waves; it is then several times slower.

    Returns
    -------
    Path
        The library, for ``exaq_cosim.stream_rows``.

    Raises
    ------
    ToolError
        No C++ compiler, no Verilator, or one of them failed.
    """
    driver = files("exaq_cosim").joinpath("driver.cpp").read_text(encoding="utf-8")
    harness = Harness(
        name="unit",
        top=_TOP,
        prefix="Vexaq",
        sources={"driver.cpp": driver},
        defines=[
            f"EXAQ_LANES={config.lanes}",
            f"EXAQ_LOGIT_BYTES={config.logit_bytes}",
            f"EXAQ_PROB_BYTES={config.prob_bytes}",
            f"EXAQ_MAX_ROW={config.max_row}",
            f"EXAQ_MASKING={int(config.masking)}",
            f"EXAQ_WINDOW_BITS={config.format.index_bits if config.window else 0}",
            f"EXAQ_CONTEXTS={config.contexts}",
            f"EXAQ_CODE_BITS={config.bits if config.output == 'codes' else 0}",
            f"EXAQ_REFERENCE_BITS={config.kernel.beat_reference_bits}",
            f"EXAQ_ROW_BYTES={RowBytes.of(config).total if config.row_results != 'none' else 0}",
            f"EXAQ_TRACE={int(tracing)}",
        ],
        # O1: more takes twice as long to compile and simulates no faster.
        model_flags=("-O1",),
        shared=True,
    )
    return compile_verilog({f"{_TOP}.v": verilog}, harness, tracing=tracing)
