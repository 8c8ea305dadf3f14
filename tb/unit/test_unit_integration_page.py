"""docs/integration.md describes every part of the manifest."""

from __future__ import annotations

import re
from pathlib import Path

from exaq import SoftmaxConfig
from exaq_hdl import emit_verilog

PAGE = (Path(__file__).resolve().parents[2] / "docs/integration.md").read_text(encoding="utf-8")


def test_every_part_of_the_manifest_is_described() -> None:
    manifest = emit_verilog(SoftmaxConfig(contexts=2, row_results="sum", sink=0)).manifest
    table = PAGE.partition("\n| key | holds |")[2]
    rows = dict(re.findall(r"^\| (.*?) \| (.*) \|$", table, re.MULTILINE))
    assert {key for cell in rows for key in re.findall(r"`(\w+)`", cell)} == set(manifest)
    described = {name for text in rows.values() for name in re.findall(r"`(\w+)`", text)}
    assert set(manifest["memories"][0]) <= described
    assert set(manifest["ports"][0]) <= described
    assert set(manifest["latency"]) <= described
    assert set(manifest["row_results"]) <= described
