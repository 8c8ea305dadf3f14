"""The emitted Verilog, compiled by Verilator and driven with whole arrays."""

from exaq.cache import cache_folder
from exaq_cosim.build import ToolError, build_library
from exaq_cosim.head_simulation import HeadSimulation, compile_head, simulate_head
from exaq_cosim.simulation import (
    Simulation,
    Spread,
    compile_unit,
    golden,
    golden_references,
    golden_results,
    simulate,
)
from exaq_cosim.stream import (
    HangError,
    LoadError,
    ProtocolError,
    SimulationError,
    Streamed,
    stream_rows,
)

__all__ = [
    "HangError",
    "HeadSimulation",
    "LoadError",
    "ProtocolError",
    "Simulation",
    "SimulationError",
    "Spread",
    "Streamed",
    "ToolError",
    "build_library",
    "cache_folder",
    "compile_head",
    "compile_unit",
    "golden",
    "golden_references",
    "golden_results",
    "simulate",
    "simulate_head",
    "stream_rows",
]
