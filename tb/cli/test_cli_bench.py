"""What ``exaq bench`` refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_exaq import refusal

from exaq import PRESETS
from exaq_fpga.boards.devices import DEVICES

REFUSALS = {
    "--preset 5bit": f"unknown preset '5bit'; there are {', '.join(PRESETS)}",
    "--lanes 6": ("max_row must be a multiple of lanes (6), not 1024; 1020 or 1026 would be"),
    "--sigma 1 --clip -1": "give --sigma or --clip, not both",
    "--device fast": (
        f"Invalid value for '--device': 'fast' is not one of {', '.join(map(repr, DEVICES))}."
    ),
    "--device ice40-hx8k --plain": (
        "--plain is for ECP5 devices; on ice40-hx8k there is no other way"
    ),
    "--seeds one": (
        "Invalid value for '--seeds': 'one' is no list of different whole numbers, as 1,2,3"
    ),
    "--seeds 1,1": (
        "Invalid value for '--seeds': '1,1' is no list of different whole numbers, as 1,2,3"
    ),
    "--lanes 4 --json file/b.json": "cannot write file/b.json: Not a directory",
    "--lanes 4 --json file/a/b.json": "cannot write file/a/b.json: Not a directory",
    "--page missing.md": "cannot read missing.md: No such file or directory",
    "--page file": (
        "file has no place for the table: no <!-- bench:begin --> followed by <!-- bench:end -->"
    ),
    "--page table.md --reports missing": "cannot write to missing: no such folder",
    "more": "Got unexpected extra argument (more)",
}


@pytest.mark.parametrize("line", REFUSALS)
def test_refusals(line: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "table.md").write_text(
        "<!-- bench:begin -->\n<!-- bench:end -->\n", encoding="utf-8"
    )
    assert refusal("bench", *line.split(), folder=tmp_path) == REFUSALS[line]
