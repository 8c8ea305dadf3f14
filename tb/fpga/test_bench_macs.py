"""The figures of multiply-accumulate units: of today's designs and tools, and on their page."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from importlib import metadata
from pathlib import Path

import pytest

from exaq.attention import KEY_FORMATS
from exaq_fpga.flow import tools
from exaq_fpga.flow.mac_bench import (
    DESIGNS,
    MARKS,
    measure,
    read_liberty,
    table,
    verilog_of,
)
from exaq_fpga.flow.mac_verilog import MACS
from exaq_hdl.emit.design_hash import design_hash

ROOT = Path(__file__).resolve().parents[2]
REPORT = json.loads((ROOT / "reports" / "macs.json").read_text(encoding="utf-8"))
CURE = "`make bench-macs` measures again"


def meaning(name: str, code: int) -> int | None:
    """What a unit's operand of this code stands for; None: there is no such code."""
    if name == "int4-size":
        return -(code & 7) if code & 8 else code
    codes = KEY_FORMATS[name.partition("-")[0]].by_code
    return codes[code] if codes else code - 2 * (code & 128)


def wrong_products(folder: Path, name: str, text: str) -> int:
    """How many of all products that ``text`` makes are wrong, as Yosys evaluates it."""
    module = (
        f"module made (input wire signed [7:0] a, input wire [{MACS[name].width - 1}:0] b,"
        f" output wire signed [15:0] y);\n{text}  assign y = p;\nendmodule\n"
    )
    (folder / "made.v").write_text(module)
    show = "tee -q -o table.txt eval -show y -table a,b made"
    tools.run("yosys", ["-q", "-p", f"read_verilog made.v; proc; opt_clean; {show}"], folder)
    rows = re.findall(r"8'(\d+) \d'(\d+) \| 16'(\d+)", (folder / "table.txt").read_text())
    assert len(rows) == 256 << MACS[name].width
    wrong = 0
    for a, b, y in (tuple(int(digits, 2) for digits in row) for row in rows):
        value = meaning(name, b)
        wrong += value is not None and (a - 2 * (a & 128)) * value != y - 2 * (y & 1 << 15)
    return wrong


@pytest.mark.parametrize("name", MACS)
def test_products_are_those_of_the_format(tmp_path: Path, name: str) -> None:
    assert wrong_products(tmp_path, name, MACS[name].product) == 0


def test_a_wrong_product_is_seen(tmp_path: Path) -> None:
    text = MACS["dint4"].product
    wrong = text.replace("most = b == 4'd8", "most = b == 4'd9")
    assert wrong != text
    # Of two codes all products but those with 0 are.
    assert wrong_products(tmp_path, "dint4", wrong) == 2 * 255


def test_there_are_figures_of_every_design_and_no_other() -> None:
    assert list(REPORT["designs"]) == list(DESIGNS), CURE


@pytest.mark.parametrize("name", DESIGNS)
def test_figures_are_of_today(name: str) -> None:
    figures = REPORT["designs"][name]
    assert figures["design_sha256"] == design_hash(verilog_of(name)), CURE
    for words in figures["versions"].values():
        package, version = words.split()
        assert metadata.version(package) == version, CURE


@pytest.mark.parametrize("name", DESIGNS)
def test_figures_agree_with_themselves(name: str) -> None:
    figures, dots = REPORT["designs"][name], DESIGNS[name]
    ecp5 = figures["ecp5"]
    assert 0 < ecp5["lut4_tight_carries"] <= ecp5["lut4"]
    assert set(figures["cells"]) == (set(REPORT["liberties"]) if not dots or dots.cells else set())
    for cells in figures["cells"].values():
        assert 0 < cells["sequential"] < cells["area"]


def test_page_shows_the_figures() -> None:
    text = (ROOT / "docs" / "attention.md").read_text(encoding="utf-8")
    begin, end = MARKS
    shown = text.partition(f"{begin}\n")[2].partition(f"\n{end}")[0]
    assert shown == table(REPORT), CURE


def test_liberty_files_may_be_compressed(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.lib", tmp_path / "a.lib.gz"
    plain.write_text("library (a) {}")
    packed.write_bytes(gzip.compress(b"library (a) {}"))
    assert read_liberty(plain)[0] == read_liberty(packed)[0] == "library (a) {}"
    assert read_liberty(packed)[1] == hashlib.sha256(packed.read_bytes()).hexdigest()


def test_the_page_says_what_the_figures_say() -> None:
    """That of the paper's claim, of a dot product beside a unit, and of INT4 beside dINT4."""
    designs = REPORT["designs"]

    def ratios(larger: str, smaller: str) -> list[float]:
        pairs = [(designs[larger], designs[smaller])]
        found = [
            a["ecp5"]["lut4_tight_carries"] / b["ecp5"]["lut4_tight_carries"] for a, b in pairs
        ]
        return found + [
            a["cells"][x]["area"] / b["cells"][x]["area"] for a, b in pairs for x in a["cells"]
        ]

    assert all(ratio > 1.9 for ratio in ratios("int8", "dint4"))
    assert all(1 < ratio < 1.9 for ratio in ratios("int8-rows", "dint4"))
    for dots, unit in zip(
        ratios("int8-32-lut", "dint4-32-lut"), ratios("int8-rows", "dint4"), strict=True
    ):
        assert dots > unit
    assert all(ratio < 1 for ratio in ratios("int4-size", "dint4"))


def test_measured_anew_the_figures_are_those_of_the_report() -> None:
    """Of one unit; and what is of today is not measured again."""
    kept, text = REPORT["designs"]["dint4"], verilog_of("dint4")
    steps: list[str] = []
    found = measure(text, None, {}, {"versions": "others", "ecp5": "stale"}, steps.append)
    assert steps == ["ecp5", "ice40"]
    assert found["design_sha256"] == kept["design_sha256"], CURE
    if found["versions"] == kept["versions"]:
        assert (found["ecp5"], found["ice40"]) == (kept["ecp5"], kept["ice40"])
    steps.clear()
    assert measure(text, None, {}, found, steps.append) == found
    assert steps == []
