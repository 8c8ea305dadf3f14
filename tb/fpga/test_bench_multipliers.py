"""Multipliers of adders compute what ``*`` does: proven for small widths, and seen in a unit."""

from __future__ import annotations

from pathlib import Path

import pytest

from exaq_cosim import ToolError
from exaq_fpga.boards.devices import DEVICES
from exaq_fpga.flow import synthesis, tools
from exaq_fpga.flow.netlists.multipliers import FILE, MAP, passes

WIDTHS = [(a, b) for a in range(1, 6) for b in range(1, 6)]


def module(name: str, a: int, b: int, y: int, kind: str = "") -> str:
    return (
        f"module {name} (input wire {kind} [{a - 1}:0] a, input wire {kind} [{b - 1}:0] b,"
        f" output wire {kind} [{y - 1}:0] y); assign y = a * b; endmodule\n"
    )


def prove(folder: Path, modules: list[tuple[str, str]], map_text: str = MAP) -> list[str]:
    """Proves each (name, text) equal to itself after mapping; the cells that are left of ``$mul``.

    ToolError where a proof fails.
    """
    (folder / FILE).write_text(map_text)
    (folder / "all.v").write_text("".join(text for _, text in modules))
    script = ["read_verilog all.v; proc"]
    for name, _ in modules:
        mapping = passes("mapped").replace("hierarchy -top mapped; ", "").replace("flatten; ", "")
        script += [
            f"copy {name} mapped; cd mapped",
            mapping,
            f"tee -o {name}.count select -count t:$mul; cd ..",
            f"miter -equiv -flatten -make_outputs {name} mapped miter",
            "sat -verify -prove trigger 0 miter; delete mapped miter",
        ]
    tools.run("yosys", ["-q", "-p", "; ".join(script)], folder)
    return [(folder / f"{name}.count").read_text().strip() for name, _ in modules]


@pytest.mark.parametrize("y", [-2, 0, 3])
def test_products_are_those_of_yosys(tmp_path: Path, y: int) -> None:
    """``y`` bits more than the whole product has, or fewer."""
    modules = [
        (f"m{a}x{b}", module(f"m{a}x{b}", a, b, a + b + y)) for a, b in WIDTHS if a + b + y > 0
    ]
    assert prove(tmp_path, modules) == ["0 objects."] * len(modules)


def test_signed_products_are_left_alone(tmp_path: Path) -> None:
    assert prove(tmp_path, [("s", module("s", 3, 4, 7, "signed"))]) == ["1 objects."]


def test_the_proof_sees_a_wrong_sum(tmp_path: Path) -> None:
    wrong = MAP.replace("high + low", "high - low")
    assert wrong != MAP
    with pytest.raises(ToolError):
        prove(tmp_path, [("m", module("m", 3, 3, 6))], wrong)


@pytest.mark.parametrize("device", ["ecp5-85", "ice40-hx8k"])
def test_multipliers_of_adders_are_small(device: str) -> None:
    text = """
    module known (input wire clk, input wire [11:0] a, b, output reg [23:0] y);
      always @(posedge clk) y <= a * b;
    endmodule
    """
    rows, ands = 12, 12 * 12
    size = synthesis.implement(text, "known", DEVICES[device], seeds=(1,), dsp=False).size
    assert size["dsp"] == 0
    # Gates for the rows, and adders of 13 bits and more but for the last row.
    assert ands / 2 < size["lut4"] < ands + rows * 18
