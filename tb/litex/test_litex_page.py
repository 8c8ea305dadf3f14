"""docs/litex.md shows the code that runs, the registers that there are, and the kept run."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import exaq
from exaq_litex import RowDMA

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/litex.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "fpga/exaq_litex/example"


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_soc_is_that_of_the_example() -> None:
    (shown,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    soc = (EXAMPLE / "example_soc.py").read_text(encoding="utf-8")
    assert soc.endswith(textwrap.indent(shown, " " * 8, lambda line: bool(line.strip())))


def test_c_is_that_of_the_firmware() -> None:
    firmware = squeezed((EXAMPLE / "firmware.c").read_text(encoding="utf-8"))
    shown = re.findall(r"^    (?:if \(exaq|const struct|row_dma_wait).*\n(?:    .*\n)*", PAGE, re.M)
    assert len(shown) == 3
    for block in shown:
        assert squeezed(block) in firmware


def test_kept_run_is_what_is_shown() -> None:
    begin, end = "<!-- make litex -->\n", "<!-- litex ends -->"
    shown = PAGE.partition(begin)[2].partition(end)[0]
    kept = json.loads((ROOT / "reports/litex.json").read_text(encoding="utf-8"))
    assert textwrap.dedent(shown).splitlines() == kept["console"]


def test_registers_are_all_there() -> None:
    table = PAGE.partition("| register |")[2].partition("\n\n")[0]
    shown = [
        name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])
    ]
    config = exaq.SoftmaxConfig(lanes=4, contexts=2, window=True)
    assert shown == [register.name for register in RowDMA(config).get_csrs()]
