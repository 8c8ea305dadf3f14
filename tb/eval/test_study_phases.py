"""Phases of a softmax: cycles against latencies, loops against plain Python, and the report."""

from __future__ import annotations

import copy
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accuracy_reports import report
from amaranth.hdl import Fragment

import exaq
import exaq_fpga.flow.block_sizes
from exaq import SoftmaxConfig
from exaq_cosim.compiler import find_compiler
from exaq_eval.studies import StudyError
from exaq_eval.studies.questions import phases_text
from exaq_eval.studies.questions.phases import UNITS, Phases
from exaq_eval.studies.questions.phases_text import (
    accumulation_gains,
    equal_additions,
    equal_lanes,
    in_turn,
    saving,
    whole,
)
from exaq_eval.studies.subjects import loop_phases, unit_phases
from exaq_eval.studies.subjects.loop_phases import (
    BUILDS,
    LOOPS,
    Loop,
    Rows,
    check_loops,
    compile_loops,
    processor_name,
)
from exaq_eval.studies.subjects.unit_phases import (
    MAX_ROW,
    PHASES,
    Unit,
    measure_blocks,
    measure_unit,
    simulate_rows,
)
from exaq_hdl import Softmax, emit_verilog
from exaq_hdl.emit.design_hash import design_hash

ROOT = Path(__file__).resolve().parents[2]
QUICK = Phases.quick()
SMALL = [Unit("exact", 1), Unit("exact", 4), Unit("exaq", 4), Unit("exaq", 8)]
AGAIN = "`exaq evaluate --study phases` measures again"


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return QUICK.run()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Loop]:
    folder = tmp_path_factory.mktemp("loops")
    compiler = find_compiler("the test")
    return {build.name: compile_loops(build, compiler, folder) for build in BUILDS}


@pytest.mark.parametrize("unit", SMALL, ids=str)
def test_cycles_follow_from_the_latencies(unit: Unit) -> None:
    """A phase of one beat a cycle takes its beats and the latency of its block."""
    design: Any = Softmax(unit.config)
    # Amaranth wants what was made to be used.
    Fragment.get(design, None)  # type: ignore[no-untyped-call]
    blocks = design.arrival.blocks | design.kernel.blocks
    exponent, adder = (
        ("weigher", "weight_sum") if unit.softmax == "exact" else ("quantizer", "accumulator")
    )
    for case in measure_unit(unit, (8, 64, 16), seed=3):
        beats, cycles = case["row"] // unit.lanes, case["cycles"]
        assert cycles["maximum"] == beats + blocks["row_max"].latency
        assert cycles["exponent"] == beats + blocks[exponent].latency
        assert cycles["accumulation"] == beats + blocks[adder].latency
        # The first beat leaves beats + latency cycles after the row's last beat.
        assert cycles["whole"] == 3 * beats - 1 + design.latency
        # The phases follow each other, and the last one ends with the row.
        assert case["first"]["whole"] == 0
        assert case["last"]["normalisation"] == case["last"]["whole"]
        assert case["first"]["exponent"] > case["last"]["maximum"]
        assert case["first"]["normalisation"] > case["last"]["accumulation"]
        assert case["first"]["accumulation"] <= case["last"]["exponent"]
        for phase in (*PHASES, "whole"):
            assert cycles[phase] == case["last"][phase] - case["first"][phase] + 1


@pytest.mark.parametrize(("unit", "preset"), [(UNITS[1], "multiply-x4"), (UNITS[2], "2bit-x4")])
def test_the_whole_is_that_of_the_bench(unit: Unit, preset: str, result: dict[str, Any]) -> None:
    """The bench counts the same row on the compiled Verilog."""
    assert unit.config == SoftmaxConfig.preset(preset)
    path = ROOT / f"reports/{preset}.ecp5-85.json"
    bench = json.loads(path.read_text(encoding="utf-8"))
    (case,) = (c for c in result["units"] if (c["softmax"], c["lanes"]) == (unit.softmax, 4))
    assert case["row"] == 128
    assert case["cycles"]["whole"] == bench["cycles"]["128"]["first_in_to_last_out"]


def test_rows_come_out_with_the_golden_model_s_bits() -> None:
    unit = Unit("exaq", 8)
    rows = [np.arange(-20, 20) * 3, np.full(8, -128), np.repeat([127, -128], 16)]
    for row, alone in zip(rows, simulate_rows(unit, rows), strict=True):
        assert np.array_equal(alone.probabilities, exaq.softmax(row[None], unit.config)[0])


