"""Verilog to shared library, once per configuration."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from exaq import SoftmaxConfig
from exaq.attention import AttentionConfig
from exaq.row_bytes import RowBytes
from exaq_cosim.compiler import Harness, ToolError, compile_verilog

__all__ = ["ToolError", "build_head_library", "build_library"]

# A compiler takes minutes over few large functions, and over optimising those of many gates.
_GATES_VERILATOR = ("--output-split-cfuncs", "300", "--output-split-ctrace", "300")
_MODEL, _GATES_MODEL = ("-O1",), ("-O0",)


def build_library(
    verilog: str, config: SoftmaxConfig, *, tracing: bool = False, gates: bool = False
) -> Path:
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
    gates
        Whether the text is a netlist of gates, which is compiled for a short compilation rather
        than a fast simulation.

    Returns
    -------
    Path
        The library, for ``exaq_cosim.stream_rows``.

    Raises
    ------
    ToolError
        No C++ compiler, no Verilator, or one of them failed.
    """
    return _build(
        verilog,
        top="exaq_softmax",
        name="unit",
        driver="driver.cpp",
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
        ],
        tracing=tracing,
        gates=gates,
    )


def build_head_library(
    verilog: str, config: AttentionConfig, outputs_per_beat: int, *, tracing: bool = False
) -> Path:
    """The shared library of an attention head's AXI top and its driver, as ``build_library``.

    Parameters
    ----------
    verilog
        Source of module ``exaq_attention``, self-contained, with the AXI4-Stream ports.
    config, outputs_per_beat
        What gives the widths of the ports.
    tracing
        Whether the library can write waves.

    Returns
    -------
    Path
        The library, for ``exaq_cosim.head_stream.stream_heads``.

    Raises
    ------
    ToolError
        As ``build_library``.
    """
    size = config.head_size
    return _build(
        verilog,
        top="exaq_attention",
        name="head",
        driver="head_driver.cpp",
        defines=[
            f"EXAQ_Q_BYTES={size}",
            f"EXAQ_KEY_BYTES={-(-size * config.key_format.width // 8)}",
            f"EXAQ_VALUE_BYTES={-(-size * config.value_width // 8)}",
            f"EXAQ_OUTPUT_BYTES={outputs_per_beat * config.output_width // 8}",
            f"EXAQ_ROW_BEATS={size // outputs_per_beat}",
        ],
        tracing=tracing,
    )


def _build(
    verilog: str,
    *,
    top: str,
    name: str,
    driver: str,
    defines: Sequence[str],
    tracing: bool,
    gates: bool = False,
) -> Path:
    """The library of the module ``top`` and the C++ of that name, which is compiled with what it
    includes.
    """
    folder = files("exaq_cosim")
    sources = {
        file: folder.joinpath(file).read_text(encoding="utf-8")
        for file in (driver, "clocked.h", "random.h")
    }
    harness = Harness(
        name=name,
        top=top,
        prefix="Vexaq",
        sources=sources,
        defines=[*defines, f"EXAQ_TRACE={int(tracing)}"],
        # O1: more takes twice as long to compile and simulates no faster.
        model_flags=_GATES_MODEL if gates else _MODEL,
        verilator_flags=_GATES_VERILATOR if gates else (),
        shared=True,
    )
    return compile_verilog({f"{top}.v": verilog}, harness, tracing=tracing)
