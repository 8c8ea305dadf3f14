"""The study of training: what it trains and measures, what it says, and its report."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from accuracy_reports import report

import exaq
import exaq.torch
from exaq_eval.models import EvaluationModel
from exaq_eval.studies import StudyError
from exaq_eval.studies.questions import training_text
from exaq_eval.studies.questions.training import TUNINGS, Training
from exaq_eval.studies.subjects import trained

STUDY = Training(steps=3, scratch_steps=2, windows=3, calibrated=2)


def numbers(text: str) -> torch.Tensor:
    """A token for each character, of which the tiny decoder knows sixteen."""
    return torch.tensor([ord(character) % 16 for character in text])


@pytest.fixture(scope="module")
def subject(decoder_folder: Path) -> EvaluationModel:
    model = transformers.LlamaForCausalLM.from_pretrained(decoder_folder).eval()
    # Scores far below the rest of their row would pass for masked ones.
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(0.5)
    random = np.random.default_rng(0)
    texts = ["".join(map(chr, random.integers(65, 90, 900))) for _ in range(2)]
    return EvaluationModel(
        name="tiny",
        kind="decoder",
        model=model,
        tokenizer=numbers,
        max_tokens=32,
        texts=(texts[0],),
        calibration=(texts[1],),
    )


@pytest.fixture(scope="module")
def result(subject: EvaluationModel) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "subject", lambda self: subject)
        told: list[tuple[int, int, str]] = []
        found = STUDY.run(lambda *step: told.append(step))
    assert told[-1] == (4 * 3 + 3 * 2, 4 * 3 + 3 * 2, "from the beginning, tables that learn")
    assert "2 bits, both" in {now for _, _, now in told}
    return found


def _loss(model: Any, window: torch.Tensor) -> float:
    found: float = model(input_ids=window[None], labels=window[None]).loss.item()
    return found


def test_losses_are_those_of_transformers(subject: EvaluationModel, result: dict[str, Any]) -> None:
    each = [_loss(subject.model, window) for window in subject.windows(3)]
    np.testing.assert_allclose(trained.losses(subject.model, subject.windows(3)), each, rtol=1e-5)
    assert result["rows"][0]["loss"] == pytest.approx(np.mean(each), rel=1e-5)
    assert result["held_out"] == {"windows": 3, "tokens": 3 * 32}


def test_result_is_plain_json_with_every_training(result: dict[str, Any]) -> None:
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert [row["name"] for row in result["rows"]] == ["float", "calibrated"]
    assert [row["name"] for row in result["tuned"]] == ["float", *TUNINGS]
    assert [row["name"] for row in result["scratch"]] == [
        "float",
        "fixed tables",
        "tables that learn",
    ]
    exact, base = result["rows"][0]["loss"], result["tuned"][0]["loss"]
    for row in result["tuned"]:
        assert row["increase"] == pytest.approx(row["loss"] - exact, abs=2e-5)
        assert row["beside"] == pytest.approx(row["loss"] - base, abs=2e-5)
        assert len(row["curve"]) == 1
    assert len({row["loss"] for row in result["tuned"]}) == 4


def test_the_model_that_is_measured_is_left_as_it_was(
    subject: EvaluationModel, result: dict[str, Any]
) -> None:
    with torch.no_grad():
        logits = subject.model(subject.windows(1)[:, :-1]).logits
    exaq.torch.set_tables(subject.model, exaq.SoftmaxConfig(clip=-2.0))
    copied = trained.copy(subject.model)
    with torch.no_grad():
        torch.testing.assert_close(copied(subject.windows(1)[:, :-1]).logits, logits)
    exaq.torch.set_tables(subject.model, None)


def test_a_training_learns_what_it_is_told_to(subject: EvaluationModel) -> None:
    tables = exaq.TableFile.of_config(
        exaq.SoftmaxConfig(clip=-4.0, logit_width=16, logit_scale=2**-8, exp_frac=13)
    )
    text, held = numbers(subject.calibration[0]), subject.windows(2)

    def run(**rates: Any) -> tuple[Any, trained.Trained]:
        model = trained.copy(subject.model)
        return model, trained.train(model, text, held, steps=12, seed=0, **rates)

    before = [weight.clone() for weight in subject.model.parameters()]

    def moved(model: Any) -> bool:
        return any(
            not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)
        )

    model, alone = run(rate=None, tables=tables, table_rate=0.1)
    assert not moved(model)
    assert alone.tables is not None
    assert len(alone.tables.sets) == 2 * 4
    assert {entry.tables for entry in alone.tables.sets} != {tables.sets[0].tables}
    # What is measured is what the tables as a file give.
    fresh = trained.copy(subject.model)
    exaq.torch.set_tables(fresh, alone.tables, prob_bits=16)
    np.testing.assert_array_equal(trained.losses(fresh, held), alone.losses)

    model, weights = run(rate=1e-3, tables=tables)
    assert moved(model)
    assert weights.tables is None
    model, both = run(rate=1e-3, tables=tables, table_rate=0.1)
    assert moved(model)
    assert both.tables is not None
    again = run(rate=1e-3, tables=tables, table_rate=0.1)[1]
    np.testing.assert_array_equal(again.losses, both.losses)
    assert again.tables == both.tables
    # Twelve steps make two points of the curve, and the loss falls.
    assert len(both.curve) == 2
    assert run(rate=1e-2)[1].curve[1] < run(rate=1e-2)[1].curve[0]


def test_anew_is_random_and_the_same_each_time(subject: EvaluationModel) -> None:
    one, other = trained.anew(subject.model), trained.anew(subject.model)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(next(one.parameters()), next(subject.model.parameters()))


def test_markdown_and_plot_show_the_result(result: dict[str, Any], tmp_path: Path) -> None:
    text = STUDY.markdown(result)
    assert text.startswith("## Training with few bits\n")
    for row in result["tuned"][1:]:
        assert (
            f"| {row['loss']:.4f} | {row['increase']:+.4f} (±{row['increase_error']:.4f}) |" in text
        )
    assert STUDY.plot(result, tmp_path / "x.png") == tmp_path / "x.png"


def test_the_verdict_says_what_is_met_and_by_how_much_not() -> None:
    def row(name: str, increase: float, beside: float) -> dict[str, Any]:
        return {"name": name, "increase": increase, "beside": beside, "loss": 1.0, "seconds": 1}

    result = {
        "rows": [row("float", 0, 0), row("calibrated", 0.04, 0)],
        "tuned": [row("float", -0.01, 0), row("weights", 0.02, 0.03), row("both", 0.004, 0.014)],
        "threads": 2,
    }
    assert training_text._verdict(result) == (
        "The aim was a loss at most 0.005 nats above float: with weights trained it is missed by "
        "0.0150 against the float model and missed by 0.0250 against the float model trained as "
        "long; with weights and tables trained it is met against the float model and missed by "
        "0.0090 against the float model trained as long. Against the float "
        "model as it was, weights and tables trained win back 90% of what the calibrated tables "
        "cost. Training ran on 2 threads."
    )


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXAQ_CACHE", str(tmp_path))
    with pytest.raises(
        StudyError, match=rf"^there is no decoder in {tmp_path}\S*; train it.*\.py$"
    ):
        Training.quick().run()
    monkeypatch.delitem(sys.modules, "exaq.torch")
    monkeypatch.setitem(sys.modules, "torch", None)
    need = r"^exaq\.torch needs torch; install it by: pip install 'exaq-softmax\[torch\]'$"
    with pytest.raises(ImportError, match=need):
        Training.quick().run()


def test_report_supports_its_text() -> None:
    """Learning helps, and a fine-tuning took no more than the ten minutes that it was given."""
    found = report("training")
    calibrated = found["rows"][1]
    for row in found["tuned"][1:]:
        assert row["increase"] < calibrated["increase"]
        assert row["seconds"] < 600
    assert found["threads"] <= 2
