"""The README's figures of models are those of the reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def figures(model: str, name: str) -> dict[str, Any]:
    report = json.loads((ROOT / f"reports/accuracy/{model}-int16.json").read_text(encoding="utf-8"))
    (setting,) = [s for s in report["settings"] if s["name"] == name]
    task: dict[str, Any] = setting["task"]
    return task


@pytest.mark.parametrize(
    ("what", "model", "rule"),
    [
        ("paper's clip, a layer", "minilm", "paper, per layer"),
        ("`exaq calibrate`, a head", "minilm", "optimal (mse), per head"),
        ("clip of each call's own logits", "smollm2", "dynamic"),
        ("`exaq calibrate`, a head", "smollm2", "optimal (mse), per head"),
    ],
)
def test_readme_shows_the_reports(what: str, model: str, rule: str) -> None:
    found = [figures(model, f"{bits}-bit {rule}") for bits in (2, 3)]
    if model == "minilm":
        cells = ["1", *(f"{task['cosine_mean']:.4f}" for task in found)]
    else:
        before = figures(model, "float")["loss"]
        cells = [f"{before:.3f}", *(f"+{task['loss'] - before:.3f}" for task in found)]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{what} | {' | '.join(cells)} |" in text, "`exaq evaluate` measures, README.md repeats"
