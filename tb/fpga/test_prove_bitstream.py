"""The iCEBreaker's bitstream, read back and simulated; and that a wrong one is seen to be wrong."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pytest
from cached_build import cached_build

from exaq_cosim import ToolError
from exaq_fpga.boards import BOARDS
from exaq_fpga.flow import tools
from exaq_fpga.flow.bitstreams.prepared import Prepared, prepare
from exaq_fpga.prove import prove
from exaq_fpga.prove.readback.bitstream_verilog import tools_missing

pytestmark = pytest.mark.simulator

BOARD = BOARDS["icebreaker"]
CYCLES = 4_000_000


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    if missing := tools_missing():
        pytest.skip(missing)
    return prepare(BOARD)


@pytest.fixture(scope="module")
def built(prepared: Prepared) -> Path:
    return cached_build(prepared)


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """A copy to work in, and to break."""
    return Path(shutil.copytree(built, tmp_path / "board"))


def test_bitstream_computes_what_the_golden_model_does(prepared: Prepared, folder: Path) -> None:
    told: list[str] = []
    proof = prove(prepared, folder, cycles=CYCLES, progress=told.append)
    assert (proof.how, proof.mismatches, proof.faults) == ("bitstream", 0, ())
    assert proof.holds
    assert proof.simulator.startswith("Verilator ")
    # Corners alone are 4500 elements.
    assert proof.elements > 6000
    assert proof.cycles > proof.elements * prepared.softmax.prob_bytes * prepared.link.octet_cycles(
        prepared.clock
    )
    assert [text.split()[0] for text in told] == ["bitstream", "compiling", told[2].split()[0]]


def test_one_wrong_bit_of_the_sum_table_is_found(prepared: Prepared, folder: Path) -> None:
    """In the last entry: that of four elements which all have the row's highest code."""
    table = prepared.softmax.tables.sum_rom(prepared.softmax.group).tolist()
    ones = [entry.bit_count() for entry in table]
    assert ones[-1] == 1
    bits = folder / "top.asc"
    text = bits.read_text()
    # Data pins are permuted, so that words are known by their ones.
    blocks = re.finditer(r"^\.ram_data \d+ \d+\n((?:[0-9a-f]{64}\n){16})", text, re.MULTILINE)
    (found,) = [block for block in blocks if [w.bit_count() for w in _words(block[1])] == ones]
    lines = found[1].splitlines()
    lines[-1] = f"0000{lines[-1][4:]}"
    text = text.replace(found[1], "\n".join(lines) + "\n")
    assert text != bits.read_text()
    bits.write_text(text)
    tools.run_command("icepack", tools.find("icepack"), ["top.asc", "top.bin"], folder)
    # A clock that the PLL does not make is found by the way.
    proof = prove(dataclasses.replace(prepared, clock=25_000_000), folder, cycles=0)
    assert proof.mismatches > 0
    assert proof.faults == ("the PLL makes 24000000 Hz, not 25000000 Hz",)
    assert not proof.holds


def _words(lines: str) -> list[int]:
    """16 lines of 16 words, a line's last word first."""
    return [int(line[k : k + 4], 16) for line in lines.splitlines() for k in range(60, -4, -4)]


def test_pins_of_another_design_are_refused(prepared: Prepared, folder: Path) -> None:
    pins = folder / "top.pcf"
    text = pins.read_text()
    tx = prepared.ports["tx"]
    assert f"set_io {tx} {BOARD.link.tx}\n" in text
    pins.write_text(text.replace(f"set_io {tx} {BOARD.link.tx}\n", f"set_io {tx} 44\n"))
    proof = prove(prepared, folder)
    assert proof.faults == (f"the bitstream leaves pins unused: {tx}",)
    assert (proof.rows, proof.cycles, proof.holds) == (0, 0, False)


def test_what_is_no_bitstream_is_refused(prepared: Prepared, folder: Path) -> None:
    (folder / "top.bin").write_bytes(b"no bitstream")
    with pytest.raises(ToolError, match=r"^iceunpack failed with exit code 1: "):
        prove(prepared, folder)
