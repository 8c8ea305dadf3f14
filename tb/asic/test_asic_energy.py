"""Energies of a circuit worked by hand, waves of VCD files, and the loads that are measured."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_unit import CONFIG, library, mapped
from tiny_liberty import (
    CLOCK_FALL,
    CLOCK_FF,
    CLOCK_RISE,
    GATE_FALL,
    GATE_RISE,
    INPUT_FF,
    LEAKAGE_NW,
    Q_FALL,
    Q_RISE,
    VOLTAGE,
)

from exaq_asic.energy.load import LOADS, energy_by_load
from exaq_asic.energy.meter import Conditions, EnergyMeter
from exaq_asic.energy.waves import Waves, read_waves
from exaq_asic.gates.gate_check import gate_verilog
from exaq_asic.liberty import PowerTable
from exaq_asic.liberty.expressions import Expression
from exaq_asic.liberty.lookup_table import LookupTable
from exaq_asic.mapping.netlist import Instance, Netlist, Port

WIRE_FF = 3.0
CK, D, Q, Y, E, GATED = range(2, 8)


def fj(edges: int, femtofarads: float) -> float:
    """Energy of edges of a net, in fJ: half of C V**2 each."""
    return edges * femtofarads * VOLTAGE**2 / 2


def waves(cycles: int, clocks: dict[int, list[int]], **nets: list[int]) -> Waves:
    numbers = {"d": D, "q": Q, "y": Y, "e": E}
    places = {CK: 0, GATED: 1, **{numbers[name]: k + 2 for k, name in enumerate(nets)}}
    low = np.zeros((len(places), cycles), np.bool_)
    high = np.zeros((len(places), cycles), np.bool_)
    for net, values in clocks.items():
        high[places[net]] = values
    for name, values in nets.items():
        low[places[numbers[name]]] = values
    return Waves(places, low, high)


def meter(*instances: Instance, wire: float = WIRE_FF) -> EnergyMeter:
    netlist = Netlist(
        top="u",
        ports=[Port("aclk", "input", (CK,)), Port("d", "input", (D,)), Port("y", "output", (Y,))],
        instances=instances,
    )
    return EnergyMeter(netlist, library(), "aclk", Conditions(wire_femtofarads=wire))


FLOP = Instance("DFF", "part", {"CK": (CK,), "D": (D,), "Q": (Q,)})
INVERTER = Instance("INV", "other", {"A": (Q,), "Y": (Y,)})


def test_a_flop_and_an_inverter_by_hand() -> None:
    # Six cycles of which the last has no edge behind it; D 0 1 1 0 0 0 gives Q 0 0 1 1 0 0.
    seen = waves(6, {CK: [1] * 6}, d=[0, 1, 1, 0, 0, 0], q=[0, 0, 1, 1, 0, 0], y=[1, 1, 0, 0, 1, 1])
    found = meter(FLOP, INVERTER).energies(seen)
    # The clock rises five times, twice of it with an edge of Q behind it, which costs nothing at
    # the clock's pin; each pin has a wire.
    clock = 3 * CLOCK_RISE + 5 * CLOCK_FALL + fj(10, CLOCK_FF + WIRE_FF)
    assert found["part"]["clock"] == pytest.approx(clock / 1e3)
    # Q rises and falls once; it drives one pin.
    registers = Q_RISE + Q_FALL + fj(2, INPUT_FF + WIRE_FF)
    assert found["part"]["registers"] == pytest.approx(registers / 1e3)
    assert found["part"]["gates"] == 0
    # Y falls and rises once, and drives a port alone.
    assert found["other"]["gates"] == pytest.approx((GATE_RISE + GATE_FALL) / 1e3)
    assert found["other"]["clock"] == found["other"]["registers"] == 0
    for of in found.values():
        assert of["leakage"] == pytest.approx(LEAKAGE_NW * 1e-9)


def test_a_gated_flop_takes_no_clock_where_it_is_not_enabled() -> None:
    gate = Instance("GATE", "part", {"CK": (CK,), "E": (E,), "Z": (GATED,)})
    flop = Instance("DFF", "part", {"CK": (GATED,), "D": (D,), "Q": (Q,)})
    seen = waves(
        5, {CK: [1] * 5, GATED: [0, 1, 0, 0, 0]}, d=[1] * 5, q=[0, 0, 1, 1, 1], e=[0, 1, 0, 0, 0]
    )
    found = meter(gate, flop, wire=0.0).energies(seen)["part"]
    # The gate's own clock has four rises; its output one, which the flop sees; Q's edge goes with
    # that. The enable's edges are of the gate, which has no table for them.
    clock = fj(8, CLOCK_FF) + GATE_RISE + GATE_FALL + fj(2, CLOCK_FF) + CLOCK_FALL
    assert found["clock"] == pytest.approx(clock / 1e3)
    assert found["registers"] == pytest.approx(Q_RISE / 1e3)


def test_a_table_with_a_condition_goes_before_one_without() -> None:
    flop = library().cells["DFF"]
    constant = LookupTable((0.0,), (0.0,), ((100.0,),))
    default = PowerTable((), Expression(""), constant, constant)
    # Those of the library hold in every state; of these the one of "D^Q" is left.
    (_, differing) = flop.pins["CK"].power
    clock = replace(flop.pins["CK"], power=(default, differing))
    cells = {**library().cells, "DFF": replace(flop, pins={**flop.pins, "CK": clock})}
    changed = replace(library(), cells=cells)
    netlist = Netlist("u", [Port("aclk", "input", (CK,))], [FLOP])
    seen = waves(3, {CK: [1] * 3}, d=[0, 1, 1], q=[0, 0, 1])
    found = EnergyMeter(netlist, changed, "aclk", Conditions()).energies(seen)["part"]
    # The first rise is of the default, and the second goes with an edge of Q. The first fall comes
    # where D and Q differ.
    clock_fj = 100 + 0 + CLOCK_FALL + 100 + fj(4, CLOCK_FF + WIRE_FF)
    assert found["clock"] == pytest.approx(clock_fj / 1e3)


def test_wires_and_transitions_count() -> None:
    seen = waves(3, {CK: [1] * 3}, d=[0, 1, 0], q=[0, 1, 0], y=[1, 0, 1])
    without = meter(INVERTER, wire=0.0).energies(seen)["other"]["gates"]
    loaded = Instance("INV", "other", {"A": (Y,), "Y": (D,)})
    with_load = meter(INVERTER, loaded, wire=7.0).energies(seen)["other"]["gates"]
    # Two edges of Y see a pin and its wire, and those of D nothing.
    assert with_load - 2 * without == pytest.approx(fj(2, INPUT_FF + 7.0) / 1e3)


VCD = """$timescale 1ns $end
$scope module TOP $end $scope module u $end
$var wire 1 a n5 $end
$var wire 1 a n6 $end
$var wire 4 b bus [3:0] $end
$var wire 1 c n7 $end
$var wire 1 d other $end
$upscope $end $upscope $end
$enddefinitions $end
#0
0a
b0000 b
1c
#5
1a
#10
0a
0c
#15
1a
1d
#20
0a
"""


def test_waves_are_read(tmp_path: Path) -> None:
    path = tmp_path / "u.vcd"
    path.write_text(VCD, encoding="utf-8")
    found = read_waves(path, [5, 6, 7])
    # The fifth time has no second half.
    assert found.cycles == 2
    for net in (5, 6):
        assert found.before(net).tolist() == [False, False]
        assert found.rose(net).tolist() == [True, True]
    assert found.before(7).tolist() == [True, False]
    assert found.before("1").tolist() == [True, True]
    assert found.part(1, 2).before(7).tolist() == [False]


@functools.cache
def measured(clock_gate: bool) -> dict[str, Any]:
    unit = mapped(clock_gate=clock_gate)
    return energy_by_load(unit, gate_verilog(unit), CONFIG, 100.0, Conditions())


@pytest.mark.simulator
def test_energy_of_a_unit_at_its_loads() -> None:
    unit = mapped()
    found = measured(clock_gate=False)
    assert list(found) == list(LOADS)
    full, tenth = found.values()
    assert full["load"] == pytest.approx(1.0, abs=0.02)
    assert 0.05 < tenth["load"] < 0.15
    for each in found.values():
        assert each["pj_per_element"] == pytest.approx(sum(each["by_kind"].values()))
        assert each["pj_per_element"] == pytest.approx(sum(each["by_part"].values()))
        flops = unit.count("flop")
        # Each flop's clock takes its fall and its pin's charge in every cycle, at least.
        least = flops * (CLOCK_FALL + fj(2, CLOCK_FF + 3.0)) / 1e3
        cycles = each["cycles"] / each["elements"]
        assert least * cycles < each["by_kind"]["clock"] < (least + flops * CLOCK_RISE) * cycles
        leakage = (
            LEAKAGE_NW
            * 1e-9
            * sum(each.module in library().cells for each in unit.netlist.instances)
        )
        assert each["by_kind"]["leakage"] == pytest.approx(leakage / 100e6 * cycles * 1e12)
    # The clock goes on where no element comes.
    assert tenth["by_kind"]["clock"] > 5 * full["by_kind"]["clock"]
    writes = {each["part"]: each["writes_per_element"] for each in full["arrays"]}
    # One write for two beats.
    assert writes["row_buffer.ram.memory"] == pytest.approx(0.5 / CONFIG.lanes, rel=0.05)


@pytest.mark.simulator
def test_clock_gates_save_clock() -> None:
    plain, gated = (measured(clock_gate=each)["full rate"]["by_kind"] for each in (False, True))
    assert gated["clock"] < plain["clock"]
