"""Small units as a whole: which frames leave within the cycles that are looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
from formal_engines import ABC, Answer, abc_command, search
from formal_text import opened
from formal_unit import TOP
from formal_whole import FRAMES, SMALL, whole_rules

from exaq_hdl import emit_verilog


@pytest.mark.simulator
@pytest.mark.skipif(abc_command() is None, reason=f"none of {', '.join(ABC)} is on the path")
@pytest.mark.parametrize("name", SMALL)
def test_every_kind_of_row_leaves_within_the_bound(name: str, tmp_path: Path) -> None:
    """Else the proof would say less than it seems to: that none leaves is refuted."""
    small = SMALL[name]
    design = opened(emit_verilog(small.config).verilog, TOP, tmp_path)
    expected = set(FRAMES) - small.without
    left = {
        frame
        for frame in expected
        if search(whole_rules(small.config, design, never=frame), tmp_path, steps=small.cycles)
        is Answer.REFUTED
    }
    assert left == expected


def test_every_kind_of_row_leaves_one_of_the_units() -> None:
    """What takes one unit too long, another one has."""
    assert set(FRAMES) == set.union(*(set(FRAMES) - small.without for small in SMALL.values()))
