"""Figures of docs/architecture.md: latency constants of rings, and rates of short rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exaq import SoftmaxConfig
from exaq_hdl import Softmax

PAGE = (Path(__file__).resolve().parents[2] / "docs/architecture.md").read_text(encoding="utf-8")


def table(head: str) -> list[list[str]]:
    """The rows of the table whose head begins so, head included."""
    lines = (head + PAGE.partition(f"\n{head}")[2].partition("\n\n")[0]).splitlines()
    cells = [[cell.strip(" *") for cell in line[1:-1].split("|")] for line in lines]
    return cells[:1] + cells[2:]


def constant(bits: int, row: int) -> int:
    return Softmax(SoftmaxConfig(bits=bits, full_rate_row=row)).latency


RINGS = [
    (int(bits), rows, int(latency))
    for bits, rows, _, _, latency in table("| bits | `full_rate_row` |")[1:]
]


@pytest.mark.parametrize(("bits", "rows", "latency"), RINGS)
def test_latency_constants_of_rings(unused_components, bits: int, rows: str, latency: int) -> None:
    ends = [int(row) for row in re.findall(r"\d+", rows.partition("(")[0])]
    assert [constant(bits, row) for row in ends] == [latency] * len(ends)
    if default := re.search(r"default (\d+)", rows):
        assert SoftmaxConfig(bits=bits).full_rate_row == int(default[1])


@pytest.mark.parametrize(("bits", "row"), [(2, 125), (2, 253), (3, 125), (3, 253), (4, 509)])
def test_ranges_begin_where_the_constant_changes(unused_components, bits: int, row: int) -> None:
    assert constant(bits, row - 1) < constant(bits, row)


def test_parts_of_the_latency_add_up(unused_components) -> None:
    *parts, total = table("| part | attribute |")[1:]
    assert sum(int(cells[-1]) for cells in parts) == int(total[-1])
    assert int(total[-1]) == Softmax(SoftmaxConfig.preset("2bit-x4")).latency


def test_short_rows_take_the_time_of_the_divisions() -> None:
    """A row takes a cycle a beat, but no less than the ring, by the page's other table."""
    head, *rows = table("| | row 16 |")
    lengths = [int(cell.removeprefix("row ")) for cell in head[1:]]
    ring = next(int(cycles) for bits, _, _, cycles, _ in table("| bits |")[1:] if cycles == "32")
    for (name, *cycles), (_, *rates) in zip(rows[::2], rows[1::2], strict=True):
        lanes = SoftmaxConfig.preset(name.partition(",")[0]).lanes
        for row, told, rate in zip(lengths, cycles, rates, strict=True):
            assert int(told) == max(-(-row // lanes), ring)
            assert float(rate) == pytest.approx(row / int(told), rel=0.02)
