"""Sizes and speeds of designs whose size is known beforehand, and what synthesis refuses."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from exaq_cosim import ToolError
from exaq_fpga.boards.devices import DEVICES
from exaq_fpga.flow import synthesis, tools
from exaq_fpga.flow.netlists.boundary import bound_by_registers
from exaq_fpga.flow.netlists.netlist import Netlist

# Sixteen gates of three inputs, each with its register; one block RAM with two more registers.
WIDTH = 16
DESIGN = """
module known (input wire clk, input wire [15:0] a, b, c, output reg [15:0] y);
  always @(posedge clk) y <= a & b | c;
endmodule
"""
MEMORY = """
module known (input wire clk, input wire we, re, oe, input wire [8:0] wa, ra,
              input wire [17:0] d, output reg [17:0] q);
  (* no_rw_check *) reg [17:0] words [0:511];
  reg [17:0] latch;
  always @(posedge clk) begin
    if (we) words[wa] <= d;
    if (re) latch <= words[ra];
    if (oe) q <= latch;
  end
endmodule
"""


@pytest.mark.parametrize("device", DEVICES)
def test_size_is_that_of_the_design_alone(device: str) -> None:
    result = synthesis.implement(DESIGN, "known", DEVICES[device], seeds=(1, 2))
    expected = {"lut4": WIDTH, "ff": WIDTH, "bram": 0, "dsp": 0}
    # nextpnr adds cells that drive constants: one on ECP5, two on iCE40.
    if device.startswith("ice40"):
        expected["lc"] = WIDTH + 2
    else:
        expected["lut4"] += 1
    assert result.size == expected
    assert result.boundary == 4 * WIDTH
    assert [route.seed for route in result.routes] == [1, 2]


def test_paths_from_inputs_and_to_outputs_count() -> None:
    """A design that is one gate without a register has a clock only by its boundary."""
    design = "module known (input wire clk, a, b, output wire y); assign y = a & b; endmodule"
    result = synthesis.implement(design, "known", DEVICES["ice40-hx8k"], seeds=(1,))
    assert result.size["lut4"] == 1
    assert result.boundary == 3
    (route,) = result.routes
    assert route.path[0].cell.startswith("boundary$")
    delay = sum(segment.delay for segment in route.path)
    assert 1000 / delay == pytest.approx(route.fmax, rel=0.01)


def test_same_seed_gives_the_same_and_another_seed_may_not() -> None:
    first, again = (
        synthesis.implement(DESIGN, "known", DEVICES["ecp5-85"], seeds=(7,)) for _ in range(2)
    )
    assert first == again


def test_output_register_leaves_the_slow_way_out_of_block_ram_behind() -> None:
    device = DEVICES["ecp5-85"]
    plain = synthesis.implement(MEMORY, "known", device, seeds=(1,), plain=True)
    folded = synthesis.implement(MEMORY, "known", device, seeds=(1,))
    assert (plain.folded, plain.size["ff"], plain.size["bram"]) == (0, 18, 1)
    assert (folded.folded, folded.size["ff"], folded.size["bram"]) == (18, 0, 1)
    assert folded.fmax["median"] > 1.5 * plain.fmax["median"]


@pytest.mark.parametrize("family", ["ecp5", "ice40"])
def test_boundary_replaces_all_ports_but_the_clock(family: str) -> None:
    ports = {
        "clk": {"direction": "input", "bits": [2]},
        "a": {"direction": "input", "bits": [3, 4]},
        "y": {"direction": "output", "bits": [3, "1"]},
    }
    module = {"cells": {}, "ports": ports, "netnames": {}}
    design = Netlist({"modules": {"top": module}}, "top")
    assert bound_by_registers(design, family, "clk") == 4
    assert list(design.ports) == ["clk"]
    assert list(design.cells) == [
        "boundary$a[0]",
        "boundary$a[1]",
        "boundary$y[0]",
        "boundary$y[1]",
    ]
    data, clock = {"ecp5": ("DI", "CLK"), "ice40": ("D", "C")}[family]
    nets = [cell["connections"] for cell in design.cells.values()]
    assert [net["Q"] for net in nets[:2]] == [[3], [4]]
    assert [net[data] for net in nets[2:]] == [[3], ["1"]]
    assert {net[clock][0] for net in nets} == {2}
    fresh = [net[data][0] for net in nets[:2]] + [net["Q"][0] for net in nets[2:]]
    assert len(set(fresh)) == 4
    assert min(fresh) > 4


def test_a_design_without_a_clock_is_refused() -> None:
    design = "module known (input wire a, output wire y); assign y = a; endmodule"
    with pytest.raises(ToolError, match=r"^known has no clock port named aclk or clk$"):
        synthesis.implement(design, "known", DEVICES["ecp5-85"], seeds=(1,))


def test_a_design_that_does_not_fit_is_refused_in_the_tools_words() -> None:
    words = MEMORY.replace("511", "16383").replace("[8:0] wa", "[13:0] wa")
    with pytest.raises(ToolError, match=r"^nextpnr-ice40 failed with exit code \d+: ERROR: "):
        synthesis.implement(words, "known", DEVICES["ice40-up5k"], seeds=(1,))


def test_a_missing_tool_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(tools._TOOLS["yosys"], package="yowasp-absent")
    monkeypatch.setitem(tools._TOOLS, "yosys", absent)
    message = r"^yosys is not installed; get it with: pip install 'exaq-softmax\[fpga\]'$"
    with pytest.raises(ToolError, match=message):
        synthesis.implement(DESIGN, "known", DEVICES["ecp5-85"], seeds=(1,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "module other; endmodule",
            "yosys failed with exit code 1: ERROR: Module `known' not found!",
        ),
        (None, "[Errno 2] No such file or directory: 'known.v'"),
    ],
)
def test_command_refuses_in_one_line(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "known.v").write_text(text)
    done = run_synth("known.v", "--top", "known", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"exaq_fpga.flow.synthesis: error: {message}\n"


def test_command_prints_size_speed_and_path(tmp_path: Path) -> None:
    (tmp_path / "known.v").write_text(DESIGN)
    done = run_synth("known.v", "--top", "known", "--seeds", "3,4", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "ECP5 LFE5UM-85F-6: lut4 17  ff 16  bram 0  dsp 0"
    assert lines[2].startswith("  seed 3: ")
    assert lines[3].startswith("  seed 4: ")
    assert lines[5] in ("  critical path of seed 3:", "  critical path of seed 4:")
    assert lines[6].split()[2] == "clk-to-q"


def run_synth(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exaq_fpga.flow.synthesis", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
