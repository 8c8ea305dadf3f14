"""A board's design, as synthesis gets it, to a program."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from exaq_fpga.boards import UdpLink
from exaq_fpga.flow.bitstreams.prepared import TOP, Prepared
from exaq_fpga.virtual.compile import Pins, compile_board, compile_ethernet_board
from exaq_hdl.emit.verilog import rtlil_to_verilog

#: Cycles of a bit on a virtual board's serial port, where no baud rate is asked for: the fewer,
#: the faster in real time.
DIVISOR = 4


def board_verilog(prepared: Prepared) -> list[str]:
    """The whole design with models of the vendor's cells: self-contained Verilog of module TOP.

    The PLL's model passes the clock on: its pin takes the unit's clock.
    """
    folder = files("exaq_fpga.virtual").joinpath("cells")
    cells = [f"cells_{prepared.spec.family}.v", "pll.v"]
    if isinstance(prepared.link, UdpLink):
        cells.append("ecp5_registers.v")
    return [
        rtlil_to_verilog(prepared.files[f"{TOP}.il"], initial=True),
        prepared.files[f"{prepared.module}.v"],
        *(folder.joinpath(name).read_text(encoding="utf-8") for name in cells),
    ]


def compile_design(prepared: Prepared, *, tracing: bool = False) -> Path:
    """The program of the virtual board for ``prepared``, compiled unless it is in the cache.

    Raises
    ------
    ToolError
        No C++ compiler, no Verilator, or one of them failed.
    """
    return compile_as_board(board_verilog(prepared), prepared, tracing=tracing)


def compile_as_board(
    verilog: list[str], prepared: Prepared, *, tracing: bool = False, brief: bool = False
) -> Path:
    """The program for ``verilog``, a module TOP with the ports and the link of ``prepared``.

    Options as of ``compile_board``, errors as of ``compile_design``.
    """
    ports = {name: port for name, port in prepared.ports.items() if name != "led"}
    if isinstance(prepared.link, UdpLink):
        return compile_ethernet_board(
            verilog,
            top=TOP,
            pins=ports,
            address=str(prepared.link.address),
            tracing=tracing,
            brief=brief,
        )
    return compile_board(
        verilog,
        top=TOP,
        pins=Pins(**ports),
        divisor=prepared.link.divisor(prepared.clock),
        tracing=tracing,
        brief=brief,
    )
