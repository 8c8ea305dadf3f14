"""The emitted Verilog, compiled by Verilator and driven with whole arrays."""

from exaq_cosim.build import ToolError, build, cache_folder
from exaq_cosim.simulation import Simulation, Spread, compile_unit, golden, simulate
from exaq_cosim.stream import HangError, ProtocolError, SimulationError, Streamed, stream

__all__ = [
    "HangError",
    "ProtocolError",
    "Simulation",
    "SimulationError",
    "Spread",
    "Streamed",
    "ToolError",
    "build",
    "cache_folder",
    "compile_unit",
    "golden",
    "simulate",
    "stream",
]
