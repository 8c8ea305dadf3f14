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
    "--rdl --unit level-sums --contexts 2": "--rdl is for --unit softmax alone",
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
