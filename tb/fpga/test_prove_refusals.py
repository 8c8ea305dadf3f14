"""What netlists and PLLs are read for, and what there is no model of."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from exaq_cosim import ToolError
from exaq_fpga.flow.netlists.netlist import Netlist
from exaq_fpga.prove.readback.cell_models import models
from exaq_fpga.prove.readback.clocks import bitstream_clock, netlist_clock
from exaq_fpga.prove.readback.netlist_verilog import netlist_verilog

CLOCK, OTHER, LOW = 2, 3, 4


def netlist(cells: dict[str, Any]) -> Netlist:
    """A netlist of these cells beside a cell that drives ``LOW``."""
    ground = {"type": "GND", "parameters": {}, "connections": {"G": [LOW]}}
    every = cells | {"ground": ground}
    return Netlist({"modules": {"top": {"cells": every, "ports": {}, "netnames": {}}}}, "top")


def ram(**changes: Any) -> dict[str, Any]:
    """A DP16KD; changes are of pins (lists) or parameters (strings)."""
    pins: dict[str, Any] = {"CLKA": [CLOCK], "CLKB": [CLOCK], "RSTA": [LOW], "RSTB": ["0"]}
    pins |= {"CSA0": ["0"], "CSB2": ["0"]}
    parameters = {"CLKAMUX": "CLKA", "CLKBMUX": "CLKB", "DATA_WIDTH_B": f"{36:032b}"}
    parameters |= {"REGMODE_A": "NOREG", "REGMODE_B": "NOREG"}
    for name, value in changes.items():
        (parameters if isinstance(value, str) else pins)[name] = value
    return {"type": "DP16KD", "parameters": parameters, "connections": pins}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"RSTA": [OTHER]}, "it uses RSTA"),
        ({"RSTB": ["1"]}, "it uses RSTB"),
        ({"CSB2": [OTHER]}, "it uses CSB2"),
        ({"CLKB": [OTHER]}, "it has two clocks"),
        ({"CLKAMUX": "INV"}, "it wants falling edges"),
        ({"REGMODE_A": "OUTREG"}, "half of it has a register"),
    ],
)
def test_block_ram_beyond_the_model_is_refused(
    changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    netlist({"store": ram(**changes)}).write(tmp_path / "top.json")
    with pytest.raises(ToolError) as raised:
        netlist_verilog(tmp_path, "top.json", top="top", family="ecp5")
    assert str(raised.value) == f"there is no model of DP16KD store: {reason}"


def test_pads_with_two_directions_are_refused(tmp_path: Path) -> None:
    pad = {"type": "TRELLIS_IO", "parameters": {"DIR": "BIDIR"}, "connections": {}}
    netlist({"pad": pad}).write(tmp_path / "top.json")
    with pytest.raises(ToolError) as raised:
        netlist_verilog(tmp_path, "top.json", top="top", family="ecp5")
    assert str(raised.value) == "there is no model of TRELLIS_IO pad: it is BIDIR"


@pytest.mark.parametrize(
    ("family", "cell"),
    [
        ("ice40", "NO_SUCH_CELL"),
        # Shells that Yosys has nothing in.
        ("ice40", "SB_HFOSC"),
        ("ecp5", "MULT18X18D"),
        ("gowin", "pROM"),
    ],
)
def test_cells_without_a_model_are_refused(family: str, cell: str) -> None:
    with pytest.raises(ToolError, match=rf"^there is no model of the cell {cell}$"):
        models(family, [cell])


def test_models_bring_what_they_are_made_of() -> None:
    text = models("gowin", ["MUX2_LUT8", "DFFRE"])
    modules = {line.split()[1] for line in text.splitlines() if line.startswith("module ")}
    assert {"MUX2_LUT8", "MUX2", "DFFRE"} <= modules
    assert not {"MUX2_LUT5", "DFF", "LUT4"} & modules


def pll(kind: str, **parameters: int | str) -> Netlist:
    texts = {
        name: value if isinstance(value, str) else f"{value:032b}"
        for name, value in parameters.items()
    }
    return netlist({"pll": {"type": kind, "parameters": texts, "connections": {}}})


FIXED = {"DYN_IDIV_SEL": "false", "DYN_FBDIV_SEL": "false", "DYN_ODIV_SEL": "false"}


@pytest.mark.parametrize(
    ("design", "hertz"),
    [
        (lambda: netlist({}), 12_000_000),
        (
            lambda: pll("EHXPLLL", FEEDBK_PATH="CLKOP", CLKI_DIV=3, CLKFB_DIV=8, CLKOP_DIV=20),
            32_000_000,
        ),
        (lambda: pll("rPLL", IDIV_SEL=2, FBDIV_SEL=8, ODIV_SEL=16, **FIXED), 36_000_000),
    ],
)
def test_clock_of_a_netlist(design: Callable[[], Netlist], hertz: int) -> None:
    assert netlist_clock(design(), 12_000_000) == hertz


def test_plls_of_another_kind_are_refused() -> None:
    with pytest.raises(ToolError, match=r"^the PLL has another feedback than the one known"):
        netlist_clock(pll("EHXPLLL", FEEDBK_PATH="INT_OP"), 1)
    for name in FIXED:
        moving = FIXED | {name: "true"}
        with pytest.raises(ToolError, match=r"^the PLL's dividers can change$"):
            netlist_clock(pll("rPLL", **moving), 1)


ICE40 = """\
SB_PLL40_CORE #(
  .FEEDBACK_PATH("SIMPLE"),
  .PLLOUT_SELECT("GENCLK"),
  .DIVR(4'b0010),
  .DIVF(7'b0111111),
  .DIVQ(3'b101),
  .TEST_MODE(1'b0)
) PLL_16_0 (
  .REFERENCECLK(n1)
);
"""


def test_clock_of_a_bitstream() -> None:
    assert bitstream_clock("module top;\nendmodule\n", 12_000_000) == 12_000_000
    assert bitstream_clock(ICE40, 12_000_000) == Fraction(12_000_000 * 64, 3 * 32)
    for text in ('"SIMPLE"', '"GENCLK"'):
        other = ICE40.replace(text, '"OTHER"')
        with pytest.raises(ToolError, match=r"^the PLL has another feedback or output than"):
            bitstream_clock(other, 12_000_000)
