"""Other architectures: the classifier's figures by hand, the sliding window, the report."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from accuracy_reports import report
from hypothesis import given
from hypothesis import strategies as st

import exaq
import exaq.torch
from exaq import reference
from exaq_eval.models import corpus
from exaq_eval.settings import LogitFormat
from exaq_eval.studies import StudyError
from exaq_eval.studies.questions.architectures import MODELS, Architectures, hard_tables
from exaq_eval.studies.questions.widths import Widths
from exaq_eval.studies.subjects.best_clips import CLIPS, best_clips, peaks
from exaq_eval.studies.subjects.classifier import BINS, WINDOW, class_scores, classify
from exaq_eval.studies.subjects.real_rows import RealRows, layer_rows
from exaq_eval.studies.subjects.sliding import slide
from exaq_eval.tasks import Embedding, Prediction

QUICK = Architectures.quick()


def test_class_scores_of_a_few_rows_by_hand() -> None:
    probabilities = np.array([[0.5, 0.5, 0.0], [0.2, 0.1, 0.7], [0.9, 0.05, 0.05], [0.0, 0.0, 2.0]])
    found = class_scores(probabilities, np.array([1, 2, 1, 2]), floor=0.01)
    # Two tie and one is right; right; wrong; right, and its row has the sum 2.
    assert found["accuracy"] == pytest.approx((0.5 + 1 + 0 + 1) / 4)
    assert found["log_loss"] == pytest.approx(-(math.log(0.5 * 0.7 * 0.05)) / 4)
    # Each row is alone in its bin: |0.5 - 0.5|, |1 - 0.7|, |0 - 0.9|, |1 - 1|.
    assert found["calibration_error"] == pytest.approx((0 + 0.3 + 0.9 + 0) / 4)


def test_a_right_class_of_probability_0_costs_the_floor() -> None:
    found = class_scores(np.array([[1.0, 0.0]]), np.array([1]), floor=2.0**-17)
    assert found["log_loss"] == pytest.approx(17 * math.log(2))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 1)), min_size=1, max_size=20))
def test_calibration_error_by_brute_force(rows: list[tuple[int, int]]) -> None:
    # Of two classes the first is the likelier one, by 0.51 to 0.99.
    confidences = [0.51 + 0.016 * step for step, _ in rows]
    probabilities = np.array([[c, 1 - c] for c in confidences])
    labels = np.array([label for _, label in rows])
    expected = 0.0
    for bin_number in range(BINS):
        inside = [k for k, c in enumerate(confidences) if bin_number <= c * BINS < bin_number + 1]
        if inside:
            right = sum(labels[k] == 0 for k in inside) / len(inside)
            sure = sum(confidences[k] for k in inside) / len(inside)
            expected += abs(right - sure) * len(inside) / len(rows)
    assert class_scores(probabilities, labels, 0.0)["calibration_error"] == pytest.approx(expected)


def test_classifier_learns_and_measures_what_it_did_not_see() -> None:
    steps: list[tuple[int, int]] = []
    data = classify(4, 40, 80, 1, lambda done, total: steps.append((done, total)))
    assert steps == [(k, 40) for k in range(40)]
    assert data.logits.shape == (80, 4)
    assert data.calibration.shape == (40, 4)
    assert data.labels.tolist() == sorted([0, 1, 2, 3] * 20)
    # Four files: chance is 0.25.
    assert (data.logits.argmax(axis=-1) == data.labels).mean() > 0.4
    longest = sorted((len(text) for _, text in corpus.sources()), reverse=True)[:4]
    texts = dict(corpus.sources())
    assert [len(texts[name]) for name in data.files] == longest
    again = classify(4, 40, 80, 1, lambda done, total: None)
    assert (again.logits == data.logits).all()


def test_window_is_shorter_than_every_part_of_a_file() -> None:
    shortest = sorted((len(text) for _, text in corpus.sources()), reverse=True)[
        Architectures().classes - 1
    ]
    assert 0.15 * shortest > 4 * WINDOW


@pytest.fixture(scope="module")
def decoder(decoder_folder: Path) -> Prediction:
    model = transformers.LlamaForCausalLM.from_pretrained(decoder_folder).eval()
    random = np.random.default_rng(0)
    texts = [torch.from_numpy(random.integers(0, 16, 25)) for _ in range(3)]
    return Prediction(
        name="tiny", model=model, texts=texts, calibration=texts, what="random tokens"
    )


def test_a_window_as_long_as_the_text_changes_nothing(decoder: Prediction) -> None:
    wide = slide(decoder, 24)
    for text in decoder.texts:
        assert wide.run(text) == pytest.approx(decoder.run(text), rel=1e-6)


def test_each_query_sees_its_last_keys_alone(decoder: Prediction) -> None:
    narrow = slide(decoder, 5)
    assert narrow.name == "tiny-window-5"
    exaq.torch.set_tables(narrow.model, None)
    with exaq.torch.record(narrow.model) as recording:
        narrow.run(decoder.texts[0])
    query, key = np.arange(24)[:, None], np.arange(24)
    for layer in recording.layers:
        (logits,) = layer
        assert (np.isfinite(logits) == ((key <= query) & (key > query - 5))).all()
    # The first five queries see all there is; later ones lose keys.
    assert narrow.run(decoder.texts[0][:6]) == pytest.approx(decoder.run(decoder.texts[0][:6]))
    assert narrow.run(decoder.texts[0]) != pytest.approx(decoder.run(decoder.texts[0]), rel=1e-4)


def test_only_a_decoder_slides(decoder: Prediction, encoder_folder: Path) -> None:
    model = transformers.BertModel.from_pretrained(encoder_folder).eval()
    task = Embedding(
        name="b", model=model, texts=decoder.texts, calibration=decoder.texts, what="x"
    )
    with pytest.raises(TypeError, match=r"^a sliding window needs a decoder, not BertModel$"):
        slide(task, 4)


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return QUICK.run()


def test_quick_run_is_plain_json_with_all_rules(result: dict[str, Any]) -> None:
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    (model,) = result["models"]
    assert [setting["name"] for setting in model["settings"]] == [
        "float",
        "2-bit naive, per layer",
        "2-bit paper, per layer",
        "2-bit optimal (mse), per layer",
        "2-bit optimal (kl), per layer",
        "2-bit, hard maximum",
    ]
    exact, *quantized = model["settings"]
    assert exact["attention"] is None
    kl = {setting["name"]: setting["attention"]["kl"] for setting in quantized}
    assert kl["2-bit optimal (kl), per layer"] < kl["2-bit paper, per layer"]
    (clips,) = model["clips"]
    assert clips["paper"][0] == pytest.approx(exaq.paper_clip(clips["sigma"][0], 2), rel=1e-4)


def test_hard_maximum_keeps_the_accuracy_and_nothing_else(result: dict[str, Any]) -> None:
    find = {setting["name"]: setting["task"] for setting in result["models"][0]["settings"]}
    hard, exact = find["2-bit, hard maximum"], find["float"]
    # 16-bit logits make next to no ties.
    assert hard["accuracy"] == pytest.approx(exact["accuracy"], abs=0.01)
    assert hard["calibration_error"] == pytest.approx(1 - hard["accuracy"], abs=0.01)
    assert hard["log_loss"] > 2 * exact["log_loss"]


def test_hard_tables_share_between_equal_maxima() -> None:
    config = hard_tables(LogitFormat()).config()
    given_row = exaq.softmax(np.array([[7, 3, 7, 6, -9]]), config)
    assert given_row.tolist() == [[2**15, 0, 2**15, 0, 0]]


def layer() -> RealRows:
    random = np.random.default_rng(3)
    calls = [random.normal(0, 2, (2, 12, length)) for length in (20, 32)]
    calls[0][:, 5, 10:] = -np.inf
    return layer_rows(calls, 2)


def test_layer_rows_join_calls_of_all_heads() -> None:
    random = np.random.default_rng(3)
    calls = [random.normal(0, 2, (2, 12, length)) for length in (20, 32)]
    calls[0][:, 4, 10:] = -np.inf
    rows = layer_rows(calls, 2)
    assert rows.logits.shape == (2 * 6 + 2 * 6, 32)
    assert rows.heads.tolist() == [0] * 6 + [1] * 6 + [0] * 6 + [1] * 6
    assert rows.live.sum(axis=-1).tolist() == [20, 20, 10, 20, 20, 20] * 2 + [32] * 12
    assert (rows.logits[7, :20] == calls[0][1, 2]).all()
    assert (rows.logits[13] == calls[1][0, 2]).all()


def test_best_clips_are_those_of_brute_force_in_float() -> None:
    rows = layer()
    exact = reference.softmax(rows.logits, rows.live)
    given_at = [reference.quantized_softmax(rows.logits, c, 2, rows.live) for c in CLIPS]
    squared = [((exact - q) ** 2).sum(axis=-1).mean() for q in given_at]
    ratios = (np.where(exact > 0, exact / np.where(q > 0, q, 1), 1) for q in given_at)
    divergence = [(exact * np.log(r)).sum(axis=-1).mean() for r in ratios]
    assert best_clips([rows, rows], 2) == {
        "squared_error": [CLIPS[int(np.argmin(squared))]] * 2,
        "kl": [CLIPS[int(np.argmin(divergence))]] * 2,
    }


def test_peaks_are_the_largest_probabilities() -> None:
    even = layer_rows([np.zeros((1, 3, 4))], 1)
    sharp = layer_rows([np.array([[[20.0, 0, 0, 0]]])], 1)
    found = peaks([even, sharp])
    assert found["largest"] == pytest.approx((3 * 0.25 + 1) / 4, abs=1e-6)
    assert found["nearly_one"] == 0.25


def test_markdown_and_plot_show_the_result(result: dict[str, Any], tmp_path: Path) -> None:
    text = QUICK.markdown(result)
    for setting in result["models"][0]["settings"]:
        name = setting["name"].replace(", per layer", "").replace("2-bit, hard", "hard")
        task = setting["task"]
        start = f"| {name} | {task['accuracy']:.4f} | {task['log_loss']:.4f} | "
        assert f"{start}{task['calibration_error']:.4f} |" in text
    assert QUICK.plot(result, tmp_path / "x.png") == tmp_path / "x.png"


def test_models_with_attention_are_evaluated_by_the_task(
    decoder: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Architectures, "task", lambda self, name: slide(decoder, 6))
    study = Architectures(models=("sliding window",), widths=(2,), calibrated=2, every=3, window=6)
    told: list[str] = []
    (model,) = study.run(lambda done, total, now: told.append(now))["models"]
    assert model["what"] == MODELS["sliding window"].format(window=6, classes=0)
    assert model["kind"] == "decoder"
    assert [setting["bits"] for setting in model["settings"]] == [None, 2, 2, 2, 2, 2]
    assert any(now.startswith("sliding window: ") for now in told)
    # Two layers; no row has more than six live elements, so none is flatter than a sixth.
    (clips,) = model["clips"]
    assert [len(clips["best"][key]) for key in ("squared_error", "kl")] == [2, 2]
    assert 1 / 6 < model["peaks"]["largest"] <= 1


def test_missing_torch_is_said_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "exaq.torch")
    monkeypatch.setitem(sys.modules, "torch", None)
    need = r"^exaq\.torch needs torch; install it by: pip install 'exaq-softmax\[torch\]'$"
    with pytest.raises(ImportError, match=need):
        QUICK.run()


def test_missing_models_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXAQ_CACHE", str(tmp_path))
    need = rf"^there is no decoder in {tmp_path}\S*; train it.*\.py$"
    with pytest.raises(StudyError, match=need):
        Architectures(models=("sliding window",)).run()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StudyError, match=r"^the model all-MiniLM-L6-v2 is missing; "):
        Architectures(models=("encoder",)).run()
    with pytest.raises(StudyError, match=r"^the model all-MiniLM-L6-v2 is missing; "):
        Widths(widths=(2,)).run()


def test_report_supports_its_text() -> None:
    stored = {model["name"]: model for model in report("architectures")["models"]}
    assert list(stored) == list(MODELS)
    for model in stored.values():
        for clips in model["clips"]:
            assert len(clips["best"]["kl"]) == len(clips["paper"])
        find = {setting["name"]: setting for setting in model["settings"]}
        assert len(find) == 10
        for bits in (2, 3):
            paper = find[f"{bits}-bit paper, per layer"]
            best = find[f"{bits}-bit optimal (kl), per layer"]
            assert best["attention"]["kl"] < paper["attention"]["kl"]
