"""Proofs by Yosys's own SAT solver, of assertions in an Amaranth design."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amaranth import hdl
from amaranth.back import rtlil  # type: ignore[attr-defined]
from amaranth.hdl import Module

from exaq_cosim import ToolError
from exaq_fpga.flow import tools

# Their types ask for the message that may go with them.
Assert: Any = hdl.Assert
Assume: Any = hdl.Assume


def holds(module: Module, ports: list[Any], folder: Path, *, steps: int, induct: bool) -> bool:
    """Whether no assertion of ``module`` can fail within ``steps`` cycles of any input.

    With ``induct``: in any number of cycles, proved by induction over at most ``steps`` cycles.
    ``ports`` are the free inputs.
    """
    text = rtlil.convert(module, name="top", ports=ports, emit_src=False)
    (folder / "top.il").write_text(text)
    prove = "-tempinduct" if induct else "-tempinduct-baseonly"
    script = [
        "read_rtlil top.il",
        "prep -top top",
        "flatten",
        "memory_map",
        "async2sync",
        "chformal -lower",
        "opt -full",
        f"sat -verify {prove} -prove-asserts -set-assumes -set rst 0 -maxsteps {steps}",
    ]
    try:
        tools.run("yosys", ["-q", "-l", "yosys.log", "-p", "; ".join(script)], folder)
    except ToolError:
        # A proof that fails is reported as an error, like any other of Yosys.
        if "SAT temporal induction proof finished - model found" in _log(folder):
            return False
        raise
    return True


def _log(folder: Path) -> str:
    return (folder / "yosys.log").read_text()
