"""Heads of a model on one attention unit: its scales and tables, and the study's words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from accuracy_reports import report
from test_study_heads import bert, run

from exaq.attention import AttentionConfig, HeadIntegers, attend, scores
from exaq_eval.studies import StudyError
from exaq_eval.studies.questions import heads_unit
from exaq_eval.studies.questions.heads_unit import HeadsUnit
from exaq_eval.studies.subjects.integer_heads import HeadSetting, IntegerHeads
from exaq_eval.studies.subjects.one_unit import OneUnit

SETTING = HeadSetting(keys="int8", bits=4, tables="all")


@pytest.fixture(scope="module")
def heads() -> IntegerHeads:
    """Of a model in which one layer's q are four times as large."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = bert().eval()
        for name, weight in model.named_parameters():
            weight.data *= 5 if weight.ndim == 2 else 1
            weight.data *= 4 if name.endswith("layer.1.attention.self.query.weight") else 1
    texts = list(torch.randint(0, 40, (3, 30), generator=torch.Generator().manual_seed(1)))
    return IntegerHeads(model=model, run=lambda text: run(model, text), texts=texts)


def test_scores_are_worth_the_same_in_every_head(heads: IntegerHeads) -> None:
    unit = OneUnit(heads, SETTING, max_row=32, lanes=2)
    assert heads.places == [(layer, head) for layer in range(2) for head in range(4)]
    assert len(unit.reach) == 8
    assert unit.reach == sorted(unit.reach)
    assert (unit.reach[0] < 64, unit.reach[-1]) == (True, 127)
    seen: list[HeadIntegers] = []

    def golden(integers: HeadIntegers) -> Any:
        seen.append(integers)
        return attend(*integers, unit.config)

    text = torch.randint(0, 40, (30,), generator=torch.Generator().manual_seed(2))
    exact = run(heads.model, text)
    with unit.using(golden):
        given = run(heads.model, text)
    assert [each.q.shape for each in seen] == [(4, 30, 16)] * 2
    assert float((given - exact).norm() / exact.norm()) < 0.2
    assert torch.equal(run(heads.model, text), exact)

    # The first layer gets what it gets in float: its scores are worth the unit's logit scale.
    reals: list[Any] = []

    def note(layer: int, q: Any, k: Any, v: Any, live: Any) -> Any:
        reals.append(q @ k.swapaxes(-1, -2) / 4)
        return v

    with heads.computed_by(note):
        run(heads.model, text)
    found = scores(seen[0].q, seen[0].k, unit.config) * unit.config.softmax.logit_scale
    for given_scores, real in zip(found, reals[0], strict=True):
        assert (given_scores * real).sum() / (real**2).sum() == pytest.approx(1, abs=0.03)


def test_all_heads_have_the_tables_of_all(heads: IntegerHeads) -> None:
    per_head = HeadSetting(keys="int8", bits=4)
    all_of, each_of = (
        {heads.tables(*place, setting, 2.0**-8) for place in heads.places}
        for setting in (SETTING, per_head)
    )
    assert (len(all_of), len(each_of)) == (1, 8)


def test_a_wrong_output_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    config = AttentionConfig(head_size=16, max_row=8)
    integers = HeadIntegers(*np.ones((3, 2, 3, 16), np.int8))

    class Run:
        outputs = attend(*integers, config)
        row_errors = np.zeros((2, 3), np.bool_)
        cycles, scores = 40, 18

    monkeypatch.setattr("exaq_cosim.simulate_head", lambda *_: Run)
    compiled = heads_unit._Compiled(config)
    for times in (1, 2):
        np.testing.assert_array_equal(compiled(integers), Run.outputs)
        assert compiled.figures == {
            "outputs": 96 * times,
            "cycles": 40 * times,
            "scores": 18 * times,
        }
    Run.outputs = Run.outputs.copy()
    Run.outputs[1, 2, 5] += 1
    with pytest.raises(StudyError, match="1 outputs of the unit are not"):
        compiled(integers)


def test_report_says_what_it_found() -> None:
    study, result = HeadsUnit(), report("heads-unit")
    text = study.markdown(result)
    rows = result["rows"]
    assert [row["bits"] for row in rows] == [2, 2, 2, 3, 3, 3]
    for row in rows:
        assert f"| {row['bits']} | {row['heads']} | {row['cosine_mean']:.4f} |" in text
    costs = [1 - row["cosine_mean"] for row in rows[:3]]
    assert f"the same tables in all add {costs[1] - costs[0]:+.4f}" in text
    assert f"the common scale {costs[2] - costs[1]:+.4f}" in text
    tokens = result["task"]["tokens"]
    # 72 heads of 32 elements, at each of two widths.
    assert sum(row.get("outputs", 0) for row in rows) == 2 * 72 * 32 * tokens
    assert f"{2 * 72 * 32 * tokens:,} outputs" in text


@pytest.mark.simulator
def test_quick_study_runs() -> None:
    result = HeadsUnit.quick().run()
    cosines = [row["cosine_mean"] for row in result["rows"]]
    assert len(cosines) == 3
    assert all(0.98 < each < 1 for each in cosines)
    assert result["rows"][2]["outputs"] == 72 * 32 * result["task"]["tokens"]
