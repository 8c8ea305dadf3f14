"""Arrays made of macros: they do what the arrays' models do, and a unit of them gives its bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exaq import SoftmaxConfig
from exaq_asic.flow import TOP, emitted_unit
from exaq_asic.macro_arrays import array_of_macros
from exaq_asic.mapping.arrays import MemoryArray, split
from exaq_asic.memory_table import Macro, MemoryTableError, read_macros, smallest, table_path
from exaq_cosim import SimulationError, golden, simulate
from exaq_hdl.emit.target import Target

IHP = read_macros(table_path("ihp-sg13g2"))
# What the data sheets say: one port, and two.
ONE_PORT = """
module {name} (
  input wire A_CLK, A_MEN, A_WEN, A_REN, A_DLY, A_BIST_EN, A_BIST_CLK, A_BIST_MEN, A_BIST_WEN,
  input wire A_BIST_REN, input wire [{address}:0] A_ADDR, A_BIST_ADDR,
  input wire [{high}:0] A_DIN, A_BM, A_BIST_DIN, A_BIST_BM, output reg [{high}:0] A_DOUT
);
  reg [{high}:0] words [0:{last}];
  wire [{high}:0] next = (words[A_ADDR] & ~A_BM) | (A_DIN & A_BM);
  always @(posedge A_CLK) if (A_MEN && !A_BIST_EN) begin
    if (A_WEN) words[A_ADDR] <= next;
    if (A_REN) A_DOUT <= A_WEN ? next : words[A_ADDR];
  end
endmodule
"""
TWO_PORTS = """
module {name} (
  input wire A_CLK, A_MEN, A_WEN, A_REN, A_DLY, A_BIST_EN, A_BIST_CLK, A_BIST_MEN, A_BIST_WEN,
  input wire A_BIST_REN, input wire [{address}:0] A_ADDR, A_BIST_ADDR,
  input wire [{high}:0] A_DIN, A_BM, A_BIST_DIN, A_BIST_BM, output wire [{high}:0] A_DOUT,
  input wire B_CLK, B_MEN, B_WEN, B_REN, B_DLY, B_BIST_EN, B_BIST_CLK, B_BIST_MEN, B_BIST_WEN,
  input wire B_BIST_REN, input wire [{address}:0] B_ADDR, B_BIST_ADDR,
  input wire [{high}:0] B_DIN, B_BM, B_BIST_DIN, B_BIST_BM, output reg [{high}:0] B_DOUT
);
  assign A_DOUT = 0;
  reg [{high}:0] words [0:{last}];
  always @(posedge A_CLK) if (A_MEN && A_WEN && !A_BIST_EN)
    words[A_ADDR] <= (words[A_ADDR] & ~A_BM) | (A_DIN & A_BM);
  always @(posedge B_CLK) if (B_MEN && B_REN && !B_WEN && !B_BIST_EN) B_DOUT <= words[B_ADDR];
endmodule
"""


def model(macro: Macro) -> str:
    """A model of one of IHP's macros."""
    sizes = {"address": (macro.words - 1).bit_length() - 1, "high": macro.bits - 1}
    text = ONE_PORT if macro.ports == 1 else TWO_PORTS
    return text.format(name=macro.name, last=macro.words - 1, **sizes)


def of_macros(config: SoftmaxConfig, target: Target, macros: list[Macro]) -> str:
    """The unit's text with its arrays made of macros, and models of these."""
    text, arrays = split(emitted_unit(config, target).verilog, TOP)
    used: dict[str, Macro] = {}
    for array in arrays:
        macro = smallest(macros, array)
        assert macro is not None
        used[macro.name] = macro
        text += array_of_macros(array, macro)
    assert arrays
    return text + "".join(model(macro) for macro in used.values())


@pytest.mark.simulator
@pytest.mark.parametrize("ram", ["single-port", "two-port"])
@pytest.mark.parametrize("few", [False, True], ids=["ihp", "few words"])
def test_a_unit_of_macros_gives_the_golden_bits(ram: str, few: bool) -> None:
    """Also where an array is of several macros, one above the other; and stalled on both sides."""
    config = SoftmaxConfig(max_row=256)
    target = Target(kind="asic", ram=ram)
    macros = IHP
    if few:
        macros = [
            Macro(**{**vars(macro), "words": 16, "connections": _narrower(macro)}) for macro in IHP
        ]
    text = of_macros(config, target, macros)
    rows = np.random.default_rng(5).integers(-128, 128, (40, 256), dtype=np.int8)
    lengths = np.random.default_rng(6).integers(1, 257, 40)
    for stall in (0.0, 0.5):
        out = simulate(rows, config, lengths=lengths, stall=stall, seed=1, verilog=text)
        assert np.array_equal(out.given, golden(rows, config, lengths=lengths))


def _narrower(macro: Macro) -> str:
    """The connections of a macro of 16 words."""
    assert macro.connections is not None
    width = (macro.words - 1).bit_length()
    return macro.connections.replace(f"_BIST_ADDR({width}'b0)", "_BIST_ADDR(4'b0)")


@pytest.mark.simulator
def test_a_macro_that_forgets_what_it_read_is_noticed() -> None:
    """That what it read has to stand while others are written is no empty word."""
    config, target = SoftmaxConfig(max_row=256), Target(kind="asic", ram="single-port")
    text = of_macros(config, target, IHP)
    wrong = text.replace("if (A_REN) A_DOUT <=", "A_DOUT <=")
    assert wrong != text
    rows = np.random.default_rng(5).integers(-128, 128, (20, 256), dtype=np.int8)
    with pytest.raises(SimulationError, match=r"^m_axis_tlast came before the row's last beat "):
        simulate(rows, config, seed=1, verilog=wrong)


def test_macros_that_cannot_be_joined_are_refused() -> None:
    array = MemoryArray(40, 8, True, "unit__array", "")
    macro = Macro(name="m", words=24, bits=8, ports=1, um2=1.0, connections=".A(clk)")
    with pytest.raises(MemoryTableError, match=r"^macro m holds 24 words; to hold an array of 40 "):
        array_of_macros(array, macro)
    with pytest.raises(MemoryTableError, match=r"^macro m has no connections$"):
        array_of_macros(array, Macro(name="m", words=64, bits=8, ports=1, um2=1.0))


def test_files_of_a_macro_are_all_or_nothing(tmp_path: Path) -> None:
    assert all(macro.laid_out for macro in IHP)
    assert not Macro(**{**vars(IHP[0]), "gds": None}).laid_out
