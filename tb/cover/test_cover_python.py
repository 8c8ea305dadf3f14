"""Branches of the Python packages: how they are counted, and what is kept of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from cover_python import ENOUGH, FOLDERS, PACKAGES, PYTHON_MARKS, figures, python_table, share
from cover_report import PAGE, read_coverage

ROOT = Path(__file__).resolve().parents[2]
KEPT = read_coverage().get("python", {})


def test_packages_are_where_they_are_said_to_be() -> None:
    assert all((ROOT / folder / "__init__.py").is_file() for folder in PACKAGES.values())
    folders = {path.parent.name for path in ROOT.glob("tb/*/test_*.py")}
    # Simulations, proofs of wheels and the long runs themselves show nothing of the packages here.
    assert folders - set(FOLDERS) == {"cover", "mutants", "mutants_python", "rtl", "soak", "wheel"}


def test_files_are_counted_by_package() -> None:
    def file(branches: int, taken: int) -> dict[str, dict[str, int]]:
        return {
            "summary": {
                "num_branches": branches,
                "covered_branches": taken,
                "num_statements": 10,
                "covered_lines": 9,
            }
        }

    report = {
        "files": {
            "sim/exaq/a.py": file(4, 3),
            "sim/exaq/kernels/b.py": file(4, 4),
            "sim/exaq_cosim/c.py": file(0, 0),
            "tb/model/test_d.py": file(100, 0),
        }
    }
    found = figures(report, ["model"])
    assert found["folders"] == ["model"]
    assert found["packages"]["exaq"] == {"branches": 8, "taken": 7, "statements": 20, "run": 18}
    assert share(found["packages"]["exaq"]) == 7 / 8
    assert share(found["packages"]["exaq_hdl"]) == 0
    assert "| `exaq` | 20 | 90.0% | 8 | 87.5% |" in python_table(found)


@pytest.mark.skipif(not KEPT, reason="`make coverage-python` has not been run")
def test_enough_branches_are_taken() -> None:
    few = {name: share(each) for name, each in KEPT["packages"].items() if share(each) < ENOUGH}
    assert few == {}
    begin, end = PYTHON_MARKS
    shown = PAGE.read_text(encoding="utf-8").partition(f"{begin}\n")[2].partition(f"\n{end}")[0]
    assert shown == python_table(KEPT)
