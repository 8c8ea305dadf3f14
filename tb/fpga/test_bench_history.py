"""The history of size and clock: how points are joined, and that the page shows today's reports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from exaq_fpga.flow.bench import CASES

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "scripts"))
import bench_history  # noqa: E402

CURE = "`make history` draws it anew"


def point(commit: str, time: str, lut4: int, mhz: float = 100.0) -> dict[str, Any]:
    return {"commit": commit, "time": time, "lut4": lut4, "mhz": mhz}


NOW = point("", "", 7)


def test_a_point_stands_where_figures_change() -> None:
    found = [point("a", "1", 9), point("b", "2", 9), point("c", "3", 7), NOW]
    assert bench_history.merged([], found) == [found[0], found[2]]
    assert bench_history.merged([], [*found[:2], NOW]) == [found[0], NOW]
    slower = point("d", "4", 7, 90.0)
    assert bench_history.merged([], [found[2], slower, point("", "", 7, 90.0)])[1] == slower


def test_what_git_does_not_know_is_kept() -> None:
    kept = [point("a", "1", 9), point("b", "2", 8), point("", "", 8)]
    found = [point("b", "2", 8), NOW]
    assert bench_history.merged(kept, found) == [kept[0], kept[1], NOW]


def test_the_past_is_that_of_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    def measured(lut4: int) -> None:
        report = {"size": {"lut4": lut4}, "mhz": {"median": 100.0}}
        (tmp_path / "reports" / "a.json").write_text(json.dumps(report), encoding="utf-8")

    git("init")
    (tmp_path / "reports").mkdir()
    for lut4 in (9, 8):
        measured(lut4)
        git("add", ".")
        git("commit", "-m", "a report")
    measured(7)
    monkeypatch.setattr(bench_history, "ROOT", tmp_path)
    found = [*bench_history.past("a.json")]
    assert [each["lut4"] for each in found] == [9, 8, 7]
    assert [bool(each["commit"]) for each in found] == [True, True, False]


def test_the_page_shows_today_s_reports() -> None:
    history = json.loads(bench_history.HISTORY.read_text(encoding="utf-8"))
    assert [*history] == [case.name for case in CASES], CURE
    for name, points in history.items():
        text = (ROOT / "reports" / f"{name}.json").read_text(encoding="utf-8")
        now = bench_history.figures(json.loads(text))
        assert {each: points[-1][each] for each in now} == now, f"{name}: {CURE}"
    begin, end = bench_history.MARKS
    page = bench_history.PAGE.read_text(encoding="utf-8")
    shown = page.partition(f"{begin}\n")[2].partition(f"\n{end}")[0]
    assert shown == bench_history.table(history), CURE


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    history = json.loads(bench_history.HISTORY.read_text(encoding="utf-8"))
    bench_history.draw(history, tmp_path / "history.png")
    assert (tmp_path / "history.png").stat().st_size > 10_000
