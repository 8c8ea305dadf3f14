"""The study on other distributions: its figures made again in plain NumPy, and its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accuracy_reports import report

from exaq import reference
from exaq_eval.studies.questions.shapes import CALIBRATIONS, Shapes
from exaq_eval.studies.subjects.random_rows import SHAPES

QUICK = Shapes.quick()


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return QUICK.run()


def drawn(shape: str, part: int, rows: int) -> Any:
    random = np.random.default_rng((QUICK.seed, list(SHAPES).index(shape), part))
    return QUICK.sigma * SHAPES[shape](random, (rows, QUICK.row))


def by_tables(logits: Any, thresholds: list[int], exp_rom: list[int]) -> Any:
    """Probabilities by real division, without the golden model."""
    steps = np.rint(logits * 256)
    distance = steps - steps.max(axis=-1, keepdims=True)
    codes = sum((distance >= threshold).astype(int) for threshold in thresholds)
    exponentials = np.asarray(exp_rom, float)[codes]
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def test_figures_are_of_rows_that_calibration_did_not_see(result: dict[str, Any]) -> None:
    assert len(result["cases"]) == 2 * len(CALIBRATIONS)
    for case in result["cases"]:
        logits = drawn(case["shape"], 1, QUICK.measured)
        exact = reference.softmax(logits)
        given = by_tables(logits, **case["tables"])
        error = (((exact - given) ** 2).sum(axis=-1) / (exact**2).sum(axis=-1)).mean()
        assert case["relative_error"] == pytest.approx(error, rel=0.01)


def test_naive_tables_reach_the_lowest_logit_of_calibration(result: dict[str, Any]) -> None:
    for case in result["cases"]:
        if case["rule"] != "naive":
            continue
        logits = drawn(case["shape"], 0, QUICK.calibrated)
        lowest = (logits - logits.max(axis=-1, keepdims=True)).min()
        # The lowest threshold lies half a level above the clip.
        assert case["tables"]["thresholds"][0] / 256 == pytest.approx(lowest * 5 / 6, abs=0.01)


def test_calibration_recovers_what_it_minimises(result: dict[str, Any]) -> None:
    find = {(case["shape"], case["rule"]): case for case in result["cases"]}
    for shape in QUICK.shapes:
        paper = find[shape, "paper"]
        assert find[shape, "optimal, mse"]["relative_error"] < paper["relative_error"]
        assert find[shape, "optimal, kl"]["kl"] < paper["kl"]


def test_markdown_and_plot_show_the_result(result: dict[str, Any], tmp_path: Path) -> None:
    text = QUICK.markdown(result)
    rows = {line.split(" | ")[0]: line for line in text.splitlines() if line.startswith("| ")}
    assert {"| Gaussian", "| attention sink"} <= rows.keys()
    for case in result["cases"]:
        for key in ("kl", "relative_error", "top1"):
            value = case[key]
            shown = f"{value:.3g}" if value >= 1e-3 else f"{value:.2e}"
            assert f" {shown} |" in text
    assert QUICK.plot(result, tmp_path / "x.png") == tmp_path / "x.png"


def test_report_is_of_the_study_as_it_is() -> None:
    stored = {(c["shape"], c["bits"], c["rule"]): c for c in report("shapes")["cases"]}
    assert len(stored) == len(SHAPES) * 2 * len(CALIBRATIONS)
    for case in Shapes(shapes=("exponential",), widths=(2,)).run()["cases"]:
        was = stored[case["shape"], case["bits"], case["rule"]]
        # A search may end elsewhere by the rounding of another machine.
        near = 1e-4 if case["rule"] in ("naive", "paper") else 0.1
        assert case["relative_error"] == pytest.approx(was["relative_error"], rel=near)
        assert case["kl"] == pytest.approx(was["kl"], rel=near)


def test_report_supports_its_text() -> None:
    find = {(c["shape"], c["bits"], c["rule"]): c for c in report("shapes")["cases"]}
    for bits in (2, 3):
        for key, rule in (("relative_error", "optimal, mse"), ("kl", "optimal, kl")):
            gains = {
                shape: find[shape, bits, "paper"][key] / find[shape, bits, rule][key]
                for shape in SHAPES
            }
            assert min(gains.values()) > 1
            assert max(gains, key=gains.__getitem__) == "attention sink"
