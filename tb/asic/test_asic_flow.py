"""The flow as a whole: what it refuses, and memories' arrays in macros."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from small_unit import CONFIG, TARGET, library

from exaq_asic.flow import Options, measure
from exaq_asic.gates.gate_check import check_gates, gate_verilog
from exaq_asic.mapping.mapped_unit import map_unit
from exaq_asic.mapping.recipe import Recipe
from exaq_asic.mapping.yosys import run_yosys
from exaq_asic.memory_table import Macro
from exaq_hdl import emit_verilog
from exaq_hdl.emit.target import Target

MACRO = Macro(
    name="one", words=64, bits=64, ports=1, um2=1000.0, read_pj=3.0, write_pj=5.0, access_ns=7.0
)


def test_units_for_an_fpga_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^target must be for a chip, not 'fpga'$"):
        Options(target=Target())


@pytest.mark.simulator
def test_arrays_in_macros() -> None:
    """Their area, and their energy: at the full rate each queue's words, of two beats of two
    elements, are written once and read once.
    """
    report = measure(CONFIG, [library()], Options(target=TARGET, macros=[MACRO]))
    (corner,) = report["corners"]
    assert [each["part"] for each in corner["memories"]] == [
        "code_fifo.ram.memory",
        "row_buffer.ram.memory",
    ]
    for each in corner["memories"]:
        assert (each["macro"], each["macros"], each["um2"]) == ("one", 1, 1000.0)
        assert each["bits"] == each["depth"] * each["width"] <= 64 * 64
    full, tenth = corner["energy"]["loads"].values()
    assert full["array_pj_per_element"] == pytest.approx(2 * (3.0 + 5.0) / 4, rel=0.05)
    # Some beats find a queue empty, and pass by its memory.
    assert 0 < tenth["array_pj_per_element"] < full["array_pj_per_element"]


@pytest.mark.simulator
def test_energies_of_macros_that_are_not_known() -> None:
    macros = [replace(MACRO, write_pj=None)]
    report = measure(CONFIG, [library()], Options(target=TARGET, macros=macros))
    (corner,) = report["corners"]
    for figures in corner["energy"]["loads"].values():
        assert figures["array_pj_per_element"] is None
        assert {each["part"] for each in figures["arrays"]} == {
            "code_fifo.ram.memory",
            "row_buffer.ram.memory",
        }


@pytest.mark.simulator
def test_gates_of_a_unit_with_codes_and_results() -> None:
    config = CONFIG.replace(output="codes", row_results="sum")
    emitted = emit_verilog(config, target=Target(kind="asic"))
    unit = map_unit(emitted.verilog, "exaq_softmax", library(), Recipe())
    assert check_gates(gate_verilog(unit), config)["rows"] > 0


def test_yosys_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("exaq_asic.mapping.yosys.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'pyosys'$"):
        run_yosys("map.ys", tmp_path)
