"""A board's Verilog to a program: the whole design verilated, its UART on a pseudo-terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from exaq.scalars import integer
from exaq_cosim.compiler import Harness, compile_verilog

_HARNESS = ("uart_main.cpp", "line.h", "terminal.h")
_WRAPPER = "exaq_virtual_board"
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")


@dataclass(frozen=True, kw_only=True)
class Pins:
    """Names of a top module's ports, each of one bit: ``clock`` and the UART's two wires.

    ``rx`` is what the board receives.
    """

    clock: str
    rx: str
    tx: str


def compile_board(
    sources: Sequence[str | Path],
    *,
    top: str,
    pins: Pins,
    divisor: int,
    tracing: bool = False,
    brief: bool = False,
    flags: Sequence[str] = (),
) -> Path:
    """The program of a virtual board, for ``VirtualBoard``; compiled unless it is in the cache.

    Parameters
    ----------
    sources
        Verilog, as text or as the file that holds it, self-contained: the design and models of
        the vendor's cells in it.
    top
        Name of the design's top module. Ports other than ``pins`` are left open.
    pins
        Names of its ports.
    divisor
        Cycles of the clock to a bit of the UART: at least 2.
    tracing
        Whether the program can write waves; it is then several times slower.
    brief
        Whether it will run for few cycles: compiled in half the time, it takes twice as long for
        each. Pays below some millions.
    flags
        Further options of Verilator.

    Returns
    -------
    Path
        The program, in ``exaq.cache.cache_folder``.

    Raises
    ------
    ToolError
        No C++ compiler, no Verilator, or one of them failed.
    """
    divisor = integer("divisor", divisor)
    if divisor < 2:
        raise ValueError(f"the UART needs at least 2 cycles a bit, not {divisor}")
    verilog = {
        f"source{number}.v": text if isinstance(text, str) else text.read_text(encoding="utf-8")
        for number, text in enumerate(sources)
    }
    folder = files("exaq_fpga.virtual")
    harness = Harness(
        name="board",
        top=_WRAPPER,
        prefix="Vboard",
        sources={name: folder.joinpath(name).read_text(encoding="utf-8") for name in _HARNESS},
        defines=[f"EXAQ_DIVISOR={divisor}", f"EXAQ_TRACE={int(tracing)}"],
        model_flags=("-O0",) if brief else ("-O1",),
        verilator_flags=flags,
    )
    wrapped = {f"{_WRAPPER}.v": _wrapper(top, pins)}
    return compile_verilog(verilog | wrapped, harness, tracing=tracing)


def _wrapper(top: str, pins: Pins) -> str:
    """Gives the top's pins plain names and one direction each."""
    return f"""module {_WRAPPER} (input clock, input rx, output tx);
  wire clock_pin = clock;
  wire rx_pin = rx;
  {_identifier(top)} board (
    .{_identifier(pins.clock)} (clock_pin),
    .{_identifier(pins.rx)} (rx_pin),
    .{_identifier(pins.tx)} (tx)
  );
endmodule
"""


def _identifier(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else f"\\{name} "
