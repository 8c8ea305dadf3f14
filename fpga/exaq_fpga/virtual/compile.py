"""A board's Verilog to a program: the whole design verilated, and what stands at its pins."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from exaq.scalars import integer
from exaq_cosim.compiler import Harness, compile_verilog
from exaq_fpga.boards.udp_link import RGMII_PERIOD
from exaq_fpga.link.datagrams import PORT

_SHARED = ("harness/bench.h", "harness/stop.h")
_UART = ("uart/uart_main.cpp", "uart/line.h", "uart/terminal.h")
_ETHERNET = (
    "ethernet/ethernet_main.cpp",
    "ethernet/cable.h",
    "ethernet/network.h",
    "ethernet/phy.h",
)
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
    harness = _harness(
        _UART, [f"EXAQ_DIVISOR={divisor}"], tracing=tracing, brief=brief, flags=flags
    )
    ports = "input clock, input rx, output tx"
    return _compile(sources, harness, top, vars(pins), ports, tracing=tracing)


def compile_ethernet_board(
    sources: Sequence[str | Path],
    *,
    top: str,
    pins: Mapping[str, str],
    address: str,
    tracing: bool = False,
    brief: bool = False,
) -> Path:
    """The program of a virtual board with an Ethernet link, as ``compile_board``.

    Parameters
    ----------
    pins
        Names of the top module's ports by ``clock`` and those of ``UdpLink.ports``. The reset is
        low while the PHY is to be in it.
    address
        The board's IPv4 address.
    """
    defines = [
        f'EXAQ_ADDRESS="{address}"',
        f"EXAQ_PORT={PORT}",
        f"EXAQ_PERIOD={RGMII_PERIOD}",
    ]
    harness = _harness(_ETHERNET, defines, tracing=tracing, brief=brief)
    ports = (
        "input clock, input rx_clk, input rx_ctl, input [3:0] rx_data, output tx_clk, "
        "output tx_ctl, output [3:0] tx_data, output reset, output mdc, output mdio"
    )
    return _compile(sources, harness, top, pins, ports, tracing=tracing)


def _harness(
    names: Sequence[str],
    defines: list[str],
    *,
    tracing: bool,
    brief: bool,
    flags: Sequence[str] = (),
) -> Harness:
    folder = files("exaq_fpga.virtual")
    paths = [
        *(folder.joinpath(name) for name in (*names, *_SHARED)),
        files("exaq_cosim") / "random.h",
    ]
    return Harness(
        name="board",
        top=_WRAPPER,
        prefix="Vboard",
        sources={path.name: path.read_text(encoding="utf-8") for path in paths},
        defines=[*defines, f"EXAQ_TRACE={int(tracing)}"],
        model_flags=("-O0",) if brief else ("-O1",),
        verilator_flags=flags,
    )


def _compile(
    sources: Sequence[str | Path],
    harness: Harness,
    top: str,
    pins: Mapping[str, str],
    ports: str,
    *,
    tracing: bool,
) -> Path:
    verilog = {
        f"source{number}.v": text if isinstance(text, str) else text.read_text(encoding="utf-8")
        for number, text in enumerate(sources)
    }
    wrapped = {f"{_WRAPPER}.v": _wrapper(top, pins, ports)}
    return compile_verilog(verilog | wrapped, harness, tracing=tracing)


def _wrapper(top: str, pins: Mapping[str, str], ports: str) -> str:
    """Gives the top's pins plain names, and one direction each."""
    inputs = re.findall(r"input (?:\[\d+:0\] )?(\w+)", ports)
    wires = "\n".join(f"  wire {_width(ports, name)}{name}_pin = {name};" for name in inputs)
    connections = ",\n".join(
        f"    .{_identifier(port)} ({f'{name}_pin' if name in inputs else name})"
        for name, port in pins.items()
    )
    return f"""module {_WRAPPER} ({ports});
{wires}
  {_identifier(top)} board (
{connections}
  );
endmodule
"""


def _width(ports: str, name: str) -> str:
    found = re.search(rf"(\[\d+:0\] ){name}\b", ports)
    return found[1] if found else ""


def _identifier(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else f"\\{name} "
