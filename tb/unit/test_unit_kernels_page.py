"""The latencies that docs/kernels.md declares are those of the units."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import exaq
from exaq_hdl.shell.row_shell import Softmax

pytestmark = pytest.mark.usefixtures("unused_components")

PAGE = (Path(__file__).resolve().parents[2] / "docs/kernels.md").read_text(encoding="utf-8")
LINES = re.findall(
    r"^\| `([\w-]+)` \| (\d+) \| (\d+) \| ([\w' ]+) \| (\d+) \| (\d+) \|", PAGE, re.M
)
COUNTED = {
    "n behind the last beat": "beats of the row",
    "the last beat": "the row's last beat",
    "each beat": "each beat",
}


def test_the_table_is_found() -> None:
    assert [line[0] for line in LINES] == [
        *("2bit", "baps", "baps-float", "multiply", "softermax", "shift", "lut")
    ]


@pytest.mark.parametrize(("name", "four", "sixteen", "counted", "row4", "row16"), LINES)
def test_declared_latency(
    name: str, four: str, sixteen: str, counted: str, row4: str, row16: str
) -> None:
    for lanes, latency, row in ((4, four, row4), (16, sixteen, row16)):
        stem, _, kind = name.partition("-")
        preset = f"{stem}-x{lanes}" + (f"-{kind}" if kind else "")
        config = exaq.SoftmaxConfig.preset(preset)
        unit = Softmax(config)
        assert (unit.latency, unit.counted_from) == (int(latency), COUNTED[counted])
        assert config.full_rate_row == int(row)


@pytest.mark.parametrize(
    ("exponential", "more"),
    [("schraudolph", 1), ("pwl4", 3), ("pwl8", 3), ("taylor2", 4), ("taylor3", 6)],
)
def test_latency_of_other_exponentials(exponential: str, more: int) -> None:
    config = exaq.SoftmaxConfig(kernel="multiply", exponential=exponential)
    plain = Softmax(exaq.SoftmaxConfig(kernel="multiply"))
    assert Softmax(config).latency - plain.latency == more
    words = " ".join(PAGE.split())
    assert (
        "longer by one cycle with `schraudolph`, three with `pwl4` and `pwl8`, four with "
        "`taylor2` and six with `taylor3`" in words
    )


def test_latency_of_the_division_of_ita() -> None:
    division, plain = (
        Softmax(exaq.SoftmaxConfig(kernel="shift", variant=variant))
        for variant in ("ita", "e2softmax")
    )
    assert division.latency > plain.latency
