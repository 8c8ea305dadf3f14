"""When a record of the regression holds: what makes it stale, and what does not."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rtl_fingerprint
import rtl_regression
import rtl_rows
from rtl_fingerprint import PARTS, fingerprint, needed
from rtl_matrix import MATRIX
from rtl_records import fault, forget_others, hits_of, lost, missed, read_records, write_record

from exaq import SoftmaxConfig, softmax
from exaq_hdl import emit_verilog
from exaq_hdl.emit.target import Target

PLAIN, CONTEXTS = MATRIX["shift-x4"], MATRIX["2bit-x1-contexts2"]
RUN = "verilator-shift-x4"


def both_benches() -> tuple[str, str]:
    """Of a unit without contexts, and of one with them."""
    rtl_fingerprint.testbench.cache_clear()
    return rtl_fingerprint.testbench(PLAIN), rtl_fingerprint.testbench(CONTEXTS)


@pytest.fixture(scope="module")
def unchanged() -> tuple[str, str]:
    return both_benches()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of this folder, of which fingerprints are then."""
    for path in rtl_regression.HERE.glob("*.py"):
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(rtl_fingerprint, "HERE", tmp_path)
    moved = tuple(tmp_path / path.name for path in rtl_regression.COROUTINES)
    monkeypatch.setattr(rtl_regression, "COROUTINES", moved)
    monkeypatch.setattr(rtl_regression, "__file__", str(tmp_path / "rtl_regression.py"))
    yield tmp_path
    rtl_fingerprint.testbench.cache_clear()


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("cocotb_softmax.py", "budget -= bench.send", "budget += bench.send"),
        ("rtl_harness.py", "source_tvalid ?", "!source_tvalid ?"),
        ("rtl_monitor.py", "self._stalled += 1", "self._stalled += 2"),
        ("rtl_stalls.py", '"light": _random(0.1)', '"light": _random(0.2)'),
        ("rtl_simulation.py", "timeout_time=1.5", "timeout_time=2.5"),
        ("rtl_regression.py", '"-O0"', '"-O1"'),
        ("rtl_bins.py", "yield from _shape_bins(row)", "yield from ()"),
        ("rtl_bins.py", "self._counts[name][test] += 1", "self._counts[name][test] += 2"),
    ],
)
def test_a_change_of_what_is_simulated_makes_another_testbench(
    file: str, old: str, new: str, folder: Path, unchanged: tuple[str, str]
) -> None:
    change(folder / file, old, new)
    assert set(both_benches()).isdisjoint(unchanged)


@pytest.mark.parametrize("file", ["cocotb_loads.py", "cocotb_registers.py"])
def test_coroutines_of_contexts_count_where_there_are_contexts(
    file: str, folder: Path, unchanged: tuple[str, str]
) -> None:
    change(folder / file, "\nimport cocotb\n", "\nimport cocotb\n\nSEED = 2\n")
    plain, contexts = both_benches()
    assert plain == unchanged[0]
    assert contexts != unchanged[1]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("cocotb_softmax.py", '"""Ties, equal,', '"""Equal, ties,'),
        ("rtl_monitor.py", '"""Watches for ever."""', '"""Watches on and on."""'),
        ("rtl_stalls.py", "#: Patterns for either", "# Patterns of either"),
        ("rtl_matrix.py", "#: Every simulation", "x = 1\n#: Every simulation"),
        ("test_rtl_page.py", "ROOT = ", "x = 1\nROOT = "),
        # Bins of other configurations.
        ("rtl_bins.py", '"lanes_1",\n', '"lanes_1",\n        "lanes_2",\n'),
        ("rtl_bins.py", '"lanes_1": config', '"lanes_2": config.lanes == 2, "lanes_1": config'),
        ("rtl_bins.py", "_WAYS = {", "_MORE = {}\n_WAYS = {"),
        ("rtl_bins.py", "from exaq import Baps, ", "from exaq import Baps, Tables, "),
    ],
)
def test_other_changes_do_not(
    file: str, old: str, new: str, folder: Path, unchanged: tuple[str, str]
) -> None:
    change(folder / file, old, new)
    assert both_benches() == unchanged


def test_needed_follows_names() -> None:
    text = (
        "from a import b, c\nimport d\ne = b\nf = e + g + h\ng = c\nh = 1\nprint(i)\ni = 2\nj = 3"
    )
    found = ast.unparse(needed(ast.parse(text), {"f"}, {"g"}))
    assert set(found.split("\n")) == {
        "from a import b",
        *("e = b", "f = e + g + h", "h = 1", "print(i)", "i = 2"),
    }


def of(config: SoftmaxConfig) -> dict[str, str]:
    rtl_fingerprint._of_unit.cache_clear()
    return fingerprint(config)


def differ(one: dict[str, str], other: dict[str, str]) -> set[str]:
    return {part for part in PARTS if one[part] != other[part]}