def test_other_probabilities_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exaq, "softmax", lambda rows, config: np.zeros_like(rows))
    message = "Unit(softmax='exaq', lanes=4) gives other probabilities than the golden model"
    with pytest.raises(RuntimeError, match=f"^{re.escape(message)}$"):
        measure_unit(Unit("exaq", 4), (16,), 1)


def test_a_row_that_stays_inside_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_phases, "_PATIENCE", 0)
    message = "a row of 16 elements did not come out of Unit(softmax='exact', lanes=4)"
    with pytest.raises(RuntimeError, match=f"^{re.escape(message)}$"):
        measure_unit(Unit("exact", 4), (16,), 1)


@pytest.mark.parametrize(
    ("unit", "additions"),
    [(UNITS[0], 1), (UNITS[1], 4), (UNITS[2], 1), (UNITS[3], 16), (UNITS[4], 4)],
)
def test_additions_are_those_of_the_units(unit: Unit, additions: int) -> None:
    kernel: Any = unit.config.kernel
    assert unit.additions == additions == getattr(kernel, "groups", unit.lanes)
    assert unit.config.max_row == MAX_ROW


def test_blocks_are_sorted_by_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["row_max", "receiver", "quantizer", "accumulator", "sum_rom0", "sum_rom1"]
    names += ["normalizer", "emitter", "sum_queue", "row_buffer"]
    asked = []

    def block_sizes(verilog: str, module: str, device: Any) -> dict[str, dict[str, int]]:
        asked.append((f"module {module}" in verilog, device.name))
        return {
            name: {"lut4": 1 << place, "ff": place, "bram": 0, "dsp": 0}
            for place, name in enumerate(names)
        }

    monkeypatch.setattr(exaq_fpga.flow.block_sizes, "block_sizes", block_sizes)
    found = measure_blocks(Unit("exaq", 8))
    assert asked == [(True, "ecp5-85")]
    lut4 = {part: size["lut4"] for part, size in found["sizes"].items()}
    assert lut4 == {
        "maximum": 1,
        "exponent": 4,
        "accumulation": 8 + 16 + 32,
        "normalisation": 64 + 128,
        "rest": 2 + 256 + 512,
    }
    assert found["sizes"]["accumulation"]["ff"] == 3 + 4 + 5
    assert (found["softmax"], found["lanes"], found["additions"]) == ("exaq", 8, 2)


@pytest.mark.parametrize("build", [build.name for build in BUILDS])
@pytest.mark.parametrize(("rows", "row"), [(1, 128), (3, 256), (8, 512)])
def test_loops_compute_what_plain_python_does(
    build: str, rows: int, row: int, compiled: dict[str, Loop]
) -> None:
    block, loop = Rows(rows, row, seed=rows), compiled[build]
    assert check_loops(loop, block)
    for place in range(len(LOOPS)):
        loop(block, place, 2)
        if LOOPS[place] == ("exact", "normalisation"):
            exact = block.arrays["probabilities"].copy()
    tables, step = block.config.tables, block.config.logit_scale
    for number, logits in enumerate(block.integers.tolist()):
        distances = [x - max(logits) for x in logits]
        exponentials = [math.exp(d * step) for d in distances]
        expected = [e / sum(exponentials) for e in exponentials]
        assert exact[number].tolist() == pytest.approx(expected, rel=1e-5)
        codes = [sum(d >= t for t in tables.thresholds) for d in distances]
        octets = [
            sum(code << 2 * k for k, code in enumerate(codes[i : i + 4])) for i in range(0, row, 4)
        ]
        assert block.arrays["codes"][number].tolist() == octets
        levels = [tables.exp_rom[code] for code in codes]
        assert block.arrays["code_sums"][number] == sum(levels)
        given = block.arrays["probabilities"][number].tolist()
        assert given == pytest.approx([level / sum(levels) for level in levels], rel=1e-6)


@pytest.mark.parametrize("build", [build.name for build in BUILDS])
@pytest.mark.parametrize("left_out", range(len(LOOPS)), ids=lambda k: " ".join(LOOPS[k]))
def test_a_loop_that_does_nothing_is_noticed(
    left_out: int, build: str, compiled: dict[str, Loop]
) -> None:
    def run(rows: Rows, place: int, times: int) -> float:
        return 0.0 if place == left_out else compiled[build](rows, place, times)

    assert not check_loops(run, Rows(2, 256, seed=1))


def test_loops_of_other_results_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_phases, "check_loops", lambda loop, rows: False)
    message = r"^the scalar loops compute something else than the model$"
    with pytest.raises(StudyError, match=message):
        QUICK.run()


