"""The study on Gaussian rows against plain Python, and what its report says."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np
import pytest
from accuracy_reports import report

import exaq
from exaq_eval.studies.questions.distribution import Distribution

QUICK = Distribution.quick()


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return QUICK.run()


def rows() -> np.ndarray[Any, Any]:
    random = np.random.default_rng((QUICK.seed, 2, 128))
    return random.normal(0, 2, (QUICK.elements // 128, 128))


def exaq_row(row: list[float], clip: float, bits: int) -> list[float]:
    """The authors' formula, an element after the other."""
    steps = 2**bits - 1
    levels = [
        clip + round((max(x - max(row), clip) - clip) * steps / -clip) * -clip / steps for x in row
    ]
    total = sum(map(math.exp, levels))
    return [math.exp(level) / total for level in levels]


def softmax_row(row: list[float]) -> list[float]:
    total = sum(math.exp(x - max(row)) for x in row)
    return [math.exp(x - max(row)) / total for x in row]


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("rule", ["naive", "paper"])
def test_figures_are_those_of_plain_python(result: dict[str, Any], bits: int, rule: str) -> None:
    (case,) = (c for c in result["cases"] if (c["bits"], c["rule"]) == (bits, rule))
    logits = rows().tolist()
    distances = [x - max(row) for row in logits for x in row]
    mean = sum(distances) / len(distances)
    sigma = math.sqrt(sum((d - mean) ** 2 for d in distances) / (len(distances) - 1))
    clip = min(distances) if rule == "naive" else exaq.paper_clip(sigma, bits)
    assert case["clip"] == pytest.approx(clip, rel=1e-5)
    kl = relative = 0.0
    for row in logits:
        exact, given = softmax_row(row), exaq_row(row, clip, bits)
        kl += sum(p * math.log(p / q) for p, q in zip(exact, given, strict=True))
        error = sum((p - q) ** 2 for p, q in zip(exact, given, strict=True))
        relative += error / sum(p * p for p in exact)
    assert case["in_float"]["kl"] == pytest.approx(kl / len(logits), rel=1e-3)
    assert case["in_float"]["relative_error"] == pytest.approx(relative / len(logits), rel=1e-3)
    assert case["kl"] == pytest.approx(kl / len(logits), rel=0.02)
    assert case["relative_error"] == pytest.approx(relative / len(logits), rel=0.02)


def test_more_bits_are_better(result: dict[str, Any]) -> None:
    for rule in ("naive", "paper"):
        errors = [c["relative_error"] for c in result["cases"] if c["rule"] == rule]
        assert errors == sorted(errors, reverse=True)
        tops = [c["top1"] for c in result["cases"] if c["rule"] == rule]
        assert tops == sorted(tops)


def test_run_is_deterministic_plain_json_and_shows_progress(result: dict[str, Any]) -> None:
    told: list[tuple[int, int]] = []
    again = QUICK.run(lambda done, total, now: told.append((done, total)))
    assert json.loads(json.dumps(again, allow_nan=False)) == result
    assert told == [(0, 1), (1, 1)]


def test_markdown_shows_the_divergences(result: dict[str, Any]) -> None:
    text = QUICK.markdown(result)
    for case in result["cases"]:
        assert f" {case['kl']:.3g} |" in text


def test_report_is_of_the_study_as_it_is() -> None:
    small = Distribution(sigmas=(2,), lengths=(128,), widths=(2, 4)).run()["cases"]
    stored = {
        (c["sigma"], c["row"], c["bits"], c["rule"]): c for c in report("distribution")["cases"]
    }
    assert len(stored) == 3 * 3 * 3 * 2
    for case in small:
        was = stored[case["sigma"], case["row"], case["bits"], case["rule"]]
        assert case["kl"] == pytest.approx(was["kl"], rel=1e-4)
        assert case["top1"] == pytest.approx(was["top1"], rel=1e-4)


#: Divergence and cosine of a computation in floating point with the paper's clip, on other random
#: rows of 2048 elements, by bits and sigma.
IN_FLOAT = {
    (2, 1): (0.0936, 0.9447),
    (3, 1): (0.0357, 0.9851),
    (4, 1): (0.0154, 0.9956),
    (2, 2): (0.3446, 0.9334),
    (3, 2): (0.1970, 0.9826),
    (4, 2): (0.1210, 0.9953),
    (2, 3): (0.3522, 0.9267),
    (3, 3): (0.1645, 0.9837),
    (4, 3): (0.0910, 0.9956),
}


def test_report_agrees_with_floating_point_on_other_rows() -> None:
    cases = [
        case
        for case in report("distribution")["cases"]
        if (case["row"], case["rule"]) == (2048, "paper")
    ]
    assert {(case["bits"], case["sigma"]) for case in cases} == set(IN_FLOAT)
    for case in cases:
        divergence, cosine = IN_FLOAT[case["bits"], case["sigma"]]
        assert case["kl"] == pytest.approx(divergence, rel=0.08)
        assert case["cosine"] == pytest.approx(cosine, rel=0.01)


def test_report_supports_its_text() -> None:
    text = Distribution().markdown(report("distribution"))
    cases = report("distribution")["cases"]
    naive, paper = ([c for c in cases if c["rule"] == rule] for rule in ("naive", "paper"))
    better = sum(p["kl"] < n["kl"] for p, n in zip(paper, naive, strict=True))
    assert f"in {better} of {len(naive)} cases" in text
    # "where the many elements below the clip are all lifted to it": long rows, many bits.
    lost = re.findall(r"(\d) bits, sigma \d, rows of (\d+)", text)
    assert len(lost) == len(naive) - better
    assert all(int(bits) == 4 and int(row) >= 512 for bits, row in lost)
