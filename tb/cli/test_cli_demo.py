"""What ``exaq demo`` refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_exaq import refusal

REFUSALS = {
    "--out file": "cannot write file/exaq_softmax_2bit-x4.v: Not a directory",
    "--out file/demo": "cannot write file/demo/exaq_softmax_2bit-x4.v: Not a directory",
    "--json file/demo.json": "cannot write file/demo.json: Not a directory",
    "--json .": "cannot write .: it is there and not a regular file",
    "--zzz": "No such option '--zzz'.",
    "more": "Got unexpected extra argument (more)",
}


@pytest.mark.parametrize("line", REFUSALS)
def test_refusals(line: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refusal("demo", *line.split(), folder=tmp_path) == REFUSALS[line]