def test_rows_are_whole_spans() -> None:
    for row in (0, 64, 200):
        with pytest.raises(ValueError, match=f"^row must be a multiple of 128, not {row}$"):
            Rows(1, row, seed=0)


def test_without_a_compiler_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    message = (
        "the C++ compiler no-such-compiler was not found; the study phases needs one "
        "(Debian and Ubuntu: apt install g++)"
    )
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        QUICK.run()


def test_a_compiler_that_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(StudyError, match=r"^false failed with exit code 1$"):
        QUICK.run()


def test_without_amaranth_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amaranth.sim", None)
    told: list[str] = []
    with pytest.raises(ModuleNotFoundError, match=r"amaranth\.sim"):
        QUICK.run(lambda done, total, now: told.append(now))
    assert told == []


def test_the_compiler_may_have_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "env LC_ALL=C g++")
    loops = Phases(units=(), sized=(), rows=(), lengths=(128,), times=1, repeats=1, rounds=1)
    assert [case["build"] for case in loops.run()["loops"]["cases"]] == ["scalar", "vector"]


def test_processor_is_named_where_the_system_tells_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self, encoding: "model name\t: Brand X\nother: y")
    assert processor_name() == "Brand X"
    monkeypatch.setattr(Path, "read_text", lambda self, encoding: "vendor: x\n")
    assert re.fullmatch(r"\w+", processor_name())

    def missing(self: Path, encoding: str) -> str:
        raise OSError

    monkeypatch.setattr(Path, "read_text", missing)
    assert re.fullmatch(r"\w+", processor_name())


def test_times_are_positive_and_of_every_phase(result: dict[str, Any]) -> None:
    loops = result["loops"]
    assert [(case["row"], case["build"]) for case in loops["cases"]] == [
        (512, "scalar"),
        (512, "vector"),
    ]
    for case in loops["cases"]:
        for softmax in ("exact", "exaq"):
            assert tuple(case[softmax]) == PHASES
            assert min(case[softmax].values()) > 0
        assert case["four sums"] > 0
    assert loops["spread"] >= 1
    assert loops["processor"]
    assert loops["compiler"]


def test_savings_are_those_of_plain_arithmetic() -> None:
    exact = {"cycles": dict(zip(PHASES, (10, 20, 30, 40), strict=True))}
    exaq_ = {"cycles": dict(zip(PHASES, (1, 5, 10, 1), strict=True))}
    assert whole(exact["cycles"]) == 100
    assert saving(8, 6) == 0.25
    assert in_turn(exact, exaq_, ["accumulation"]) == pytest.approx(0.2)
    assert in_turn(exact, exaq_, ["exponent", "accumulation"]) == pytest.approx(0.35)


def test_pairs_have_equal_lanes_or_additions(result: dict[str, Any]) -> None:
    units = report("phases")["units"]
    lanes = [(a["lanes"], b["lanes"], a["row"], b["row"]) for a, b in equal_lanes(units)]
    assert lanes == [(n, n, row, row) for n in (4, 16) for row in (128, 512, 1024)]
    added = [(a["lanes"], b["lanes"], a["row"], b["row"]) for a, b in equal_additions(units)]
    assert added == [(n, 4 * n, row, row) for n in (1, 4) for row in (128, 512, 1024)]
    for exact, other in (*equal_lanes(units), *equal_additions(units)):
        assert (exact["softmax"], other["softmax"]) == ("exact", "exaq")
    assert len(equal_lanes(result["units"])) == 1


def test_text_follows_the_figures(result: dict[str, Any]) -> None:
    made = copy.deepcopy(result)
    exact, other = equal_lanes(made["units"])[0]
    exact["cycles"]["accumulation"], other["cycles"]["accumulation"] = 4711, 4712
    other["cycles"]["whole"] = exact["cycles"]["whole"] + 77
    scalar, vector = made["loops"]["cases"]
    for case in (scalar, vector):
        case["exact"] = dict(zip(PHASES, (1.0, 5.0, 3.0, 1.0), strict=True))
        case["exaq"] = dict(zip(PHASES, (1.0, 3.0, 0.5, 1.5), strict=True))
        case["four sums"] = 2.0
    vector["exaq"]["exponent"] = 4.0
    text = QUICK.markdown(made)
    assert "takes 4711 cycles in the one and 4712 in the other" in text
    assert "EXAQ takes 77 cycles more" in text
    assert "| scalar | 512 | EXAQ | 1.000 | 3.000 | 0.500 | 1.500 | 6.000 | 40.0% |" in text
    assert "| vector | 512 | EXAQ | 1.000 | 4.000 | 0.500 | 1.500 | 7.000 | 30.0% |" in text
    assert "EXAQ's accumulation is 6.0 times as fast" in text
    assert "leaves 4.0 times, and of the whole EXAQ then takes 33% less" in text
    assert "The accumulation is 30% of an exact softmax" in text
    assert "50% comes from comparisons" in text
    assert "take 40% less time than exact ones, and 33% less than" in text
    assert "there the whole takes 30% less time" in text


