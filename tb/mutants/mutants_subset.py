"""A netlist of some mutants of another, so that no other one has to be simulated with them."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mutants_netlist import SELECT_BITS, Mutant, Netlist, yosys

_CONTROL = re.compile(rf" -ctrl mutsel {SELECT_BITS} \d+")


def subset(netlist: Netlist, mutants: Sequence[Mutant]) -> Netlist:
    """The unit of ``netlist`` with these mutants alone, numbered 1, 2, ... in their order.

    Raises
    ------
    exaq.tool.ToolError
        Yosys is missing or fails.
    """
    chosen = tuple(
        replace(
            mutant, number=k, script=_CONTROL.sub(f" -ctrl mutsel {SELECT_BITS} {k}", mutant.script)
        )
        for k, mutant in enumerate(mutants, 1)
    )
    with tempfile.TemporaryDirectory(prefix="exaq-") as name:
        folder = Path(name)
        (folder / "flat.il").write_text(netlist.flat, encoding="utf-8")
        script = "\n".join(mutant.script for mutant in chosen)
        (folder / "mutate.ys").write_text(script + "\n", encoding="utf-8")
        yosys(
            "read_rtlil flat.il; script mutate.ys; opt_clean; write_verilog -noattr mutants.v",
            folder,
        )
        verilog = (folder / "mutants.v").read_text(encoding="utf-8")
    return replace(netlist, mutants=chosen, verilog=verilog)
