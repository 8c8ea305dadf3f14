"""Loads that energy is measured at, and the energy of an element at each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exaq import SoftmaxConfig, round_logits
from exaq_asic.energy.meter import KINDS, Conditions, EnergyMeter
from exaq_asic.energy.waves import Waves, read_waves
from exaq_asic.mapping.arrays import MemoryArray
from exaq_asic.mapping.mapped_unit import MappedUnit
from exaq_asic.mapping.netlist import Netlist
from exaq_cosim import simulate

#: Probability that each side pauses in a cycle, by the load's name.
LOADS = {"full rate": 0.0, "a tenth": 0.9}
#: Least elements of a row, where max_row allows it.
ROW = 128
#: Cycles that are watched, about.
CYCLES = 2000
#: What a figure leaves out.
LEFT_OUT = "glitches, the clock's tree, wires beyond the estimate, memories' arrays"
_LEAST_ROWS = 5
_SEED = 16
_SIGMA = 2.0


def energy_by_load(
    unit: MappedUnit,
    verilog: str,
    config: SoftmaxConfig,
    mhz: float,
    conditions: Conditions,
    step: Callable[[str], None] = lambda what: None,
) -> dict[str, Any]:
    """Energy of an element at each of ``LOADS``, for reports.

    Rows have ``ROW`` elements, or as many as the full rate needs, or max_row where that is less;
    they are normal with a standard deviation of 2 in real units, and none is masked. Watched is
    from the end of the first row to that of the last one.

    Parameters
    ----------
    unit, verilog
        The mapped unit, and what ``exaq_asic.gates.gate_check.gate_verilog`` gave of it.
    config
        Its configuration.
    mhz
        The clock, which leakage is counted at.
    conditions
        See there.
    step
        Told what begins.

    Raises
    ------
    ToolError, SimulationError
        The netlist cannot be compiled, or breaks a rule of its interface.
    """
    meter = EnergyMeter(unit.netlist, unit.library, "aclk", conditions)
    row = min(max(ROW, config.full_rate_beats * config.lanes), config.max_row)
    beats = -(-row // config.lanes)
    found = {}
    for name, stall in LOADS.items():
        step(f"energy at {name}")
        rows = max(_LEAST_ROWS, round(CYCLES * (1 - stall) / beats))
        with tempfile.TemporaryDirectory(prefix="exaq-") as made:
            path = Path(made) / "unit.vcd"
            logits = _logits(config, rows, row)
            simulate(logits, config, stall=stall, seed=1, waves=path, verilog=verilog)
            waves = read_waves(path, unit.netlist.nets)
        begin, end, ended = _window(unit.netlist, waves)
        found[name] = _figures(
            meter.energies(waves.part(begin, end + 1)),
            elements=(ended - 1) * row,
            cycles=end - begin,
            lanes=config.lanes,
            mhz=mhz,
        )
        found[name]["row"] = row
        found[name]["arrays"] = _accesses(unit, waves.part(begin, end), (ended - 1) * row)
    return found


def _logits(config: SoftmaxConfig, rows: int, row: int) -> NDArray[Any]:
    real = np.random.default_rng(_SEED).normal(0, _SIGMA, (rows, row))
    if config.float_format is not None:
        return round_logits(real, config)
    low, high = config.logit_range
    return np.clip((real / float(config.logit_scale)).round(), low + 1, high).astype(np.int32)


def _window(netlist: Netlist, waves: Waves) -> tuple[int, int, int]:
    """Cycles in which the first row and the last one end, and the rows that do."""
    bits = {port.name: port.bits for port in netlist.ports}
    names = ("m_axis_tvalid", "m_axis_tready", "m_axis_tlast")
    taken = np.logical_and.reduce([waves.before(bits[name][0]) for name in names])
    ends = np.flatnonzero(taken)
    return int(ends[0]), int(ends[-1]), len(ends)


def _figures(
    energies: dict[str, dict[str, float]], *, elements: int, cycles: int, lanes: int, mhz: float
) -> dict[str, Any]:
    """In pJ an element; leakage comes in W and goes on for all cycles."""
    seconds = cycles / (mhz * 1e6)
    parts = {
        part: {
            kind: (value * 1e12 * seconds if kind == "leakage" else value) / elements
            for kind, value in of.items()
        }
        for part, of in energies.items()
    }
    kinds = {kind: sum(of[kind] for of in parts.values()) for kind in KINDS}
    return {
        "pj_per_element": sum(kinds.values()),
        "by_kind": kinds,
        "by_part": {part: sum(of.values()) for part, of in parts.items()},
        "elements": elements,
        "cycles": cycles,
        "load": elements / cycles / lanes,
    }


def _enables(
    array: MemoryArray, pins: Mapping[str, Sequence[Any]], waves: Waves
) -> dict[str, NDArray[np.bool_]]:
    """The cycles in which a word is read, and those in which one is written."""
    if array.single_port:
        enable, write = (waves.before(pins[name][0]) for name in ("enable", "write"))
        return {"read": enable & ~write, "write": enable & write}
    return {what: waves.before(pins[f"{what}_enable"][0]) for what in ("read", "write")}


def _accesses(unit: MappedUnit, waves: Waves, elements: int) -> list[dict[str, Any]]:
    """Words that each array reads and writes for an element."""
    modules = {array.module: array for array in unit.arrays}
    return [
        {
            "part": each.part,
            "depth": modules[each.module].depth,
            "width": modules[each.module].width,
            **{
                f"{what}s_per_element": int(np.count_nonzero(when)) / elements
                for what, when in _enables(modules[each.module], each.pins, waves).items()
            },
        }
        for each in unit.netlist.instances
        if each.module in modules
    ]
