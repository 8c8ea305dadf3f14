"""Simulation of a mapped unit beside the golden model.

from exaq_asic.gates.gate_check import check_gates, gate_verilog
check_gates(gate_verilog(unit), config)  # of exaq_asic.mapping.mapped_unit.map_unit
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from exaq import SoftmaxConfig
from exaq_asic.gates.cell_models import cell_models
from exaq_asic.gates.gate_rows import gate_rows
from exaq_asic.mapping.mapped_unit import MappedUnit
from exaq_cosim import SimulationError, golden, golden_references, golden_results, simulate

#: Stalls and resets of the runs: none; both sides pausing; resets among rows.
RUNS: dict[str, dict[str, Any]] = {
    "no stalls": {},
    "stalls on both sides": {"stall": 0.4},
    "resets in the middle": {"stall": 0.2, "reset": 1 / 400},
}
_LINT_OFF = "/* verilator lint_off UNOPTFLAT */\n"
_TRACE_OFF, _TRACE_ON = "/* verilator tracing_off */\n", "/* verilator tracing_on */\n"


class GateMismatchError(RuntimeError):
    """The gates give other bits than the golden model; the message is one line and says where."""


def gate_verilog(unit: MappedUnit) -> str:
    """The netlist with models of its cells and arrays, for simulation; nets alone are in waves."""
    used = {each.module for each in unit.netlist.instances} & unit.library.cells.keys()
    models = cell_models(unit.library, used)
    arrays = "".join(array.verilog for array in unit.arrays)
    return f"{_LINT_OFF}{_TRACE_OFF}{models}{arrays}{_TRACE_ON}{unit.netlist.verilog()}"


def check_gates(
    verilog: str,
    config: SoftmaxConfig,
    step: Callable[[str], None] = lambda what: None,
) -> dict[str, Any]:
    """Compare what the gates give with the golden model, bit by bit, in each of ``RUNS``.

    Parameters
    ----------
    verilog
        What ``gate_verilog`` gave.
    config
        The unit's configuration.
    step
        Told what begins.

    Returns
    -------
    dict
        For reports: rows and elements compared, resets and rows lost to them.

    Raises
    ------
    GateMismatchError
        A bit is wrong, or the gates break a rule of their interface.
    ToolError
        The netlist cannot be compiled.
    """
    rows = gate_rows(config)
    found = {"rows": 0, "elements": 0, "resets": 0, "rows_lost_to_resets": 0}
    for name, options in RUNS.items():
        step(f"gate-level simulation, {name}")
        try:
            out = simulate(**rows, config=config, verilog=verilog, seed=1, **options)
        except SimulationError as error:
            raise GateMismatchError(f"gate-level simulation, {name}: {error}") from error
        kept = ~out.lost
        _compare(name, "element", out.given, golden(**rows, config=config), kept)
        if out.references is not None:
            told = {key: value for key, value in rows.items() if key != "contexts"}
            wanted = golden_references(**told, config=config)
            _compare(name, "reference", out.references, wanted, kept)
        if out.results is not None:
            results = golden_results(**rows, config=config)
            for field, values in vars(results).items():
                if isinstance(values, np.ndarray):
                    _compare(name, field, getattr(out.results, field), values, kept)
        found["rows"] += int(kept.sum())
        found["elements"] += int(out.lengths[kept].sum())
        found["resets"] += out.resets
        found["rows_lost_to_resets"] += int(out.lost.sum())
    return found


def _compare(run: str, what: str, given: Any, wanted: Any, kept: Any) -> None:
    wrong = (given != wanted) & kept.reshape(-1, *[1] * (given.ndim - 1))
    if not wrong.any():
        return
    place = np.unravel_index(int(wrong.argmax()), wrong.shape)
    row, *others = (int(each) for each in place)
    where = "".join(f", {what} {each}" for each in others) or f", {what}"
    raise GateMismatchError(
        f"gate-level simulation, {run}: the gates give {given[place]} for row {row}{where}, "
        f"the golden model {wanted[place]}; {int(wrong.sum())} of {wrong.size} are wrong"
    )
