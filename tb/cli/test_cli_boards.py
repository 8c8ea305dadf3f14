"""``exaq boards``: the list for readers and the one for programs."""

from __future__ import annotations

import json
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from run_exaq import refusal, run_exaq

from exaq import SoftmaxConfig
from exaq_fpga.boards import BOARDS
from exaq_fpga.boards.board_reports import load_report, proof


@pytest.fixture(scope="module")
def listing(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    done = run_exaq("boards", "--json", folder=tmp_path_factory.mktemp("json"))
    assert (done.returncode, done.stderr) == (0, "")
    boards: list[dict[str, Any]] = json.loads(done.stdout)
    return boards


def test_list_tells_of_every_board(tmp_path: Path) -> None:
    done = run_exaq("boards", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    heads = [line for line in lines if not line.startswith(" ")]
    assert heads == [f"{s.name}: {s.title}, {s.device}" for s in BOARDS.values()]
    for head, spec in zip(heads, BOARDS.values(), strict=True):
        at = lines.index(head)
        own = takewhile(lambda line: line[0] == " ", lines[at + 1 :])
        told = {line[2:14].strip(): line[15:] for line in own}
        by_udp = told.pop("By UDP", None)
        assert list(told) == ["Default", "Clock", "Link", "Programmer", "Verified"]
        assert (by_udp is None) == (spec.ethernet is None)
        if spec.ethernet is not None:
            assert by_udp == f"{spec.ethernet.where}: exaq build --udp"
        assert told["Default"].startswith(spec.preset)
        assert told["Clock"].startswith(f"{spec.clock // 1_000_000} MHz")
        assert ("by PLL" in told["Clock"]) == (spec.clock != spec.reference)
        assert told["Link"].startswith(spec.link.where)
        assert f"{spec.link.rx} (rx)" in told["Link"]
        assert f"{spec.link.baud} baud" in told["Link"]
        assert told["Programmer"] == f"{spec.programmer.tool}: {spec.programmer.source}"
        assert told["Verified"] == proof(load_report(spec.name))


def test_json_has_all_there_is_to_know(listing: list[dict[str, Any]]) -> None:
    assert [board["name"] for board in listing] == list(BOARDS)
    for board in listing:
        spec = BOARDS[board["name"]]
        assert SoftmaxConfig.from_dict(board["config"]) == spec.config
        assert (board["clock"], board["baud"]) == (spec.clock, spec.link.baud)
        assert board["capacity"] == {"lut4": spec.capacity.lut4, "bram": spec.capacity.bram}
        assert board["programmer"]["tool"] == spec.programmer.tool
        assert board["report"] == load_report(spec.name)


def test_arguments_are_refused(tmp_path: Path) -> None:
    message = refusal("boards", "icebreaker", folder=tmp_path)
    assert message == "Got unexpected extra argument (icebreaker)"
