"""Sizes of LUT_sum: loops that add up the right entries, units that are comparable, the report."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accuracy_reports import report

import exaq_fpga.flow.bench
from exaq import SoftmaxConfig
from exaq_cosim import ToolError
from exaq_eval.studies import StudyError
from exaq_eval.studies.questions.lut_size import UNITS, LutSize, Unit
from exaq_eval.studies.subjects import lookup_speed
from exaq_eval.studies.subjects.lookup_speed import GROUPS, caches, compile_total, measure_lookups
from exaq_hdl import emit_verilog
from exaq_hdl.emit.design_hash import design_hash

QUICK = LutSize.quick()
DEVICES = ("ice40-hx8k", "ecp5-85")


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return QUICK.run()


def test_compiled_loop_adds_up_what_the_addresses_name(tmp_path: Path) -> None:
    total = compile_total(tmp_path)
    assert total is not None, "g++ is a prerequisite of the project"
    random = np.random.default_rng(0)
    table = random.integers(0, 2**32, 97, dtype=np.uint32)
    for lookups in (0, 4, 1000):
        addresses = random.integers(0, 97, lookups, dtype=np.uint32)
        assert total(table, addresses) == sum(int(table[a]) for a in addresses)


def test_without_a_compiler_there_is_numpy_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lookup_speed, "_COMPILER", "no-such-compiler")
    assert compile_total(tmp_path) is None
    processor = measure_lookups(64, 1)
    assert processor["compiled"] is None
    result = {"units": [], "processor": processor}
    text = QUICK.markdown(result)
    assert "NumPy: four codes a lookup" in text
    assert " C: " not in text
    QUICK.plot(result, tmp_path / "x.png")


def test_ratios_are_to_their_units(result: dict[str, Any]) -> None:
    for kind in ("numpy", "compiled"):
        loops = {loop["group"]: loop for loop in result["processor"][kind]}
        assert list(loops) == list(GROUPS)
        assert loops[3]["time_per_lookup"] == 1
        assert loops[1]["elements_per_time"] == 1
        for group, loop in loops.items():
            assert loop["entries"] == 4**group
            assert loop["bytes"] == 4 * 4**group
            # Time of a lookup times codes in a time is the codes of a lookup, but for the unit.
            product = loop["time_per_lookup"] * loop["elements_per_time"]
            assert product == pytest.approx(group * loops[1]["time_per_lookup"])


def test_caches_grow_from_level_to_level() -> None:
    sizes = list(caches().values())
    assert sizes == sorted(sizes)


def test_caches_are_unknown_where_the_system_does_not_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(()))
    assert caches() == {}


def test_units_compare_the_four_sizes() -> None:
    for device in DEVICES:
        units = [unit for unit in UNITS if unit.device == device]
        assert [unit.entries for unit in units] == [64, 256, 1024, 4096]
        assert {unit.config.max_row for unit in units} == {1020}
        # The smallest table and the largest have equal lanes.
        assert units[0].lanes == units[-1].lanes == max(unit.lanes for unit in units)
    for unit in UNITS:
        assert unit.config == SoftmaxConfig(lanes=unit.lanes, group=unit.group, max_row=1020)
        assert len(unit.config.tables.sum_rom(unit.group)) == unit.entries


def test_run_measures_each_unit_with_its_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def measure(config: SoftmaxConfig, device: Any, *, seeds: Any, step: Any) -> dict[str, Any]:
        for name in ("emission", "cycles", "synthesis", *(f"seed {seed}" for seed in seeds)):
            step(name)
        asked.append((config, device.name, seeds))
        rate = {"elements_per_cycle": 4.0, "first_in_to_last_out": 9, "beats_to_first_out": 7}
        return {
            "size": {"lut4": 400, "ff": 300, "bram": 5},
            "mhz": {"median": 150.0, "min": 140.0, "max": 160.0, "seeds": {"7": 150.0}},
            "cycles": {"128": rate, "256": rate},
            "design_sha256": "0",
            "versions": {"yosys": "yosys 1"},
        }

    monkeypatch.setattr(exaq_fpga.flow.bench, "measure", measure)
    units = (Unit("ecp5-85", 4, 4), Unit("ice40-hx8k", 6, 6))
    told: list[tuple[int, int, str]] = []
    study = LutSize(units=units, seeds=(7,), lookups=64, repeat=1)
    result = study.run(lambda *step: told.append(step))
    assert asked == [(unit.config, unit.device, (7,)) for unit in units]
    assert [done for done, _, _ in told] == [*range(9), 9]
    assert {total for _, total, _ in told} == {9}
    assert told[-2][2] == "ice40-hx8k, 6 lanes, 4096: seed 7"
    first = result["units"][0]
    assert first["entries"] == 256
    assert first["elements_per_second"] == 600e6
    text = study.markdown(result)
    assert "| ECP5 LFE5UM-85F-6 | 256 | 4 | 1 | 400 | 100 | 5 | 150 | 4 | 600 | 150 |" in text


def test_a_tool_that_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(*arguments: Any, **options: Any) -> dict[str, Any]:
        raise ToolError("yosys is missing")

    monkeypatch.setattr(exaq_fpga.flow.bench, "measure", measure)
    study = LutSize(units=(Unit("ecp5-85", 4, 4),), lookups=64, repeat=1)
    with pytest.raises(StudyError, match=r"^yosys is missing$"):
        study.run()


def test_report_has_every_unit_of_today_s_verilog() -> None:
    units = report("lut-size")["units"]
    found = {(unit["device"], unit["lanes"], unit["group"]): unit for unit in units}
    assert list(found) == [(unit.device, unit.lanes, unit.group) for unit in UNITS]
    emitted: dict[SoftmaxConfig, str] = {}
    for unit in UNITS:
        if unit.config not in emitted:
            verilog = emit_verilog(unit.config, top="axi", name="exaq_softmax").verilog
            emitted[unit.config] = design_hash(verilog)
        stored = found[unit.device, unit.lanes, unit.group]["design_sha256"]
        assert stored == emitted[unit.config], "`exaq evaluate --study lut-size` measures again"


def test_report_supports_its_text() -> None:
    stored = report("lut-size")
    for device in DEVICES:
        units = [unit for unit in stored["units"] if unit["device"] == device]
        assert units[-1]["bram"] / units[-1]["lanes"] > units[0]["bram"] / units[0]["lanes"]
        clocks = [unit["mhz"]["median"] for unit in units]
        # Seeds alone differ by some 10 %.
        assert max(clocks) / min(clocks) < 1.2
        for unit in units:
            assert len(unit["mhz"]["seeds"]) == 3
            assert unit["elements_per_cycle"] == pytest.approx(unit["lanes"], rel=0.02)
            rate = unit["mhz"]["median"] * 1e6 * unit["elements_per_cycle"]
            assert math.isclose(unit["elements_per_second"], rate, rel_tol=1e-6)
    for kind in ("numpy", "compiled"):
        loops = {loop["group"]: loop for loop in stored["processor"][kind]}
        assert loops[4]["elements_per_time"] > 3
        assert loops[12]["time_per_lookup"] > 3 * loops[6]["time_per_lookup"]