@pytest.fixture
def emit(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Puts other Verilog in the place of what is emitted."""

    def put(old: str, new: str) -> None:
        def emitted(config: SoftmaxConfig, *, target: Target) -> Any:
            found = emit_verilog(config, target=target)
            assert old in found.verilog
            changed = found.verilog.replace(old, new)
            return type(found)(**{**vars(found), "verilog": changed})

        monkeypatch.setattr(rtl_regression, "emit_verilog", emitted)

    yield put
    rtl_fingerprint._of_unit.cache_clear()


def test_another_operator_is_another_design(emit: Callable[[str, str], None]) -> None:
    before = of(PLAIN)
    emit(" - ", " + ")
    assert differ(before, of(PLAIN)) == {"design"}


def test_another_name_of_a_module_is_the_same_design(emit: Callable[[str, str], None]) -> None:
    before = of(PLAIN)
    emit("exaq_softmax__core", "exaq_softmax__heart")
    assert differ(before, of(PLAIN)) == set()


def test_one_unit_in_a_probability_is_another_golden_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = of(PLAIN)

    def wrong(logits: Any, config: SoftmaxConfig, mask: Any = None) -> Any:
        found = np.array(softmax(logits, config, mask=mask))
        # Of the many rows that are asked for, those alone with three maxima.
        if (np.asarray(logits) == np.max(logits)).sum() == 3:
            found[0] ^= 1
        return found

    monkeypatch.setattr(rtl_rows, "softmax", wrong)
    assert differ(before, of(PLAIN)) == {"model"}


def test_another_target_is_another_design() -> None:
    assert differ(of(PLAIN), fingerprint(PLAIN, target=Target(kind="asic"))) == {"design"}


def test_another_setting_is_another_configuration() -> None:
    other = of(PLAIN.replace(max_row=PLAIN.max_row + 4))
    assert "configuration" in differ(of(PLAIN), other)
    assert differ(fingerprint(PLAIN), fingerprint(PLAIN, place=1)) == {"configuration"}


def test_the_simulator_of_the_system_is_in_no_fingerprint() -> None:
    tools = [fingerprint(PLAIN, simulator=each)["tools"] for each in ("verilator", "icarus")]
    assert ["verilator" in each for each in tools] == [True, False]
    assert all("cocotb " in each for each in tools)


def record_of(fingerprint: dict[str, str], **hits: list[str]) -> dict[str, Any]:
    return {"fingerprint": fingerprint, "hits": hits, "simulator": "none"}


def test_fault_says_what_a_record_is_of() -> None:
    now = dict.fromkeys(PARTS, "a")
    cure = "`make regression` simulates it"
    assert fault(RUN, None, now) == f"there is no record of {RUN}: {cure}"
    assert fault(RUN, record_of(now, random_rows=["row.longest"]), now) == ""
    for part, text in PARTS.items():
        stale = record_of(now | {part: "b"})
        assert fault(RUN, stale, now) == f"the record of {RUN} is of {text}: {cure}"
    stale = record_of(now | {"design": "b", "model": "b"}, random_rows=["row.absent"])
    assert fault(RUN, stale, now) == (
        f"the record of {RUN} is of another design and another golden model and bins that there "
        f"are no more: {cure}"
    )
    # Records of before a part was there.
    assert "other tools" in fault(RUN, record_of({}), now)


def test_records_are_kept_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "regression.json"
    first = record_of({"design": "a"}, random_rows=["row.longest"])
    second = record_of({"design": "b"}, latency=["rate.latency"], every_length=[])
    write_record(RUN, first, path)
    write_record("verilator-2bit-x4", second, path)
    write_record("verilator-2bit-x4", first, path)
    write_record("icarus-2bit-x4-free", second, path)
    expected = {RUN: first, "verilator-2bit-x4": first, "icarus-2bit-x4-free": second}
    assert read_records(path) == expected
    assert list(read_records(path)) == sorted(expected)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    old = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(old | {"verilator-absent": old[RUN]}), encoding="utf-8")
    forget_others(path)
    assert read_records(path) == expected


def test_of_what_was_hit_the_testplan_names_some(tmp_path: Path) -> None:
    path = tmp_path / "regression.json"
    write_record(RUN, record_of({}, latency=["rate.latency", "row.longest"]), path)
    assert read_records(path)[RUN]["hits"] == {"latency": ["rate.latency"]}


def test_hits_are_told_by_coroutine(tmp_path: Path) -> None:
    path = tmp_path / "hits.json"
    path.write_text('{"row.b": {"x": 3, "y": 1}, "row.a": {"x": 1}}', encoding="utf-8")
    assert hits_of(path) == {"x": ["row.a", "row.b"], "y": ["row.b"]}


def test_lost_and_missed_bins() -> None:
    record = record_of({}, x=["row.a", "row.b"], y=["row.a"])
    assert lost(record, {"x": ["row.b"], "z": ["row.c"]}) == ["row.a by x", "row.a by y"]
    assert lost(record, record["hits"]) == lost(None, {}) == []
    plan = [{"name": "row.a", "tests": ["x", "z"]}, {"name": "row.c", "tests": ["x"]}]
    assert missed(plan, {RUN: record}) == ["row.a by z", "row.c by x"]
    # What Icarus alone hit, or a run that there is no more, shows nothing.
    assert len(missed(plan, {"icarus-2bit-x4-free": record, "verilator-absent": record})) == 3
