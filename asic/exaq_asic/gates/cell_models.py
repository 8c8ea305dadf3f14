"""Verilog models of standard cells, made of the Liberty file itself."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

from exaq_asic.liberty import Cell, Library
from exaq_asic.mapping.yosys import run_yosys

# A latch that is open while the clock is low, and an AND: what holds for the kind of clock gate
# that Library.clock_gate is.
_CLOCK_GATE = """module {name}({clock}, {enable}, {out});
  input {clock}, {enable};
  output {out};
  reg held;
  always @* if (!{clock}) held = {enable};
  assign {out} = {clock} & held;
endmodule
"""


def cell_models(library: Library, names: Collection[str]) -> str:
    """Verilog of the cells ``names``, by Yosys's reading of the library.

    Raises
    ------
    LibertyError
        The library gives no function of one of them.
    ToolError
        Yosys fails.
    """
    cells = [library.cells[name] for name in sorted(names)]
    gates = [cell for cell in cells if cell.kind == "clock gate"]
    others = [cell.name for cell in cells if cell.kind in ("gate", "tie", "flop", "latch")]
    for cell in cells:
        if cell not in gates and cell.name not in others:
            raise library.lacks(f"function of {cell.name}", "gate-level simulation needs")
    text = "".join(map(_clock_gate, gates))
    if not others:
        return text
    with tempfile.TemporaryDirectory(prefix="exaq-") as made:
        folder = Path(made)
        (folder / "cells.lib").write_text(library.text, encoding="utf-8")
        script = [
            "read_liberty -ignore_miss_func cells.lib",
            f"select {' '.join(others)}",
            "proc",
            "write_verilog -noattr -selected cells.v",
        ]
        (folder / "models.ys").write_text("\n".join(script) + "\n", encoding="utf-8")
        run_yosys("models.ys", folder)
        return text + (folder / "cells.v").read_text(encoding="utf-8")


def _clock_gate(cell: Cell) -> str:
    return _CLOCK_GATE.format(name=cell.name, **cell.clock_gate)
