"""The swept clip against brute force in floating point, and what its report says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accuracy_reports import report

import exaq
from exaq import reference
from exaq_eval.studies.questions.clip import Clip, cost, sweep

QUICK = Clip.quick()


def brute(logits: Any, clips: list[float], bits: int) -> dict[str, list[float]]:
    """Both objectives for each clip, by the authors' arithmetic in float64."""
    p = reference.softmax(logits)
    each = [reference.quantized_softmax(logits, clip, bits) for clip in clips]
    return {
        "squared_error": [float(((p - q) ** 2).sum(axis=-1).mean()) for q in each],
        "kl": [float((p * np.log(p / q)).sum(axis=-1).mean()) for q in each],
    }


@pytest.mark.parametrize("bits", [2, 3])
@pytest.mark.parametrize("row", [16, 200])
def test_sweep_finds_the_minimum_that_brute_force_finds(bits: int, row: int) -> None:
    logits = np.random.default_rng((bits, row)).normal(0, 2, (60, row))
    clips = [-0.5 * k for k in range(1, 25)]
    found = sweep(logits, clips, bits, paper=-5.0)
    for key, values in brute(logits, clips, bits).items():
        assert found[key] == pytest.approx(values, rel=0.05)
        best = found["best"][key]
        assert clips.index(best["clip"]) == int(np.argmin(values))
        assert best["value"] == min(found[key])
        assert clips[0] > best["clip"] > clips[-1]
    assert found["at_paper"] == {key: found[key][clips.index(-5.0)] for key in found["at_paper"]}


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return QUICK.run()


def test_the_sweep_is_centred_on_the_paper_s_clip(result: dict[str, Any]) -> None:
    (case,) = result["cases"]
    logits = np.random.default_rng((QUICK.seed, 2, 128)).normal(0, 2, (case["rows"], 128))
    sigma = (logits - logits.max(axis=-1, keepdims=True)).std(ddof=1)
    assert case["paper"] == pytest.approx(exaq.paper_clip(float(sigma), 2), rel=1e-5)
    assert len(case["clips"]) == 2 * QUICK.points + 1
    assert case["clips"][QUICK.points] == pytest.approx(case["paper"])
    assert case["clips"][0] == pytest.approx(case["paper"] / 3, rel=1e-4)
    assert case["clips"][-1] == pytest.approx(case["paper"] * 3, rel=1e-4)


def test_markdown_and_plot_show_the_result(result: dict[str, Any], tmp_path: Path) -> None:
    (case,) = result["cases"]
    text = QUICK.markdown(result)
    for key in ("squared_error", "kl"):
        best = case["best"][key]
        assert f"| {best['clip']:.2f} | {cost(case, key):.2f} |" in text
    assert f"| {case['paper']:.2f} |" in text
    assert QUICK.plot(result, tmp_path / "clip.png") == tmp_path / "clip.png"


def test_cost_is_the_paper_s_over_the_least() -> None:
    case = {"at_paper": {"kl": 3.0}, "best": {"kl": {"clip": -4.0, "value": 2.0}}}
    assert cost(case, "kl") == 1.5


def test_report_is_of_the_study_as_it_is() -> None:
    (case,) = Clip(sigmas=(2,), lengths=(128,), widths=(2,)).run()["cases"]
    (was,) = (
        c for c in report("clip")["cases"] if (c["sigma"], c["row"], c["bits"]) == (2, 128, 2)
    )
    for key in ("clips", "kl", "squared_error"):
        assert case[key] == pytest.approx(was[key], rel=1e-4)


def test_report_has_its_minima_inside_and_growing_with_the_row() -> None:
    cases = report("clip")["cases"]
    assert len(cases) == 27
    found = {(c["bits"], c["sigma"], c["row"]): c["best"]["kl"]["clip"] for c in cases}
    for case in cases:
        for best in case["best"].values():
            assert case["clips"][0] > best["clip"] > case["clips"][-1]
    for bits, sigma in {(c["bits"], c["sigma"]) for c in cases}:
        assert found[bits, sigma, 128] > found[bits, sigma, 2048]