def test_text_has_no_blocks_where_none_were_sized(result: dict[str, Any]) -> None:
    assert "LUT4 of the blocks" not in QUICK.markdown(result)
    assert "LUT4 of the blocks" in QUICK.markdown(report("phases"))


@pytest.mark.parametrize("unit", UNITS[:3], ids=str)
def test_report_has_today_s_cycles(unit: Unit) -> None:
    stored = report("phases")
    cases = [
        case
        for case in stored["units"]
        if (case["softmax"], case["lanes"]) == (unit.softmax, unit.lanes) and case["row"] < 1024
    ]
    assert [case["row"] for case in cases] == [128, 512]
    assert cases == measure_unit(unit, (128, 512), stored["seed"]), AGAIN


def test_report_has_every_unit_of_today_s_verilog() -> None:
    stored = report("phases")
    found = [(case["softmax"], case["lanes"], case["row"]) for case in stored["units"]]
    assert found == [(u.softmax, u.lanes, row) for u in UNITS for row in Phases().rows]
    blocks = {(block["softmax"], block["lanes"]): block for block in stored["blocks"]}
    assert list(blocks) == [(unit.softmax, unit.lanes) for unit in UNITS]
    for unit in UNITS:
        verilog = emit_verilog(unit.config, top="core", name="exaq_softmax").verilog
        stored_hash = blocks[unit.softmax, unit.lanes]["design_sha256"]
        assert stored_hash == design_hash(verilog), AGAIN


def test_report_supports_its_text() -> None:
    stored = report("phases")
    for exact, other in equal_lanes(stored["units"]):
        assert other["cycles"]["accumulation"] >= exact["cycles"]["accumulation"]
        assert other["cycles"]["whole"] > exact["cycles"]["whole"]
    for additions in (1, 4):
        pairs = [pair for pair in equal_additions(stored["units"]) if pair[0]["lanes"] == additions]
        gains = [a["cycles"]["accumulation"] / b["cycles"]["accumulation"] for a, b in pairs]
        assert gains == sorted(gains)
        assert gains[-1] < phases_text.CLAIMED_ACCUMULATION
    # At equal lanes there are fewer adders, and neither exponentials nor multipliers.
    sizes = {(block["softmax"], block["lanes"]): block["sizes"] for block in stored["blocks"]}
    for lanes in (4, 16):
        exact, other = sizes["exact", lanes], sizes["exaq", lanes]
        for phase in ("exponent", "accumulation"):
            assert other[phase]["lut4"] < exact[phase]["lut4"]
        assert exact["exponent"]["dsp"] == exact["normalisation"]["dsp"] == lanes
        assert other["exponent"]["dsp"] == other["normalisation"]["dsp"] == 0
    loops = stored["loops"]
    scalar = [case for case in loops["cases"] if case["build"] == "scalar"]
    vector = [case for case in loops["cases"] if case["build"] == "vector"]
    assert [case["row"] for case in scalar] == [case["row"] for case in vector] == [512, 2048]
    for case in loops["cases"]:
        # The same loop twice: what else the machine did met both alike.
        assert case["exact"]["maximum"] == pytest.approx(case["exaq"]["maximum"], rel=0.05)
    for case in scalar:
        saved = whole(case["exact"]) - whole(case["exaq"])
        assert 0.2 < saved / whole(case["exact"]) < 0.6
        assert (case["exact"]["exponent"] - case["exaq"]["exponent"]) / saved > 0.5
        assert case["exact"]["accumulation"] > 2 * case["four sums"]
    for case in vector:
        assert 0 < saving(whole(case["exact"]), whole(case["exaq"])) < 0.3
        assert whole(case["exact"]) < whole(case["exaq"]) * 2
    assert min(accumulation_gains(scalar)) > phases_text.CLAIMED_ACCUMULATION
    assert max(accumulation_gains(scalar, four_sums=True)) < phases_text.CLAIMED_ACCUMULATION
    assert max(accumulation_gains(vector)) < phases_text.CLAIMED_ACCUMULATION / 2
