"""docs/extending.md: its kernel, from the golden model to the regression, as the page has it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "extending.md"
#: Lines of code that the page promises not to exceed.
MOST = 100


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def run(folder: Path, code: str) -> str:
    """What ``code`` prints beside ``hard_max.py``."""
    (folder / "hard_max.py").write_text(blocks()[0], encoding="utf-8")
    path = os.pathsep.join([str(folder), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_kernel_is_short() -> None:
    assert len(blocks()[0].splitlines()) < MOST


@pytest.mark.simulator
def test_golden_model_verilog_and_simulation(tmp_path: Path) -> None:
    found = run(tmp_path, blocks()[1]).splitlines()
    assert found == [
        "[[   0 4095 4095    0]]",
        "{'cycles': 5, 'counted_from': \"the row's last beat\"}",
        "True",
    ]


@pytest.mark.simulator
def test_regression(tmp_path: Path) -> None:
    assert run(tmp_path, blocks()[2]).splitlines()[-1] == "no fault"


@pytest.mark.simulator
def test_regression_sees_a_fault(tmp_path: Path) -> None:
    """The same with hardware that gives tails what the row's largest elements get."""
    right = "live & (beat.logits[lane] == self.maximum.payload)"
    assert right in blocks()[0]
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(right) == 1
    (tmp_path / "hard_max.py").write_text("", encoding="utf-8")
    wrong = blocks()[0].replace(right, "(beat.logits[lane] == self.maximum.payload)")
    code = blocks()[2].replace("import hard_max\n", "")
    (tmp_path / "wrong_max.py").write_text(wrong, encoding="utf-8")
    found = run(tmp_path, f"import wrong_max\n{code}")
    assert "no fault" not in found
    assert "Error" in found
