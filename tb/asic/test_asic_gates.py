"""Gate-level simulation: right gates give the golden model's bits, wrong ones are noticed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_unit import CONFIG, library, mapped

from exaq import SoftmaxConfig
from exaq_asic.gates.cell_models import cell_models
from exaq_asic.gates.gate_check import RUNS, GateMismatchError, check_gates, gate_verilog
from exaq_asic.gates.gate_rows import gate_rows
from exaq_asic.liberty import LibertyError
from exaq_asic.mapping.mapped_unit import MappedUnit
from exaq_cosim import golden


@pytest.mark.simulator
@pytest.mark.parametrize("clock_gate", [False, True])
def test_gates_give_the_golden_bits(clock_gate: bool) -> None:
    found = check_gates(gate_verilog(mapped(clock_gate=clock_gate)), CONFIG)
    assert found["resets"] > 0
    assert found["rows_lost_to_resets"] > 0
    assert found["rows"] > 2 * len(gate_rows(CONFIG)["lengths"])


def _swapped(unit: MappedUnit) -> MappedUnit:
    """The lowest two bits of what comes out, the wrong way round."""
    ports = [
        replace(port, bits=(port.bits[1], port.bits[0], *port.bits[2:]))
        if port.name == "m_axis_tdata"
        else port
        for port in unit.netlist.ports
    ]
    return replace(unit, netlist=replace(unit.netlist, ports=ports))


def _other_gates(unit: MappedUnit) -> MappedUnit:
    """An exclusive or of the quantizer that is none."""
    instances = list(unit.netlist.instances)
    place = next(k for k, each in enumerate(instances) if each.module == "NAND2")
    instances[place] = replace(instances[place], module="NOR2")
    return replace(unit, netlist=replace(unit.netlist, instances=instances))


@pytest.mark.simulator
def test_wrong_bits_are_noticed() -> None:
    with pytest.raises(GateMismatchError) as error:
        check_gates(gate_verilog(_swapped(mapped())), CONFIG)
    assert str(error.value).startswith("gate-level simulation, no stalls: the gates give ")
    assert ", the golden model " in str(error.value)


@pytest.mark.simulator
def test_a_wrong_gate_is_noticed() -> None:
    with pytest.raises(GateMismatchError, match=r"^gate-level simulation, "):
        check_gates(gate_verilog(_other_gates(mapped())), CONFIG)


def test_runs_stall_and_reset() -> None:
    assert {} in RUNS.values()
    assert any("stall" in options for options in RUNS.values())
    assert any("reset" in options for options in RUNS.values())


@pytest.mark.parametrize(
    "config",
    [
        SoftmaxConfig(),
        SoftmaxConfig(masking=False),
        SoftmaxConfig.preset("2bit-x16"),
        SoftmaxConfig.preset("4bit-x4-bf16"),
        SoftmaxConfig(window=True, mask_value="lowest"),
        SoftmaxConfig(contexts=3),
        SoftmaxConfig(max_row=4, full_rate_row=32),
        SoftmaxConfig.preset("2bit-x16-codes"),
    ],
)
def test_rows_have_their_corners(config: SoftmaxConfig) -> None:
    rows = gate_rows(config)
    assert rows["logits"].shape[0] == len(rows["lengths"])
    assert rows["lengths"].min() == 1
    assert rows["lengths"].max() == config.max_row + config.lanes
    assert config.max_row in rows["lengths"]
    assert ("mask" in rows) == config.masking
    given = golden(**rows, config=config)
    if config.output == "probabilities":
        assert given.max() == 2**config.prob_bits - 1
    else:
        assert len(np.unique(given)) == 2**config.bits
    np.testing.assert_array_equal(gate_rows(config)["logits"], rows["logits"])


def test_models_are_made_of_the_library() -> None:
    text = cell_models(library(), ["GATE", "NAND2", "DFFR"])
    assert [line.split()[1].partition("(")[0] for line in text.splitlines() if "module " in line][
        ::1
    ] == ["GATE", "DFFR", "NAND2"]


def test_a_cell_without_a_function_is_named() -> None:
    cell = replace(library().cells["INV"], name="ODD", kind="other")
    with_odd = replace(library(), cells={**library().cells, "ODD": cell})
    with pytest.raises(LibertyError, match=r"^tiny\.lib has no function of ODD, which gate-level "):
        cell_models(with_odd, ["ODD"])
