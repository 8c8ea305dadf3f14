"""Sweeps of widths on real logits: the knee by brute force, rows, clips, and the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accuracy_reports import report
from hypothesis import given
from hypothesis import strategies as st

import exaq
from exaq import reference
from exaq.data import load_attention_sample
from exaq_eval.studies.questions.widths import SWEEPS, TOLERANCE, Widths, knee, sweep
from exaq_eval.studies.subjects.real_rows import RealRows, logit_width, shipped_rows

QUICK = Widths.quick()
NEAR = st.sampled_from([0.98, 0.995, 1.0, 1.005, 1.02])


@given(st.lists(st.tuples(NEAR, NEAR), min_size=1, max_size=6))
def test_knee_is_the_first_value_with_nothing_far_behind_it(pairs: list[tuple[float, ...]]) -> None:
    values = list(range(10, 10 + len(pairs)))
    near = [all(abs(error - 1) <= TOLERANCE for error in pair) for pair in pairs]
    expected = next(
        (v for v, at in zip(values, range(len(near)), strict=True) if all(near[at:])), None
    )
    errors = [[3 * pair[0] for pair in pairs], [7 * pair[1] for pair in pairs]]
    assert knee(values, errors, [3, 7]) == expected


@pytest.mark.parametrize(("scale", "width"), [(1.0, 8), (0.5, 9), (2.0**-8, 16), (2.0**-12, 20)])
def test_logits_reach_from_minus_128_to_128(scale: float, width: int) -> None:
    assert logit_width(scale) == width
    low, high = exaq.SoftmaxConfig(logit_width=width, logit_scale=scale).logit_range
    assert (low * scale, (high + 1) * scale) == (-128, 128)


def test_shipped_rows_are_the_live_rows_of_the_sample() -> None:
    sample, rows = load_attention_sample(), shipped_rows()
    heads = len(sample.layers) * len(sample.heads)
    assert len(rows.logits) == heads * sum(sample.lengths)
    assert rows.live.any(axis=-1).all()
    assert np.bincount(rows.heads).tolist() == [sum(sample.lengths)] * heads
    # The last head's last text, its first query.
    place = len(rows.logits) - sample.lengths[-1]
    expected = sample.logits[-1, -1, -1, 0] * sample.scale
    assert (rows.logits[place] == expected).all()
    assert rows.live[place].sum() == sample.lengths[-1]
    every = shipped_rows(7)
    assert (every.logits == rows.logits[::7]).all()
    assert (every.heads == rows.heads[::7]).all()


def small() -> RealRows:
    random = np.random.default_rng(4)
    live = random.random((40, 24)) < 0.8
    live[:, 3] = True
    return RealRows(
        name="random",
        logits=random.normal(0, 2, (40, 24)).round(1),
        live=live,
        heads=np.arange(40) % 2,
    )


def test_paper_clips_are_of_each_head_s_live_distances() -> None:
    rows = small()
    for head, clip in enumerate(rows.paper_clips(3)):
        distances = [
            x - max(logits[live])
            for logits, live, of in zip(rows.logits, rows.live, rows.heads, strict=True)
            if of == head
            for x in logits[live]
        ]
        mean = sum(distances) / len(distances)
        sigma = (sum((d - mean) ** 2 for d in distances) / (len(distances) - 1)) ** 0.5
        assert clip == pytest.approx(max(exaq.paper_clip(sigma, 3), min(distances)))


def test_wide_units_are_the_float_formula_with_each_head_s_clip() -> None:
    rows = small()
    clips = [-4.0, -7.0]
    given_by_unit = rows.probabilities(clips, 2, logit_scale=2.0**-12, exp_frac=24, prob_bits=24)
    for head, clip in enumerate(clips):
        chosen = rows.heads == head
        in_float = reference.quantized_softmax(rows.logits[chosen], clip, 2, rows.live[chosen])
        assert given_by_unit[chosen] == pytest.approx(in_float, abs=1e-6)


@pytest.mark.parametrize("name", SWEEPS)
def test_errors_settle_at_those_of_the_float_formula(name: str) -> None:
    rows = small()
    found = sweep(rows, 2, name)
    exact = reference.softmax(rows.logits, rows.live)
    error = 0.0
    for head, clip in enumerate(rows.paper_clips(2)):
        chosen = rows.heads == head
        in_float = reference.quantized_softmax(rows.logits[chosen], clip, 2, rows.live[chosen])
        error += float(((in_float - exact[chosen]) ** 2).sum())
    assert found["wide"]["squared_error"] == pytest.approx(error / 40, rel=1e-3)
    assert found["values"] == list(SWEEPS[name])
    # The widest value swept is wide enough.
    assert found["squared_error"][-1] == pytest.approx(found["wide"]["squared_error"], rel=0.02)
    assert abs(found["kl"][0] / found["wide"]["kl"] - 1) > TOLERANCE


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return QUICK.run()


def test_markdown_and_plot_show_the_result(result: dict[str, Any], tmp_path: Path) -> None:
    text = QUICK.markdown(result)
    for case in result["cases"]:
        knee_shown = case["knee"]
        if case["swept"] == "logit_scale":
            knee_shown = f"1/{1 / knee_shown:g} ({logit_width(knee_shown)} bits)"
        assert f"| {case['swept']} | 2 | {knee_shown} |" in text
    assert QUICK.plot(result, tmp_path / "x.png") == tmp_path / "x.png"


def test_report_is_of_the_study_as_it_is() -> None:
    (case,) = Widths(widths=(2,), sweeps=("prob_bits",), texts=0).run()["cases"]
    was = next(
        c
        for c in report("widths")["cases"]
        if (c["logits"], c["bits"], c["swept"]) == (case["logits"], 2, "prob_bits")
    )
    for key in ("squared_error", "kl", "sum_error"):
        assert case[key] == pytest.approx(was[key], rel=1e-4)


def test_report_knows_both_kinds_of_logits_and_finds_every_knee() -> None:
    stored = report("widths")
    assert len(stored["logits"]) == 2
    assert len(stored["cases"]) == 2 * 3 * len(SWEEPS)
    # 16-bit logits, 13 bits of exponentials and 16 of probabilities, as units have them.
    for case in stored["cases"]:
        limit = {"exp_frac": 16, "prob_bits": 16, "logit_scale": 2.0**-8}[case["swept"]]
        assert case["knee"] is not None
        assert case["knee"] >= limit if case["swept"] == "logit_scale" else case["knee"] <= limit
