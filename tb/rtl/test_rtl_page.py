"""docs/verification.md names every coroutine of the regression and every family of bins."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from rtl_matrix import MATRIX

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/verification.md").read_text(encoding="utf-8")
BINS = tomllib.loads((ROOT / "tb/testplan.toml").read_text(encoding="utf-8"))["bin"]


def first_cells(head: str) -> set[str]:
    """What stands as code in the first column of the table whose head begins so."""
    table = PAGE.partition(f"\n| {head} |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_coroutine_is_named() -> None:
    assert first_cells("coroutine") == {test for each in BINS for test in each["tests"]}


def test_every_family_of_bins_is_named() -> None:
    families = {each["name"].partition(".")[0] for each in BINS}
    assert first_cells("bins") == {f"{family}.*" for family in families}


def test_longest_rows_are_those_of_the_matrix() -> None:
    longest = max(config.max_row for config in MATRIX.values())
    assert f"longest rows have {longest} elements" in PAGE
