"""The figures of docs/numerics.md are those that its script prints and that its tables hold."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

import exaq

PAGE = (Path(__file__).resolve().parents[2] / "docs/numerics.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line[1:-1].split("|")] for line in re.findall(r"^\|.*", PAGE, re.M)
]


@pytest.fixture(scope="module")
def printed() -> str:
    """What the page's script prints."""
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    command = [sys.executable, "-W", "error", "-c", found[1]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def row(*begins: str) -> list[str]:
    """The rest of the only row of a table that begins so."""
    (found,) = (cells for cells in ROWS if cells[: len(begins)] == list(begins))
    return found[len(begins) :]


def test_closeness_is_what_the_script_prints(printed: str) -> None:
    told = re.findall(r"^(\d) (\d) KL (\S+)  mean error (\S+)$", printed, re.MULTILINE)
    assert len(told) == 9
    for bits in "234":
        cells = [f"{kl}; {error}" for width, _, kl, error in told if width == bits]
        assert row(f"{bits} bits") == cells


def test_row_sums_are_what_the_script_prints(printed: str) -> None:
    told = re.findall(r"^(\d+) (\d+) row sums (.*)$", printed, re.MULTILINE)
    assert len(told) == 12
    for length in ("128", "1024", "4096"):
        assert row(length) == [sums for n, _, sums in told if n == length]


@pytest.mark.parametrize("name", ["2bit-x4", "3bit-x4", "4bit-x4"])
def test_tables_are_those_of_the_presets(name: str) -> None:
    config = exaq.SoftmaxConfig.preset(name)
    assert config.clip is not None
    tables = config.tables
    cells = (
        f"{float(config.clip):.2f}",
        *(" ".join(map(str, t)) for t in tables.to_dict().values()),
    )
    assert row(name) == list(cells)


@pytest.mark.parametrize(
    ("sigma", "bits"), [("1", "2"), ("2", "2"), ("2", "3"), ("3", "2"), ("3", "3"), ("4", "2")]
)
def test_relative_errors_are_those_of_the_formula(sigma: str, bits: str) -> None:
    clip, *errors = row(sigma, bits)
    exact = exaq.paper_clip(int(sigma), int(bits))
    assert clip == f"{exact:.2f}"
    bounds = [100 * 2.0 ** -(frac + 1) / math.exp(exact) for frac in (10, 12, 13, 14, 16)]
    assert errors == [f"{float(f'{bound:.2g}'):g} %" for bound in bounds]


def test_shift_and_lut_are_what_their_script_prints() -> None:
    scripts = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (script,) = (each for each in scripts if "e2softmax" in each)
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 12
    for bits, length, sigma, *found in lines:
        begins = [bits, f"{length}, {sigma}"]
        cells = [each.replace("-", " to ") for each in found]
        assert [*begins, *cells[:5]] in ROWS
        assert [*begins, *cells[5:]] in ROWS
