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
from exaq_fpga.netlist import Netlist
from exaq_fpga.prepared import TOP, Prepared, prepare
from exaq_fpga.prove import Proof, prove

pytestmark = pytest.mark.simulator

# Small units behind fast lines: little to compile and few cycles. The clocks come from PLLs.
CASES: dict[str, Callable[[], Prepared]] = {
    "ecp5": lambda: prepare(
        BOARDS["ulx3s-12f"],
        SoftmaxConfig(bits=2, lanes=2, max_row=64, contexts=2),
        clock=50_000_000,
        baud=6_250_000,
    ),
    "gowin": lambda: prepare(
        BOARDS["tang-nano-9k"],
        SoftmaxConfig(bits=3, lanes=1, max_row=64, logit_width=10, masking=False),
        clock=54_000_000,
        baud=6_750_000,
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


def break_netlist(prepared: Prepared, folder: Path, change: Callable[[Netlist], None]) -> Proof:
    path = folder / prepared.netlist
    netlist = Netlist.read(path, TOP)
    change(netlist)
    netlist.write(path)
    return prove(prepared, folder, cycles=0)


def test_one_wrong_bit_of_a_lut_is_found(prepared: Prepared, folder: Path) -> None:
    """In the table of a LUT whose output goes into the unit's own last registers."""

    def flip(netlist: Netlist) -> None:
        path = "station.station.unit.core.core.emitter"
        outputs = {
            name: cell["connections"]["Q"][0]
            for name, cell in netlist.cells.items()
            if name.startswith(path) and "Q" in cell["connections"]
        }
        assert outputs
        users = netlist.users()
        luts = [
            cell
            for name in sorted(outputs)
            for cell in netlist.cells.values()
            if cell["type"] == "LUT4" and _feeds(netlist, users, cell, name)
        ]
        lut = luts[0]
        bits = lut["parameters"]["INIT"]
        lut["parameters"]["INIT"] = _flipped(bits)

    proof = break_netlist(prepared, folder, flip)
    assert proof.mismatches or proof.faults
    assert not proof.holds


def _feeds(
    netlist: Netlist, users: dict[Any, list[tuple[str, str]]], lut: dict[str, Any], register: str
) -> bool:
    output = lut["connections"].get("Z") or lut["connections"]["F"]
    return any(name == register for name, _ in users.get(output[0], []))


def _flipped(bits: str) -> str:
    """All inputs 0: the last of the digits."""
    return bits[:-1] + ("1" if bits[-1] == "0" else "0")
