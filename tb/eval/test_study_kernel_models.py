"""Models that run with every kernel: their scores, what the page says of them, what is missing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import exaq
from exaq.torch import record, set_tables
from exaq_eval import tasks
from exaq_eval.settings import LogitFormat
from exaq_eval.studies import StudyError
from exaq_eval.studies.questions import kernels
from exaq_eval.studies.questions.kernels import Kernels
from exaq_eval.studies.subjects.kernel_variants import VARIANTS
from exaq_eval.tasks import Embedding, Prediction, Task

FORM = LogitFormat()
NAMES = ("exaq, 2 bits", "baps, e5m3 codes", "multiply, split")
FEW = tuple(variant for variant in VARIANTS if variant.name in NAMES)


def random_texts(seed: int, count: int, length: int) -> list[torch.Tensor]:
    random = np.random.default_rng(seed)
    return [torch.from_numpy(random.integers(0, 16, length)) for _ in range(count)]


@pytest.fixture(scope="module")
def models(encoder_folder: Path, decoder_folder: Path) -> dict[str, Task]:
    encoder = transformers.BertModel.from_pretrained(encoder_folder).eval()
    decoder = transformers.LlamaForCausalLM.from_pretrained(decoder_folder).eval()
    # Scores far below the rest of their row would pass for masked ones.
    with torch.no_grad():
        for weights in (*encoder.parameters(), *decoder.parameters()):
            weights.mul_(0.5)
    texts = random_texts(1, 4, 15)
    return {
        "minilm": Embedding(
            name="minilm", model=encoder, texts=texts[:2], calibration=texts, what="texts"
        ),
        "decoder": Prediction(
            name="decoder",
            model=decoder,
            texts=random_texts(2, 3, 17),
            calibration=random_texts(3, 4, 17),
            what="windows",
        ),
    }


@pytest.fixture
def study(models: dict[str, Task], monkeypatch: pytest.MonkeyPatch) -> Kernels:
    """The study at quick sizes, with tiny models and a kernel of each sort."""
    monkeypatch.setattr(tasks, "load", lambda name, texts: models[name])
    monkeypatch.setattr(kernels, "VARIANTS", FEW)
    sizes: dict[str, Any] = {"texts": 2, "calibrated": 1, "windows": 3, "calibrated_windows": 2}
    return Kernels(sigmas=(2,), lengths=(128,), elements=8192, shipped_every=64, **sizes)


def loss(task: Task) -> float:
    """Mean loss of the model over the windows, as Transformers computes it."""
    with torch.no_grad():
        each = [task.model(input_ids=t[None], labels=t[None]).loss.item() for t in task.texts]
    return float(np.mean(each))


def test_increase_is_that_of_the_model_s_own_loss(study: Kernels, models: dict[str, Task]) -> None:
    task = models["decoder"]
    told: list[tuple[int, int, str]] = []
    found = study.run(lambda *step: told.append(step))["decoder"]
    assert [done for done, _, _ in told] == [*range(2 + 2 * (1 + len(FEW))), told[-1][1]]
    assert "decoder: multiply, split" in [now for _, _, now in told]
    assert found["calibration_texts"] == 2
    assert (found["task"]["texts"], found["task"]["tokens"]) == (3, 3 * 16)
    exact = loss(task)
    logits: dict[str, Any] = {"logit_width": FORM.logit_width, "logit_scale": FORM.logit_scale}
    with record(task.model) as recording:
        for text in task.calibration[:2]:
            task.run(text)
    clips = exaq.calibrate(
        recording.layers, bits=2, per="head", stage="clip", exp_frac=FORM.exp_frac, **logits
    )
    shared: dict[str, Any] = {"lanes": 4, "max_row": 20, **logits}
    fine = exaq.SoftmaxConfig(kernel="baps", prob_bits=24, **shared)
    product = exaq.SoftmaxConfig(kernel="multiply", prob_bits=FORM.prob_bits, **shared)
    expected = []
    try:
        set_tables(task.model, clips, prob_bits=FORM.prob_bits)
        expected.append(loss(task) - exact)
        for config in (fine, product):
            set_tables(task.model, config)
            expected.append(loss(task) - exact)
    finally:
        set_tables(task.model, None)
    assert [row["softmax"] for row in found["rows"]] == list(NAMES)
    for row, increase in zip(found["rows"], expected, strict=True):
        assert row["increase"] == pytest.approx(increase, rel=1e-3, abs=1e-6)
        assert row["increase_error"] > 0
    assert abs(expected[0]) > 100 * abs(expected[2])
    # The models compute in float again.
    assert loss(task) == exact


def test_page_shows_both_models(study: Kernels) -> None:
    result = study.run()
    result["decoder"]["rows"][0] |= {"increase": 0.1234, "increase_error": 0.0056}
    text = study.markdown(result)
    heads, _, first, *_ = (line for line in text.splitlines() if line.startswith("| "))
    assert heads.endswith("| MiniLM: cosine, mean | worst | decoder: increase of the loss, nats |")
    assert first.endswith("| - | - | - |")
    assert re.search(r"\| exaq, 2 bits \|.* \| \+0\.1234 ± 0\.0056 \|\n", text)
    assert "loses in predicting 48 characters, 3 windows:" in text
    assert "calibrated on 2 windows." in text
    # A report of before the decoder took part says nothing of it.
    del result["decoder"]
    assert "ecoder" not in study.markdown(result)


def test_each_model_can_be_left_out(study: Kernels) -> None:
    assert Kernels.quick().texts == Kernels.quick().windows == 0
    for left_out, place in (("texts", "model"), ("windows", "decoder")):
        sizes: dict[str, Any] = {"texts": 2, "windows": 3, "calibrated": 1, left_out: 0}
        run = Kernels(sigmas=(2,), lengths=(128,), elements=8192, shipped_every=64, **sizes).run()
        assert {"model", "decoder"} - set(run) == {place}


def test_the_decoder_s_task_is_that_of_its_own_evaluation() -> None:
    """So that the figures of the page of accuracy can be put beside these."""
    assert Kernels().windows == tasks.WINDOWS
    assert Kernels().calibrated_windows == tasks.CALIBRATED_WINDOWS


def test_a_missing_decoder_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAQ_CACHE", str(tmp_path))
    told: list[str] = []
    message = (
        f"there is no decoder in {tmp_path}/tiny_decoder; train it, in about ten minutes, "
        "by: python scripts/train_tiny_decoder.py"
    )
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        Kernels(texts=0).run(lambda done, total, now: told.append(now))
    assert told == []
