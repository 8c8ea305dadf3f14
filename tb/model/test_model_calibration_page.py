"""The table of docs/calibration.md is what the page's script prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[2] / "docs/calibration.md").read_text(encoding="utf-8")


def test_figures_per_layer_are_what_the_script_prints() -> None:
    """Those per head take three times as long and come from the same lines."""
    script = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[-1]
    shorter = script.replace('("layer", "head")', '("layer",)')
    assert shorter != script
    command = [sys.executable, "-W", "error", "-c", shorter]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    printed = [line.split() for line in done.stdout.splitlines()]
    assert len(printed) == 6
    for cells in printed:
        assert f"\n| {' | '.join(cells)} |\n" in PAGE
