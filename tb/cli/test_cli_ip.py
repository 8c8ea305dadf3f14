"""``exaq generate --rdl`` and ``--ip``: files beside the Verilog, and what they are refused for."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_exaq import refusal, run_exaq

_NO_REGISTERS = "--rdl is for a unit with registers, which has --contexts and --top axi"
REFUSALS = {
    "--rdl": _NO_REGISTERS,
    "--rdl --contexts 2 --top core": _NO_REGISTERS,
    "--rdl --unit attention": "--rdl is for --unit softmax alone",
    "--rdl --unit level-sums": "--rdl is for --unit softmax alone",
    "--ip --top core": "--ip is for --top axi and --target fpga",
    "--ip --unit attention --top core": "--ip is for --top axi and --target fpga",
    "--ip --target asic": "--ip is for --top axi and --target fpga",
}


@pytest.mark.parametrize("options", REFUSALS)
def test_refusals(options: str, tmp_path: Path) -> None:
    words = [*options.split(), "-o", "unit.v"]
    assert refusal("generate", *words, folder=tmp_path) == REFUSALS[options]


def test_registers_in_system_rdl(tmp_path: Path) -> None:
    options = ("--contexts", "2", "--max-row", "64", "--name", "attention", "--rdl", "-o", "unit.v")
    done = run_exaq("generate", *options, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "SystemRDL      unit.rdl" in done.stdout.splitlines()
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"unit.v", "unit.json", "unit.h", "unit.rdl"}
    text = (tmp_path / "unit.rdl").read_text(encoding="utf-8")
    assert text.startswith("addrmap \\attention {\n")


def test_ip_is_written_beside_the_verilog(tmp_path: Path) -> None:
    options = ("--contexts", "2", "--max-row", "64", "-o", "unit.v")
    for words in (options, (*options, "--ip", "--rdl")):
        done = run_exaq("generate", *words, folder=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        text = (tmp_path / "unit.v").read_text(encoding="utf-8")
        assert ("X_INTERFACE_INFO" in text) == ("--ip" in words)
    assert done.stdout.splitlines()[:7] == [
        "Verilog        unit.v, top module exaq_softmax",
        "Description    unit.json",
        "C header       unit.h",
        "SystemRDL      unit.rdl",
        "IP-XACT        component.xml",
        "Vivado script  unit_package.tcl",
        "VHDL           unit.vhd",
    ]
    named = {line.split()[-1] for line in done.stdout.splitlines()[1:7]} | {"unit.v"}
    assert {path.name for path in tmp_path.iterdir()} == named


def test_ip_of_a_part_of_an_attention_head(tmp_path: Path) -> None:
    head = ("--unit", "level-sums", "--head-size", "16", "--max-row", "16", "--lanes", "1")
    done = run_exaq("generate", *head, "--ip", "-o", "sums.v", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"sums.v", "sums.json", "sums.vhd", "sums_package.tcl", "component.xml"}
