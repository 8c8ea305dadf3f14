"""ECP5 and Gowin netlists, simulated with their vendors' cells; wrong ones are seen to be wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cached_build import cached_synthesis

from exaq import SoftmaxConfig
from exaq_fpga.boards import BOARDS
from exaq_fpga.flow.bitstreams.prepared import TOP, Prepared, prepare
from exaq_fpga.flow.netlists.netlist import Netlist
from exaq_fpga.prove import prove

pytestmark = pytest.mark.simulator

# Small units behind fast lines: little to compile and few cycles. The clocks come from PLLs.
CASES: dict[str, Callable[[], Prepared]] = {
    "ecp5": lambda: prepare(
        BOARDS["ulx3s-12f"],
        SoftmaxConfig(bits=2, lanes=2, max_row=64, contexts=2),
        clock=50_000_000,
        link=BOARDS["ulx3s-12f"].link.with_baud(6_250_000),
    ),
    "gowin": lambda: prepare(
        BOARDS["tang-nano-9k"],
        SoftmaxConfig(bits=3, lanes=1, max_row=64, logit_width=10, masking=False),
        clock=54_000_000,
        link=BOARDS["tang-nano-9k"].link.with_baud(6_750_000),
    ),
}
CYCLES = 500_000


@pytest.fixture(scope="module", params=CASES)
def prepared(request: pytest.FixtureRequest) -> Prepared:
    return CASES[request.param]()


@pytest.fixture
def folder(prepared: Prepared, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cached_synthesis(prepared), tmp_path / "board"))


def test_netlist_computes_what_the_golden_model_does(prepared: Prepared, folder: Path) -> None:
    proof = prove(prepared, folder, cycles=CYCLES)
    assert (proof.how, proof.mismatches, proof.faults) == ("netlist", 0, ())
    assert proof.holds
    assert proof.elements > 2000


# Registers of the unit whose data come from a LUT.
REGISTERS = {
    "ecp5": "station.station.unit.core.core.row_max.level0_max0_",
    "gowin": "station.station.unit.core.core.accumulator.accumulator_i_payload_",
}


def test_one_wrong_bit_of_a_lut_is_found(prepared: Prepared, folder: Path) -> None:
    """The bit of the LUT's table for inputs that are all 0: some elements come back wrong."""
    path = folder / prepared.netlist
    netlist = Netlist.read(path, TOP)
    lut = _lut_before(netlist, REGISTERS[prepared.spec.family])
    bits = lut["parameters"]["INIT"]
    lut["parameters"]["INIT"] = bits[:-1] + ("1" if bits[-1] == "0" else "0")
    netlist.write(path)
    proof = prove(prepared, folder, cycles=0)
    assert proof.mismatches > 0 or any("came back wrong" in fault for fault in proof.faults)
    assert not proof.holds


def _lut_before(netlist: Netlist, registers: str) -> dict[str, Any]:
    """The first LUT that gives a register of these its data."""
    data = {
        cell["connections"].get("DI", cell["connections"].get("D", ["0"]))[0]
        for name, cell in netlist.cells.items()
        if name.startswith(registers) and "Q" in cell["connections"]
    }
    outputs = {"Z", "F"}
    return next(
        cell
        for _, cell in sorted(netlist.cells.items())
        if cell["type"] == "LUT4"
        and any(cell["connections"].get(pin, [""])[0] in data for pin in outputs)
    )
