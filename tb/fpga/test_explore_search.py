"""The order of the search, what it leaves out, and what it never measures twice."""

from __future__ import annotations

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from exaq.concurrency import WorkerError
from exaq_cosim import ToolError
from exaq_explore import Found, Gaussian, Limits, Record, RecordError, Space, explore
from exaq_explore.jobs import Course, Job, JobError, _run, drive
from exaq_explore.record import key_of, state_of

#: LUT4 before and after place and route, and MHz, of the units that tests pretend to measure.
SIZES = {4: (300, 500, 100.0), 8: (700, 900, 150.0), 16: (1500, 1800, 125.0)}
LOGITS = Gaussian(sigma=2.0, row=32)


class Fakes:
    """Measures that are quick, and count what they are asked for."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.asked: Counter[str] = Counter()
        self.fail: set[int] = set()
        self.lock = threading.Lock()
        patch.setattr("exaq_explore.measures.cycles", self.cycles)
        patch.setattr("exaq_explore.measures.implementation", self.implementation)

    def count(self, name: str, lanes: int) -> None:
        with self.lock:
            self.asked[f"{name} {lanes}"] += 1

    def cycles(self, config: dict[str, Any], row: int) -> dict[str, float]:
        self.count("cycles", config["lanes"])
        return {"latency": 1000 // config["lanes"], "elements_per_cycle": config["lanes"]}

    def implementation(
        self, config: dict[str, Any], device: str, dsp: bool, seeds: list[int], most: int | None
    ) -> dict[str, Any]:
        self.count("route", config["lanes"])
        if config["lanes"] in self.fail:
            raise ToolError("nextpnr-ecp5 failed: it does not fit\nmore of it")
        least, lut4, mhz = SIZES[config["lanes"]]
        if most is not None and least > most:
            return {"least_lut4": least}
        return {"lut4": lut4, "ff": 1, "bram": 2, "dsp": 0, "mhz": mhz, "seeds": {"1": mhz}}


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    return Fakes(monkeypatch)


def search(record: Record | None = None, goal: str = "lut", **limits: Any) -> Found:
    space = Space(kernels=("lut",), choices={"lanes": (4, 8, 16), "variant": ("rexp",)})
    with ThreadPoolExecutor(2) as executor:
        return explore(
            space.units(),
            LOGITS,
            "ecp5-85",
            executor,
            limits=Limits(**limits),
            row=32,
            goal=goal,
            record=record,
        )


def lanes(found: Found) -> list[int]:
    return [each.config.lanes for each in found.best]


def test_all_is_measured_without_limits(fakes: Fakes) -> None:
    found = search()
    assert lanes(found) == [4, 8, 16]
    assert set(fakes.asked.values()) == {1}
    assert len(fakes.asked) == 6
    figures = found.best[1].figures
    assert figures["rate"] == 8 * 150e6
    assert figures["rate_per_lut4"] == 8 * 150e6 / 900
    assert figures["error"] == figures["kl"] > 0


@pytest.mark.parametrize(
    ("goal", "best"),
    [("lut", 4), ("rate", 16), ("latency", 16), ("rate-per-lut", 8), ("error", 4)],
)
def test_the_goal_chooses(fakes: Fakes, goal: str, best: int) -> None:
    found = search(goal=goal)
    assert found.chosen is not None
    assert found.chosen.config.lanes == best


@pytest.mark.parametrize(
    ("limits", "kept", "routed", "reason"),
    [
        ({"max_latency": 125}, [8, 16], [8, 16], "latency 250 above 125"),
        ({"max_lut": 900}, [4, 8], [4, 8, 16], "LUT4 before place and route 1500 above 900"),
        ({"max_lut": 600}, [4], [4, 8, 16], "LUT4 before place and route 700 above 600"),
        ({"max_lut": 899}, [4], [4, 8, 16], "LUT4 900 above 899"),
        ({"min_rate": 1.2e9}, [8, 16], [4, 8, 16], "rate 4e+08 below 1.2e+09"),
        ({"max_bram": 1}, [], [4, 8, 16], "block RAM 2 above 1"),
        ({"most_error": 1e-9}, [], [], "above 1e-09"),
    ],
)
def test_limits_end_a_unit_as_early_as_they_can(
    fakes: Fakes, limits: dict[str, Any], kept: list[int], routed: list[int], reason: str
) -> None:
    found = search(**limits)
    assert lanes(found) == kept
    assert [n for n in SIZES if fakes.asked[f"route {n}"]] == routed
    assert any(reason in (each.dropped or "") for each in found.measured)
    assert (found.chosen is None) == (not kept)


def test_a_record_is_used_whatever_the_limits(fakes: Fakes, tmp_path: Path) -> None:
    path = tmp_path / "measurements.json"
    first = search(Record(path))
    before = fakes.asked.copy()
    again = search(Record(path), max_latency=125, max_lut=1000)
    assert fakes.asked == before
    assert lanes(again) == [8]
    assert again.best[0].figures == first.best[1].figures


def test_a_size_that_was_too_large_is_measured_when_it_may_be_larger(
    fakes: Fakes, tmp_path: Path
) -> None:
    path = tmp_path / "measurements.json"
    assert lanes(search(Record(path), max_lut=600)) == [4]
    assert lanes(search(Record(path), max_lut=650)) == [4]
    assert fakes.asked["route 8"] == 1
    assert lanes(search(Record(path), max_lut=1000)) == [4, 8]
    assert fakes.asked["route 8"] == 2
    assert fakes.asked["route 16"] == 1


def test_failures_are_told_and_tried_again(fakes: Fakes, tmp_path: Path) -> None:
    path = tmp_path / "measurements.json"
    fakes.fail = {8}
    found = search(Record(path))
    assert lanes(found) == [4, 16]
    assert [each.failed for each in found.measured] == [
        None,
        "nextpnr-ecp5 failed: it does not fit",
        None,
    ]
    fakes.fail = set()
    assert lanes(search(Record(path))) == [4, 8, 16]
    assert fakes.asked["route 8"] == 2
    assert fakes.asked["route 4"] == 1


def test_other_code_or_tools_make_other_measurements() -> None:
    what = ("cycles", {"lanes": 4}, 128)
    keys = {
        key_of(what, state_of(("exaq",), ("numpy",))),
        key_of(what, state_of(("exaq", "exaq_hdl"), ("numpy",))),
        key_of(what, state_of(("exaq_hdl",), ("numpy",))),
        key_of(what, state_of(("exaq",), ("numpy", "amaranth"))),
        key_of(("cycles", {"lanes": 8}, 128), state_of(("exaq",), ("numpy",))),
    }
    assert len(keys) == 5
    assert key_of(what, state_of(("exaq",), ("numpy",))) in keys


@pytest.mark.parametrize("name", ["exaq", "numpy"])
def test_workers_with_other_code_or_versions_are_refused(name: str) -> None:
    wanted = state_of(("exaq",), ("numpy",))
    assert _run(half, (3,), ("exaq",), ("numpy",), wanted) == 1.5
    with pytest.raises(WorkerError, match=f"a worker has another .* of {name}"):
        _run(half, (3,), ("exaq",), ("numpy",), wanted | {name: "other"})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "exaq-explore"}', "no JSON"])
def test_other_files_are_not_written_over(tmp_path: Path, text: str) -> None:
    path = tmp_path / "measurements.json"
    path.write_text(text)
    with pytest.raises(RecordError, match=r"measurements\.json holds no measurements"):
        Record(path)
    assert path.read_text() == text


def test_a_record_is_whole_after_each_measurement(tmp_path: Path) -> None:
    path = tmp_path / "measurements.json"
    record = Record(path)
    for number in range(3):
        record.put(str(number), ["test", number], {"value": number})
        document = json.loads(path.read_text())
        assert list(document["measurements"]) == [str(n) for n in range(number + 1)]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert Record(path).get("1") == {"value": 1}
    assert Record(path).get("3") is None


def half(number: int) -> float:
    return number / 2


def broken(number: int) -> float:
    raise RuntimeError("a fault of the program")


def job(function: Any, number: int) -> Job:
    return Job(function, (number,), (function.__name__, number), ("exaq",), (), "halving")


def course(*jobs: Job) -> Course[list[Any]]:
    found = []
    for each in jobs:
        try:
            found.append((yield each))
        except JobError as error:
            found.append(f"failed: {error}")
    return found


def test_courses_share_what_they_both_need() -> None:
    record, told = Record(), []
    courses = [
        course(job(half, 1), job(half, 2)),
        course(job(half, 2), job(half, 1), job(half, 1)),
        course(),
    ]
    with ThreadPoolExecutor(1) as executor:
        found = drive(
            courses,
            executor,
            record,
            failures=(),
            told=lambda done, total, now: told.append((done, total)),
        )
    assert found == [[0.5, 1.0], [1.0, 0.5, 0.5], []]
    assert len(record) == 2
    assert told[-1] == (3, 3)


def test_failures_go_to_their_courses_and_faults_end_it_all() -> None:
    with ThreadPoolExecutor(2) as executor:
        courses = [course(job(broken, 1), job(half, 1)), course(job(half, 3))]
        found = drive(courses, executor, Record(), failures=(RuntimeError,))
        assert found == [["failed: a fault of the program", 0.5], [1.5]]
        with pytest.raises(RuntimeError, match="a fault of the program"):
            drive([course(job(broken, 1))], executor, Record(), failures=(ToolError,))
